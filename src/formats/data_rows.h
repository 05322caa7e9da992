// Rows of data in any of the formats that users bring: JSONL, a JSON array, CSV, plain text.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace safetylock {

/// One row: where it stands, and its named columns or its one text without a name.
struct DataRow {
  std::string where;  ///< "line 3" or "entry 3"
  std::map<std::string, JsonTree> columns;
  std::optional<JsonTree> text;
};

using RowSink = std::function<void(const DataRow&)>;

/// What a column of prompts may be called.
constexpr std::array<std::string_view, 4> kPromptColumns = {"prompt", "goal", "question", "instruction"};

/// Reads a file, in the format that its extension names, else its first byte. Throws io.*, data.*, limit.*.
void read_file_rows(const std::string& path, const RowSink& take);

/// Reads text in memory, which errors call `name`: JSON, JSONL, CSV with a header, or else one text a line.
void read_text_rows(std::string_view text, const std::string& name, const RowSink& take);

/// The row's prompt: its text, or what it has in the first of kPromptColumns. Throws data.field (row, field,
/// found), limit.row.
std::string prompt_of(const DataRow& row, const std::string& file);

}  // namespace safetylock
