#include "formats/text_records.h"

#include <algorithm>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kBufferBytes = 64 * 1024;

[[noreturn]] void fail_row(const TextSource& source, std::uint64_t line) {
  throw Error({"limit.row", source.path(), "line " + std::to_string(line),
               "a row of at most " + std::to_string(kMaxRowBytes) + " bytes", "a longer one", ""});
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r") == std::string::npos;
}

}  // namespace

void TextSource::read_at(std::uint64_t offset, std::span<char> out) const {
  if (file_ != nullptr) return file_->read_at(offset, std::as_writable_bytes(out));
  std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
}

std::optional<char> ByteStream::peek() {
  if (at_ == buffer_.size()) {
    if (read_ == source_->size()) return std::nullopt;
    buffer_.resize(std::min(kBufferBytes, source_->size() - read_));
    source_->read_at(read_, buffer_);
    read_ += buffer_.size();
    at_ = 0;
  }
  return buffer_[at_];
}

std::optional<char> ByteStream::next() {
  const auto c = peek();
  if (c) ++at_;
  return c;
}

std::optional<Line> LineReader::next() {
  while (bytes_.peek()) {
    Line line{++number_, {}};
    while (const auto c = bytes_.next()) {
      if (*c == '\n') break;
      if (line.text.size() == kMaxRowBytes) fail_row(*source_, number_);
      line.text += *c;
    }
    if (line.text.ends_with('\r')) line.text.pop_back();
    if (!is_blank(line.text)) return line;
  }
  return std::nullopt;
}

void CsvReader::fail(const std::string& expected, const std::string& found) const {
  throw Error({"data.csv", source_->path(), "line " + std::to_string(line_), expected, found, ""});
}

void CsvReader::add(std::string& field, char c) {
  if (++record_bytes_ > kMaxRowBytes) fail_row(*source_, record_line_);
  if (c == '\n') ++line_;
  field += c;
}

// The rest of a quoted field, after its opening quote.
void CsvReader::read_quoted(std::string& field) {
  while (const auto c = bytes_.next()) {
    if (*c != '"') {
      add(field, *c);
    } else if (bytes_.peek() == '"') {
      add(field, *bytes_.next());
    } else {
      return;
    }
  }
  fail("a closing quote for the field of the record at line " + std::to_string(record_line_),
       "the end of the file");
}

// One field; whether another one follows in the record.
bool CsvReader::read_field(std::string& field) {
  const bool quoted = bytes_.peek() == '"';
  if (quoted) {
    bytes_.next();
    read_quoted(field);
  }
  while (const auto c = bytes_.next()) {
    if (*c == ',') return true;
    if (*c == '\n') break;
    if (*c == '\r' && bytes_.peek().value_or('\n') == '\n') continue;
    if (quoted)
      fail("a comma or the end of the line after a closing quote",
           "\"" + escape_untrusted(std::string(1, *c)) + "\"");
    add(field, *c);
  }
  return false;
}

std::optional<CsvRecord> CsvReader::next() {
  while (bytes_.peek()) {
    record_line_ = line_;
    record_bytes_ = 0;
    CsvRecord record{record_line_, {}};
    bool more = true;
    while (more) more = read_field(record.fields.emplace_back());
    ++line_;
    if (record.fields.size() > 1 || !is_blank(record.fields.front())) return record;
  }
  return std::nullopt;
}

}  // namespace safetylock
