#include "formats/data_rows.h"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include "base/utf8.h"
#include "formats/sniff.h"
#include "formats/text_records.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint64_t kMaxJsonBytes = std::uint64_t{256} << 20;
constexpr size_t kMaxRows = 10'000'000;

[[noreturn]] void fail(const std::string& code, const std::string& file, const std::string& where,
                       const std::string& expected, const std::string& found, const std::string& hint = "") {
  throw Error({code, file, where, expected, found, hint});
}

// JSON that spells half of a surrogate pair, or NUL: no text. The offset of the escape.
std::optional<size_t> find_bad_escape(std::string_view json) {
  const auto code_unit = [&](size_t at) -> int {
    if (json.substr(at, 2) != "\\u" || at + 6 > json.size()) return -1;
    int value = 0;
    for (const char c : json.substr(at + 2, 4)) {
      const int digit = c >= '0' && c <= '9'                 ? c - '0'
                        : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                             : -1;
      if (digit < 0) return -1;
      value = value * 16 + digit;
    }
    return value;
  };
  for (size_t i = 0; i + 1 < json.size(); ++i) {
    if (json[i] != '\\') continue;
    const int unit = code_unit(i);
    if (unit >= 0xD800 && unit < 0xDC00) {
      const int low = code_unit(i + 6);
      if (low < 0xDC00 || low > 0xDFFF) return i;
      i += 11;
    } else if (unit == 0 || (unit >= 0xDC00 && unit <= 0xDFFF)) {
      return i;
    } else {
      ++i;  // over the escaped character, which may be a backslash
    }
  }
  return std::nullopt;
}

void check_text(std::string_view text, const std::string& file, const std::string& where) {
  auto bad = utf8::find_invalid(text);
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    bad = std::min(bad.value_or(nul), nul);
  if (bad) {
    fail("data.utf8", file, where + ", byte " + std::to_string(*bad), "valid UTF-8 without NUL",
         "\"" + escape_untrusted(text.substr(*bad, 4)) + "\"");
  }
}

// Errors of the JSON layer in the words of this one. `line` replaces the line that the parser counted, if
// given.
JsonTree parse_rows_json(std::string_view text, const std::string& file, const std::string& line) {
  check_text(text, file, line.empty() ? "file" : line);
  if (const auto bad = find_bad_escape(text)) {
    fail("data.utf8", file, (line.empty() ? "file" : line) + ", byte " + std::to_string(*bad),
         "escapes that spell characters", "\"" + std::string(text.substr(*bad, 6)) + "\"");
  }
  try {
    return parse_json(text, file);
  } catch (const Error& e) {
    ErrorFields f = e.fields();
    const size_t column = f.where.find(", column");
    if (!line.empty()) f.where = line + (column == std::string::npos ? "" : f.where.substr(column));
    f.code = "data.json";
    throw Error(std::move(f));
  }
}

DataRow row_of(const Json& value, std::string where, const std::string& file) {
  DataRow row{std::move(where), {}, {}};
  if (value.is_string()) {
    row.text.emplace(value);
  } else if (value.is_object()) {
    for (const auto& [key, v] : value.items()) row.columns.emplace(key, v);
  } else {
    fail("data.field", file, row.where, "an object", describe_json(value));
  }
  return row;
}

void read_json_array(const TextSource& input, const RowSink& sink) {
  if (input.size() > kMaxJsonBytes) {
    fail("limit.file_size", input.path(), "", "at most " + std::to_string(kMaxJsonBytes) + " bytes of JSON",
         std::to_string(input.size()) + " bytes", "Use JSONL, which is read line by line");
  }
  std::string text(input.size(), '\0');
  input.read_at(0, text);
  const JsonTree tree = parse_rows_json(text, input.path(), "");
  const Json& array = *tree;
  if (!array.is_array()) fail("data.json", input.path(), "root", "an array of rows", describe_json(array));
  for (size_t i = 0; i < array.size(); ++i)
    sink(row_of(array[i], "entry " + std::to_string(i + 1), input.path()));
}

void read_json_lines(const TextSource& input, const RowSink& sink) {
  LineReader lines(input);
  while (const auto line = lines.next()) {
    const std::string where = "line " + std::to_string(line->number);
    sink(row_of(parse_rows_json(line->text, input.path(), where), where, input.path()));
  }
}

void read_text_lines(const TextSource& input, const RowSink& sink) {
  LineReader lines(input);
  while (const auto line = lines.next()) {
    const std::string where = "line " + std::to_string(line->number);
    check_text(line->text, input.path(), where);
    sink({where, {}, JsonTree(line->text)});
  }
}

bool is_header(const CsvRecord& record) {
  const auto known = [](const std::string& field) {
    return std::find(kPromptColumns.begin(), kPromptColumns.end(), field) != kPromptColumns.end();
  };
  return std::any_of(record.fields.begin(), record.fields.end(), known);
}

// Without a header there is one column, so a comma is part of the text: unless every record has as many
// commas, which is a table whose columns have no names.
void read_csv_without_header(const std::vector<CsvRecord>& records, const TextSource& input,
                             const RowSink& sink) {
  const size_t columns = records.front().fields.size();
  const bool table = columns > 1 && std::all_of(records.begin(), records.end(), [&](const CsvRecord& r) {
                       return r.fields.size() == columns;
                     });
  if (table) {
    fail("data.field", input.path(), "line 1", "a header line, or one column",
         std::to_string(columns) + " columns without names",
         "Name the columns in the first line, e.g. prompt,safe,unsafe");
  }
  for (const CsvRecord& r : records) {
    std::string text = r.fields.front();
    for (size_t i = 1; i < r.fields.size(); ++i) text += "," + r.fields[i];
    sink({"line " + std::to_string(r.line), {}, JsonTree(text)});
  }
}

void read_csv(const TextSource& input, const RowSink& sink) {
  CsvReader reader(input);
  std::optional<CsvRecord> header;
  std::vector<CsvRecord> nameless;
  while (const auto record = reader.next()) {
    const std::string where = "line " + std::to_string(record->line);
    for (const std::string& field : record->fields) check_text(field, input.path(), where);
    if (!header && nameless.empty() && is_header(*record)) {
      header = record;
    } else if (!header) {
      nameless.push_back(*record);
    } else if (record->fields.size() != header->fields.size()) {
      fail("data.csv", input.path(), where,
           std::to_string(header->fields.size()) + " fields, as in the header",
           std::to_string(record->fields.size()));
    } else {
      DataRow row{where, {}, {}};
      for (size_t i = 0; i < header->fields.size(); ++i)
        row.columns.emplace(header->fields[i], record->fields[i]);
      sink(row);
    }
  }
  if (!nameless.empty()) read_csv_without_header(nameless, input, sink);
}

void check_no_byte_order_mark(const TextSource& input) {
  ByteStream bytes(input);
  std::string head;
  while (head.size() < 3 && bytes.peek()) head += *bytes.next();
  if (head != "\xEF\xBB\xBF") return;
  fail("data.utf8", input.path(), "line 1, byte 0", "text without a byte order mark", "EF BB BF",
       "Save the file as plain UTF-8");
}

std::optional<char> first_visible(const TextSource& input) {
  ByteStream bytes(input);
  while (const auto c = bytes.next()) {
    if (*c != ' ' && *c != '\t' && *c != '\r' && *c != '\n') return c;
  }
  return std::nullopt;
}

// By extension where it says something, else by the first byte.
void read_rows(const TextSource& input, const std::string& path, const RowSink& sink) {
  check_no_byte_order_mark(input);
  const std::optional<char> first = first_visible(input);
  if (path.ends_with(".txt")) return read_text_lines(input, sink);
  if (path.ends_with(".csv")) return read_csv(input, sink);
  if (first == '[') return read_json_array(input, sink);
  if (path.ends_with(".jsonl") || path.ends_with(".json") || first == '{' || first == '"')
    return read_json_lines(input, sink);
  return read_csv(input, sink);
}

/// Whether the first line names a known column.
bool begins_with_header(const TextSource& input) {
  const auto line = LineReader(input).next();
  if (!line) return false;
  CsvRecord record{line->number, {""}};
  for (const char c : line->text) {
    if (c == ',') {
      record.fields.emplace_back();
    } else if (c != '"') {
      record.fields.back() += c;
    }
  }
  return is_header(record);
}

// Without an extension most text is just text: a line that holds commas or quotes is no table.
void read_nameless_rows(const TextSource& input, const RowSink& sink) {
  check_no_byte_order_mark(input);
  const std::optional<char> first = first_visible(input);
  if (first == '[') return read_json_array(input, sink);
  if (first == '{') return read_json_lines(input, sink);
  begins_with_header(input) ? read_csv(input, sink) : read_text_lines(input, sink);
}

// A git-lfs pointer or a web page is sound text, and would be taken for prompts.
std::string head_of(const InputFile& input) {
  std::string head(std::min<std::uint64_t>(input.size(), kSniffBytes), '\0');
  input.read_at(0, std::as_writable_bytes(std::span(head)));
  return head;
}

// Passes rows on to `take`, but not too many; at the end there must have been some.
class RowCounter {
 public:
  RowCounter(std::string file, const RowSink& take) : file_(std::move(file)), take_(take) {}

  void operator()(const DataRow& row) {
    if (++rows_ > kMaxRows)
      fail("limit.row", file_, row.where, "at most " + std::to_string(kMaxRows) + " rows", "more");
    take_(row);
  }
  void finish() const {
    if (rows_ == 0) fail("data.empty", file_, "", "at least one row", "none");
  }

 private:
  std::string file_;
  const RowSink& take_;
  size_t rows_ = 0;
};

}  // namespace

void read_file_rows(const std::string& path, const RowSink& take) {
  const InputFile input(path);
  refuse_other_format(head_of(input), input.path(), "text");
  RowCounter counter(input.path(), take);
  read_rows(TextSource(input), path, std::ref(counter));
  input.check_unchanged();
  counter.finish();
}

void read_text_rows(std::string_view text, const std::string& name, const RowSink& take) {
  const std::string file = escape_untrusted(name, 1000);
  RowCounter counter(file, take);
  read_nameless_rows(TextSource(file, text), std::ref(counter));
  counter.finish();
}

}  // namespace safetylock
