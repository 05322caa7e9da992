#include "formats/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "base/checked.h"
#include "base/utf8.h"
#include "formats/ggml_types.h"
#include "formats/safetensors_header.h"
#include "formats/sniff.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

static_assert(std::endian::native == std::endian::little, "the formats read here are little-endian");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kChunkBytes = 256 * 1024;

template <typename T>
T load(const std::byte* at) {
  T value{};
  std::memcpy(&value, at, sizeof(T));
  return value;
}

[[noreturn]] void fail_dtype(const std::string& file, const SafetensorsTensor& t, const char* expected) {
  throw Error(
      {"st.dtype_unsupported", file, "tensor \"" + escape_untrusted(t.name) + "\"", expected, t.dtype, ""});
}

void widen(const std::string& dtype, std::span<const std::byte> in, std::span<float> out) {
  if (dtype == "F32") {
    std::memcpy(out.data(), in.data(), in.size());
  } else if (dtype == "F64") {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(load<double>(in.data() + i * sizeof(double)));
  } else {
    ggml_dequantize(dtype == "F16" ? GgmlType::F16 : GgmlType::BF16, in, out);
  }
}

bool is_float(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

std::int64_t integer_at(const std::string& dtype, const std::byte* at) {
  if (dtype == "I64") return load<std::int64_t>(at);
  if (dtype == "I32") return load<std::int32_t>(at);
  return load<std::uint8_t>(at);
}

template <typename T>
std::string bytes_of(std::span<const T> values) {
  std::string bytes(values.size_bytes(), '\0');
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// The checks of the reader, so that nothing is written that could not be read back.
void check_entry(const SafetensorsEntry& e) {
  const auto fail = [&](const char* code, const std::string& expected, const std::string& found) {
    throw Error({code, "", "tensor \"" + escape_untrusted(e.name) + "\"", expected, found, ""});
  };
  if (e.name == "__metadata__") fail("st.metadata", "another name", "the name of the metadata");
  if (e.name.empty() || e.name.size() > safetensors::kMaxNameBytes || utf8::find_invalid(e.name)) {
    fail("limit.name", "a UTF-8 name of 1 to " + std::to_string(safetensors::kMaxNameBytes) + " bytes",
         "another");
  }
  const safetensors::Dtype* dtype = safetensors::find_dtype(e.dtype);
  if (dtype == nullptr || !dtype->supported)
    fail("st.dtype_unsupported", "a supported dtype", escape_untrusted(e.dtype));
  const auto count = checked::product(e.shape);
  const auto bits = count ? checked::mul(*count, dtype->bits) : std::nullopt;
  if (!bits || *bits / 8 != e.bytes.size()) {
    fail("st.size", bits ? std::to_string(*bits / 8) + " bytes" : "a size that fits 64 bits",
         std::to_string(e.bytes.size()) + " bytes");
  }
}

}  // namespace

std::uint64_t SafetensorsTensor::count() const noexcept {
  return checked::product(shape).value_or(0);
}

SafetensorsFile SafetensorsFile::open(const std::string& path, const SafetensorsLimits& limits) {
  return open(InputFile(path), limits);
}

SafetensorsFile SafetensorsFile::open(InputFile file, const SafetensorsLimits& limits) {
  std::string label = file.path();
  return {std::move(file), std::move(label), limits};
}

SafetensorsFile SafetensorsFile::from_bytes(std::string bytes, const std::string& file,
                                            const SafetensorsLimits& limits) {
  return {std::move(bytes), file, limits};
}

SafetensorsFile::SafetensorsFile(std::variant<InputFile, std::string> source, std::string label,
                                 const SafetensorsLimits& limits)
    : source_(std::move(source)), label_(std::move(label)) {
  const auto* file = std::get_if<InputFile>(&source_);
  const std::uint64_t size = file != nullptr ? file->size() : std::get<std::string>(source_).size();
  const auto fail = [&](const char* code, const std::string& expected, const std::string& found) {
    throw Error(
        {code, label_, "byte 0", expected, found, "The file is cut short, or not a safetensors file"});
  };
  std::string head(std::min<std::uint64_t>(size, kSniffBytes), '\0');
  read_at(0, std::as_writable_bytes(std::span(head.data(), head.size())));
  if (size < kLengthBytes) {
    refuse_other_format(head, label_, "safetensors");
    fail("st.header_small", "at least 8 bytes", std::to_string(size));
  }
  const auto length = load<std::uint64_t>(reinterpret_cast<const std::byte*>(head.data()));
  if (length > limits.header_bytes || length > size - kLengthBytes) {
    refuse_other_format(head, label_, "safetensors");
    if (length > limits.header_bytes) {
      fail("st.header_large", "a header of at most " + std::to_string(limits.header_bytes) + " bytes",
           std::to_string(length));
    }
    fail("st.header_length",
         "a header of at most the file's " + std::to_string(size - kLengthBytes) + " bytes",
         std::to_string(length));
  }
  std::string json(length, '\0');
  read_at(kLengthBytes, std::as_writable_bytes(std::span(json.data(), json.size())));
  safetensors::Header header = safetensors::parse_header(json, size - kLengthBytes - length, label_);
  metadata_ = std::move(header.metadata);
  tensors_ = std::move(header.tensors);
  if (limits.canonical_only) {
    const bool in_order = std::is_sorted(tensors_.begin(), tensors_.end(), safetensors::written_before);
    if (!in_order || safetensors::header_text(tensors_, metadata_) != json) {
      throw Error({"st.canonical", label_, "header", "exactly the bytes this library writes",
                   "another spelling", "The file was changed after it was written"});
    }
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].offset += kLengthBytes + length;
    index_.emplace(tensors_[i].name, i);
  }
  if (file != nullptr) file->check_unchanged();
}

const SafetensorsTensor* SafetensorsFile::find(std::string_view name) const {
  const auto it = index_.find(std::string(name));
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

void SafetensorsFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (const auto* file = std::get_if<InputFile>(&source_)) return file->read_at(offset, out);
  const std::string& bytes = std::get<std::string>(source_);
  // Callers pass offsets inside the bytes: the header was proved against their number.
  if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
}

void SafetensorsFile::read_bytes(const SafetensorsTensor& tensor, std::uint64_t begin,
                                 std::span<std::byte> out) const {
  if (begin > tensor.bytes || out.size() > tensor.bytes - begin) {
    throw Error({"arg.shape", label_, "tensor \"" + escape_untrusted(tensor.name) + "\"",
                 "a range within its " + std::to_string(tensor.bytes) + " bytes",
                 std::to_string(out.size()) + " bytes at " + std::to_string(begin), ""});
  }
  read_at(tensor.offset + begin, out);
}

void SafetensorsFile::read_floats(const SafetensorsTensor& tensor, std::uint64_t begin, std::span<float> out,
                                  const std::function<void(std::span<const std::byte>)>& seen) const {
  if (!is_float(tensor.dtype)) fail_dtype(label_, tensor, "floating-point values");
  const std::uint64_t size = safetensors::find_dtype(tensor.dtype)->bits / 8;
  std::vector<std::byte> buffer;
  for (std::uint64_t done = 0; done < out.size();) {
    const std::uint64_t n = std::min<std::uint64_t>(kChunkBytes / size, out.size() - done);
    buffer.resize(n * size);
    read_bytes(tensor, (begin + done) * size, buffer);
    if (seen) seen(buffer);
    widen(tensor.dtype, buffer, out.subspan(done, n));
    done += n;
  }
}

std::vector<std::int64_t> SafetensorsFile::read_integers(const SafetensorsTensor& tensor) const {
  if (is_float(tensor.dtype)) fail_dtype(label_, tensor, "integers");
  std::vector<std::byte> buffer(tensor.bytes);
  read_bytes(tensor, 0, buffer);
  const std::uint64_t size = safetensors::find_dtype(tensor.dtype)->bits / 8;
  std::vector<std::int64_t> values(tensor.bytes / size);
  for (size_t i = 0; i < values.size(); ++i) values[i] = integer_at(tensor.dtype, buffer.data() + i * size);
  return values;
}

SafetensorsEntry SafetensorsEntry::f32(std::string name, std::vector<std::uint64_t> shape,
                                       std::span<const float> values) {
  return {std::move(name), "F32", std::move(shape), bytes_of(values)};
}

SafetensorsEntry SafetensorsEntry::i64(std::string name, std::vector<std::uint64_t> shape,
                                       std::span<const std::int64_t> values) {
  return {std::move(name), "I64", std::move(shape), bytes_of(values)};
}

std::string safetensors_to_bytes(const std::vector<SafetensorsEntry>& entries,
                                 const std::map<std::string, std::string>& metadata) {
  for (const auto& [key, value] : metadata) {
    if (utf8::find_invalid(key) || utf8::find_invalid(value)) {
      throw Error({"st.metadata", "", "metadata \"" + escape_untrusted(key) + "\"", "valid UTF-8",
                   "other bytes", ""});
    }
  }
  std::vector<std::pair<SafetensorsTensor, const std::string*>> order;
  for (const SafetensorsEntry& e : entries) {
    check_entry(e);
    order.push_back({{e.name, e.dtype, e.shape, 0, e.bytes.size()}, &e.bytes});
  }
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return safetensors::written_before(a.first, b.first); });
  std::vector<SafetensorsTensor> table;
  std::unordered_set<std::string> seen;
  for (const auto& [tensor, bytes] : order) {
    if (!seen.insert(tensor.name).second) {
      throw Error({"st.duplicate", "", "tensor \"" + escape_untrusted(tensor.name) + "\"", "each name once",
                   "it twice", ""});
    }
    table.push_back(tensor);
  }
  const std::string header = safetensors::header_text(table, metadata);
  const std::uint64_t length = header.size();
  std::string out(kLengthBytes, '\0');
  std::memcpy(out.data(), &length, kLengthBytes);
  out += header;
  for (const auto& [tensor, bytes] : order) out += *bytes;
  return out;
}

}  // namespace safetylock
