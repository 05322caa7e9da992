#include "formats/pickle.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/utf8.h"
#include "formats/pickle_numpy.h"
#include "formats/pickle_opcodes.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

using pickle::Opcode;
using Kind = PickleValue::Kind;
using Global = PickleValue::Global;

constexpr size_t kMaxSteps = 65'536, kMaxMemo = 4'096;
constexpr size_t kMaxDecodedBytes = size_t{4} << 20;
constexpr int kMaxDepth = 16;

struct KnownGlobal {
  std::string_view name;
  Global global;
};
constexpr std::array kGlobals = {
    KnownGlobal{"_codecs encode", Global::encode},
    KnownGlobal{"numpy dtype", Global::dtype},
    KnownGlobal{"numpy ndarray", Global::ndarray},
    KnownGlobal{"numpy.core.multiarray _reconstruct", Global::reconstruct},
    KnownGlobal{"numpy.core.multiarray scalar", Global::scalar},
    KnownGlobal{"numpy._core.multiarray _reconstruct", Global::reconstruct},
    KnownGlobal{"numpy._core.multiarray scalar", Global::scalar},
};

PickleValue leaf(Kind kind, std::int64_t integer = 0) {
  PickleValue value;
  value.kind = kind;
  value.integer = integer;
  return value;
}

/// Values of these kinds never change and hold nothing: sharing one of them through the memo means nothing.
bool may_be_shared(Kind kind) {
  return kind == Kind::text || kind == Kind::bytes || kind == Kind::global || kind == Kind::dtype;
}

class Reader {
 public:
  Reader(std::string_view in, const std::string& file) : in_(in), file_(file) {}

  PickleValue read() {
    if (byte() != static_cast<unsigned char>(Opcode::proto) || byte() != 2) {
      fail("pkl.protocol", "PROTO 2", "another beginning");
    }
    for (size_t steps = 1; step(); ++steps) {
      if (steps == kMaxSteps) fail("limit.nodes", "at most " + std::to_string(kMaxSteps) + " steps", "more");
    }
    if (at_ != in_.size()) {
      fail("pkl.trailing", "nothing behind STOP", std::to_string(in_.size() - at_) + " bytes");
    }
    if (stack_.size() != 1 || !marks_.empty()) {
      fail("pkl.stack", "one value at STOP", std::to_string(stack_.size()) + " and open marks");
    }
    return std::move(stack_.back());
  }

 private:
  [[noreturn]] void fail(const char* code, const std::string& expected, const std::string& found) const {
    throw Error({code, file_, "data.pkl, byte " + std::to_string(op_), expected, found, ""});
  }

  std::string_view take(size_t count) {
    if (in_.size() - at_ < count) {
      fail("pkl.truncated", std::to_string(count) + " more bytes", std::to_string(in_.size() - at_));
    }
    const std::string_view taken = in_.substr(at_, count);
    at_ += count;
    return taken;
  }
  unsigned char byte() { return static_cast<unsigned char>(take(1).front()); }
  template <typename T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  /// One opcode; false for STOP.
  bool step() {
    op_ = at_;
    const unsigned char opcode = byte();
    switch (static_cast<Opcode>(opcode)) {
      case Opcode::stop:
        return false;
      case Opcode::mark:
        marks_.push_back(stack_.size());
        break;
      case Opcode::none:
        push(leaf(Kind::none));
        break;
      case Opcode::newtrue:
        push(leaf(Kind::boolean, 1));
        break;
      case Opcode::newfalse:
        push(leaf(Kind::boolean, 0));
        break;
      case Opcode::binint:
        push(leaf(Kind::integer, number<std::int32_t>()));
        break;
      case Opcode::binint1:
        push(leaf(Kind::integer, number<std::uint8_t>()));
        break;
      case Opcode::binint2:
        push(leaf(Kind::integer, number<std::uint16_t>()));
        break;
      case Opcode::binunicode:
        push_text();
        break;
      case Opcode::global:
        push_global();
        break;
      case Opcode::empty_list:
        push(leaf(Kind::list));
        break;
      case Opcode::empty_dict:
        push(leaf(Kind::dict));
        break;
      case Opcode::tuple1:
        push_tuple(1);
        break;
      case Opcode::tuple2:
        push_tuple(2);
        break;
      case Opcode::tuple3:
        push_tuple(3);
        break;
      case Opcode::tuple:
        push_tuple(above_mark());
        break;
      case Opcode::append:
        add_items(Kind::list, 1);
        break;
      case Opcode::appends:
        add_items(Kind::list, above_mark());
        break;
      case Opcode::setitem:
        add_items(Kind::dict, 2);
        break;
      case Opcode::setitems:
        add_items(Kind::dict, above_mark());
        break;
      case Opcode::binput:
        put(number<std::uint8_t>());
        break;
      case Opcode::long_binput:
        put(number<std::uint32_t>());
        break;
      case Opcode::binget:
        get(number<std::uint8_t>());
        break;
      case Opcode::long_binget:
        get(number<std::uint32_t>());
        break;
      case Opcode::reduce:
        reduce();
        break;
      case Opcode::build:
        build();
        break;
      default:
        fail("pkl.opcode", "an opcode of a dictionary of numpy values", pickle::opcode_name(opcode));
    }
    return true;
  }

  void push(PickleValue value) { stack_.push_back(std::move(value)); }

  /// The value `below` the top; marks are no values, and nothing below the last one is in reach.
  void need(size_t count) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < count) {
      fail("pkl.stack", std::to_string(count) + " values on the stack",
           std::to_string(stack_.size() - floor));
    }
  }
  PickleValue pop() {
    need(1);
    PickleValue value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }

  /// Takes the last mark away and counts what was above it.
  size_t above_mark() {
    if (marks_.empty()) fail("pkl.stack", "a MARK", "none");
    const size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }

  void push_text() {
    PickleValue value = leaf(Kind::text);
    value.text = take(number<std::uint32_t>());
    if (utf8::find_invalid(value.text)) fail("pkl.encode", "text in UTF-8", "other bytes");
    push(std::move(value));
  }

  std::string_view line() {
    const size_t end = in_.find('\n', at_);
    if (end == std::string_view::npos) fail("pkl.truncated", "the end of a name", "the end of the data");
    const std::string_view text = in_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }
  void push_global() {
    const std::string_view module = line(), function = line();
    const std::string name = std::string(module.substr(0, 200)) + " " + std::string(function.substr(0, 200));
    const auto* known =
        std::find_if(kGlobals.begin(), kGlobals.end(), [&](const auto& g) { return g.name == name; });
    if (known == kGlobals.end()) {
      fail("pkl.global", "one of the five names that numpy values are stored with",
           "\"" + escape_untrusted(name) + "\"; it is neither imported nor called");
    }
    PickleValue value = leaf(Kind::global);
    value.global = known->global;
    push(std::move(value));
  }

  /// Moves the last `count` values into `into`.
  void take_items(PickleValue& into, size_t count) {
    for (auto it = stack_.end() - static_cast<std::ptrdiff_t>(count); it != stack_.end(); ++it) {
      into.depth = std::max(into.depth, it->depth + 1);
      into.items.push_back(std::move(*it));
    }
    stack_.resize(stack_.size() - count);
    if (into.depth > kMaxDepth) fail("pkl.depth", "at most " + std::to_string(kMaxDepth) + " levels", "more");
  }
  void push_tuple(size_t count) {
    need(count);
    PickleValue value = leaf(Kind::tuple);
    take_items(value, count);
    push(std::move(value));
  }
  void add_items(Kind kind, size_t count) {
    need(count + 1);
    PickleValue& into = stack_[stack_.size() - count - 1];
    if (into.kind != kind) {
      fail("pkl.stack", kind == Kind::list ? "a list to append to" : "a dictionary to set", "another value");
    }
    if (kind == Kind::dict) check_keys(count);
    PickleValue filled = std::move(into);
    take_items(filled, count);
    stack_.back() = std::move(filled);
  }
  void check_keys(size_t count) const {
    if (count % 2 != 0) fail("pkl.key", "keys and values in pairs", std::to_string(count) + " values");
    for (size_t i = stack_.size() - count; i < stack_.size(); i += 2) {
      if (stack_[i].kind != Kind::text) fail("pkl.key", "a text as key", "another value");
    }
  }

  // Python numbers the memo from 0 without gaps.
  void put(size_t index) {
    need(1);
    if (index != memo_.size() || index >= kMaxMemo) {
      fail("pkl.memo", "place " + std::to_string(memo_.size()) + " of at most " + std::to_string(kMaxMemo),
           std::to_string(index));
    }
    const PickleValue& value = stack_.back();
    memo_.push_back(may_be_shared(value.kind) ? value : leaf(value.kind));
  }
  void get(size_t index) {
    if (index >= memo_.size()) fail("pkl.memo", "a place that was written", std::to_string(index));
    if (!may_be_shared(memo_[index].kind)) {
      fail("pkl.memo", "a text, bytes, a name or a dtype in place " + std::to_string(index), "a container");
    }
    push(memo_[index]);
  }

  void reduce() {
    need(2);
    PickleValue arguments = pop();
    const PickleValue function = pop();
    if (function.kind != Kind::global || arguments.kind != Kind::tuple) {
      fail("pkl.reduce", "one of the four calls that numpy values are stored with", "another");
    }
    push(pickle::call(function.global, arguments, {file_, op_, kMaxDecodedBytes - decoded_}));
    if (function.global == Global::encode) decoded_ += stack_.back().bytes->size();
  }
  void build() {
    need(2);
    const PickleValue state = pop();
    pickle::set_state(stack_.back(), state, {file_, op_, 0});
  }

  std::string_view in_;
  const std::string& file_;
  size_t at_ = 0, op_ = 0;  ///< the next byte; the opcode at work
  size_t decoded_ = 0;      ///< bytes that were made, not pointed to
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;
  std::vector<PickleValue> memo_;
};

}  // namespace

PickleValue read_numpy_pickle(std::string_view bytes, const std::string& file) {
  return Reader(bytes, file).read();
}

}  // namespace safetylock
