#include "safetylock/prompt_data.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/out_of_memory.h"
#include "base/sha256.h"
#include "formats/data_rows.h"
#include "formats/text_records.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::array<std::string_view, 3> kPairNames = {"prompt", "safe", "unsafe"};
constexpr std::array<std::string_view, 3> kPublishedNames = {"question", "answer_matching_behavior",
                                                             "answer_not_matching_behavior"};

constexpr size_t kMaxChoices = 26;  // one a letter

[[noreturn]] void fail(const std::string& code, const std::string& file, const std::string& where,
                       const std::string& expected, const std::string& found, const std::string& hint = "") {
  throw Error({code, file, where, expected, found, hint});
}

std::string checked_text(const Json& value, const std::string& where, const std::string& file) {
  if (!value.is_string()) fail("data.field", file, where, "a text", describe_json(value));
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kMaxRowBytes) {
    fail("limit.row", file, where, "at most " + std::to_string(kMaxRowBytes) + " bytes",
         std::to_string(text.size()));
  }
  if (text.find_first_not_of(" \t\r\n") == std::string::npos)
    fail("data.field", file, where, "a text", "an empty one");
  return text;
}

std::string column_of(const DataRow& row, std::string_view column, const std::string& file) {
  const auto it = row.columns.find(std::string(column));
  const std::string where = row.where + ", field \"" + std::string(column) + "\"";
  if (it == row.columns.end()) fail("data.field", file, where, "a text", "no such field");
  return checked_text(it->second, where, file);
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? ""
                                         : text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

PromptPair pair_of(const DataRow& row, const std::string& file) {
  const bool published = !row.columns.contains("prompt") && row.columns.contains("question");
  const auto& names = published ? kPublishedNames : kPairNames;
  PromptPair pair{column_of(row, names[0], file), column_of(row, names[1], file),
                  column_of(row, names[2], file)};
  if (trimmed(pair.safe) == trimmed(pair.unsafe)) {
    fail("data.no_contrast", file, row.where, "a safe and an unsafe reply that differ",
         "\"" + escape_untrusted(pair.safe, 60) + "\" twice", "The direction between equal replies is zero");
  }
  return pair;
}

}  // namespace

std::string prompt_of(const DataRow& row, const std::string& file) {
  if (row.text) return checked_text(*row.text, row.where, file);
  for (const std::string_view name : kPromptColumns) {
    if (row.columns.contains(std::string(name))) return column_of(row, name, file);
  }
  fail("data.field", file, row.where, "a field \"prompt\", \"goal\", \"question\" or \"instruction\"",
       "none of them");
}

namespace {

/// true and false, 1 and 0, and what CSV makes of them.
bool truth_of(const DataRow& row, const std::string& column, const std::string& file) {
  const std::string where = row.where + ", field \"" + column + "\"";
  const auto it = row.columns.find(column);
  if (it == row.columns.end()) fail("data.field", file, where, "true or false", "no such field");
  const Json& value = *it->second;
  if (value.is_boolean()) return value.get<bool>();
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  for (const auto& [spelling, truth] : {std::pair("true", true),
                                        {"false", false},
                                        {"True", true},
                                        {"False", false},
                                        {"1", true},
                                        {"0", false}}) {
    if (text == spelling) return truth;
  }
  fail("data.field", file, where, "true or false", describe_json(value));
}

GatePrompt gate_prompt_of(const DataRow& row, const std::string& file) {
  GatePrompt prompt{.prompt = prompt_of(row, file), .harmful = truth_of(row, "harmful", file), .topic = {}};
  prompt.topic = row.columns.contains("topic") ? column_of(row, "topic", file) : row.where;
  return prompt;
}

std::int64_t letter_or_index(const Json& value) {
  if (value.is_number_integer() || value.is_number_unsigned()) return value.get<std::int64_t>();
  if (!value.is_string()) return -1;
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() != 1) return -1;
  return text[0] >= 'a' && text[0] <= 'z' ? text[0] - 'a' : text[0] - 'A';
}

ChoiceQuestion question_of(const DataRow& row, const std::string& file) {
  ChoiceQuestion question{.prompt = prompt_of(row, file), .choices = {}};
  const auto choices = row.columns.find("choices");
  const std::string where = row.where + ", field \"choices\"";
  if (choices == row.columns.end()) fail("data.field", file, where, "a list of texts", "no such field");
  const Json& list = *choices->second;
  if (!list.is_array() || list.size() < 2 || list.size() > kMaxChoices) {
    fail("data.field", file, where, "a list of 2 to " + std::to_string(kMaxChoices) + " texts",
         describe_json(list));
  }
  for (const Json& choice : list) {
    question.choices.push_back(checked_text(choice, where, file));
    const auto end = question.choices.end() - 1;
    if (std::find(question.choices.begin(), end, *end) != end)
      fail("data.field", file, where, "choices that differ", "\"" + escape_untrusted(*end, 60) + "\" twice");
  }
  const auto answer = row.columns.find("answer");
  const std::string rule = "an index from 0 to " + std::to_string(list.size() - 1) + " or its letter, from A";
  const std::string answer_where = row.where + ", field \"answer\"";
  if (answer == row.columns.end()) fail("data.field", file, answer_where, rule, "no such field");
  const std::int64_t index = letter_or_index(*answer->second);
  if (index < 0 || static_cast<size_t>(index) >= list.size())
    fail("data.field", file, answer_where, rule, describe_json(*answer->second));
  question.answer = static_cast<size_t>(index);
  return question;
}

}  // namespace

std::vector<PromptPair> load_prompt_pairs(const std::string& path) {
  return naming_memory_errors(path, [&] {
    std::vector<PromptPair> pairs;
    const std::string file = escape_untrusted(path, 1000);
    read_file_rows(path, [&](const DataRow& row) { pairs.push_back(pair_of(row, file)); });
    return pairs;
  });
}

std::vector<std::string> load_prompts(const std::string& path) {
  return naming_memory_errors(path, [&] {
    std::vector<std::string> prompts;
    const std::string file = escape_untrusted(path, 1000);
    read_file_rows(path, [&](const DataRow& row) { prompts.push_back(prompt_of(row, file)); });
    return prompts;
  });
}

std::vector<GatePrompt> load_gate_prompts(const std::string& path) {
  return naming_memory_errors(path, [&] {
    std::vector<GatePrompt> prompts;
    const std::string file = escape_untrusted(path, 1000);
    read_file_rows(path, [&](const DataRow& row) { prompts.push_back(gate_prompt_of(row, file)); });
    const auto harmful =
        std::count_if(prompts.begin(), prompts.end(), [](const GatePrompt& p) { return p.harmful; });
    if (harmful == 0 || harmful == static_cast<std::ptrdiff_t>(prompts.size())) {
      fail("data.single_class", file, "field \"harmful\"", "harmful and harmless prompts",
           std::to_string(harmful) + " of " + std::to_string(prompts.size()) + " are harmful");
    }
    return prompts;
  });
}

std::vector<ChoiceQuestion> load_choices(const std::string& path) {
  return naming_memory_errors(path, [&] {
    std::vector<ChoiceQuestion> questions;
    const std::string file = escape_untrusted(path, 1000);
    read_file_rows(path, [&](const DataRow& row) { questions.push_back(question_of(row, file)); });
    return questions;
  });
}

namespace {

/// Texts with their lengths, so that no two lists have the same bytes.
class TextDigest {
 public:
  void add(const std::string& text) {
    const std::uint64_t length = text.size();
    hash_.update(std::as_bytes(std::span(&length, 1)));
    hash_.update(text);
  }
  std::string hex() { return hash_.hex(); }

 private:
  Sha256 hash_;
};

}  // namespace

std::string digest_of(const std::vector<PromptPair>& pairs) {
  TextDigest digest;
  for (const PromptPair& pair : pairs) {
    digest.add(pair.prompt);
    digest.add(pair.safe);
    digest.add(pair.unsafe);
  }
  return digest.hex();
}

std::string digest_of(const std::vector<GatePrompt>& prompts) {
  TextDigest digest;
  for (const GatePrompt& prompt : prompts) {
    digest.add(prompt.prompt);
    digest.add(prompt.harmful ? "harmful" : "harmless");
    digest.add(prompt.topic);
  }
  return digest.hex();
}

}  // namespace safetylock
