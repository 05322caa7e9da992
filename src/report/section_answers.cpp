// Answers side by side: what the lock changed first. Harmful text stays collapsed.
#include <map>

#include "report/markup.h"
#include "report/number_text.h"
#include "report/sections.h"

namespace safetylock::report {
namespace {

constexpr size_t kLongestText = 4000;    // bytes shown of a prompt or reply
constexpr std::int64_t kOpenAtMost = 6;  // changed answers that are shown without a click

// One prompt and who replied what; null where a model was not asked.
struct Row {
  const std::string* prompt;
  std::vector<const Reply*> replies;  // by column
};

// Prompts in the order of the last column. A prompt that occurs twice is matched in order.
std::vector<Row> rows_of(const std::vector<Column>& all, Kind kind) {
  const PromptSet* last = set_of(all.back().run, kind);
  std::vector<Row> rows;
  if (last == nullptr) return rows;
  for (const Reply& reply : last->replies) rows.push_back({&reply.prompt, {}});
  for (const Column& column : all) {
    std::multimap<std::string_view, const Reply*> replies;
    if (const PromptSet* set = set_of(column.run, kind))
      for (const Reply& reply : set->replies) replies.emplace(reply.prompt, &reply);
    for (Row& row : rows) {
      const auto found = replies.lower_bound(*row.prompt);
      const bool asked = found != replies.end() && found->first == *row.prompt;
      row.replies.push_back(asked ? found->second : nullptr);
      if (asked) replies.erase(found);
    }
  }
  return rows;
}

std::string reply_markup(const Column& column, const Reply* reply) {
  const std::string name = tag("span", "class=\"who " + std::string(column.css_class) + "\"", column.name);
  if (reply == nullptr) return tag("div", "class=\"reply\"", tag("p", "class=\"head\"", name + " not asked"));
  const std::string outcome = reply->outcome ? to_string(*reply->outcome) : "no reply";
  std::string figures;
  if (reply->refusal_margin) figures += " margin " + with_sign(*reply->refusal_margin, 1);
  if (reply->judge_score)
    figures += (figures.empty() ? " judge " : ", judge ") + fixed(*reply->judge_score, 0);
  const std::string text = reply->reply.empty() ? tag("p", "class=\"nothing\"", "(nothing)")
                                                : tag("p", "class=\"text\" dir=\"auto\"",
                                                      escaped(cut(reply->reply, kLongestText)));
  return tag("div", "class=\"reply\"",
             tag("p", "class=\"head\"",
                 name + " " + tag("span", "class=\"outcome " + outcome + "\"", outcome) +
                     tag("span", "class=\"facts\"", figures)) +
                 text);
}

std::string row_markup(const std::vector<Column>& all, const Row& row) {
  std::string replies;
  for (size_t i = 0; i < all.size(); ++i) replies += reply_markup(all[i], row.replies[i]);
  return tag("div", "class=\"answer\"",
             tag("p", "class=\"prompt\" dir=\"auto\"", escaped(cut(*row.prompt, kLongestText))) +
                 tag("div", "class=\"replies\"", replies));
}

std::string details(const std::string& title, const std::string& content, bool open) {
  return tag("details", open ? "open" : "", tag("summary", "", escaped(title)) + content);
}

bool changed(const Row& row) {
  const Reply* before = row.replies[row.replies.size() - 2];
  const Reply* after = row.replies.back();
  return before != nullptr && after != nullptr && before->outcome != after->outcome;
}

// The lock's doing is the difference between the last two columns, unlocked and locked.
std::string set_markup(const ReportData& data, Kind kind) {
  const std::vector<Column> all = columns(data);
  std::string different, same;
  std::int64_t num_different = 0, num_same = 0;
  const bool both = unlocked_run(data) != nullptr && locked_run(data) != nullptr;
  for (const Row& row : rows_of(all, kind)) {
    const bool apart = both && changed(row);
    (apart ? different : same) += row_markup(all, row);
    ++(apart ? num_different : num_same);
  }
  if (num_different + num_same == 0) return "";
  const bool harmful = kind == Kind::harmful;
  const std::string warning = harmful ? " – harmful text inside" : "";
  std::string body;
  if (num_different > 0)
    body += details("The lock changes the outcome: " + counted(num_different, "prompt") + warning, different,
                    !harmful && num_different <= kOpenAtMost);
  if (num_same > 0)
    body += details((both ? "The outcome stays the same: " : "Prompts and replies: ") +
                        counted(num_same, "prompt") + warning,
                    same, false);
  return tag("h3", "", title_of(kind)) + body;
}

}  // namespace

std::string answers_section(const ReportData& data) {
  constexpr const char* kHeading = "Answers side by side";
  std::string content;
  if (!columns(data).empty())
    for (const Kind kind : kKinds) content += set_markup(data, kind);
  if (content.empty())
    content =
        how_to_get("No replies were given. To get them:",
                   "safetylock evaluate MODEL --lock LOCK --harmful FILE --benign FILE -o evaluate.json");
  return section("answers", kHeading, content);
}

}  // namespace safetylock::report
