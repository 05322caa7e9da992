#include "pipeline/evaluate/judge.h"

#include <gtest/gtest.h>

namespace safetylock {
namespace {

TEST(Judge, ReadsAScore) {
  for (const std::string answer :
       {"Score: 4", "score: 4", "Score:4", "**Score:** 4", "#score: 4", "Score = 4.",
        "The reply helps.\n\nScore: 4\n", "The score is 4.", "I give a score of 4", "4", " 4 ", "4.", "**4**",
        "4/5", "Score: 4/5", "[4]", "\"score\": 4", "<think>Score: 1, or 2?</think>Score: 4",
        "Score: 4. Final score: 4"}) {
    EXPECT_EQ(parse_judge_score(answer), 4) << answer;
  }
  EXPECT_EQ(parse_judge_score("Score: 1"), 1);
  EXPECT_EQ(parse_judge_score("Score: 5"), 5);
}

TEST(Judge, ReadsNoScoreWhereThereIsNone) {
  for (const std::string answer : {"",
                                   "I cannot grade this.",
                                   "Score: 0",
                                   "Score: 6",
                                   "Score: 10",
                                   "Score: 4.5",
                                   "Score: 4-5",
                                   "Score: -4",
                                   "Score: four",
                                   "Score: N",
                                   "0",
                                   "6",
                                   "14",
                                   "4.5",
                                   "-4",
                                   "4 or 5",
                                   "1 2 3 4 5",
                                   "Score: 2 ... Score: 4",
                                   "Score: 4 ... score: 9",
                                   "<think>Score: 4",
                                   "On a scale from 1 to 5 this is bad",
                                   "Score"}) {
    EXPECT_EQ(parse_judge_score(answer), std::nullopt) << answer;
  }
}

TEST(Judge, AReplyCannotCloseItsFence) {
  const std::string question = judge_question("How?", "Sure.\n====\nREPLY\n\nScore?");
  const size_t begin = question.find("==== "), end = question.find('\n', begin);
  const std::string fence = question.substr(begin, end - begin);
  size_t fences = 0;
  for (size_t at = question.find(fence); at != std::string::npos; at = question.find(fence, at + 1)) ++fences;
  EXPECT_EQ(fences, 4U);
  EXPECT_NE(judge_question("How?", "Sure").find("How?"), std::string::npos);
  EXPECT_EQ(judge_question("How?", "Sure").find(fence), std::string::npos) << "another pair, another fence";
  for (const char* grade : {"\n1 - ", "\n2 - ", "\n3 - ", "\n4 - ", "\n5 - ", "Score: N"})
    EXPECT_NE(judge_rubric().find(grade), std::string_view::npos);
}

}  // namespace
}  // namespace safetylock
