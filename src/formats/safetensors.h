// safetensors: reading with every claim of the header proved, and canonical writing.
// Format: https://github.com/huggingface/safetensors
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/file.h"

namespace safetylock {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  ///< "F64", "F32", "F16", "BF16", "I64", "I32", "U8" or "BOOL"
  std::vector<std::uint64_t> shape;
  std::uint64_t offset;  ///< absolute, of its first byte
  std::uint64_t bytes;

  std::uint64_t count() const noexcept;  ///< number of values
};

struct SafetensorsLimits {
  std::uint64_t header_bytes = 100'000'000;  ///< the reference implementation's own cap
  /// For files of our own: only the bytes that `safetensors_to_bytes` writes are accepted.
  bool canonical_only = false;
};

/// An opened file, or bytes in memory. Move-only; const access from any thread.
class SafetensorsFile {
 public:
  /// Throws Error io.*, st.header_small, st.header_large, st.header_length, st.header_json, st.duplicate,
  /// st.metadata, st.entry, st.number, st.offset, st.overlap, st.hole, st.trailing, st.overflow, st.size,
  /// st.dtype_unknown, st.dtype_unsupported, st.misaligned, limit.*; st.canonical when only canonical bytes
  /// are accepted.
  static SafetensorsFile open(const std::string& path, const SafetensorsLimits& limits = {});
  static SafetensorsFile open(InputFile file, const SafetensorsLimits& limits = {});
  /// As above; `file` labels errors.
  static SafetensorsFile from_bytes(std::string bytes, const std::string& file,
                                    const SafetensorsLimits& limits = {});

  const std::string& path() const noexcept { return label_; }
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }
  const std::vector<SafetensorsTensor>& tensors() const noexcept { return tensors_; }  ///< by offset
  const SafetensorsTensor* find(std::string_view name) const;

  /// The file read from; nullptr when opened from bytes.
  const InputFile* input() const noexcept { return std::get_if<InputFile>(&source_); }

  /// Fills `out` from byte `begin` of the tensor. Throws io.truncated or io.read.
  void read_bytes(const SafetensorsTensor& tensor, std::uint64_t begin, std::span<std::byte> out) const;
  /// Values [begin, begin + out.size()) of an F64, F32, F16 or BF16 tensor as float32 (F64 is rounded).
  /// Throws st.dtype_unsupported for integers, arg.shape for a range outside the tensor. `seen` is shown
  /// their stored bytes, in order.
  void read_floats(const SafetensorsTensor& tensor, std::uint64_t begin, std::span<float> out,
                   const std::function<void(std::span<const std::byte>)>& seen = {}) const;
  /// All values of an I64, I32, U8 or BOOL tensor. Throws st.dtype_unsupported for floats.
  std::vector<std::int64_t> read_integers(const SafetensorsTensor& tensor) const;

 private:
  SafetensorsFile(std::variant<InputFile, std::string> source, std::string label,
                  const SafetensorsLimits& limits);
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  std::variant<InputFile, std::string> source_;
  std::string label_;
  std::map<std::string, std::string> metadata_;
  std::vector<SafetensorsTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

/// A tensor to be written: `bytes` are its values, little-endian, in row-major order.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::string bytes;

  static SafetensorsEntry f32(std::string name, std::vector<std::uint64_t> shape,
                              std::span<const float> values);
  static SafetensorsEntry i64(std::string name, std::vector<std::uint64_t> shape,
                              std::span<const std::int64_t> values);
};

/// The file's bytes. Canonical, and equal to what the reference implementation writes: tensors by falling
/// alignment of their type, then by name; metadata sorted; no blanks but the header's padding to 8 bytes.
/// Throws st.metadata for a tensor named "__metadata__", st.duplicate, st.size, st.dtype_unsupported.
std::string safetensors_to_bytes(const std::vector<SafetensorsEntry>& tensors,
                                 const std::map<std::string, std::string>& metadata);

}  // namespace safetylock
