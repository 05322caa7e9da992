#include "lock/lock_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <tuple>

#include "base/file.h"
#include "lock/sample_lock.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using test::code_of;
using test::sample_direction;
using test::sample_heads;
using test::sample_identity;
using test::sample_lock;

SafetyLock lock_of_24_heads() {
  std::vector<HeadDirection> heads;
  for (int k = 0; k < 24; ++k) heads.push_back({{5 - k / 4, k % 4}, sample_direction(8, k), 0.5F, 0.8F});
  return {sample_identity(), heads, 6.0, 24.0};
}

std::string read_code(std::string_view bytes) {
  return code_of([&] { SafetyLock::from_bytes(bytes, "test.lock.safetensors"); });
}

// The sample lock's content after `change`, written with the digest that belongs to it.
std::string sealed(const std::function<void(LockContent&)>& change) {
  LockContent content = lock_content(sample_identity(), sample_heads(), 6.0, 24.0);
  change(content);
  content.metadata["content_digest"] = content_digest(content);
  return safetensors_to_bytes(content.tensors, content.metadata);
}

SafetensorsEntry& tensor(LockContent& content, const std::string& name) {
  return *std::find_if(content.tensors.begin(), content.tensors.end(),
                       [&](const auto& t) { return t.name == name; });
}

void expect_equal(const SafetyLock& a, const SafetyLock& b) {
  EXPECT_EQ(a.content_digest(), b.content_digest());
  EXPECT_EQ(a.default_strength().alpha(), b.default_strength().alpha());
  EXPECT_EQ(a.alpha_max(), b.alpha_max());
  const auto fields = [](const LockIdentity& i) {
    return std::tie(i.architecture, i.num_hidden_layers, i.num_attention_heads, i.num_key_value_heads,
                    i.head_dim, i.hidden_size, i.base_model, i.config_digest, i.tokenizer_digest,
                    i.template_digest, i.weights_digest, i.pairs_digest, i.protocol, i.tokens_per_reply,
                    i.seed, i.revision, i.library_version);
  };
  EXPECT_TRUE(fields(a.identity()) == fields(b.identity()));
  ASSERT_EQ(a.heads().size(), b.heads().size());
  for (size_t k = 0; k < a.heads().size(); ++k) {
    const HeadDirection &h = a.heads()[k], &i = b.heads()[k];
    EXPECT_TRUE(std::tie(h.id, h.direction, h.sigma, h.score, h.gap) ==
                std::tie(i.id, i.direction, i.sigma, i.score, i.gap))
        << k;
  }
}

TEST(LockFile, RoundTripKeepsEveryBit) {
  for (const SafetyLock& lock : {sample_lock(), lock_of_24_heads()}) {
    const std::string bytes = lock.to_bytes();
    const SafetyLock read = SafetyLock::from_bytes(bytes, "memory");
    expect_equal(read, lock);
    EXPECT_EQ(read.to_bytes(), bytes);
  }
}

TEST(LockFile, KeepsTextsAndNumbersThatAreHardToWriteDown) {
  LockIdentity id = sample_identity();
  id.seed = std::numeric_limits<std::int64_t>::max();
  id.base_model = "\xE6\xA8\xA1\xE5\x9E\x8B \t\n\\\"/\x01";
  std::vector<HeadDirection> heads = sample_heads();
  heads[0].sigma = std::numeric_limits<float>::denorm_min();
  heads[1].sigma = 0.1F;
  const SafetyLock lock(id, heads, 0.1 + 0.2, 1.0 / 3.0 + 1);
  expect_equal(SafetyLock::from_bytes(lock.to_bytes(), "memory"), lock);
}

TEST(LockFile, KeepsDirectionsOfFloat16AsTheyAre) {
  // Widened float16 values whose norm is 1.0007.
  const std::vector<float> v = {0.5F, 0.5F, -0.5F, 0.5F, 0.037231445F, 0.0F, 0.0F, 0.0F};
  std::vector<HeadDirection> heads = sample_heads();
  heads[1].direction = v;
  const SafetyLock lock(sample_identity(), heads);
  EXPECT_EQ(SafetyLock::from_bytes(lock.to_bytes(), "memory").heads()[1].direction, v);
}

TEST(LockFile, EqualLocksAreEqualBytesAndFilesAreReplacedWhole) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path("a.lock.safetensors");
  sample_lock().save(path);
  EXPECT_EQ(read_file(path, 1 << 20), sample_lock().to_bytes());
  lock_of_24_heads().save(path);
  EXPECT_EQ(read_file(path, 1 << 20), lock_of_24_heads().to_bytes());
  expect_equal(SafetyLock::load(path), lock_of_24_heads());
  EXPECT_EQ(code_of([&] { sample_lock().save(folder.path("missing/a.lock.safetensors")); }), "io.write");
}

TEST(LockFile, EveryFlippedBitIsRefused) {
  for (const SafetyLock& lock : {sample_lock(), lock_of_24_heads()}) {
    std::string bytes = lock.to_bytes();
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
        ASSERT_NE(read_code(bytes), "no error") << "byte " << i << ", bit " << bit;
        bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      }
    }
    EXPECT_EQ(read_code(bytes), "no error");
  }
}

TEST(LockFile, AFlippedBitInAValueIsADigestError) {
  std::string bytes = sample_lock().to_bytes();
  for (size_t i = bytes.size() - 3 * 8 * 4; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(bytes[i] ^ 4);
    EXPECT_EQ(read_code(bytes), "lock.digest") << i;
    bytes[i] = static_cast<char>(bytes[i] ^ 4);
  }
}

TEST(LockFile, EveryPrefixIsRefusedAsTruncated) {
  const std::string bytes = sample_lock().to_bytes();
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_EQ(read_code(bytes.substr(0, n)), "lock.truncated") << n;
  EXPECT_EQ(read_code(bytes + std::string(1, '\0')), "st.trailing");
}

TEST(LockFile, RefusesOtherSpellingsOfTheSameContent) {
  const std::string bytes = sample_lock().to_bytes();
  // Eight more blanks of padding are sound safetensors, and not what we write.
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  std::string padded = bytes;
  padded.insert(8 + length, 8, ' ');
  length += 8;
  std::memcpy(padded.data(), &length, sizeof length);
  EXPECT_EQ(read_code(padded), "st.canonical");
}

TEST(LockFile, RefusesOtherVersionsAndOtherFiles) {
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata["version"] = "2"; })), "lock.version");
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata["version"] = "1.0"; })), "lock.version");
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata.erase("version"); })), "lock.version");
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata["format"] = "pt"; })), "io.wrong_format");
  EXPECT_EQ(read_code(safetensors_to_bytes({SafetensorsEntry::f32("w", {1}, std::vector<float>{1})}, {})),
            "io.wrong_format");
}

TEST(LockFile, RefusesMissingUnknownAndMalformedMetadata) {
  const LockContent content = lock_content(sample_identity(), sample_heads(), 6.0, 24.0);
  for (const auto& entry : content.metadata) {
    const std::string& key = entry.first;
    if (key == "format" || key == "version") continue;
    const char* code = key == "alpha" || key == "alpha_max" ? "lock.alpha_range" : "lock.metadata";
    EXPECT_EQ(read_code(sealed([&](LockContent& c) { c.metadata.erase(key); })), code) << key;
  }
  EXPECT_EQ(read_code(safetensors_to_bytes(content.tensors, content.metadata)), "lock.metadata");
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata["extra"] = "0.5"; })), "lock.metadata");
  for (const char* key :
       {"layers", "heads", "kv_heads", "head_dim", "hidden_size", "seed", "revision", "tokens_per_reply"}) {
    for (const char* bad : {"", "six", "06", "+6", " 6", "6 ", "6.0", "0x6", "99999999999999999999"}) {
      EXPECT_EQ(read_code(sealed([&](LockContent& c) { c.metadata[key] = bad; })), "lock.metadata")
          << key << " " << bad;
    }
  }
  for (const char* key : {"alpha", "alpha_max"}) {
    for (const char* bad : {"", "nan", "inf", "-6", "0", "6.0", "06", "6e0", "0x6", "1e400"}) {
      EXPECT_EQ(read_code(sealed([&](LockContent& c) { c.metadata[key] = bad; })), "lock.alpha_range")
          << key << " " << bad;
    }
  }
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata["alpha"] = "25"; })), "lock.alpha_range");
}

TEST(LockFile, RefusesAWrongDigest) {
  LockContent content = lock_content(sample_identity(), sample_heads(), 6.0, 24.0);
  for (const std::string& digest : {std::string(), std::string(64, '0'), std::string(1000, 'x')}) {
    content.metadata["content_digest"] = digest;
    EXPECT_EQ(read_code(safetensors_to_bytes(content.tensors, content.metadata)), "lock.digest");
  }
}

TEST(LockFile, RefusesMissingUnknownAndMisshapenTensors) {
  const auto replaced = [](const SafetensorsEntry& entry) {
    return read_code(sealed([&](LockContent& c) { tensor(c, entry.name) = entry; }));
  };
  for (const std::string name : {"layers", "heads", "directions", "sigmas", "gaps", "scores", "sketch"}) {
    const auto remove = [&](LockContent& c) {
      std::erase_if(c.tensors, [&](const auto& t) { return t.name == name; });
    };
    EXPECT_EQ(read_code(sealed(remove)), "lock.tensor") << name;
  }
  const std::vector<float> four(4, 0.5F);
  const std::vector<std::int64_t> two = {0, 1};
  EXPECT_EQ(read_code(sealed(
                [&](LockContent& c) { c.tensors.push_back(SafetensorsEntry::f32("extra", {4}, four)); })),
            "lock.tensor");
  EXPECT_EQ(replaced(SafetensorsEntry::i64("heads", {2}, two)), "lock.head");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("heads", {4}, four)), "lock.head");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("directions", {4}, four)), "lock.vector");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("directions", {2, 2}, four)), "lock.vector");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("sigmas", {4}, four)), "lock.scale");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("gaps", {4}, four)), "lock.scale");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("scores", {2, 2}, four)), "lock.score");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("sketch", {4}, four)), "lock.tensor");
  EXPECT_EQ(read_code(sealed([&](LockContent& c) { c.metadata["head_dim"] = "16"; })), "lock.vector");
}

// What the constructor refuses is refused from a file too, and the error names the file.
TEST(LockFile, RefusesBadValuesUnderACorrectDigest) {
  const auto with_value = [](const char* name, size_t at, auto value) {
    const std::string bytes = sealed([&](LockContent& c) {
      std::memcpy(tensor(c, name).bytes.data() + at * sizeof value, &value, sizeof value);
    });
    const auto error = test::error_of([&] { SafetyLock::from_bytes(bytes, "test.lock.safetensors"); });
    EXPECT_TRUE(!error || error->file == "test.lock.safetensors");
    return error ? error->code : "no error";
  };
  EXPECT_EQ(with_value("layers", 1, std::int64_t{6}), "lock.head");
  EXPECT_EQ(with_value("layers", 1, std::int64_t{-1}), "lock.head");
  EXPECT_EQ(with_value("heads", 1, std::int64_t{1} << 62), "lock.head");
  EXPECT_EQ(with_value("heads", 2, std::int64_t{3}), "lock.head");  // repeats (4, 3)
  EXPECT_EQ(with_value("directions", 9, std::nanf("")), "lock.vector");
  EXPECT_EQ(with_value("directions", 9, 2.0F), "lock.vector");
  EXPECT_EQ(with_value("sigmas", 0, -1.0F), "lock.scale");
  EXPECT_EQ(with_value("sigmas", 0, std::nanf("")), "lock.scale");
  EXPECT_EQ(with_value("gaps", 0, -1.0F), "lock.scale");
  EXPECT_EQ(with_value("scores", 0, 2.0F), "lock.score");
  EXPECT_EQ(read_code(sealed([](LockContent& c) { c.metadata["layers"] = "4"; })), "lock.head");
  EXPECT_EQ(read_code(sealed([](LockContent& c) {
              for (SafetensorsEntry& t : c.tensors) {
                t.shape[0] = 0;
                t.bytes.clear();
              }
            })),
            "lock.head");
}

TEST(LockFile, RefusesHeadersAboveTheLimit) {
  const std::uint64_t length = (1 << 20) + 1;
  std::string bytes(8 + length, ' ');
  std::memcpy(bytes.data(), &length, sizeof length);
  EXPECT_EQ(read_code(bytes), "st.header_large");
}

TEST(LockFile, MissingAndWrongFilesAreNamed) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(code_of([&] { SafetyLock::load(folder.path("none")); }), "io.open");
  EXPECT_EQ(code_of([&] { SafetyLock::load(folder.path()); }), "io.not_regular");
  const std::string page = folder.write("page", "<!DOCTYPE html><html></html>");
  EXPECT_EQ(code_of([&] { SafetyLock::load(page); }), "io.wrong_format");
}

}  // namespace
}  // namespace safetylock
