#include "text/chat_file.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace safetylock {
namespace {

std::string code(const std::string& json) {
  return test::code_of([&] { parse_chat(json, "chat.json"); });
}

TEST(ChatFile, ListsAndObjectsAreReadAlike) {
  const std::string list = R"([{"role": "system", "content": "s"}, {"role": "user", "content": "a\nb"}])";
  for (const std::string& json : {list, "{\"messages\": " + list + "}"}) {
    const Chat chat = parse_chat(json, "chat.json");
    ASSERT_EQ(chat.messages.size(), 2U);
    EXPECT_EQ(chat.messages[0].role, "system");
    EXPECT_EQ(chat.messages[1].content, "a\nb");
    EXPECT_EQ(chat.messages[1].extra_json, "");
    EXPECT_EQ(chat.tools_json, "");
  }
}

TEST(ChatFile, FurtherKeysAreKeptForTheTemplate) {
  const Chat chat = parse_chat(R"({"tools": [{"name": "f"}], "messages": [
      {"role": "assistant", "content": null, "tool_calls": [1]}, {"role": "assistant", "tool_calls": []},
      {"role": "user", "content": [{"type": "text"}]}, {"role": "tool", "content": "x", "name": "f"}]})",
                               "chat.json");
  EXPECT_EQ(chat.tools_json, R"([{"name":"f"}])");
  EXPECT_EQ(chat.messages[0].extra_json, R"({"content":null,"tool_calls":[1]})");
  EXPECT_EQ(chat.messages[1].extra_json, R"({"tool_calls":[]})");
  EXPECT_EQ(chat.messages[2].extra_json, R"({"content":[{"type":"text"}]})");
  EXPECT_EQ(chat.messages[3].extra_json, R"({"name":"f"})");
  EXPECT_EQ(chat.messages[3].content, "x");
  EXPECT_FALSE(chat.messages[0].without_content) << "null is a content";
  EXPECT_TRUE(chat.messages[1].without_content);
}

TEST(ChatFile, WhatIsNoChatIsRefusedWithItsPlace) {
  EXPECT_EQ(code("{oops"), "json.syntax");
  EXPECT_EQ(code("[]"), "data.empty");
  EXPECT_EQ(code(R"({"messages": []})"), "data.empty");
  for (const char* json : {"3", "{}", "[3]", R"([{"content": "a"}])", R"([{"role": 1, "content": "a"}])",
                           R"([{"role": "user"}])", R"([{"role": "user", "content": 3}])",
                           R"({"messages": 3})", R"({"messages": [], "temperature": 1})",
                           R"({"messages": [{"role": "user", "content": "a"}], "tools": {}})"})
    EXPECT_EQ(code(json), "data.field") << json;
  const auto error =
      test::error_of([] { parse_chat(R"({"messages": [{"role": "user", "content": 3}]})", "c.json"); });
  EXPECT_EQ(error->where, "/messages/0/content");
  EXPECT_EQ(error->file, "c.json");
}

TEST(ChatFile, ToolsAreAList) {
  EXPECT_EQ(parse_tools(" [ {} ] ", "tools.json"), "[{}]");
  EXPECT_EQ(test::code_of([] { parse_tools("{}", "tools.json"); }), "data.field");
}

TEST(ChatFile, PromptsAreConversationsOfOneMessage) {
  using Texts = std::vector<std::string>;
  const auto parse = [](std::string_view text) {
    Texts prompts;
    for (const Conversation& messages : parse_conversations(text, "standard input")) {
      EXPECT_EQ(messages.size(), 1U);
      EXPECT_EQ(messages.back().role, "user");
      prompts.push_back(messages.back().content);
    }
    return prompts;
  };
  EXPECT_EQ(parse("One, \"quoted\"\n\n\"Quoted\", two\r\nthree"),
            (Texts{"One, \"quoted\"", "\"Quoted\", two", "three"}));
  EXPECT_EQ(parse("[\"P\", {\"goal\": \"G\"}]"), (Texts{"P", "G"}));
  EXPECT_EQ(parse("\n{\"prompt\": \"P\"}\n\"bare\"\n"), (Texts{"P", "bare"}));
  EXPECT_EQ(parse("id,\"prompt\"\n1,\"a, b\"\n"), (Texts{"a, b"}));
  const auto error = test::error_of([&] { parse("good\nb\xFF\n"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "data.utf8");
  EXPECT_EQ(error->file, "standard input");
  EXPECT_EQ(error->where, "line 2, byte 1");
  EXPECT_EQ(test::code_of([&] { parse(""); }), "data.empty");
  EXPECT_EQ(test::code_of([&] { parse(" \n"); }), "data.empty");
  EXPECT_EQ(test::code_of([&] { parse("{"); }), "data.json");
}

TEST(ChatFile, RowsWithMessagesAreConversations) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
      {"role": "user", "content": "c"}], "source": 3})";
  std::string line = row;
  std::erase(line, '\n');
  const auto all = parse_conversations(line + "\n{\"prompt\": \"d\"}\n", "rows.jsonl");
  ASSERT_EQ(all.size(), 2U);
  ASSERT_EQ(all[0].size(), 3U);
  EXPECT_EQ(all[0][1].role, "assistant");
  EXPECT_EQ(all[0][2].content, "c");
  EXPECT_EQ(all[1][0].content, "d");
  EXPECT_EQ(parse_conversations("[" + row + "]", "rows.json").size(), 1U);
  for (const auto& [text, expected] : {std::pair(R"({"messages": []})", "data.empty"),
                                       {R"({"messages": "a"})", "data.field"},
                                       {R"({"messages": [{"content": "a"}]})", "data.field"},
                                       {R"({"messages": [{"role": "user", "content": 3}]})", "data.field"},
                                       {R"({"messages": null})", "data.field"}}) {
    const auto error =
        test::error_of([&] { parse_conversations("{\"prompt\": \"p\"}\n" + std::string(text), "rows"); });
    ASSERT_TRUE(error) << text;
    EXPECT_EQ(error->code, expected) << text;
    EXPECT_TRUE(error->where.starts_with("line 2, /messages")) << error->where;
  }
}

}  // namespace
}  // namespace safetylock
