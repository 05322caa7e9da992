// The tokenizer's tokens against the rows of the embedding.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/temporary.h"
#include "support/tiny_model.h"

namespace safetylock {
namespace {

using Json = nlohmann::ordered_json;

// The error of loading a tiny model whose tokenizer has `added` more tokens, or fewer.
std::optional<ErrorFields> load(const std::string& name, int added) {
  const test::TemporaryFolder folder;
  std::filesystem::copy(test::tiny_model_path(name), folder.path());
  Json tokenizer = Json::parse(test::read_all(folder.path("tokenizer.json")));
  Json& tokens = tokenizer["added_tokens"];
  for (; added < 0; ++added) tokens.erase(tokens.size() - 1);
  for (int i = 0; i < added; ++i) {
    Json token = tokens.back();
    token["id"] = token["id"].get<int>() + 1;
    token["content"] = "<added " + std::to_string(i) + ">";
    tokens.push_back(token);
  }
  folder.write("tokenizer.json", tokenizer.dump());
  return test::error_of([&] { CausalLM::from_pretrained(folder.path(), {.device = "cpu"}); });
}

TEST(Vocabulary, T10_TokensWithoutARowInTheEmbedding) {
  for (const std::string name : {"llama_gqa", "llama_tied", "qwen2"}) {
    const std::string rows =
        std::to_string(Checkpoint::open(test::tiny_model_path(name))->config().vocab_size);
    const auto error = load(name, 300);
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->code, "cfg.vocab");
    EXPECT_EQ(error->where, "tokenizer");
    EXPECT_NE(error->expected.find("at most " + rows + " tokens"), std::string::npos) << error->expected;
    EXPECT_GT(std::stoi(error->found), std::stoi(rows));
  }
}

TEST(Vocabulary, T10_RowsWithoutATokenAreAllowed) {
  EXPECT_FALSE(load("llama_gqa", 0));
  EXPECT_FALSE(load("llama_gqa", -1));
}

}  // namespace
}  // namespace safetylock
