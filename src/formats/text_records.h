// Streaming readers of line-based and CSV files: memory stays bounded by the longest record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace safetylock {

/// Bytes of one line, and more than any prompt needs.
constexpr std::uint64_t kMaxRowBytes = std::uint64_t{1} << 20;

/// The bytes of a file one by one.
class ByteStream {
 public:
  explicit ByteStream(const InputFile& file) : file_(&file) {}
  /// The next byte without taking it; nothing at the end. Throws io.read, io.truncated.
  std::optional<char> peek();
  /// Takes the next byte.
  std::optional<char> next();

 private:
  const InputFile* file_;
  std::uint64_t read_ = 0;  // bytes taken from the file
  std::string buffer_;
  size_t at_ = 0;
};

struct Line {
  std::uint64_t number;  ///< from 1
  std::string text;      ///< without its end, LF or CRLF
};

class LineReader {
 public:
  explicit LineReader(const InputFile& file) : file_(&file), bytes_(file) {}
  /// The next line that is not blank; nothing at the end. Throws limit.row.
  std::optional<Line> next();

 private:
  const InputFile* file_;
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
  explicit CsvReader(const InputFile& file) : file_(&file), bytes_(file) {}
  /// The next record that is not an empty line; nothing at the end. Throws limit.row, data.csv.
  std::optional<CsvRecord> next();

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const;
  void add(std::string& field, char c);
  void read_quoted(std::string& field);
  bool read_field(std::string& field);

  const InputFile* file_;
  ByteStream bytes_;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 1;
  std::uint64_t record_bytes_ = 0;
};

}  // namespace safetylock
