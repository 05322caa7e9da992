#include "formats/sniff.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "safetylock/error.h"

namespace safetylock {
namespace {

struct Signature {
  std::string_view bytes;
  const char* name;
  const char* hint;
};

constexpr const char* kFetchAgain = "The download failed or stored something else; fetch the file again";

constexpr std::array kSignatures = {
    Signature{"version https://git-lfs", "a git-lfs pointer",
              "Run `git lfs pull` to fetch the file it stands for"},
    Signature{"<!doctype html", "an HTML page", kFetchAgain},
    Signature{"<html", "an HTML page", kFetchAgain},
    Signature{"<?xml", "an XML document", kFetchAgain},
    Signature{"\x1f\x8b", "a gzip archive", "Unpack it first"},
    Signature{"PK\x03\x04", "a zip archive (or a PyTorch .bin/.pt pickle)",
              "Unpack it, or convert it to safetensors"},
    Signature{"\x80\x02", "a Python pickle",
              "Pickles can run code and are never read; convert it to safetensors"},
    Signature{"\x28\xb5\x2f\xfd", "a zstd archive", "Unpack it first"},
    Signature{"GGUF", "a GGUF file", ""},
};

const Signature* find_signature(std::string_view head) {
  const size_t start = head.find_first_not_of(" \t\r\n");
  const std::string_view text = start == std::string_view::npos ? head : head.substr(start);
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  for (const Signature& s : kSignatures) {
    const std::string_view from = s.bytes.front() == '<' ? text : head;
    if (from.size() >= s.bytes.size() && std::equal(s.bytes.begin(), s.bytes.end(), from.begin(), same))
      return &s;
  }
  return nullptr;
}

}  // namespace

void refuse_other_format(std::string_view head, const std::string& file, const std::string& wanted) {
  const Signature* s = find_signature(head);
  if (s == nullptr || std::string_view(s->name).find(wanted) != std::string_view::npos) return;
  throw Error({"io.wrong_format", file, "byte 0", "a " + wanted + " file", s->name, s->hint});
}

}  // namespace safetylock
