// GGUF v2/v3 files, whole or split into parts: metadata and tensor table, fully checked before anything is
// allocated from a number in the file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/file.h"
#include "formats/ggml_types.h"

namespace safetylock {

/// One metadata value. Integers of all widths become int64 (or uint64 when they need it), arrays are
/// homogeneous.
using GgufValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string, std::vector<bool>,
                               std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>>;

/// Where a metadata entry's value stands in the (first) file.
struct GgufEntry {
  std::string key;
  std::uint64_t offset;  ///< of the value's type, which stands before the value
  std::uint64_t bytes;   ///< of type and value
};

struct GgufTensor {
  std::string name;  ///< as in the file, e.g. "blk.0.attn_q.weight"
  GgmlType type;
  std::vector<std::uint64_t>
      shape;             ///< outermost first, as PyTorch prints it (the file stores innermost first)
  std::uint64_t offset;  ///< absolute byte offset in its file
  std::uint64_t bytes;
  size_t part = 0;  ///< which file of a split model holds it
};

class GgufFile {
 public:
  /// Opens a file, and with the first part of a split model all others. Throws Error gguf.*, limit.*, io.*
  /// (rows G1 to G11 and G14 of docs/threat-model.md).
  explicit GgufFile(const std::string& path);

  const std::string& path() const noexcept { return files_.front().path(); }
  size_t parts() const noexcept { return files_.size(); }
  const InputFile& file_of(const GgufTensor& tensor) const { return files_.at(tensor.part); }
  std::uint32_t version() const noexcept { return version_; }
  std::string architecture() const;  ///< general.architecture; throws cfg.missing

  bool has(const std::string& key) const { return metadata_.contains(key); }
  const std::vector<GgufEntry>& entries() const noexcept { return entries_; }  ///< in file order
  const GgufValue& at(const std::string& key) const;                           ///< throws cfg.missing

  /// Typed getters: throw cfg.missing, or cfg.type / cfg.range naming key, expected and found.
  std::int64_t integer(const std::string& key, std::int64_t lo, std::int64_t hi) const;
  double number(const std::string& key) const;  ///< finite
  bool boolean(const std::string& key) const;
  const std::string& string(const std::string& key) const;
  const std::vector<std::string>& strings(const std::string& key) const;
  const std::vector<std::int64_t>& integers(const std::string& key) const;

  const std::vector<GgufTensor>& tensors() const noexcept { return tensors_; }  ///< of all parts
  const GgufTensor* find_tensor(std::string_view name) const;
  std::uint64_t alignment() const noexcept { return alignment_; }    ///< of the first file
  std::uint64_t data_begin() const noexcept { return data_begin_; }  ///< where its tensors begin

 private:
  std::vector<InputFile> files_;
  std::uint32_t version_ = 0;
  std::vector<GgufEntry> entries_;
  std::unordered_map<std::string, GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> tensor_index_;
  std::uint64_t alignment_ = 0, data_begin_ = 0;
};

}  // namespace safetylock
