#include "text/sentencepiece_charsmap.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// sentencepiece's Normalizer::kMaxTrieResultsSize: rules that match at one place, kept on the stack.
constexpr std::uint8_t kMaxMatches = 32;

// A unit of a Darts double array: how to go on from here.
class Unit {
 public:
  explicit Unit(std::uint32_t bits) : bits_(bits) {}
  bool has_leaf() const { return (bits_ >> 8U & 1U) == 1; }
  std::uint32_t value() const { return bits_ & 0x7FFFFFFFU; }  // of a leaf
  /// The byte that leads here; none for a leaf, whose top bit is set.
  std::uint32_t label() const { return bits_ & 0x800000FFU; }
  std::uint32_t offset() const { return (bits_ >> 10U) << ((bits_ & 0x200U) >> 6U); }

 private:
  std::uint32_t bits_;
};

class TrieCheck {
 public:
  TrieCheck(std::string_view trie, std::string_view replacements, const std::string& file)
      : trie_(trie), replacements_(replacements), file_(file), units_(trie.size() / 4) {
    states_.assign(units_, {});
  }

  // A state is the place that the next byte is combined with; the walk from it depends on nothing else.
  // Visits every state a text can reach, each after those behind it.
  void run() {
    enter(unit(0).offset(), 0);
    while (!stack_.empty()) {
      const Frame frame = stack_.back();
      if (frame.next_byte == 256) {
        leave();
        continue;
      }
      ++stack_.back().next_byte;
      const std::uint32_t at = frame.state ^ frame.next_byte;
      const Unit step = unit(at);
      if (step.label() != frame.next_byte) continue;
      const std::uint32_t next = at ^ step.offset();
      check_range(next, at);
      if (step.has_leaf()) check_leaf(next);
      follow(next, at, step.has_leaf());
    }
  }

 private:
  enum class Visit : std::uint8_t { no, open, done };
  struct State {
    Visit visit = Visit::no;
    std::uint8_t matches = 0;  // most leaves on a way from here
  };
  struct Frame {
    std::uint32_t state;
    std::uint32_t next_byte;
    std::uint8_t leaf;  // 1: the step that led here ends a rule
  };

  [[noreturn]] void fail(std::uint32_t at, const std::string& expected, const std::string& found) const {
    throw Error({"spm.charsmap", file_, "precompiled_charsmap, unit " + std::to_string(at), expected, found,
                 "The file is damaged"});
  }

  Unit unit(std::uint32_t at) const {
    std::uint32_t bits = 0;
    std::memcpy(&bits, trie_.data() + size_t{at} * 4, 4);
    return Unit(bits);
  }

  // Any byte may come next: all 256 places must exist.
  void check_range(std::uint32_t state, std::uint32_t from) const {
    if ((state | 0xFFU) >= units_)
      fail(from, "steps inside " + std::to_string(units_) + " units",
           "unit " + std::to_string(state | 0xFFU));
  }

  void check_leaf(std::uint32_t at) const {
    const std::uint32_t value = unit(at).value();
    if (value >= replacements_.size()) {
      fail(at, "a replacement inside " + std::to_string(replacements_.size()) + " bytes",
           "byte " + std::to_string(value));
    }
    const size_t length = replacements_.find('\0', value) - value;
    if (length > kMaxReplacementBytes) {
      fail(at, "a replacement of at most " + std::to_string(kMaxReplacementBytes) + " bytes",
           std::to_string(length));
    }
    if (utf8::find_invalid(replacements_.substr(value, length)))
      fail(at, "a replacement in UTF-8", "other bytes");
  }

  void enter(std::uint32_t state, std::uint8_t leaf) {
    check_range(state, 0);
    states_[state].visit = Visit::open;
    stack_.push_back({state, 0, leaf});
  }

  void follow(std::uint32_t next, std::uint32_t from, bool leaf) {
    State& state = states_[next];
    if (state.visit == Visit::open) fail(from, "rules of finite length", "a way that leads back to itself");
    if (state.visit == Visit::no) {
      enter(next, leaf ? 1 : 0);
    } else {
      count(stack_.back().state, state.matches + (leaf ? 1 : 0));
    }
  }

  void leave() {
    const Frame frame = stack_.back();
    stack_.pop_back();
    states_[frame.state].visit = Visit::done;
    if (!stack_.empty()) count(stack_.back().state, states_[frame.state].matches + frame.leaf);
  }

  void count(std::uint32_t state, int matches) {
    if (matches > kMaxMatches)
      fail(state, "at most " + std::to_string(kMaxMatches) + " rules that begin alike", "more");
    states_[state].matches = std::max(states_[state].matches, static_cast<std::uint8_t>(matches));
  }

  std::string_view trie_, replacements_;
  const std::string& file_;
  std::uint32_t units_;
  std::vector<State> states_;
  std::vector<Frame> stack_;
};

}  // namespace

void check_charsmap(std::string_view charsmap, const std::string& file) {
  const auto fail = [&](const std::string& expected, const std::string& found) {
    throw Error({"spm.charsmap", file, "precompiled_charsmap", expected, found, "The file is damaged"});
  };
  if (charsmap.size() > kMaxCharsmapBytes)
    fail("at most " + std::to_string(kMaxCharsmapBytes) + " bytes", std::to_string(charsmap.size()));
  std::uint32_t trie_size = 0;
  if (charsmap.size() < sizeof(trie_size))
    fail("the size of a trie", std::to_string(charsmap.size()) + " bytes");
  std::memcpy(&trie_size, charsmap.data(), sizeof(trie_size));
  charsmap.remove_prefix(sizeof(trie_size));
  if (trie_size == 0 || trie_size % 4 != 0 || trie_size >= charsmap.size()) {
    fail("a trie of whole units, then replacements, in " + std::to_string(charsmap.size()) + " bytes",
         "a trie of " + std::to_string(trie_size));
  }
  const std::string_view replacements = charsmap.substr(trie_size);
  if (replacements.back() != '\0') fail("replacements that end with a NUL", "another byte");
  TrieCheck(charsmap.substr(0, trie_size), replacements, file).run();
}

}  // namespace safetylock
