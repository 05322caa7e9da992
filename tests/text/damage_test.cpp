// Every prefix and damaged byte of the text half's files; those of tokenizer.model stand in
// sentencepiece_damage_test.cpp.
#include "support/damage.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "safetylock/chat_template.h"
#include "safetylock/tokenizer.h"
#include "support/temporary.h"
#include "text/tiny_sentencepiece.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

using test::Cut;
using test::damage_everywhere;

void encode_some(const Tokenizer& tokenizer) {
  (void)tokenizer.decode(tokenizer.encode("hello <|a|> w\u00E9rld <s>").ids);
}

TEST(Damage, F5_TokenizerJson) {
  damage_everywhere(test::tiny_tokenizer().dump(), Cut::must_be_refused, [](const std::string& bytes) {
    encode_some(Tokenizer::from_tokenizer_json_text(bytes, "tokenizer.json"));
  });
}

TEST(Damage, F5_FilesBesideTokenizerModel) {
  const test::TemporaryFolder folder;
  const auto damage = [&](const std::string& name) {
    damage_everywhere(test::read_all(folder.path(name)), Cut::must_be_refused, [&](const std::string& bytes) {
      std::filesystem::remove(folder.path(name));  // writing over a file waits for the disk
      folder.write(name, bytes);
      encode_some(Tokenizer::from_pretrained(folder.path()));
    });
  };
  folder.write("tokenizer.model", test::tiny_sentencepiece().serialised());
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "legacy": false})");
  folder.write("special_tokens_map.json", R"({"bos_token": {"content": "<s>", "lstrip": false}})");
  folder.write("added_tokens.json", R"({"<more>": 279})");
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    SCOPED_TRACE(name);
    const std::string sound = test::read_all(folder.path(name));
    damage(name);
    folder.write(name, sound);
  }
}

TEST(Damage, F5_ChatTemplate) {
  const std::string source =
      "{%- macro show(m, n=2) -%}{{ m.content[:n] | upper }}{%- endmacro -%}\n"
      "{%- for m in messages if m.role != 'x' -%}\n  {{- '<' + m['role'] ~ '>' }} {{ show(m, n=loop.index * "
      "3) }}\n"
      "  {%- set ns = namespace(a=[1, 2.5, none]) %}{% set ns.a = ns.a + ['\\u00e9'] %}{{ ns.a | tojson }}\n"
      "{%- else %}none{% endfor %}{{ '!' if add_generation_prompt else \"?\" }}{# end #}";
  damage_everywhere(source, Cut::may_be_sound, [](const std::string& bytes) {
    try {
      const ChatTemplate chat_template(bytes, "<s>", "</s>");
      (void)chat_template.render({{"user", "hello"}, {"assistant", "w\u00E9rld"}},
                                 {.add_generation_prompt = true});
    } catch (const Error& e) {
      ErrorFields fields = e.fields();
      fields.file = "template";  // it came from memory
      throw Error(fields);
    }
  });
}

TEST(Damage, F5_ChatTemplateInTokenizerConfig) {
  const test::TemporaryFolder folder;
  const std::string sound = R"({"bos_token": {"content": "<s>"}, "chat_template": [{"name": "default",
                               "template": "{{ bos_token ~ messages[0].content }}"}]})";
  damage_everywhere(sound, Cut::must_be_refused, [&](const std::string& bytes) {
    folder.write("tokenizer_config.json", bytes);
    (void)ChatTemplate::from_pretrained(folder.path());
  });
}

}  // namespace
}  // namespace safetylock
