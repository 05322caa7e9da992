// Origin of text, refusals, limits and where templates are found.
#include "safetylock/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/errors.h"
#include "support/gguf_builder.h"
#include "support/temporary.h"
#include "text/chat_messages.h"

namespace safetylock {
namespace {

using test::code_of;
using test::error_of;
using testing::HasSubstr;

constexpr int kTemplate = RenderedPrompt::kTemplate;
constexpr int kCaller = RenderedPrompt::kCaller;

const std::string kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

RenderedPrompt render(const std::string& source, const std::vector<ChatMessage>& messages,
                      const ChatTemplateOptions& options = {}) {
  return ChatTemplate(source, "<s>", "</s>").render(messages, options);
}

std::string text_of(const std::string& source, const std::string& variables = "") {
  ChatTemplateOptions options;
  options.variables_json = variables;
  return render(source, {{"user", "Hi", ""}}, options).text;
}

// "text:origin" of every span.
std::vector<std::string> spans(const RenderedPrompt& prompt) {
  std::vector<std::string> parts;
  for (const auto& span : prompt.spans) {
    parts.push_back(prompt.text.substr(span.begin, span.end - span.begin) + ":" +
                    std::to_string(span.message));
  }
  return parts;
}

std::vector<std::string> spans(const std::string& source, const std::string& content) {
  return spans(render(source, {{"user", content, ""}}));
}

std::string span_text(const RenderedPrompt& prompt, int message) {
  const auto span = prompt.span_of(message);
  return prompt.text.substr(span.begin, span.end - span.begin);
}

TEST(ChatTemplateSpans, ReplyIsExactlyItsContent) {
  const RenderedPrompt prompt = render(kChatMl, {{"user", "Hi <|im_end|>", ""}, {"assistant", "Ahoy\n", ""}});
  EXPECT_EQ(prompt.text,
            "<|im_start|>user\nHi <|im_end|><|im_end|>\n<|im_start|>assistant\nAhoy\n<|im_end|>\n");
  EXPECT_EQ(span_text(prompt, 1), "Ahoy\n");
  EXPECT_EQ(span_text(prompt, 0), "Hi <|im_end|>");
  EXPECT_THAT(spans(prompt), testing::ElementsAre("<|im_start|>:-1", "user:-2", "\n:-1", "Hi <|im_end|>:0",
                                                  "<|im_end|>\n<|im_start|>:-1", "assistant:-2", "\n:-1",
                                                  "Ahoy\n:1", "<|im_end|>\n:-1"));
}

TEST(ChatTemplateSpans, MessageLeftOutHasNone) {
  const RenderedPrompt prompt = render("{{ messages[0].content }}", {{"user", "a", ""}, {"user", "b", ""}});
  EXPECT_EQ(code_of([&] { prompt.span_of(1); }), "template.span");
  EXPECT_EQ(code_of([&] { prompt.span_of(7); }), "template.span");
}

TEST(ChatTemplateSpans, SurviveOperationsOnText) {
  const std::string content = "{{ messages[0].content";
  EXPECT_THAT(spans(content + "[1:3] }}", "abcd"), testing::ElementsAre("bc:0"));
  EXPECT_THAT(spans(content + "[::-1] ~ '!' }}", "ab"), testing::ElementsAre("ba:0", "!:-1"));
  EXPECT_THAT(spans(content + "|trim|upper }}", " ab "), testing::ElementsAre("AB:0"));
  EXPECT_THAT(spans(content + ".split('|')|join('+') }}", "a|b"), testing::ElementsAre("a:0", "+:-1", "b:0"));
  EXPECT_THAT(spans(content + ".replace('b', '<>') }}", "abc"), testing::ElementsAre("a:0", "<>:-1", "c:0"));
  EXPECT_THAT(spans("{{ 'xyz'.replace('y', messages[0].content) }}", "b"),
              testing::ElementsAre("x:-1", "b:0", "z:-1"));
  EXPECT_THAT(spans("{% set x %}[{{ messages[0].content }}]{% endset %}{{ x }}", "a"),
              testing::ElementsAre("[:-1", "a:0", "]:-1"));
  EXPECT_THAT(spans("{% macro m(x) %}<{{ x|title }}>{% endmacro %}{{ m(messages[0].content) }}", "ab cd"),
              testing::ElementsAre("<:-1", "Ab Cd:0", ">:-1"));
  EXPECT_THAT(spans("{% for c in messages[0].content %}{{ c }}.{% endfor %}", "ab"),
              testing::ElementsAre("a:0", ".:-1", "b:0", ".:-1"));
  EXPECT_THAT(spans("{{ messages|map(attribute='content')|join(', ') * 2 }}", "a"),
              testing::ElementsAre("aa:0"));
  EXPECT_THAT(spans(content + "|tojson }}", "a"), testing::ElementsAre("\"a\":0"));
  EXPECT_THAT(spans("{{ ('<b>'|safe) + messages[0].content }}", "a<"),
              testing::ElementsAre("<b>:-1", "a&lt;:0"));
  EXPECT_THAT(spans("{{ [1, messages[0].content] }}", "a"), testing::ElementsAre("[1, 'a']:0"));
  EXPECT_THAT(spans("{{ [1, 'b'] }}{{ ['b']|tojson }}", "a"), testing::ElementsAre("[1, 'b'][\"b\"]:-1"));
}

TEST(ChatTemplateSpans, MixedPiecesBelongToTheCaller) {
  const RenderedPrompt prompt = render("{{ [messages[0].content, messages[1].content]|tojson }}",
                                       {{"user", "a", ""}, {"user", "b", ""}});
  EXPECT_THAT(spans(prompt), testing::ElementsAre("[\"a\", \"b\"]:-2"));
}

TEST(ChatTemplateSpans, ToolsAndVariablesBelongToTheCaller) {
  ChatTemplateOptions options;
  options.tools_json = R"([{"name": "<|im_end|>"}])";
  options.variables_json = R"({"v": "<|im_end|>"})";
  const auto prompt = render("{{ tools|tojson }}{{ v }}{{ tools[0].name }}{{ bos_token }}", {}, options);
  EXPECT_THAT(spans(prompt),
              testing::ElementsAre("[{\"name\": \"<|im_end|>\"}]<|im_end|><|im_end|>:-2", "<s>:-1"));
}

TEST(ChatTemplateSpans, ExtraKeysBelongToTheirMessage) {
  const auto prompt = render("{{ messages[0].tool_calls[0].name }}{{ messages[0]|tojson }}",
                             {{"assistant", "", R"({"tool_calls": [{"name": "<|im_end|>"}]})"}});
  ASSERT_EQ(prompt.spans.size(), 2U);
  EXPECT_EQ(prompt.spans[0].message, 0);
  EXPECT_EQ(prompt.spans[1].message, kCaller);  // the role is in it
  EXPECT_NE(prompt.spans[1].message, kTemplate);
}

TEST(ChatTemplateSpans, OfTheGenerationPromptAreTheTemplates) {
  const auto prompt = render(kChatMl, {}, {.add_generation_prompt = true});
  EXPECT_THAT(spans(prompt), testing::ElementsAre("<|im_start|>assistant\n:-1"));
}

struct Refusal {
  const char* source;
  const char* code;
  int line;
};

class ChatTemplateRefusals : public testing::TestWithParam<Refusal> {};

TEST_P(ChatTemplateRefusals, B13_NamesTheLine) {
  const auto error = error_of([&] { text_of(GetParam().source); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, GetParam().code);
  EXPECT_EQ(error->where, "template line " + std::to_string(GetParam().line));
}

constexpr const char* kUnsupported = "template.unsupported";
constexpr const char* kSyntax = "template.syntax";
constexpr const char* kType = "template.type";

INSTANTIATE_TEST_SUITE_P(
    Unknown, ChatTemplateRefusals,
    testing::Values(
        Refusal{"a\n{{ 1|nosuchfilter }}", kUnsupported, 2},
        Refusal{"{% if false %}\n{{ 1|nosuch }}{% endif %}", kUnsupported, 2},
        Refusal{"\n\n{{ 1 is nosuchtest }}", kUnsupported, 3}, Refusal{"{% nosuchtag %}", kUnsupported, 1},
        Refusal{"a\n\n{% include 'x' %}", kUnsupported, 3}, Refusal{"{% import 'x' as y %}", kUnsupported, 1},
        Refusal{"{% from 'x' import y %}", kUnsupported, 1}, Refusal{"{% extends 'x' %}", kUnsupported, 1},
        Refusal{"{% block x %}{% endblock %}", kUnsupported, 1},
        Refusal{"{% autoescape true %}{% endautoescape %}", kUnsupported, 1},
        Refusal{"{% call f() %}{% endcall %}", kUnsupported, 1}, Refusal{"{% print 1 %}", kUnsupported, 1},
        Refusal{"{% for x in [1] recursive %}{% endfor %}", kUnsupported, 1},
        Refusal{"{{ 1\n|forceescape }}", kUnsupported, 2}, Refusal{"{{ ('a'|safe)[1:] }}", kUnsupported, 1},
        Refusal{"{{ 'a'|safe|upper }}", kUnsupported, 1},
        Refusal{"{{ ('a'|safe).strip() }}", kUnsupported, 1},
        Refusal{"{{ {'a': 1}['a'|safe] }}", kUnsupported, 1},
        Refusal{"{{ ('a'|safe) * 2 }}", kUnsupported, 1}, Refusal{"{{ ['a'|safe] }}", kUnsupported, 1},
        Refusal{"{{ ['a'|safe]|sort }}", kUnsupported, 1}, Refusal{"{{ 'a'|escape }}", kUnsupported, 1},
        Refusal{"{{ x.__class__ }}", kUnsupported, 1}, Refusal{"\n{{ ''['__class__'] }}", kUnsupported, 2},
        Refusal{"{{ ''|map(attribute='__class__')|list }}{{ ['a']|map(attribute='__class__')|list }}",
                kUnsupported, 1},
        Refusal{"{{ 'a'.format(1) }}", kUnsupported, 1}, Refusal{"{{ '%s' % 1 }}", kUnsupported, 1},
        Refusal{"{{ messages.append(1) }}", kUnsupported, 1},
        Refusal{"{{ messages[0].update({}) }}", kUnsupported, 1},
        Refusal{"{{ 'é'.title() }}", kUnsupported, 1}, Refusal{"{{ 'Σ'|lower }}", kUnsupported, 1},
        Refusal{"{{ [1]|map('nosuch')|list }}", kUnsupported, 1},
        Refusal{"{{ [1]|select('nosuch')|list }}", kUnsupported, 1},
        Refusal{"{{ [1]|map('upper') }}", kUnsupported, 1}, Refusal{"{{ range }}", kUnsupported, 1},
        Refusal{"{{ [].append }}", kUnsupported, 1}, Refusal{"{{ lipsum() }}", kUnsupported, 1},
        Refusal{"{{ cycler(1) }}", kUnsupported, 1}, Refusal{"{{ f(*[1]) }}", kUnsupported, 1},
        Refusal{"{{ f(**{}) }}", kUnsupported, 1}, Refusal{"{{ 0x10 }}", kUnsupported, 1},
        Refusal{"{{ 99999999999999999999 }}", kUnsupported, 1},
        Refusal{"{{ 9223372036854775807 + 1 }}", kUnsupported, 1}, Refusal{"{{ 2 ** 64 }}", kUnsupported, 1},
        Refusal{"{{ 2 ** -1 }}", kUnsupported, 1}, Refusal{"{{ '\\N{DASH}' }}", kUnsupported, 1},
        Refusal{"{{ '\\ud83d' }}", kUnsupported, 1},
        Refusal{"{% set ns = namespace(_x=1) %}", kUnsupported, 1},
        Refusal{"{% set ns = namespace() %}{% set ns._x = 1 %}", kUnsupported, 1},
        Refusal{"{% macro m() %}{{ caller() }}{% endmacro %}", kUnsupported, 1},
        Refusal{"{% macro m() %}{{ kwargs }}{% endmacro %}", kUnsupported, 1},
        Refusal{"{{ strftime_now('%c') }}", kUnsupported, 1},
        Refusal{"{% for x in [1] %}{% macro m() %}{% endmacro %}{% set ns = x %}{% endfor %}{{ loop.index }}",
                kType, 1},
        Refusal{"{% set ns = namespace() %}{% for x in [1] %}{% macro m() %}{% endmacro %}{% set ns.m = m "
                "%}{% endfor %}\n{{ ns.m() }}",
                kUnsupported, 2},
        Refusal{
            "{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.l = loop %}{% endfor %}{{ ns.l.last }}",
            kUnsupported, 1}));

INSTANTIATE_TEST_SUITE_P(
    Broken, ChatTemplateRefusals,
    testing::Values(Refusal{"a\n{{ 1 +\n}}", kSyntax, 3}, Refusal{"\n{# open", kSyntax, 2},
                    Refusal{"{% if 1 %}\n\n", kSyntax, 2}, Refusal{"{{ 'open\n\n", kSyntax, 1},
                    Refusal{"\n{% endfor %}", kUnsupported, 2}, Refusal{"{{ a[] }}", kSyntax, 1},
                    Refusal{"{{ '\\x1' }}", kSyntax, 1}, Refusal{"{{ '\\U00110000' }}", kSyntax, 1},
                    Refusal{"{% continue %}", kSyntax, 1},
                    Refusal{"{% for x in [] %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", kSyntax,
                            1},
                    Refusal{"{{ f(a=1, a=2) }}", kSyntax, 1}));

INSTANTIATE_TEST_SUITE_P(WrongTypes, ChatTemplateRefusals,
                         testing::Values(Refusal{"a\n{{ nosuch.attribute }}", kType, 2},
                                         Refusal{"a\n\n{{ 'a' + 1 }}", kType, 3},
                                         Refusal{"{{ [1,\n2] + none }}", kType, 1},
                                         Refusal{"{{ nosuch() }}", kType, 1},
                                         Refusal{"{% for a, b in [1] %}{% endfor %}", kType, 1},
                                         Refusal{"\n{{ raise_exception('no') }}", "template.error", 2}));

TEST(ChatTemplateLimits, StepsAreCounted) {
  const auto loops = [](int depth) {
    std::string source = "x";
    for (int i = 0; i < depth; ++i) source = "{% for i in range(1000) %}" + source + "{% endfor %}";
    return source;
  };
  EXPECT_EQ(text_of(loops(1)).size(), 1000U);
  EXPECT_EQ(code_of([&] { text_of(loops(4)); }), "limit.template_steps");
  EXPECT_EQ(code_of([] { text_of("{{ (range(100000)|list * 10000)|length }}"); }), "limit.template_steps");
  EXPECT_EQ(code_of([] {
              text_of(
                  "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% "
                  "endfor %}");
            }),
            "limit.template_steps");
  // A value of 2^40 elements in 40 objects.
  const std::string shared =
      "{% set ns = namespace(l=[1]) %}{% for i in range(40) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}";
  EXPECT_EQ(code_of([&] { text_of(shared + "{{ ns.l == [ns.l[0], ns.l[1]] }}"); }), "limit.template_steps");
  EXPECT_THAT(code_of([&] { text_of(shared + "{{ ns.l|tojson }}"); }), HasSubstr("limit.template_"));
}

TEST(ChatTemplateLimits, TextIsBounded) {
  EXPECT_EQ(code_of([] { text_of("{{ 'abcdefgh' * 100000000 }}"); }), "limit.template_output");
  EXPECT_EQ(code_of([] { text_of("{{ 'a' * 9223372036854775807 }}"); }), "limit.template_output");
  EXPECT_EQ(code_of([] {
              text_of(
                  "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% "
                  "endfor %}");
            }),
            "limit.template_output");
  EXPECT_EQ(code_of([] { text_of("{% set s = 'a' * 4000 %}{{ s.replace('a', s) }}"); }), "no error");
  EXPECT_EQ(code_of([] { text_of("{% set s = 'a' * 5000 %}{{ s.replace('a', s) }}"); }),
            "limit.template_output");
  EXPECT_EQ(code_of([] { text_of("{% set s = 'a' * 10000000 %}{{ s }}{{ s }}"); }), "limit.template_output");
  EXPECT_EQ(code_of([] { text_of("{{ [1]|tojson(indent=99999999) }}"); }), "limit.template_output");
  EXPECT_EQ(code_of([] { text_of("{{ 'a\nb'|indent(99999999) }}"); }), "limit.template_output");
}

std::string repeat(const std::string& text, size_t times) {
  std::string result;
  for (size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST(ChatTemplateLimits, SyntaxIsNotTooDeep) {
  const auto nested = [](const std::string& open, const std::string& close, size_t depth) {
    return code_of(
        [&] { ChatTemplate("{{ " + repeat(open, depth) + "1" + repeat(close, depth) + " }}", "", ""); });
  };
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"(", ")"},  {"[", "]"},   {"{1: ", "}"},        {"not ", ""},   {"- ", ""},        {"x(", ")"},
      {"x[", "]"}, {"1 + ", ""}, {"1 if 1 else ", ""}, {"1 and ", ""}, {"1 is eq(", ")"}, {"x|join(", ")"}};
  for (const auto& [open, close] : kinds) {
    EXPECT_EQ(nested(open, close, 20), "no error") << open;
    EXPECT_EQ(nested(open, close, 100000), "limit.template_depth") << open;
  }
  for (const std::string chain : {" + 1", ".x", "[0]", "|trim", "()"}) {
    EXPECT_EQ(code_of([&] { ChatTemplate("{{ x" + repeat(chain, 100000) + " }}", "", ""); }),
              "limit.template_depth")
        << chain;
  }
  EXPECT_EQ(code_of([] { ChatTemplate(repeat("{% if 1 %}", 50) + repeat("{% endif %}", 50), "", ""); }),
            "no error");
  EXPECT_EQ(code_of([] { ChatTemplate(repeat("{% if 1 %}", 100000), "", ""); }), "limit.template_depth");
  EXPECT_EQ(code_of([] { ChatTemplate(std::string(5U << 20U, 'a'), "", ""); }), "limit.template_source");
  EXPECT_EQ(code_of([] { text_of("{% set " + repeat("(", 100000) + "a" + repeat(")", 100000) + " = 1 %}"); }),
            "limit.template_depth");
}

TEST(ChatTemplateLimits, LongTemplatesAreReadInTime) {
  std::string branches = "{% if 0 %}";
  std::string sets;
  for (int i = 0; i < 40000; ++i) {
    const std::string set = "{% set v" + std::to_string(i) + " = 1 %}";
    branches += "{% elif 0 %}" + set;
    sets += "{% if 1 %}" + set + "{% endif %}";
  }
  EXPECT_EQ(text_of(branches + "{% endif %}x"), "x");
  EXPECT_EQ(text_of("{% macro m() %}" + sets + "{% endmacro %}x"), "x");
}

TEST(ChatTemplateLimits, EvaluationIsNotTooDeep) {
  EXPECT_EQ(code_of([] { text_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"); }),
            "limit.template_depth");
  const std::string nest = "{% set ns = namespace(l=[]) %}{% for i in range(90000) %}{% set ns.l = ";
  EXPECT_EQ(code_of([&] { text_of(nest + "[ns.l] %}{% endfor %}"); }), "limit.template_depth");
  EXPECT_EQ(code_of([&] { text_of(nest + "{1: ns.l} %}{% endfor %}"); }), "limit.template_depth");
  EXPECT_EQ(code_of([&] { text_of(nest + "[ns.l]|select %}{% endfor %}"); }), "limit.template_depth");
  EXPECT_EQ(code_of([&] { text_of(nest + "[loop] %}{% endfor %}"); }), "no error");
}

// Whatever stands between one call of a macro and the next: the stack holds until the limit.
TEST(ChatTemplateLimits, RecursionOfEveryShapeEnds) {
  const std::vector<std::string> bodies = {"{% for i in [1] %}{{ m() }}{% endfor %}",
                                           "{% for i in [1] if m() %}{% endfor %}",
                                           "{% if m() %}{% endif %}",
                                           "{% set x %}{{ m() }}{% endset %}",
                                           "{% set x | trim | upper %}{{ m() }}{% endset %}",
                                           "{% filter trim %}{{ m() }}{% endfilter %}",
                                           "{% with x = m() %}{% endwith %}",
                                           "{% generation %}{{ m() }}{% endgeneration %}",
                                           "{{ [m()] }}",
                                           "{{ {1: m()} }}",
                                           "{{ m().x }}",
                                           "{{ x[m()] }}",
                                           "{{ 'a'[m():1] }}",
                                           "{{ 'a'|replace('a', m()) }}",
                                           "{{ 1 is eq(m()) }}",
                                           "{{ m() if m() else m() }}",
                                           "{{ 1 and m() }}",
                                           "{{ - m() }}",
                                           "{{ 1 + m() }}",
                                           "{{ 1 ~ m() }}",
                                           "{{ 1 < m() }}",
                                           "{{ dict(x=m()) }}",
                                           "{% macro inner(x=m()) %}{% endmacro %}{{ inner() }}"};
  for (const std::string& body : bodies) {
    EXPECT_EQ(code_of([&] { text_of("{% macro m() %}" + body + "{% endmacro %}{{ m() }}"); }),
              "limit.template_depth")
        << body;
  }
}

TEST(ChatTemplateLimits, NamespacesMayHoldEachOther) {
  EXPECT_EQ(
      text_of("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a.b.a.b.a == a }}"),
      "True");
  EXPECT_EQ(code_of([] { text_of("{% set a = namespace() %}{% set a.a = a %}{{ a }}"); }),
            "limit.template_depth");
  EXPECT_EQ(
      text_of("{% set ns = namespace(n=none) %}{% for i in range(90000) %}{% set ns.n = namespace(n=ns.n) %}"
              "{% endfor %}ok"),
      "ok");
}

TEST(ChatTemplateMessages, MayHaveNoContentAtAll) {
  const char* kinds =
      "{% for m in messages %}{{ 'content' in m }} {{ m.content is defined }} {{ m.content }};{% endfor %}";
  const ChatMessage without{.role = "assistant", .content = {}, .without_content = true};
  EXPECT_EQ(render(kinds, {without, {"user", ""}, {"user", "", R"({"content": null})"}}).text,
            "False False ;True True ;True True None;");
  const auto code = [&](ChatMessage message) {
    message.without_content = true;
    return code_of([&] { render(kinds, {message}); });
  };
  EXPECT_EQ(code({"user", "Hi"}), "arg.prompt");
  EXPECT_EQ(code({"user", "", R"({"content": null})"}), "json.reserved_key");
}

TEST(ChatTemplateOptionsTest, BadTextsAreRefused) {
  const auto code = [](const ChatMessage& message, const std::string& tools, const std::string& variables) {
    ChatTemplateOptions options;
    options.tools_json = tools;
    options.variables_json = variables;
    return code_of([&] { render(kChatMl, {message}, options); });
  };
  const ChatMessage fine{"user", "Hi", ""};
  EXPECT_EQ(code(fine, "[]", "{}"), "no error");
  EXPECT_EQ(code(fine, "{}", ""), "json.type");
  EXPECT_EQ(code(fine, "[", ""), "json.syntax");
  EXPECT_EQ(code(fine, "", "[]"), "json.type");
  EXPECT_EQ(code(fine, "", R"({"messages": []})"), "json.reserved_key");
  EXPECT_EQ(code(fine, "[18446744073709551615]", ""), "template.type");
  EXPECT_EQ(code({"user", "Hi", "[]"}, "", ""), "json.type");
  EXPECT_EQ(code({"user", "Hi", R"({"role": "system"})"}, "", ""), "json.reserved_key");
  EXPECT_EQ(code({"user", "Hi", R"({"content": "Ho"})"}, "", ""), "json.reserved_key");
  EXPECT_EQ(code({"user", "H\xff", ""}, "", ""), "arg.prompt");
  EXPECT_EQ(code({"us\xc0", "Hi", ""}, "", ""), "arg.prompt");
  EXPECT_EQ(code_of([] { ChatTemplate("a\xff", "", ""); }), "template.syntax");
}

TEST(ChatTemplateOptionsTest, MessageOfTheTemplateReachesTheUser) {
  const auto error = error_of([] { text_of("{{ raise_exception('Roles must\n alternate') }}"); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->found, HasSubstr("Roles must"));
  EXPECT_EQ(error->found.find('\n'), std::string::npos);
}

TEST(ChatTemplateOptionsTest, EmptySpecialTokenIsUndefined) {
  const ChatTemplate none("{{ bos_token is defined }}{{ eos_token }}", "", "</s>");
  EXPECT_EQ(none.render({}).text, "False</s>");
}

TEST(ChatTemplateOptionsTest, IsRenderedFromSeveralThreads) {
  const ChatTemplate chat_template(
      "{% macro m(x) %}<{{ x | upper }}>{% endmacro %}{% for x in messages %}{{ m(x.content) }}{{ loop.index "
      "}}"
      "{% endfor %}",
      "", "");
  const std::vector<ChatMessage> messages = {{"user", "a"}, {"assistant", "b"}};
  std::vector<std::thread> threads;
  std::atomic<int> equal{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) equal += chat_template.render(messages).text == "<A>1<B>2" ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, 4 * 50);
}

TEST(ChatTemplateOptionsTest, OwnTemplateMayBeUsedAfterMoves) {
  ChatTemplate first(kChatMl, "", "");
  ChatTemplate second = std::move(first);
  first = ChatTemplate("x", "", "");
  EXPECT_EQ(first.render({}).text, "x");
  EXPECT_EQ(second.render({{"user", "a", ""}}).text, "<|im_start|>user\na<|im_end|>\n");
}

class ChatTemplateFolder : public testing::Test {
 protected:
  std::string rendered(const std::string& tools = "") const {
    ChatTemplateOptions options;
    options.tools_json = tools;
    return ChatTemplate::from_pretrained(folder_.path()).render({{"user", "Hi", ""}}, options).text;
  }
  test::TemporaryFolder folder_;
};

TEST_F(ChatTemplateFolder, OwnFileComesFirst) {
  folder_.write(
      "tokenizer_config.json",
      R"({"chat_template": "config", "bos_token": {"content": "<b>", "lstrip": false}, "eos_token": "<e>"})");
  EXPECT_EQ(rendered(), "config");
  folder_.write("chat_template.jinja", "{{ bos_token ~ messages[0].content ~ eos_token }}\n");
  EXPECT_EQ(rendered(), "<b>Hi<e>");
}

TEST_F(ChatTemplateFolder, NamedTemplates) {
  const char* list =
      R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})";
  const char* object = R"({"chat_template": {"tool_use": "t", "default": "d"}})";
  for (const char* config : {list, object}) {
    folder_.write("tokenizer_config.json", config);
    EXPECT_EQ(rendered(), "d");
    EXPECT_EQ(rendered("[]"), "t");
  }
  folder_.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
  EXPECT_EQ(rendered("[]"), "t");
  const auto error = error_of([&] { rendered(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "template.missing");
  EXPECT_EQ(error->found, "only \"tool_use\"");
}

TEST_F(ChatTemplateFolder, FilesTakeThePlaceOfAllInTheConfig) {
  folder_.write("tokenizer_config.json", R"({"chat_template": {"tool_use": "t", "default": "d"}})");
  folder_.write("additional_chat_templates/rag.jinja", "r");
  EXPECT_EQ(code_of([&] { rendered(); }), "template.missing");
  folder_.write("chat_template.jinja", "own");
  EXPECT_EQ(rendered(), "own");
  EXPECT_EQ(rendered("[]"), "own");
  folder_.write("additional_chat_templates/tool_use.jinja", "tools");
  EXPECT_EQ(rendered("[]"), "tools");
  folder_.write("additional_chat_templates/default.jinja", "additional");
  EXPECT_EQ(rendered(), "additional");
}

TEST_F(ChatTemplateFolder, FileOfOldProcessorsComesLast) {
  folder_.write("chat_template.json", R"({"chat_template": "old"})");
  EXPECT_EQ(rendered(), "old");
  folder_.write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(rendered(), "config");
}

TEST_F(ChatTemplateFolder, SpecialTokensOfTheOlderFile) {
  folder_.write("chat_template.jinja", "{{ bos_token }}{{ eos_token }}");
  folder_.write("special_tokens_map.json", R"({"bos_token": {"content": "<old>"}})");
  EXPECT_EQ(rendered(), "<old>");
  folder_.write("tokenizer_config.json", R"({"bos_token": "<new>", "eos_token": "<e>"})");
  EXPECT_EQ(rendered(), "<old><e>");
  folder_.write("tokenizer_config.json",
                R"({"bos_token": "<new>", "eos_token": "<e>", "added_tokens_decoder": {}})");
  EXPECT_EQ(rendered(), "<new><e>");
}

TEST_F(ChatTemplateFolder, TemplateThatIsNotUsedMayBeBroken) {
  folder_.write("tokenizer_config.json", R"({"chat_template": {"tool_use": "{{", "default": "d"}})");
  EXPECT_EQ(rendered(), "d");
  EXPECT_EQ(code_of([&] { rendered("[]"); }), "template.syntax");
}

TEST_F(ChatTemplateFolder, TooManyTemplates) {
  for (int i = 0; i < 65; ++i)
    folder_.write("additional_chat_templates/" + std::to_string(i) + ".jinja", "x");
  EXPECT_EQ(code_of([&] { rendered(); }), "limit.templates");
}

TEST_F(ChatTemplateFolder, WithoutTemplate) {
  EXPECT_EQ(code_of([&] { rendered(); }), "template.missing");
  folder_.write("tokenizer_config.json", R"({"bos_token": null, "chat_template": null})");
  EXPECT_EQ(code_of([&] { rendered(); }), "template.missing");
  folder_.write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_EQ(code_of([&] { rendered(); }), "cfg.type");
  for (const char* bad :
       {R"({"chat_template": [5]})", R"({"chat_template": {"default": 5}})", R"({"bos_token": 5})"}) {
    folder_.write("tokenizer_config.json", bad);
    EXPECT_EQ(code_of([&] { rendered(); }), "cfg.type") << bad;
  }
  folder_.write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  EXPECT_EQ(code_of([&] { rendered(); }), "cfg.missing");
  EXPECT_EQ(code_of([&] { ChatTemplate::from_pretrained(folder_.path("nothing.gguf")); }), "io.open");
}

TEST_F(ChatTemplateFolder, NamedTemplatesOfGguf) {
  test::GgufBuilder gguf;
  gguf.string("tokenizer.chat_template", "d").string("tokenizer.chat_template.tool_use", "t");
  const auto text = [&](const std::string& tools) {
    ChatTemplateOptions options;
    options.tools_json = tools;
    return ChatTemplate::from_pretrained(folder_.write("m.gguf", gguf.build())).render({}, options).text;
  };
  EXPECT_EQ(text("[]"), "d") << "not named in the list of templates";
  gguf.strings("tokenizer.chat_templates", {"tool_use", "default"});
  EXPECT_EQ(text(""), "d");
  EXPECT_EQ(text("[]"), "t");
  gguf.remove("tokenizer.chat_templates").strings("tokenizer.chat_templates", {"nosuch"});
  EXPECT_EQ(code_of([&] { text(""); }), "cfg.missing");
}

TEST_F(ChatTemplateFolder, ErrorsNameTheFile) {
  folder_.write("chat_template.jinja", "\n{{ 1|nosuch }}");
  const auto error = error_of([&] { rendered(); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->file, folder_.path("chat_template.jinja"));
  EXPECT_EQ(error->where, "template line 2");
}

}  // namespace
}  // namespace safetylock
