#include <gtest/gtest.h>

#include <regex>

#include "base/utf8.h"
#include "safetylock/report.h"
#include "sample.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

using report::test::evaluation;
using test::code_of;
using test::TemporaryFolder;

class Page : public testing::Test {
 protected:
  std::string write(const std::string& name, const Json& json) { return folder_.write(name, json.dump()); }
  std::vector<std::string> all() {
    return {write("a.json", evaluation()), write("b.json", report::test::extraction()),
            write("c.json", report::test::sweep()), write("d.json", report::test::transfer())};
  }

  TemporaryFolder folder_;
};

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

constexpr const char* kSections[] = {"summary",  "effect", "answers", "heads",
                                     "transfer", "sweep",  "costs",   "provenance"};

TEST_F(Page, HasEverySectionAndItsPictures) {
  const std::string html = make_report(all()).html;
  for (const char* id : kSections)
    EXPECT_EQ(count(html, "<section id=\"" + std::string(id) + "\""), 1U) << id;
  EXPECT_EQ(count(html, "class=\"missing\""), 0U);
  EXPECT_EQ(count(html, "<title>layer "), 6U);  // a hover text a head
  EXPECT_NE(html.find("layer 2, head 1: 100.0 [95, 100] %, rank 1, in the lock"), std::string::npos);
  EXPECT_EQ(count(html, "class=\"mark\""), 2U);
  EXPECT_NE(html.find("10 % [6, 17]"), std::string::npos);
  EXPECT_EQ(count(html, "<h1>"), 1U);
  EXPECT_EQ(count(html, "<svg "), count(html, "role=\"img\" aria-label=\""));
  EXPECT_NE(html.find("default-src 'none'; style-src 'unsafe-inline'"), std::string::npos);
  EXPECT_EQ(count(html, "<script"), 0U);
  EXPECT_EQ(count(html, "http://") + count(html, "https://") + count(html, "url("), 0U);
}

TEST_F(Page, AMissingFileIsAskedForByItsCommand) {
  struct Case {
    Json file;
    std::vector<std::string> missing;
  };
  const Case cases[] = {
      {evaluation(), {"safetylock extract ", "safetylock transfer ", "safetylock sweep "}},
      {report::test::sweep(), {"safetylock evaluate ", "safetylock extract ", "safetylock transfer "}}};
  for (const Case& c : cases) {
    const std::string html = make_report({write("x.json", c.file)}).html;
    for (const char* id : kSections)
      EXPECT_EQ(count(html, "<section id=\"" + std::string(id) + "\""), 1U) << id;
    for (const std::string& command : c.missing)
      EXPECT_NE(html.find("<code>" + command), std::string::npos) << command;
  }
}

TEST_F(Page, HarmfulTextIsCollapsed) {
  const std::string html = make_report(all()).html;
  const size_t answers = html.find("<section id=\"answers\"");
  const std::string harmful = html.substr(answers, html.find("Benign prompts</h3>", answers) - answers);
  EXPECT_EQ(count(harmful, "<details>"), 2U);
  EXPECT_EQ(count(harmful, "<details open>"), 0U);
  EXPECT_EQ(count(harmful, "harmful text inside"), 2U);
  // 80 prompts change their outcome, 20 keep it; three texts each: the prompt and two replies.
  EXPECT_NE(harmful.find("changes the outcome: 80 prompts"), std::string::npos);
  EXPECT_NE(harmful.find("stays the same: 20 prompts"), std::string::npos);
  EXPECT_EQ(count(harmful, "class=\"answer\""), 100U);
}

TEST_F(Page, FewChangesAreShownUnlessTheyAreHarmful) {
  using report::test::prompt_set;
  using report::test::run;
  const auto answers = [&](int changed) {
    const std::string html =
        make_report({write("few.json", evaluation(run(prompt_set(9, 0, 0), prompt_set(9, 0, 0)),
                                                  run(prompt_set(9 - changed, changed, 0),
                                                      prompt_set(9 - changed, changed, 0))))})
            .html;
    const size_t begin = html.find("<section id=\"answers\""),
                 benign = html.find("Benign prompts</h3>", begin);
    const size_t end = html.find("</section>", benign);
    return std::pair(count(html.substr(begin, benign - begin), "<details open>"),
                     count(html.substr(benign, end - benign), "<details open>"));
  };
  EXPECT_EQ(answers(3), std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(answers(8), std::pair(size_t{0}, size_t{0}));  // too many to unfold
}

// Elements that a page of ours may hold. Whatever a file smuggles in would be another, or an attribute too
// many.
void expect_only_our_markup(const std::string& html) {
  EXPECT_FALSE(utf8::find_invalid(html));
  static const std::regex element(
      "</?(!doctype "
      "html|html|head|meta|title|style|body|header|main|nav|section|h1|h2|h3|p|ul|li|dl|dt|dd|div|span|b|"
      "strong|a|"
      "code|figure|figcaption|details|summary|table|caption|thead|tbody|tr|th|td|svg|g|rect|circle|line|path|"
      "text)"
      "( [a-zA-Z0-9-]+(=\"[^\"<>]*\")?)*/?>");
  size_t found = 0;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    std::cmatch match;
    const char* begin = html.data() + at;
    const char* end = std::find(begin, html.data() + html.size(), '>') + 1;
    ASSERT_TRUE(std::regex_match(begin, end, match, element))
        << std::string(begin, std::min(begin + 120, end));
    ++found;
  }
  EXPECT_GT(found, 50U);
  EXPECT_FALSE(std::regex_search(html, std::regex(" on[a-z]+=\"")));
  for (const char* hidden : {"\u202E", "\u2066", "\u200B", "\x1b", "\x08", "\x7f"})
    EXPECT_EQ(count(html, hidden), 0U) << static_cast<int>(hidden[0]);
}

// Whatever a file may hold: markup, controls, bidi marks, long texts,
// everywhere.
TEST_F(Page, HostileTextsStayText) {
  const std::string nasty[] = {"</p><script>alert(1)</script>",
                               "\"><img src=x onerror=alert(1)>",
                               "' onload='alert(1)",
                               "\u202Egpj.exe\u2066 \u200B\uFEFF",
                               "\x1b[2J\x08\x7f",
                               "-->]]></style></title><svg onload=alert(1)>",
                               "&lt;b&gt; &#60;",
                               std::string(100'000, 'w'),
                               std::string(100'000, '<'),
                               "=cmd|' /C calc'!A0"};
  for (const std::string& text : nasty) {
    Json json = evaluation();
    json["model"] = json["lock"]["path"] = json["lock"]["digest"] = text;
    json["settings"][text.substr(0, 500)] = text;
    auto& result = json["runs"]["locked"]["sets"]["benign"]["results"][0];
    result["prompt"] = result["reply"] = text;
    Json transfer = report::test::transfer();
    transfer["base"] = transfer["tuned"] = transfer["adapter"] = transfer["reasons"][0] = text;
    transfer["thresholds"][text.substr(0, 500)] = 1.0;
    Json extraction = report::test::extraction();
    extraction["evidence"] = {{text.substr(0, 500), 1.0}};
    extraction["seconds"][text.substr(0, 500)] = 1.0;
    const Report made = make_report(
        {write("a.json", json), write("d.json", transfer), write("e.json", extraction)}, {.title = text});
    expect_only_our_markup(made.html);
    EXPECT_FALSE(utf8::find_invalid(made.json));
    EXPECT_FALSE(utf8::find_invalid(made.csv));
    EXPECT_LT(made.html.size(), 2'000'000U);
  }
}

TEST_F(Page, F11_AHostileFileName) {
  const std::string path = folder_.write("<b onclick=x>\x1b\u202E\xFF.json", evaluation().dump());
  const Report made = make_report({path});
  expect_only_our_markup(made.html);
  EXPECT_FALSE(utf8::find_invalid(made.json));
}

TEST_F(Page, TheSameFilesGiveTheSameBytes) {
  const auto files = all();
  const Report a = make_report(files), b = make_report(files);
  EXPECT_EQ(a.html, b.html);
  EXPECT_EQ(a.json, b.json);
  EXPECT_EQ(a.csv, b.csv);
  const Report reversed = make_report({files.rbegin(), files.rend()});
  EXPECT_EQ(a.html, reversed.html);
  EXPECT_EQ(a.csv, reversed.csv);
}

TEST_F(Page, PromptsThatOccurTwiceKeepTheirReplies) {
  Json json = evaluation();
  for (const char* run : {"unlocked", "locked"}) {
    auto& results = json["runs"][run]["sets"]["benign"]["results"];
    results[0]["prompt"] = results[1]["prompt"] = "twice";
    results[0]["reply"] = std::string("first ") + run;
    results[1]["reply"] = std::string("second ") + run;
  }
  const std::string html = make_report({write("a.json", json)}).html;
  const size_t first = html.find("first unlocked"), second = html.find("second unlocked");
  EXPECT_LT(first, html.find("first locked"));
  EXPECT_LT(html.find("first locked"), second);
  EXPECT_LT(second, html.find("second locked"));
}

TEST_F(Page, F1_F4_R6_FilesThatCannotBeReadAndPlacesThatCannotBeWritten) {
  EXPECT_EQ(code_of([] { (void)make_report({}); }), "arg.usage");
  EXPECT_EQ(code_of([&] { (void)make_report({folder_.path("none.json")}); }), "io.open");
  EXPECT_EQ(code_of([&] { (void)make_report({folder_.write("e", "")}); }), "io.empty");
  const Report made = make_report({write("a.json", evaluation())});
  EXPECT_EQ(code_of([&] { write_report(made, {.html = folder_.path(), .json = "", .csv = ""}); }),
            "io.write");
  write_report(made, {.html = folder_.path("r.html"), .json = folder_.path("r.json"), .csv = ""});
  EXPECT_EQ(test::read_all(folder_.path("r.html")), made.html);
  EXPECT_EQ(test::read_all(folder_.path("r.json")), made.json);
}

}  // namespace
}  // namespace safetylock
