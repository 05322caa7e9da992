// A published lock becomes a lock of a model that the user names.
#include <gtest/gtest.h>

#include "formats/published_lock.h"
#include "safetylock/published_lock.h"
#include "support/errors.h"
#include "support/temporary.h"

namespace safetylock {
namespace {

const std::string kPublished =
    std::string(SAFETYLOCK_SOURCE_DIR) + "/tests/golden/formats/published.safelock";

ModelConfig base() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.num_hidden_layers = 12;
  config.num_attention_heads = 32;
  config.num_key_value_heads = 8;
  config.head_dim = 16;
  config.hidden_size = 512;
  return config;
}

std::string code_for(const ModelConfig& config, const ImportOptions& options = {}) {
  return test::code_of([&] { import_published_lock(kPublished, config, options); });
}

TEST(ImportPublished, HoldsWhatTheFileHolds) {
  const SafetyLock lock = import_published_lock(kPublished, base(), {.base_model = "a model"});
  const auto published = read_published_lock(kPublished);
  ASSERT_EQ(lock.heads().size(), 8U);  // scripts/make_golden_safelock.py, SPREAD
  EXPECT_EQ(lock.layers(), (std::vector<std::int64_t>{0, 3, 4, 11}));
  for (size_t i = 0; i < published.size(); ++i) {
    EXPECT_EQ(lock.heads()[i].id, (HeadId{published[i].layer, published[i].head}));
    EXPECT_EQ(lock.heads()[i].direction, published[i].direction);
    EXPECT_EQ(lock.heads()[i].sigma, published[i].sigma);
  }
  EXPECT_EQ(lock.identity().base_model, "a model");
  EXPECT_EQ(lock.default_strength().alpha(), 6.0);
  lock.check_fits(base());
  EXPECT_EQ(SafetyLock::from_bytes(lock.to_bytes(), "again").content_digest(), lock.content_digest());
}

TEST(ImportPublished, AnotherModelIsRefused) {
  ModelConfig other = base();
  other.num_hidden_layers = 11;
  EXPECT_EQ(code_for(other), "lock.head");
  other = base();
  other.num_attention_heads = other.num_key_value_heads = 2;
  EXPECT_EQ(code_for(other), "lock.head");
  other = base();
  other.head_dim = 32;
  EXPECT_EQ(code_for(other), "lock.vector");
  EXPECT_EQ(code_for(base(), {.base_model = "", .default_alpha = 0}), "lock.alpha_range");
  // A model of the same shape that turns its positions by another base.
  const SafetyLock lock = import_published_lock(kPublished, base());
  other = base();
  other.rope_theta = 5e5;
  EXPECT_EQ(test::code_of([&] { lock.check_fits(other); }), "bind.model");
}

}  // namespace
}  // namespace safetylock
