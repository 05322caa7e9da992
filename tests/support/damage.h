// Sound bytes, cut short and damaged.
#pragma once

#include <functional>
#include <string>

#include "support/errors.h"

namespace safetylock::test {

enum class Cut { must_be_refused, may_be_sound };

/// Gives `read` every prefix of `sound` and every byte of it with one of a few bits flipped. Each is refused
/// with an Error that names a file, or read; any other exception ends the test.
inline void damage_everywhere(const std::string& sound, Cut cut,
                              const std::function<void(const std::string&)>& read) {
  ASSERT_EQ(code_of([&] { read(sound); }), "no error");
  size_t refused = 0;
  const auto attempt = [&](const std::string& bytes, const std::string& what) {
    const auto e = error_of([&] { read(bytes); });
    if (e) {
      ++refused;
      EXPECT_FALSE(e->code.empty() || e->file.empty()) << what << ": " << e->code << " " << e->expected;
    }
    return e.has_value();
  };
  for (size_t size = 0; size < sound.size(); ++size) {
    const std::string what = "first " + std::to_string(size) + " bytes";
    const bool found = attempt(sound.substr(0, size), what);
    if (cut == Cut::must_be_refused) {
      EXPECT_TRUE(found) << what;
    }
  }
  for (size_t at = 0; at < sound.size(); ++at) {
    for (const unsigned char bits : {0x01, 0x10, 0x80}) {
      std::string bytes = sound;
      bytes[at] = static_cast<char>(static_cast<unsigned char>(bytes[at]) ^ bits);
      attempt(bytes, "byte " + std::to_string(at));
    }
  }
  EXPECT_GT(refused, sound.size() / 4);
}

}  // namespace safetylock::test
