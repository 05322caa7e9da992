#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "base/sha256.h"
#include "lock/sample_lock.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::sample_direction;
using test::sample_heads;
using test::sample_identity;
using test::sample_lock;
using ::testing::HasSubstr;
using ::testing::Not;

std::string code_with(const std::function<void(LockIdentity&, std::vector<HeadDirection>&)>& change) {
  LockIdentity id = sample_identity();
  std::vector<HeadDirection> heads = sample_heads();
  change(id, heads);
  return code_of([&] { SafetyLock(id, heads, 6.0, 24.0); });
}

TEST(SafetyLock, RefusesHeadsOutOfRangeRepeatedOrNone) {
  EXPECT_EQ(code_with([](auto&, auto&) {}), "no error");
  EXPECT_EQ(code_with([](auto&, auto& h) { h[1].id.layer = 6; }), "lock.head");
  EXPECT_EQ(code_with([](auto&, auto& h) { h[1].id.layer = -1; }), "lock.head");
  EXPECT_EQ(code_with([](auto&, auto& h) { h[1].id.head = 4; }), "lock.head");
  EXPECT_EQ(code_with([](auto&, auto& h) { h[1].id.head = -1; }), "lock.head");
  EXPECT_EQ(code_with([](auto&, auto& h) { h[1].id = h[2].id; }), "lock.head");
  EXPECT_EQ(code_with([](auto&, auto& h) { h.clear(); }), "lock.head");
  EXPECT_EQ(code_with([](auto&, auto& h) { h[1].id = {5, 3}; }), "no error");
}

TEST(SafetyLock, RefusesDirectionsOfWrongLengthOrNorm) {
  const auto with = [](const std::vector<float>& v) {
    return code_with([&](auto&, auto& h) { h[2].direction = v; });
  };
  std::vector<float> v = sample_direction(8, 9);
  const auto scaled = [&](float s) {
    std::vector<float> out = v;
    for (float& x : out) x *= s;
    return out;
  };
  EXPECT_EQ(with(v), "no error");
  EXPECT_EQ(with(scaled(1.0015F)), "no error");  // rounded to float16 once
  EXPECT_EQ(with(scaled(0.9985F)), "no error");
  EXPECT_EQ(with(scaled(1.003F)), "lock.vector");
  EXPECT_EQ(with(scaled(0.997F)), "lock.vector");
  EXPECT_EQ(with(scaled(0.0F)), "lock.vector");
  EXPECT_EQ(with(sample_direction(7, 9)), "lock.vector");
  EXPECT_EQ(with(sample_direction(9, 9)), "lock.vector");
  EXPECT_EQ(with({}), "lock.vector");
  v[3] = std::nanf("");
  EXPECT_EQ(with(v), "lock.vector");
  v[3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(with(v), "lock.vector");
}

TEST(SafetyLock, RefusesScalesAndScoresOutOfRange) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {0.0F, -0.5F, std::nanf(""), infinity, 10001.0F}) {
    EXPECT_EQ(code_with([&](auto&, auto& h) { h[0].sigma = bad; }), "lock.scale") << bad;
  }
  EXPECT_EQ(code_with([&](auto&, auto& h) { h[0].sigma = 10000.0F; }), "no error");
  for (const float bad : {-0.5F, std::nanf(""), infinity, 10001.0F}) {
    EXPECT_EQ(code_with([&](auto&, auto& h) { h[0].gap = bad; }), "lock.scale") << bad;
  }
  for (const float bad : {-0.01F, 1.01F, std::nanf(""), infinity}) {
    EXPECT_EQ(code_with([&](auto&, auto& h) { h[0].score = bad; }), "lock.score") << bad;
  }
}

TEST(SafetyLock, RefusesAlphaRangesThatAreInvertedOrReachZero) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto with = [](double alpha, double alpha_max) {
    return code_of([&] { SafetyLock(sample_identity(), sample_heads(), alpha, alpha_max); });
  };
  EXPECT_EQ(with(6, 6), "no error");
  EXPECT_EQ(with(0.5, 1000), "no error");
  const std::pair<double, double> bad[] = {
      {7, 6}, {0, 6}, {-1, 6}, {-7, -6}, {std::nan(""), 6}, {6, std::nan("")}, {6, infinity}, {6, 1000.001}};
  for (const auto& [alpha, alpha_max] : bad) {
    EXPECT_EQ(with(alpha, alpha_max), "lock.alpha_range") << alpha << " " << alpha_max;
  }
}

TEST(SafetyLock, StrengthsUpToItsLargest) {
  const SafetyLock lock(sample_identity(), sample_heads(), 6, 12);
  EXPECT_EQ(lock.strength(12).alpha(), 12);
  EXPECT_TRUE(lock.strength(0).is_zero());
  for (const double alpha : {12.5, -1.0, std::nan("")})
    EXPECT_EQ(code_of([&] { lock.strength(alpha); }), "arg.alpha") << alpha;
}

TEST(SafetyLock, RefusesIdentitiesThatCannotBe) {
  EXPECT_EQ(code_with([](auto& id, auto&) { id.architecture = ""; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.base_model = "\xFF"; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.base_model = std::string(1025, 'x'); }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.base_model = std::string(1024, 'x'); }), "no error");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.num_key_value_heads = 5; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.num_key_value_heads = 0; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.hidden_size = -1; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.seed = -1; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.weights_digest = "abc"; }), "lock.metadata");
  EXPECT_EQ(code_with([](auto& id, auto&) { id.weights_digest = std::string(64, 'G'); }), "lock.metadata");
}

TEST(SafetyLock, EveryFieldChangesTheDigest) {
  const std::string digest = sample_lock().content_digest();
  const std::function<void(LockIdentity&, std::vector<HeadDirection>&)> changes[] = {
      [](auto& id, auto&) { id.base_model += "x"; },
      [](auto& id, auto&) { id.seed = 8; },
      [](auto& id, auto&) { id.weights_digest = std::string(64, 'c'); },
      [](auto& id, auto&) { std::swap(id.tokenizer_digest, id.template_digest); },
      [](auto&, auto& h) { std::swap(h[0], h[1]); },
      [](auto&, auto& h) { h[0].sigma = std::nextafter(h[0].sigma, 1.0F); },
      [](auto&, auto& h) { h[0].score = std::nextafter(h[0].score, 0.0F); },
      [](auto&, auto& h) { h[0].gap = std::nextafter(h[0].gap, 0.0F); },
      [](auto&, auto& h) { h[2].direction[7] = std::nextafter(h[2].direction[7], 0.0F); },
  };
  for (const auto& change : changes) {
    LockIdentity id = sample_identity();
    std::vector<HeadDirection> heads = sample_heads();
    change(id, heads);
    EXPECT_NE(SafetyLock(id, heads, 6.0, 24.0).content_digest(), digest);
  }
  EXPECT_NE(SafetyLock(sample_identity(), sample_heads(), 5.0, 24.0).content_digest(), digest);
  EXPECT_NE(SafetyLock(sample_identity(), sample_heads(), 6.0, 25.0).content_digest(), digest);
  EXPECT_EQ(SafetyLock(sample_identity(), sample_heads(), 6.0, 24.0).content_digest(), digest);
}

TEST(SafetyLock, DisplacementHoldsSigmaTimesDirectionAtTheHeadsPlaces) {
  const SafetyLock lock = sample_lock();
  EXPECT_EQ(lock.layers(), (std::vector<std::int64_t>{1, 4}));
  const std::vector<HeadDirection> heads = sample_heads();
  const std::vector<float> d = lock.displacement(4);
  ASSERT_EQ(d.size(), 32U);
  for (size_t i = 0; i < d.size(); ++i) {
    const size_t head = i / 8, j = i % 8;
    const float expected = head == 3   ? 0.75F * heads[0].direction[j]
                           : head == 1 ? 0.25F * heads[2].direction[j]
                                       : 0.0F;
    EXPECT_EQ(d[i], expected) << i;
  }
  EXPECT_EQ(lock.displacement(0), std::vector<float>(32, 0.0F));
}

TEST(SafetyLock, OutputBiasIsOProjTimesDisplacement) {
  const SafetyLock lock = sample_lock();
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> o_proj(20 * 32);
  for (float& w : o_proj) w = normal(random);
  for (const std::int64_t layer : {1, 4}) {
    const std::vector<float> bias = lock.output_bias(layer, o_proj);
    ASSERT_EQ(bias.size(), 20U);
    for (size_t e = 0; e < 20; ++e) {
      long double sum = 0;
      for (const HeadDirection& head : lock.heads()) {
        if (head.id.layer != layer) continue;
        for (size_t j = 0; j < 8; ++j) {
          sum += static_cast<long double>(o_proj[e * 32 + static_cast<size_t>(head.id.head) * 8 + j]) *
                 static_cast<long double>(head.sigma) * static_cast<long double>(head.direction[j]);
        }
      }
      // Rounded once: half a unit in the last place.
      const auto expected = static_cast<double>(sum);
      EXPECT_NEAR(bias[e], expected, 0.51 * std::abs(expected) * 1.2e-7) << layer << " " << e;
    }
  }
  EXPECT_EQ(lock.output_bias(0, o_proj), std::vector<float>(20, 0.0F));
  o_proj.pop_back();
  EXPECT_EQ(code_of([&] { lock.output_bias(4, o_proj); }), "arg.shape");
}

ModelConfig sample_config() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.num_hidden_layers = 6;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.hidden_size = 20;
  config.intermediate_size = 64;
  return config;
}

TEST(SafetyLock, FitsTheModelItWasMadeForAndItsFineTunes) {
  LockIdentity id = sample_identity();
  id.config_digest = sha256_hex(canonical_text(sample_config()));
  const SafetyLock lock(id, sample_heads());
  EXPECT_NO_THROW(lock.check_fits(sample_config()));
  ModelConfig tuned = sample_config();
  tuned.vocab_size = 32016;         // resized embedding
  tuned.attention_out_bias = true;  // baked
  tuned.eos_token_ids = {7};
  EXPECT_NO_THROW(lock.check_fits(tuned));
}

TEST(SafetyLock, NamesEveryFieldThatDoesNotFit) {
  const SafetyLock lock = sample_lock();
  ModelConfig other = sample_config();
  other.architecture = "Qwen2ForCausalLM";
  other.num_key_value_heads = 4;
  other.hidden_size = 32;
  const auto error = test::error_of([&] { lock.check_fits(other); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "bind.model");
  for (const char* part : {"architecture LlamaForCausalLM", "num_key_value_heads 2", "hidden_size 20"}) {
    EXPECT_THAT(error->expected, HasSubstr(part));
  }
  for (const char* part : {"architecture Qwen2ForCausalLM", "num_key_value_heads 4", "hidden_size 32"}) {
    EXPECT_THAT(error->found, HasSubstr(part));
  }
  EXPECT_THAT(error->found, Not(HasSubstr("head_dim")));
  EXPECT_EQ(exit_code(Error(*error)), 4);

  const std::pair<const char*, std::int64_t ModelConfig::*> fields[] = {
      {"num_hidden_layers", &ModelConfig::num_hidden_layers},
      {"num_attention_heads", &ModelConfig::num_attention_heads},
      {"num_key_value_heads", &ModelConfig::num_key_value_heads},
      {"head_dim", &ModelConfig::head_dim},
      {"hidden_size", &ModelConfig::hidden_size}};
  for (const auto& [name, field] : fields) {
    ModelConfig changed = sample_config();
    changed.*field += 1;
    const auto e = test::error_of([&] { lock.check_fits(changed); });
    ASSERT_TRUE(e) << name;
    EXPECT_THAT(e->found, HasSubstr(name));
  }
}

TEST(SafetyLock, RefusesAFamilyOfTheSameShape) {
  LockIdentity id = sample_identity();
  id.config_digest = sha256_hex(canonical_text(sample_config()));
  const SafetyLock lock(id, sample_heads());
  ModelConfig other = sample_config();
  other.rope_scaling.type = RopeScaling::Type::llama3;
  const auto error = test::error_of([&] { lock.check_fits(other); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "bind.model");
  EXPECT_THAT(error->expected, HasSubstr("rope_scaling"));
}

}  // namespace
}  // namespace safetylock
