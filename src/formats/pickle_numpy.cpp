#include "formats/pickle_numpy.h"

#include <array>

#include "base/utf8.h"
#include "safetylock/error.h"

namespace safetylock::pickle {
namespace {

using Kind = PickleValue::Kind;
using Global = PickleValue::Global;

constexpr std::array<std::string_view, 4> kTypeNames = {"f2", "f4", "f8", "i8"};  // in the order of NumpyType

[[noreturn]] void fail(const Place& place, const char* code, const std::string& expected,
                       const std::string& found) {
  throw Error({code, place.file, "data.pkl, byte " + std::to_string(place.at), expected, found, ""});
}

bool is_integer(const PickleValue& value, std::int64_t wanted) {
  return value.kind == Kind::integer && value.integer == wanted;
}
bool is_text(const PickleValue& value, std::string_view wanted) {
  return value.kind == Kind::text && value.text == wanted;
}
/// Old versions of numpy wrote 0 and 1.
bool is_boolean(const PickleValue& value, bool wanted) {
  return (value.kind == Kind::boolean || value.kind == Kind::integer) && value.integer == (wanted ? 1 : 0);
}

/// Python 2 had no bytes: they are stored as the text whose code points they are.
PickleValue encode(const std::vector<PickleValue>& arguments, const Place& place) {
  if (arguments.size() != 2 || arguments[0].kind != Kind::text || arguments[1].kind != Kind::text) {
    fail(place, "pkl.reduce", "encode(text, \"latin1\")", "other arguments");
  }
  if (arguments[1].text != "latin1") {
    fail(place, "pkl.encode", "latin1", "\"" + escape_untrusted(arguments[1].text) + "\"");
  }
  std::string bytes;
  for (std::string_view left = arguments[0].text; !left.empty();) {
    const utf8::Decoded d = utf8::decode(left);
    if (d.code_point > 0xFF) fail(place, "pkl.encode", "code points up to 255", std::to_string(d.code_point));
    if (bytes.size() == place.room) fail(place, "limit.nodes", "at most 4 MiB of decoded bytes", "more");
    bytes += static_cast<char>(static_cast<unsigned char>(d.code_point));
    left.remove_prefix(d.length);
  }
  PickleValue value;
  value.kind = Kind::bytes;
  value.bytes = std::make_shared<const std::string>(std::move(bytes));
  return value;
}

PickleValue dtype(const std::vector<PickleValue>& arguments, const Place& place) {
  if (arguments.size() != 3 || arguments[0].kind != Kind::text || !is_boolean(arguments[1], false) ||
      !is_boolean(arguments[2], true)) {
    fail(place, "pkl.reduce", "dtype(text, False, True)", "other arguments");
  }
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    if (arguments[0].text != kTypeNames[i]) continue;
    PickleValue value;
    value.kind = Kind::dtype;
    value.dtype = static_cast<NumpyType>(i);
    return value;
  }
  fail(place, "pkl.dtype", "f2, f4, f8 or i8", "\"" + escape_untrusted(arguments[0].text) + "\"");
}

PickleValue empty_array(const std::vector<PickleValue>& arguments, const Place& place) {
  const bool sound = arguments.size() == 3 && arguments[0].kind == Kind::global &&
                     arguments[0].global == Global::ndarray && arguments[1].kind == Kind::tuple &&
                     arguments[1].items.size() == 1 && is_integer(arguments[1].items[0], 0) &&
                     arguments[2].kind == Kind::bytes && *arguments[2].bytes == "b";
  if (!sound) fail(place, "pkl.reduce", "_reconstruct(ndarray, (0,), b\"b\")", "other arguments");
  PickleValue value;
  value.kind = Kind::array;
  return value;
}

PickleValue scalar(const std::vector<PickleValue>& arguments, const Place& place) {
  const bool sound = arguments.size() == 2 && arguments[0].kind == Kind::dtype &&
                     arguments[1].kind == Kind::bytes &&
                     arguments[1].bytes->size() == numpy_size(arguments[0].dtype);
  if (!sound) fail(place, "pkl.reduce", "scalar(dtype, as many bytes as it has)", "other arguments");
  PickleValue value;
  value.kind = Kind::scalar;
  value.dtype = arguments[0].dtype;
  value.bytes = arguments[1].bytes;
  return value;
}

/// (3, "<", None, None, None, -1, -1, 0): little-endian, and neither fields nor shape.
void check_dtype_state(const PickleValue& state, const Place& place) {
  const auto& s = state.items;
  const bool sound = state.kind == Kind::tuple && s.size() == 8 && is_integer(s[0], 3) &&
                     is_text(s[1], "<") && s[2].kind == Kind::none && s[3].kind == Kind::none &&
                     s[4].kind == Kind::none && is_integer(s[5], -1) && is_integer(s[6], -1) &&
                     is_integer(s[7], 0);
  if (!sound) fail(place, "pkl.dtype", "a plain little-endian dtype", "another state");
}

/// (1, (n,), dtype, False, bytes): C order.
void fill_array(PickleValue& array, const PickleValue& state, const Place& place) {
  const auto& s = state.items;
  const bool sound = state.kind == Kind::tuple && s.size() == 5 && is_integer(s[0], 1) &&
                     s[1].kind == Kind::tuple && s[1].items.size() == 1 &&
                     s[1].items[0].kind == Kind::integer && s[1].items[0].integer >= 0 &&
                     s[2].kind == Kind::dtype && is_boolean(s[3], false) && s[4].kind == Kind::bytes;
  if (!sound) fail(place, "pkl.array", "an array of rank 1 in C order", "another state");
  // A length is at most 2^31 - 1, so the product stays in range.
  const size_t bytes = static_cast<size_t>(s[1].items[0].integer) * numpy_size(s[2].dtype);
  if (s[4].bytes->size() != bytes) {
    fail(place, "pkl.array", std::to_string(bytes) + " bytes, as shape and dtype say",
         std::to_string(s[4].bytes->size()));
  }
  array.dtype = s[2].dtype;
  array.bytes = s[4].bytes;
}

}  // namespace

size_t numpy_size(NumpyType type) {
  switch (type) {
    case NumpyType::f2:
      return 2;
    case NumpyType::f4:
      return 4;
    default:
      return 8;
  }
}

PickleValue call(Global function, const PickleValue& arguments, const Place& place) {
  switch (function) {
    case Global::encode:
      return encode(arguments.items, place);
    case Global::dtype:
      return dtype(arguments.items, place);
    case Global::reconstruct:
      return empty_array(arguments.items, place);
    case Global::scalar:
      return scalar(arguments.items, place);
    default:
      fail(place, "pkl.reduce", "one of the four calls that numpy values are stored with", "ndarray(...)");
  }
}

void set_state(PickleValue& value, const PickleValue& state, const Place& place) {
  if (value.kind == Kind::dtype) return check_dtype_state(state, place);
  if (value.kind == Kind::array && value.bytes == nullptr) return fill_array(value, state, place);
  fail(place, "pkl.stack", "a dtype or a new array to give a state to", "another value");
}

}  // namespace safetylock::pickle
