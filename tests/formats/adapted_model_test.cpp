#include "formats/adapted_model.h"

#include <gtest/gtest.h>

#include "support/lora_folder.h"

namespace safetylock {
namespace {

using test::LoraFolder;

const std::string kEmbedding = "model.embed_tokens.weight";
const std::string kHead = "lm_head.weight";

// An adapter merged into a tiny Llama, tied or not.
class AdaptedModelTest : public testing::Test {
 protected:
  const AdaptedModel& merge(bool tied) {
    test::HfFolder base = test::tiny_hf("llama");
    if (tied) base.remove(kHead).config["tie_word_embeddings"] = true;
    folder_ = std::make_unique<test::TemporaryFolder>();
    base.write(*folder_);
    base_ = Checkpoint::open(folder_->path());
    adapter_ = adapter.load();
    model_ = adapted_model(adapter_, *base_);
    return model_;
  }
  std::string code(bool tied) {
    return test::code_of([&] { merge(tied); });
  }
  void save(const std::string& tensor, std::uint64_t rows = 10) {
    adapter.tensor("base_model.model." + tensor, {rows, 8});
  }

  LoraFolder adapter;

 private:
  std::unique_ptr<test::TemporaryFolder> folder_;
  std::unique_ptr<Checkpoint> base_;
  LoraAdapter adapter_;
  AdaptedModel model_;
};

TEST_F(AdaptedModelTest, PlainAdapterKeepsTheBasesTensors) {
  const AdaptedModel& m = merge(false);
  EXPECT_EQ(m.config.vocab_size, 10);
  EXPECT_FALSE(m.config.tie_word_embeddings);
  const AdaptedTensor* q = m.find("model.layers.0.self_attn.q_proj.weight");
  ASSERT_NE(q, nullptr);
  EXPECT_NE(q->base, nullptr);
  EXPECT_NE(q->module, nullptr);
  EXPECT_EQ(q->replacement, nullptr);
  EXPECT_EQ(m.find("none"), nullptr);
  EXPECT_TRUE(merge(true).config.tie_word_embeddings);
}

TEST_F(AdaptedModelTest, ResizedVocabulary) {
  save(kEmbedding, 13);
  EXPECT_EQ(code(false), "lora.shape") << "the head keeps 10 rows";
  save(kHead, 13);
  const AdaptedModel& m = merge(false);
  EXPECT_EQ(m.config.vocab_size, 13);
  EXPECT_EQ(m.find(kHead)->tensor.shape, (std::vector<std::uint64_t>{13, 8}));
}

TEST_F(AdaptedModelTest, C18_EndTokensMustStayInTheVocabulary) {
  save(kEmbedding, 2);
  save(kHead, 2);
  EXPECT_EQ(code(false), "cfg.token_id");
}

TEST_F(AdaptedModelTest, SavedTensorOfATiedModelIsBoth) {
  save(kEmbedding, 13);
  const AdaptedModel& m = merge(true);
  EXPECT_TRUE(m.config.tie_word_embeddings);
  EXPECT_EQ(m.config.vocab_size, 13);
  EXPECT_EQ(m.find(kHead), nullptr);
  EXPECT_NE(m.find(kEmbedding)->replacement, nullptr);
}

TEST_F(AdaptedModelTest, SavedTwiceInATiedModelMustBeOneTensor) {
  save(kEmbedding);
  save(kHead);  // other values
  EXPECT_EQ(code(true), "lora.unsupported");
  adapter.tensors.back().bytes = adapter.tensors[adapter.tensors.size() - 2].bytes;
  EXPECT_EQ(code(true), "no error");
  EXPECT_TRUE(merge(true).config.tie_word_embeddings);
}

TEST_F(AdaptedModelTest, OwnCopyOfTheEmbeddingUntiesTheHead) {
  adapter.config["modules_to_save"] = {"embed_tokens"};
  save(kEmbedding);
  const AdaptedModel& m = merge(true);
  EXPECT_FALSE(m.config.tie_word_embeddings);
  EXPECT_NE(m.find(kEmbedding)->replacement, nullptr);
  EXPECT_EQ(m.find(kHead)->replacement, nullptr);
  EXPECT_EQ(m.find(kHead)->base->name, kEmbedding);
}

TEST_F(AdaptedModelTest, OwnCopyOfTheHeadUntiesIt) {
  adapter.config["modules_to_save"] = {"lm_head"};
  save(kHead);
  const AdaptedModel& m = merge(true);
  EXPECT_FALSE(m.config.tie_word_embeddings);
  EXPECT_EQ(m.find(kEmbedding)->replacement, nullptr);
  EXPECT_NE(m.find(kHead)->replacement, nullptr);
}

TEST_F(AdaptedModelTest, EnsuredTyingKeepsTheHead) {
  adapter.config["modules_to_save"] = {"embed_tokens"};
  adapter.config["ensure_weight_tying"] = true;
  save(kEmbedding, 12);
  EXPECT_TRUE(merge(true).config.tie_word_embeddings);
  EXPECT_EQ(merge(true).config.vocab_size, 12);
  adapter.config["target_modules"] = {"q_proj", "v_proj", "lm_head"};
  adapter.add("lm_head", 2, 8, 10);
  EXPECT_EQ(code(true), "lora.unsupported");
}

TEST_F(AdaptedModelTest, AdaptedHeadOfATiedModelIsItsOwn) {
  adapter.config["target_modules"] = {"q_proj", "v_proj", "lm_head"};
  adapter.add("lm_head", 2, 8, 10);
  const AdaptedModel& m = merge(true);
  EXPECT_FALSE(m.config.tie_word_embeddings);
  EXPECT_NE(m.find(kHead)->module, nullptr);
  EXPECT_EQ(m.find(kEmbedding)->module, nullptr);
  EXPECT_EQ(m.find(kHead)->base->name, kEmbedding);
}

}  // namespace
}  // namespace safetylock
