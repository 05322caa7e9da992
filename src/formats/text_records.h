// Streaming readers of line-based and CSV text: memory stays bounded by the longest record.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace safetylock {

/// Bytes of one line, and more than any prompt needs.
constexpr std::uint64_t kMaxRowBytes = std::uint64_t{1} << 20;

/// Where records come from: a file, or bytes in memory. What it is made of must outlive it.
class TextSource {
 public:
  explicit TextSource(const InputFile& file) : path_(file.path()), size_(file.size()), file_(&file) {}
  /// `name` is what errors call it.
  TextSource(std::string name, std::string_view bytes)
      : path_(std::move(name)), size_(bytes.size()), bytes_(bytes) {}

  const std::string& path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return size_; }
  /// Fills `out` from `offset`; both must lie inside. Throws io.read, io.truncated.
  void read_at(std::uint64_t offset, std::span<char> out) const;

 private:
  std::string path_;
  std::uint64_t size_;
  const InputFile* file_ = nullptr;
  std::string_view bytes_;
};

/// The bytes of a source one by one.
class ByteStream {
 public:
  explicit ByteStream(const TextSource& source) : source_(&source) {}
  /// The next byte without taking it; nothing at the end. Throws io.read, io.truncated.
  std::optional<char> peek();
  /// Takes the next byte.
  std::optional<char> next();

 private:
  const TextSource* source_;
  std::uint64_t read_ = 0;  // bytes taken from the source
  std::string buffer_;
  size_t at_ = 0;
};

struct Line {
  std::uint64_t number;  ///< from 1
  std::string text;      ///< without its end, LF or CRLF
};

class LineReader {
 public:
  explicit LineReader(const TextSource& source) : source_(&source), bytes_(source) {}
  /// The next line that is not blank; nothing at the end. Throws limit.row.
  std::optional<Line> next();

 private:
  const TextSource* source_;
  ByteStream bytes_;
  std::uint64_t number_ = 0;
};

struct CsvRecord {
  std::uint64_t line;  ///< where it begins, from 1
  std::vector<std::string> fields;
};

/// RFC 4180, with LF or CRLF.
class CsvReader {
 public:
  explicit CsvReader(const TextSource& source) : source_(&source), bytes_(source) {}
  /// The next record that is not an empty line; nothing at the end. Throws limit.row, data.csv.
  std::optional<CsvRecord> next();

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const;
  void add(std::string& field, char c);
  void read_quoted(std::string& field);
  bool read_field(std::string& field);

  const TextSource* source_;
  ByteStream bytes_;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 1;
  std::uint64_t record_bytes_ = 0;
};

}  // namespace safetylock
