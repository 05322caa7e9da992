// Rendered text against jinja2 as transformers configures it (scripts/make_golden_templates.py).
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <cstdlib>

#include "safetylock/error.h"
#include "support/temporary.h"
#include "text/chat_messages.h"

namespace safetylock {
namespace {

using test::OrderedJson;

OrderedJson golden_json(const std::string& name) {
  return OrderedJson::parse(test::golden("templates/" + name));
}

struct Outcome {
  std::string text;
  std::string error;  // code, empty when it rendered
  std::string what;
};

class GoldenTemplates : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    const OrderedJson shared = golden_json("conversations.json");
    conversations_ = shared.at("conversations");
    tools_ = shared.at("tools").dump();
  }

  Outcome render(const std::string& source, const OrderedJson& set, const std::string& conversation,
                 const OrderedJson& variables, bool tools, bool generate) const {
    ChatTemplateOptions options;
    options.add_generation_prompt = generate;
    if (tools) options.tools_json = tools_;
    options.variables_json = variables.dump();
    options.clock = test::golden_now;
    try {
      const ChatTemplate chat_template(source, set.at("bos_token"), set.at("eos_token"));
      const RenderedPrompt prompt =
          chat_template.render(test::messages_of(conversations_.at(conversation)), options);
      check_spans(prompt);
      return {prompt.text, "", ""};
    } catch (const Error& e) {
      EXPECT_NE(e.fields().where.find("template line "), std::string::npos) << e.what();
      return {"", e.code(), e.what()};
    }
  }

  static void check_spans(const RenderedPrompt& prompt) {
    size_t at = 0;
    for (size_t i = 0; i < prompt.spans.size(); ++i) {
      EXPECT_EQ(prompt.spans[i].begin, at);
      EXPECT_GT(prompt.spans[i].end, at);
      const int before = i > 0 ? prompt.spans[i - 1].message : -3;
      EXPECT_NE(prompt.spans[i].message, before);
      at = prompt.spans[i].end;
    }
    EXPECT_EQ(at, prompt.text.size());
  }

  static void check(const OrderedJson& expected, const Outcome& outcome, const std::string& label) {
    if (expected.contains("result")) {
      EXPECT_EQ(outcome.error, "") << label << "\n" << outcome.what;
      EXPECT_EQ(outcome.text, std::string(expected.at("result"))) << label;
    } else {
      EXPECT_NE(outcome.error, "") << label << "\nrendered: " << outcome.text
                                   << "\njinja: " << expected.at("error");
    }
  }

  void check_set(const OrderedJson& set, const std::string& source) const {
    for (const auto& c : set.at("cases")) {
      const std::string conversation = c.at("conversation");
      check(
          c,
          render(source, set, conversation, c.at("variables"), c.at("tools"), c.at("add_generation_prompt")),
          std::string(set.at("name")) + ": " + conversation);
    }
  }

  OrderedJson conversations_;
  std::string tools_;
};

std::string models_folder() {
  if (const char* folder = std::getenv("SAFETYLOCK_MODELS")) return folder;
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) return std::string(cache) + "/safetylock/models";
  return std::string(std::getenv("HOME")) + "/.cache/safetylock/models";
}

TEST_F(GoldenTemplates, PackagedModels) {
  for (const auto& set : golden_json("models.json")) {
    SCOPED_TRACE(set.at("name"));
    const ChatTemplate chat_template =
        ChatTemplate::from_pretrained(models_folder() + "/" + std::string(set.at("name")));
    ASSERT_EQ(chat_template.source(), set.at("template"));
    check_set(set, chat_template.source());
  }
}

TEST_F(GoldenTemplates, OtherFamilies) {
  for (const auto& set : golden_json("families.json")) check_set(set, set.at("template"));
}

TEST_F(GoldenTemplates, Constructs) {
  const OrderedJson set = golden_json("constructs.json");
  for (const auto& c : set.at("cases")) {
    check(c, render(c.at("template"), set, set.at("conversation"), set.at("variables"), true, false),
          c.at("template"));
  }
}

// No prefix of a real template may do anything but render or be refused.
TEST_F(GoldenTemplates, EveryPrefixRendersOrIsRefused) {
  size_t rendered = 0;
  for (const auto& set : golden_json("models.json")) {
    const std::string source = set.at("template");
    for (size_t size = 0; size < source.size(); ++size) {
      if (render(source.substr(0, size), set, "tool call", OrderedJson::object(), true, true).error.empty())
        ++rendered;
    }
  }
  EXPECT_GT(rendered, 0U);
}

}  // namespace
}  // namespace safetylock
