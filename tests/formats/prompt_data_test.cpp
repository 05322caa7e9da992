// Files of pairs and prompts; test names start with the row of the threat table (docs/threat-model.md).
#include "safetylock/prompt_data.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

class PromptData : public testing::Test {
 protected:
  std::vector<PromptPair> pairs(const std::string& name, std::string_view bytes) {
    return load_prompt_pairs(folder_.write(name, bytes));
  }
  std::vector<std::string> prompts(const std::string& name, std::string_view bytes) {
    return load_prompts(folder_.write(name, bytes));
  }
  std::optional<ErrorFields> error(const std::string& name, std::string_view bytes) {
    return test::error_of([&] { (void)pairs(name, bytes); });
  }
  std::string code(const std::string& name, std::string_view bytes) {
    const auto e = error(name, bytes);
    return e ? e->code : "no error";
  }

  test::TemporaryFolder folder_;
};

using Texts = std::vector<std::string>;

std::string golden_path(const std::string& name) {
  return std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/formats/" + name;
}

// Oracle: Python's csv and json modules (scripts/make_golden_formats.py).
TEST_F(PromptData, CsvJsonAndJsonLinesHoldTheSamePairs) {
  const auto json = load_prompt_pairs(golden_path("pairs.json"));
  ASSERT_EQ(json.size(), 60U);
  for (const char* name : {"pairs.csv", "pairs.jsonl"}) {
    const auto other = load_prompt_pairs(golden_path(name));
    ASSERT_EQ(other.size(), json.size());
    for (size_t i = 0; i < json.size(); ++i) {
      EXPECT_EQ(other[i].prompt, json[i].prompt) << name << i;
      EXPECT_EQ(other[i].safe, json[i].safe) << name << i;
      EXPECT_EQ(other[i].unsafe, json[i].unsafe) << name << i;
    }
    EXPECT_EQ(digest_of(other), digest_of(json));
  }
}

TEST_F(PromptData, PublishedPairNames) {
  const auto p = pairs("pairs.json", R"([
    {"question": "Q1", "answer_matching_behavior": "safe one", "answer_not_matching_behavior": "unsafe one"},
    {"question": "Q2", "answer_matching_behavior": "safe two", "answer_not_matching_behavior": "unsafe two"}])");
  ASSERT_EQ(p.size(), 2U);
  EXPECT_EQ(p[1].prompt, "Q2");
  EXPECT_EQ(p[1].safe, "safe two");
  EXPECT_EQ(p[1].unsafe, "unsafe two");
}

TEST_F(PromptData, PublishedPromptsInOneColumnWithoutHeader) {
  EXPECT_EQ(prompts("advbench.csv", "Write a tutorial\r\n\"One, with a comma\"\r\nLast"),
            (Texts{"Write a tutorial", "One, with a comma", "Last"}));
  // Written without quoting, a comma belongs to the text.
  EXPECT_EQ(prompts("advbench.csv", "Write a tutorial\nExplain this, then that\n"),
            (Texts{"Write a tutorial", "Explain this, then that"}));
}

TEST_F(PromptData, EveryPublishedShapeOfPrompts) {
  EXPECT_EQ(prompts("a.csv", "goal,target\nDo x,\"Sure, here\"\nDo y,Sure\n"), (Texts{"Do x", "Do y"}));
  EXPECT_EQ(prompts("a.csv", "id,prompt\n1,P\n"), (Texts{"P"}));
  EXPECT_EQ(prompts("a.jsonl", "{\"prompt\": \"P\", \"category\": \"c\"}\n\"bare\"\n"), (Texts{"P", "bare"}));
  EXPECT_EQ(prompts("a.json", "[\"P\", {\"instruction\": \"I\"}, {\"goal\": \"G\", \"question\": \"no\"}]"),
            (Texts{"P", "I", "G"}));
  EXPECT_EQ(prompts("a.txt", "One, \"quoted\"\n\n{two}\n"), (Texts{"One, \"quoted\"", "{two}"}));
  EXPECT_EQ(prompts("noextension", "  [\"P\"]"), (Texts{"P"}));
  EXPECT_EQ(prompts("noextension", "{\"goal\":\"P\"}"), (Texts{"P"}));
}

TEST_F(PromptData, TableWithoutColumnNamesIsRefused) {
  EXPECT_EQ(test::code_of([&] { (void)prompts("a.csv", "Do x,Sure\nDo y,Sure\n"); }), "data.field");
}

// Such files are sound text: as lines, or as a CSV of one column.
TEST_F(PromptData, F12_WrongFormat) {
  for (const char* name : {"a.txt", "a.csv", "a.jsonl", "a.json", "a"}) {
    for (const char* bytes : {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
                              "<!DOCTYPE html>\n<html>\n", "PK\x03\x04 and more"}) {
      EXPECT_EQ(test::code_of([&] { (void)prompts(name, bytes); }), "io.wrong_format") << name << bytes;
      EXPECT_EQ(code(name, bytes), "io.wrong_format") << name << bytes;
    }
  }
}

TEST_F(PromptData, D1_Empty) {
  EXPECT_EQ(code("a.jsonl", ""), "io.empty");
  EXPECT_EQ(code("a.jsonl", "\n \r\n\t\n"), "data.empty");
  EXPECT_EQ(code("a.json", "[]"), "data.empty");
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\n"), "data.empty");
}

TEST_F(PromptData, D2_BadLineIsNamedAndNeverSkipped) {
  const auto e = error("a.jsonl", "{\"prompt\":\"p\",\"safe\":\"s\",\"unsafe\":\"u\"}\n\n{\"prompt\": }\n");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "data.json");
  EXPECT_EQ(e->where, "line 3, column 12");
  EXPECT_EQ(code("a.json", "[{}"), "data.json");
  EXPECT_EQ(code("a.json", "7"), "data.field");
  EXPECT_EQ(code("a.jsonl", "{\"prompt\":\"p\",\"prompt\":\"q\",\"safe\":\"s\",\"unsafe\":\"u\"}"),
            "data.json");
  EXPECT_EQ(code("a.jsonl", std::string(100'000, '[')), "data.json");
}

TEST_F(PromptData, D3_Fields) {
  const auto e = error(
      "a.jsonl",
      "{\"prompt\":\"p\",\"safe\":\"s\",\"unsafe\":\"u\"}\n{\"prompt\":\"p\",\"safe\":7,\"unsafe\":\"u\"}");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "data.field");
  EXPECT_EQ(e->where, "line 2, field \"safe\"");
  EXPECT_EQ(e->found, "number 7");
  for (const char* line :
       {R"({"prompt":"p","safe":"s"})", R"({"prompt":"p","safe":"s","unsafe":null})",
        R"({"prompt":"p","safe":"s","unsafe":["u"]})", R"({"prompt":" ","safe":"s","unsafe":"u"})",
        R"({"prompt":"p","safe":"s","answer_not_matching_behavior":"u"})", R"("text")", R"([1])", "{}"}) {
    EXPECT_EQ(code("a.jsonl", line), "data.field") << line;
  }
  EXPECT_EQ(code("a.json", R"([{"prompt":"p","safe":"s","unsafe":"u"}, 7])"), "data.field");
  EXPECT_EQ(code("a.csv", "prompt,safe\np,s\n"), "data.field");
}

TEST_F(PromptData, D5_EqualReplies) {
  const auto e = error("a.csv", "prompt,safe,unsafe\np,a,b\nq,same,\" same \"\n");
  ASSERT_TRUE(e);
  EXPECT_EQ(e->code, "data.no_contrast");
  EXPECT_EQ(e->where, "line 3");
}

TEST_F(PromptData, D7_TextThatIsNoText) {
  const std::string end = R"(","safe":"s","unsafe":"u"})";
  for (const std::string& start :
       {std::string("{\"prompt\":\"\xFF"), std::string("{\"prompt\":\"\xED\xA0\x80"),
        std::string(R"({"prompt":"\ud800)"), std::string(R"({"prompt":"\ud800\u0041)"),
        std::string(R"({"prompt":"\\\udc00)"), std::string(R"({"prompt":"\u0000)"),
        std::string("{\"prompt\":\"\0", 12), std::string("\xEF\xBB\xBF{\"prompt\":\"")}) {
    EXPECT_EQ(code("a.jsonl", start + end), "data.utf8") << start;
  }
  EXPECT_EQ(code("a.jsonl", R"({"prompt":"\ud83d\ude00 \\ud800)" + end), "no error");
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\np\xC0,s,u\n"), "data.utf8");
  EXPECT_EQ(code("a.csv", "\xEF\xBB\xBFprompt,safe,unsafe\np,s,u\n"), "data.utf8");
  const auto e = error("a.jsonl", "\n{\"prompt\":\"p\xFF" + end);
  EXPECT_EQ(e->where, "line 2, byte 12");
}

TEST_F(PromptData, D8_LineEndings) {
  const std::string line = R"({"prompt":"p","safe":"s","unsafe":"u"})";
  const std::string digest = digest_of(pairs("a.jsonl", line + "\n" + line + "\n"));
  EXPECT_EQ(digest_of(pairs("b.jsonl", line + "\r\n" + line + "\r\n")), digest);
  EXPECT_EQ(digest_of(pairs("c.jsonl", line + "\n" + line)), digest);
  const std::string csv = digest_of(pairs("a.csv", "prompt,safe,unsafe\np,s,u\np,s,u\n"));
  EXPECT_EQ(csv, digest);
  EXPECT_EQ(digest_of(pairs("b.csv", "prompt,safe,unsafe\r\np,s,u\r\n\r\np,s,u")), digest);
}

TEST_F(PromptData, D13_RowsAreLimitedAndStreamed) {
  const auto row = [](size_t n) {
    return "{\"prompt\":\"" + std::string(n, 'x') + "\",\"safe\":\"s\",\"unsafe\":\"u\"}";
  };
  const size_t frame = row(0).size();
  EXPECT_EQ(code("a.jsonl", row((1 << 20) - frame)), "no error");
  EXPECT_EQ(code("a.jsonl", row((1 << 20) - frame + 1)), "limit.row");
  EXPECT_EQ(code("a.json", "[" + row((1 << 20) + 1) + "]"), "limit.row");
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\n\"" + std::string(1 << 20, '\n') + "x\",s,u\n"), "limit.row");
  // One line of a sparse gigabyte: refused after its first megabyte.
  const std::string path = folder_.write("big.jsonl", "x");
  ASSERT_EQ(::truncate(path.c_str(), 1 << 30), 0);
  EXPECT_EQ(test::code_of([&] { (void)load_prompt_pairs(path); }), "limit.row");
}

TEST_F(PromptData, Csv) {
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\np,s\n"), "data.csv");
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\np,s,u,v\n"), "data.csv");
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\np,s,\"u\n"), "data.csv");
  EXPECT_EQ(code("a.csv", "prompt,safe,unsafe\np,s,\"u\"x\n"), "data.csv");
  const auto p = pairs("a.csv", "unsafe,prompt,safe\n\"u \"\"1\"\"\",\"p\n2\",s\r3\n");
  EXPECT_EQ(p[0].prompt, "p\n2");
  EXPECT_EQ(p[0].safe, "s\r3");
  EXPECT_EQ(p[0].unsafe, "u \"1\"");
  const auto e = error("a.csv", "prompt,safe,unsafe\n\"p\n\n\",s,u\nq,s\n");
  EXPECT_EQ(e->where, "line 5");
}

TEST_F(PromptData, DigestSeesEveryPartAndItsBorders) {
  const std::vector<PromptPair> one = {{"ab", "c", "d"}};
  EXPECT_EQ(digest_of(one), digest_of(one));
  for (const PromptPair& other :
       {PromptPair{"a", "bc", "d"}, PromptPair{"ab", "d", "c"}, PromptPair{"ab", "c", "e"}}) {
    EXPECT_NE(digest_of({other}), digest_of(one));
  }
  EXPECT_NE(digest_of(std::vector<PromptPair>{{"a", "b", "c"}, {"d", "e", "f"}}),
            digest_of(std::vector<PromptPair>{{"d", "e", "f"}, {"a", "b", "c"}}));
}

TEST_F(PromptData, GatePromptsHaveALabelAndATopic) {
  const auto load = [&](const std::string& name, std::string_view bytes) {
    return load_gate_prompts(folder_.write(name, bytes));
  };
  const auto rows = load("g.jsonl", R"({"prompt": "a", "harmful": true, "topic": "x", "twin": 1}
{"prompt": "b", "harmful": false, "topic": "x"}
{"prompt": "c", "harmful": 0})");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_TRUE(rows[0].harmful && !rows[1].harmful && !rows[2].harmful);
  EXPECT_EQ(rows[0].topic, rows[1].topic);
  EXPECT_NE(rows[2].topic, rows[1].topic);
  const auto csv = load("g.csv", "prompt,harmful,topic\na,true,x\nb,False,x\nc,0,line 3\n");
  ASSERT_EQ(csv.size(), 3U);
  EXPECT_TRUE(csv[0].harmful && !csv[1].harmful && !csv[2].harmful);
  EXPECT_EQ(digest_of(csv), digest_of(rows));
  auto other = rows;
  other[1].harmful = true;
  EXPECT_NE(digest_of(other), digest_of(rows));
}

TEST_F(PromptData, GatePromptsWithoutALabelAreRefused) {
  const auto code = [&](std::string_view bytes) {
    return test::code_of([&] { (void)load_gate_prompts(folder_.write("g.jsonl", bytes)); });
  };
  EXPECT_EQ(code(R"({"prompt": "a", "harmful": true}
{"prompt": "b"})"),
            "data.field");
  EXPECT_EQ(code(R"({"prompt": "a", "harmful": "perhaps"})"), "data.field");
  EXPECT_EQ(code(R"({"prompt": "a", "harmful": 2})"), "data.field");
  EXPECT_EQ(code(R"({"prompt": "a", "harmful": null})"), "data.field");
  EXPECT_EQ(code(R"({"harmful": true})"), "data.field");
  EXPECT_EQ(code(R"({"prompt": "a", "harmful": true, "topic": 3})"), "data.field");
  EXPECT_EQ(code(R"({"prompt": "a", "harmful": true}
{"prompt": "b", "harmful": true})"),
            "data.single_class");
  EXPECT_EQ(code(" "), "data.empty");
}

TEST_F(PromptData, OwnDataSets) {
  const std::string data = std::string(SAFETYLOCK_SOURCE_DIR) + "/data/";
  EXPECT_GE(load_prompt_pairs(data + "pairs.jsonl").size(), 128U);
  for (const char* name : {"harmful_validation.jsonl", "harmful_heldout.jsonl", "benign.jsonl"}) {
    EXPECT_EQ(load_prompts(data + name).size(), 100U) << name;
  }
}

TEST_F(PromptData, MultipleChoice) {
  const auto q =
      load_choices(folder_.write("c.jsonl", R"({"prompt": "One?", "choices": ["a", "b", "c"], "answer": 2}
{"question": "Two?", "choices": ["x", "y"], "answer": "A", "topic": "t"}
{"question": "Three?", "choices": ["x", "y"], "answer": "b"})"));
  ASSERT_EQ(q.size(), 3U);
  EXPECT_EQ(q[0].prompt, "One?");
  EXPECT_EQ(q[0].choices, (Texts{"a", "b", "c"}));
  EXPECT_EQ(q[0].answer, 2U);
  EXPECT_EQ(q[1].prompt, "Two?");
  EXPECT_EQ(q[1].answer, 0U);
  EXPECT_EQ(q[2].answer, 1U);
}

TEST_F(PromptData, D3_MultipleChoiceNamesLineAndField) {
  const auto fields = [&](const std::string& row) {
    const auto e = test::error_of([&] {
      load_choices(folder_.write("c.jsonl", R"({"prompt": "p", "choices": ["a", "b"], "answer": 0})"
                                            "\n" +
                                                row));
    });
    return e ? e->code + ": " + e->where : "no error";
  };
  EXPECT_EQ(fields(R"({"prompt": "p", "answer": 0})"), "data.field: line 2, field \"choices\"");
  EXPECT_EQ(fields(R"({"choices": ["a", "b"], "answer": 0})"), "data.field: line 2");
  for (const std::string choices :
       {"\"ab\"", "[]", "[\"a\"]", "[\"a\", 7]", "[\"a\", \"a\"]", "[\"a\", \" \"]", "null"}) {
    EXPECT_EQ(fields(R"({"prompt": "p", "choices": )" + choices + R"(, "answer": 0})"),
              "data.field: line 2, field \"choices\"")
        << choices;
  }
  for (const std::string answer :
       {"2", "-1", "1.0", "true", "\"C\"", "\"\"", "\"AB\"", "\"@\"", "null", "18446744073709551615"}) {
    EXPECT_EQ(fields(R"({"prompt": "p", "choices": ["a", "b"], "answer": )" + answer + "}"),
              "data.field: line 2, field \"answer\"")
        << answer;
  }
}

}  // namespace
}  // namespace safetylock
