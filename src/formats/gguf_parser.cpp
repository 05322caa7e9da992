#include "formats/gguf_parser.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/checked.h"
#include "base/utf8.h"
#include "formats/byte_cursor.h"
#include "formats/sniff.h"
#include "safetylock/error.h"

namespace safetylock::gguf {
namespace {

enum class ValueType : std::uint32_t {
  u8 = 0,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};

std::string at_offset(std::uint64_t offset) {
  return "offset " + std::to_string(offset);
}
std::string in_quotes(std::string_view text) {
  return "\"" + escape_untrusted(text) + "\"";
}

// Smallest number of bytes one value of the type can take; nothing for an unknown type.
std::optional<std::uint64_t> min_bytes(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean:
      return 1;
    case ValueType::u16:
    case ValueType::i16:
      return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32:
      return 4;
    case ValueType::u64:
    case ValueType::i64:
    case ValueType::f64:
    case ValueType::string:
      return 8;
    case ValueType::array:
      return 12;
  }
  return std::nullopt;
}

class Parser {
 public:
  explicit Parser(const InputFile& file) : file_(file), cursor_(file) {}

  Parsed parse() {
    read_header();
    for (std::uint64_t i = 0; i < metadata_count_; ++i) read_metadata();
    out_.alignment = find_alignment();
    for (std::uint64_t i = 0; i < tensor_count_; ++i) read_tensor(out_.alignment);
    place_tensors(out_.alignment);
    file_.check_unchanged();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, file_.path(), where, expected, found, hint});
  }

  void read_header() {
    std::string magic(4, '\0');
    cursor_.bytes(std::as_writable_bytes(std::span(magic.data(), magic.size())));
    if (magic != "GGUF") {
      std::string head(std::min<std::uint64_t>(file_.size(), kSniffBytes), '\0');
      file_.read_at(0, std::as_writable_bytes(std::span(head.data(), head.size())));
      refuse_other_format(head, file_.path(), "GGUF");
      fail("gguf.magic", "byte 0", "\"GGUF\"", in_quotes(magic), "This is not a GGUF file");
    }
    const auto version = cursor_.number<std::uint32_t>();
    if (version != 2 && version != 3) {
      const std::uint32_t swapped = __builtin_bswap32(version);
      const bool big_endian = swapped >= 1 && swapped <= 3;
      fail("gguf.version", "byte 4", "version 2 or 3",
           big_endian ? "version " + std::to_string(swapped) + " in big-endian byte order"
                      : std::to_string(version),
           big_endian ? "Convert the file to little-endian (gguf_convert_endian.py of the gguf package)"
                      : "Convert the model with a current llama.cpp");
    }
    out_.version = version;
    tensor_count_ = read_count("tensor count", kMaxTensors, kMinTensorBytes);
    metadata_count_ = read_count("metadata count", kMaxMetadata, kMinMetadataBytes);
  }

  std::uint64_t read_count(const char* what, std::uint64_t limit, std::uint64_t bytes_each) {
    const std::uint64_t offset = cursor_.offset();
    const auto n = cursor_.number<std::uint64_t>();
    const std::string where = std::string(what) + " at " + at_offset(offset);
    if (n > cursor_.left() / bytes_each) {
      fail("gguf.count", where, "no more entries than " + std::to_string(cursor_.left()) + " bytes can hold",
           std::to_string(n), "The file is cut short or damaged");
    }
    if (n > limit) {
      fail(limit == kMaxTensors ? "limit.tensors" : "limit.metadata", where,
           "at most " + std::to_string(limit), std::to_string(n));
    }
    return n;
  }

  std::string read_string(std::uint64_t limit, const char* what) {
    const std::uint64_t offset = cursor_.offset();
    const auto length = cursor_.number<std::uint64_t>();
    const std::string where = std::string(what) + " at " + at_offset(offset);
    if (length > cursor_.left()) {
      fail("gguf.string", where,
           "a length of at most " + std::to_string(cursor_.left()) + " bytes (what is left)",
           std::to_string(length), "The file is cut short or damaged");
    }
    if (length > limit)
      fail("limit.string", where, "at most " + std::to_string(limit) + " bytes", std::to_string(length));
    std::string text(length, '\0');
    cursor_.bytes(std::as_writable_bytes(std::span(text.data(), text.size())));
    return text;
  }

  // A metadata key or tensor name.
  std::string read_name(const char* what) {
    const std::uint64_t offset = cursor_.offset();
    std::string name = read_string(kMaxKeyBytes, what);
    const std::string where = std::string(what) + " at " + at_offset(offset);
    if (name.empty()) fail("gguf.string", where, "a name", "an empty string");
    if (utf8::find_invalid(name)) fail("gguf.string", where, "valid UTF-8", in_quotes(name));
    return name;
  }

  void remember(std::unordered_map<std::string, std::uint64_t>& seen, const std::string& name,
                const char* what, std::uint64_t offset) {
    const auto [it, fresh] = seen.emplace(name, offset);
    if (fresh) return;
    fail("gguf.duplicate", what, "each name once",
         in_quotes(name) + " at " + at_offset(it->second) + " and at " + at_offset(offset));
  }

  void read_metadata() {
    const std::uint64_t offset = cursor_.offset();
    std::string key = read_name("metadata key");
    remember(key_offsets_, key, "metadata key", offset);
    const std::uint64_t begin = cursor_.offset();
    const auto type = static_cast<ValueType>(cursor_.number<std::uint32_t>());
    GgufValue value = type == ValueType::array ? read_array(key) : read_scalar(type, key);
    out_.entries.push_back({key, begin, cursor_.offset() - begin});
    out_.metadata.emplace(std::move(key), std::move(value));
  }

  GgufValue read_scalar(ValueType type, const std::string& key) {
    switch (type) {
      case ValueType::u8:
        return std::int64_t{cursor_.number<std::uint8_t>()};
      case ValueType::i8:
        return std::int64_t{cursor_.number<std::int8_t>()};
      case ValueType::u16:
        return std::int64_t{cursor_.number<std::uint16_t>()};
      case ValueType::i16:
        return std::int64_t{cursor_.number<std::int16_t>()};
      case ValueType::u32:
        return std::int64_t{cursor_.number<std::uint32_t>()};
      case ValueType::i32:
        return std::int64_t{cursor_.number<std::int32_t>()};
      case ValueType::i64:
        return cursor_.number<std::int64_t>();
      case ValueType::u64: {
        const auto v = cursor_.number<std::uint64_t>();
        if (v <= static_cast<std::uint64_t>(INT64_MAX)) return static_cast<std::int64_t>(v);
        return v;
      }
      case ValueType::f32:
        return double{cursor_.number<float>()};
      case ValueType::f64:
        return cursor_.number<double>();
      case ValueType::boolean:
        return read_bool(key);
      case ValueType::string:
        return read_string(kMaxStringBytes, "metadata string");
      case ValueType::array:
        break;
    }
    fail("gguf.value", "metadata " + in_quotes(key), "a value type of 0 to 12",
         std::to_string(static_cast<std::uint32_t>(type)));
  }

  bool read_bool(const std::string& key) {
    const auto v = cursor_.number<std::uint8_t>();
    if (v > 1) fail("gguf.value", "metadata " + in_quotes(key), "a bool of 0 or 1", std::to_string(v));
    return v == 1;
  }

  GgufValue read_array(const std::string& key) {
    const auto type = static_cast<ValueType>(cursor_.number<std::uint32_t>());
    const auto count = cursor_.number<std::uint64_t>();
    const std::string where = "metadata " + in_quotes(key);
    const auto each = min_bytes(type);
    if (!each || type == ValueType::array) {
      fail("gguf.array", where, "an array of numbers, bools or strings",
           type == ValueType::array ? std::string("an array of arrays")
                                    : "element type " + std::to_string(static_cast<std::uint32_t>(type)));
    }
    if (count > cursor_.left() / *each) {
      fail("gguf.array", where, "no more elements than " + std::to_string(cursor_.left()) + " bytes can hold",
           std::to_string(count), "The file is cut short or damaged");
    }
    array_elements_ += count;
    if (array_elements_ > kMaxArrayElements) {
      fail("limit.array", where, "at most " + std::to_string(kMaxArrayElements) + " array elements in a file",
           "more");
    }
    switch (type) {
      case ValueType::boolean:
        return read_elements<bool>(type, count, key);
      case ValueType::string:
        return read_elements<std::string>(type, count, key);
      case ValueType::f32:
      case ValueType::f64:
        return read_elements<double>(type, count, key);
      default:
        return read_elements<std::int64_t>(type, count, key);
    }
  }

  template <typename T>
  std::vector<T> read_elements(ValueType type, std::uint64_t count, const std::string& key) {
    std::vector<T> values;
    values.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      GgufValue v = read_scalar(type, key);
      if (!std::holds_alternative<T>(v)) {
        fail("gguf.value", "metadata " + in_quotes(key) + "[" + std::to_string(i) + "]",
             "an integer below 2^63", "a larger one");
      }
      values.push_back(std::move(std::get<T>(v)));
    }
    return values;
  }

  std::uint64_t find_alignment() const {
    const auto it = out_.metadata.find("general.alignment");
    if (it == out_.metadata.end()) return kDefaultAlignment;
    const auto* v = std::get_if<std::int64_t>(&it->second);
    const bool ok = v != nullptr && *v >= 8 && static_cast<std::uint64_t>(*v) <= kMaxAlignment &&
                    std::has_single_bit(static_cast<std::uint64_t>(*v));
    if (!ok) {
      fail("gguf.alignment", "metadata \"general.alignment\"",
           "a power of two from 8 to " + std::to_string(kMaxAlignment), describe(it->second));
    }
    return static_cast<std::uint64_t>(*v);
  }

  void read_tensor(std::uint64_t alignment) {
    const std::uint64_t offset = cursor_.offset();
    GgufTensor t;
    t.name = read_name("tensor name");
    remember(tensor_offsets_, t.name, "tensor name", offset);
    const std::string where = "tensor " + in_quotes(t.name);
    t.shape = read_shape(where);
    const auto type = cursor_.number<std::uint32_t>();
    const auto traits = ggml_traits(type);
    if (!traits) {
      fail("gguf.type", where, "one of " + supported_ggml_types(), ggml_type_name(type),
           "Quantise the model to a supported type, e.g. Q4_K_M or Q8_0");
    }
    t.type = static_cast<GgmlType>(type);
    if (t.shape.back() % traits->block_elements != 0) {
      fail("gguf.block", where, "rows of a multiple of " + std::to_string(traits->block_elements) + " values",
           "rows of " + std::to_string(t.shape.back()));
    }
    const auto elements = checked::product(t.shape);
    const auto bytes =
        elements ? checked::mul(*elements / traits->block_elements, traits->block_bytes) : std::nullopt;
    if (!bytes) fail("gguf.shape", where, "a size that fits 64 bits", "a larger one");
    t.bytes = *bytes;
    t.offset = cursor_.number<std::uint64_t>();
    if (t.offset % alignment != 0) {
      fail("gguf.alignment", where, "an offset that is a multiple of " + std::to_string(alignment),
           std::to_string(t.offset));
    }
    out_.tensor_index.emplace(t.name, out_.tensors.size());
    out_.tensors.push_back(std::move(t));
  }

  std::vector<std::uint64_t> read_shape(const std::string& where) {
    const auto rank = cursor_.number<std::uint32_t>();
    if (rank == 0 || rank > kMaxRank)
      fail("gguf.shape", where, "rank 1 to 4", "rank " + std::to_string(rank));
    std::vector<std::uint64_t> shape(rank);
    for (auto& extent : shape) {
      extent = cursor_.number<std::uint64_t>();
      if (extent == 0 || extent > kMaxExtent) {
        fail("gguf.shape", where, "dimensions from 1 to 2^48 - 1", std::to_string(extent));
      }
    }
    // The file lists the innermost dimension first.
    std::reverse(shape.begin(), shape.end());
    return shape;
  }

  // Turns offsets into absolute ones and proves that the tensors tile the data section: padding between them
  // only.
  void place_tensors(std::uint64_t alignment) {
    const std::uint64_t data = padded(cursor_.offset(), alignment);
    out_.data_begin = data;
    const std::uint64_t available = file_.size() > data ? file_.size() - data : 0;
    std::vector<GgufTensor*> order;
    for (GgufTensor& t : out_.tensors) order.push_back(&t);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->offset < b->offset; });
    const GgufTensor* before = nullptr;
    std::uint64_t end = 0;  // of the data so far
    for (GgufTensor* t : order) {
      check_place(*t, before, end, available, alignment);
      end = t->offset + t->bytes;
      t->offset += data;
      before = t;
    }
    if (available > padded(end, alignment)) {
      fail("gguf.range", "end of file", "at most padding after the last tensor",
           std::to_string(available - end) + " bytes",
           "The file holds something its tensor table does not name");
    }
  }

  void check_place(const GgufTensor& t, const GgufTensor* before, std::uint64_t end, std::uint64_t available,
                   std::uint64_t alignment) const {
    const std::string where = "tensor " + in_quotes(t.name);
    const auto t_end = checked::add(t.offset, t.bytes);
    if (!t_end || *t_end > available) {
      fail("gguf.range", where, "to end within the " + std::to_string(available) + " bytes of tensor data",
           std::to_string(t.bytes) + " bytes at " + std::to_string(t.offset),
           "The file is cut short or damaged; fetch it again");
    }
    if (t.offset < end) {
      fail("gguf.overlap", where,
           "to start after " + in_quotes(before->name) + " ends (" + std::to_string(end) + ")",
           "offset " + std::to_string(t.offset));
    }
    if (t.offset > padded(end, alignment)) {
      fail("gguf.range", where,
           "to start at " + std::to_string(padded(end, alignment)) + ", with padding only before it",
           "offset " + std::to_string(t.offset));
    }
  }

  // Both callers pass numbers that are below the file's size, so the sum cannot wrap.
  static std::uint64_t padded(std::uint64_t n, std::uint64_t alignment) {
    return (n + alignment - 1) / alignment * alignment;
  }

  static constexpr std::uint64_t kMinMetadataBytes = 8 + 1 + 4 + 1;        // key length, key, type, value
  static constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name, rank, extent, type, offset

  const InputFile& file_;
  ByteCursor cursor_;
  Parsed out_;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t metadata_count_ = 0;
  std::uint64_t array_elements_ = 0;
  std::unordered_map<std::string, std::uint64_t> key_offsets_;
  std::unordered_map<std::string, std::uint64_t> tensor_offsets_;
};

}  // namespace

Parsed parse(const InputFile& file) {
  return Parser(file).parse();
}

}  // namespace safetylock::gguf
