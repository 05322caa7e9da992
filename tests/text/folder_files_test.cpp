// The text half's files of a model's folder: links (X4) and files that are something else (F12).
#include <gtest/gtest.h>

#include <filesystem>

#include "safetylock/chat_template.h"
#include "safetylock/tokenizer.h"
#include "support/errors.h"
#include "support/temporary.h"
#include "text/tiny_sentencepiece.h"
#include "text/tiny_tokenizer.h"

namespace safetylock {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";

class FolderFiles : public testing::Test {
 protected:
  FolderFiles() {
    folder_.write("tokenizer.model", test::tiny_sentencepiece().serialised());
    folder_.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
    folder_.write("special_tokens_map.json", "{}");
    folder_.write("added_tokens.json", R"({"<more>": 279})");
  }
  std::optional<ErrorFields> tokenizer_error() {
    return test::error_of([&] { (void)Tokenizer::from_pretrained(folder_.path()); });
  }
  std::string tokenizer_code() {
    const auto e = tokenizer_error();
    return e ? e->code : "no error";
  }
  std::string template_code() {
    return test::code_of([&] { (void)ChatTemplate::from_pretrained(folder_.path()); });
  }
  // Moves the file out of the folder and leaves a link to it.
  void link_out(const std::string& name) {
    fs::rename(folder_.path(name), outside_.path(name));
    fs::create_symlink(outside_.path(name), folder_.path(name));
  }

  test::TemporaryFolder folder_, outside_;
};

TEST_F(FolderFiles, X4_FilesOfASentencepieceTokenizerMayNotBeLinksOutOfTheFolder) {
  for (const char* name :
       {"tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    ASSERT_EQ(tokenizer_code(), "no error");
    link_out(name);
    EXPECT_EQ(tokenizer_code(), "io.link") << name;
    fs::remove(folder_.path(name));
    fs::rename(outside_.path(name), folder_.path(name));
  }
}

TEST_F(FolderFiles, X4_TemplatesMayNotBeLinksOutOfTheFolder) {
  for (const char* name :
       {"chat_template.jinja", "additional_chat_templates/default.jinja", "chat_template.json"}) {
    const bool json = std::string_view(name).ends_with("json");
    folder_.write(name, json ? R"({"chat_template": "x"})" : "x");
    fs::create_directory(outside_.path("additional_chat_templates"));
    ASSERT_EQ(template_code(), "no error") << name;
    link_out(name);
    EXPECT_EQ(template_code(), "io.link") << name;
    fs::remove(folder_.path(name));
    fs::remove_all(outside_.path("additional_chat_templates"));
  }
}

// Half a download: tokenizer.json would go first, so tokenizer.model may not take its place.
TEST_F(FolderFiles, F1_LinksToNothingAreNotPassedOver) {
  for (const char* name : {"special_tokens_map.json", "added_tokens.json", "tokenizer.json"}) {
    fs::remove(folder_.path(name));
    fs::create_symlink("nothing", folder_.path(name));
    EXPECT_EQ(tokenizer_code(), "io.open") << name;
    fs::remove(folder_.path(name));
  }
}

// Each a hole of a terabyte.
TEST_F(FolderFiles, F8_EveryFileHasALimit) {
  for (const char* name : {"tokenizer.model", "added_tokens.json", "special_tokens_map.json",
                           "tokenizer_config.json", "tokenizer.json"}) {
    fs::resize_file(folder_.write(name, "{"), std::uint64_t{1} << 40);
    EXPECT_EQ(tokenizer_code(), "limit.file_size") << name;
  }
  folder_.write("tokenizer_config.json", "{}");
  folder_.write("special_tokens_map.json", "{}");
  for (const char* name : {"chat_template.json", "chat_template.jinja"}) {
    fs::resize_file(folder_.write(name, "{"), std::uint64_t{1} << 40);
    EXPECT_EQ(template_code(), "limit.file_size") << name;
  }
}

TEST_F(FolderFiles, F12_PointersAndPagesAreNamed) {
  for (const char* name :
       {"tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"}) {
    const std::string sound = test::read_all(folder_.path(name));
    folder_.write(name, kPointer);
    const auto e = tokenizer_error();
    ASSERT_TRUE(e) << name;
    EXPECT_EQ(e->code, "io.wrong_format") << name;
    EXPECT_EQ(e->file, folder_.path(name));
    EXPECT_EQ(e->found, "a git-lfs pointer");
    folder_.write(name, sound);
  }
  folder_.write("tokenizer.json", "<html>");
  EXPECT_EQ(tokenizer_code(), "io.wrong_format");
  folder_.write("tokenizer.json", "nonsense");
  EXPECT_EQ(tokenizer_code(), "json.syntax");
}

// Sound Jinja, all of it text.
TEST_F(FolderFiles, F12_TemplatesAreNoPointersOrPages) {
  folder_.write("chat_template.jinja", "{{ messages[0].content }}");
  ASSERT_EQ(template_code(), "no error");
  for (const char* bytes : {kPointer, "<!doctype html><html>"}) {
    folder_.write("chat_template.jinja", bytes);
    EXPECT_EQ(template_code(), "io.wrong_format");
  }
}

TEST_F(FolderFiles, F11_PathsArePrintedEscaped) {
  const std::string odd = folder_.path("new\nline");
  fs::create_directory(odd);
  fs::copy(folder_.path("tokenizer.model"), odd + "/tokenizer.model");
  const auto e = test::error_of([&] { (void)Tokenizer::from_pretrained(odd); });
  ASSERT_TRUE(e);
  EXPECT_EQ(e->file, folder_.path("new\\x0Aline/tokenizer_config.json"));
}

}  // namespace
}  // namespace safetylock
