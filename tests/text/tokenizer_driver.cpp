// Encodes and decodes many texts with one tokenizer, for comparison with an oracle.
//
//   tokenizer_driver TOKENIZER TEXTS RESULTS [--special] [--plain] [--sentencepiece]
//
// TEXTS: for each text its length in bytes (u32, little-endian) and its bytes. RESULTS: for each text the
// number n of tokens (u32), n ids, n offsets begin, n offsets end (u32 each), then the length (u32) and bytes
// of the ids decoded without and with control tokens. --special: with the post-processor's bos and eos.
// --plain: control tokens are not matched. --sentencepiece: TOKENIZER is a sentencepiece model by itself.
// Prints the digest, and to stderr the times.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "safetylock/error.h"
#include "safetylock/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> read_texts(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  std::vector<std::string> texts;
  for (size_t at = 0; at < all.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, all.data() + at, sizeof(length));
    texts.push_back(all.substr(at + sizeof(length), length));
    at += sizeof(length) + length;
  }
  return texts;
}

void put(std::string& out, size_t value) {
  const auto v = static_cast<std::uint32_t>(value);
  out.append(reinterpret_cast<const char*>(&v), sizeof(v));
}

void put_result(std::string& out, const safetylock::Tokenizer& tokenizer, const safetylock::Encoding& e) {
  put(out, e.ids.size());
  for (const auto id : e.ids) put(out, static_cast<size_t>(id));
  for (const auto& o : e.offsets) put(out, o.begin);
  for (const auto& o : e.offsets) put(out, o.end);
  for (const bool skip : {true, false}) {
    const std::string decoded = tokenizer.decode(e.ids, skip);
    put(out, decoded.size());
    out += decoded;
  }
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: tokenizer_driver TOKENIZER TEXTS RESULTS [--special] [--plain] [--sentencepiece]\n";
    return 2;
  }
  safetylock::EncodeOptions options;
  bool sentencepiece = false;
  for (int i = 4; i < argc; ++i) {
    if (std::string(argv[i]) == "--special") options.add_special_tokens = true;
    if (std::string(argv[i]) == "--plain") options.parse_special_tokens = false;
    if (std::string(argv[i]) == "--sentencepiece") sentencepiece = true;
  }
  const auto start = Clock::now();
  const auto tokenizer = sentencepiece ? safetylock::Tokenizer::from_sentencepiece(argv[1])
                                       : safetylock::Tokenizer::from_pretrained(argv[1]);
  const double load = seconds_since(start);
  const std::vector<std::string> texts = read_texts(argv[2]);
  std::vector<safetylock::Encoding> encodings;
  size_t bytes = 0;
  const auto encode_start = Clock::now();
  for (const std::string& text : texts) {
    encodings.push_back(tokenizer.encode(text, options));
    bytes += text.size();
  }
  const double encode = seconds_since(encode_start);
  std::string out;
  for (const auto& e : encodings) put_result(out, tokenizer, e);
  std::ofstream(argv[3], std::ios::binary) << out;
  std::cerr << "load " << load << " s, encode " << static_cast<double>(bytes) / 1e6 / encode << " MB/s\n";
  std::cout << tokenizer.digest() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const safetylock::Error& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
