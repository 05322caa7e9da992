#include "safetylock/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "lock/gate_fields.h"
#include "lock/lock_file.h"
#include "lock/lock_format.h"
#include "lock/sample_lock.h"
#include "support/errors.h"

namespace safetylock {
namespace {

using test::code_of;
using test::sample_gate;
using test::sample_heads;
using test::sample_identity;
using test::sample_lock;
using test::sample_reply_gate;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

SafetyLock gated_lock() {
  return sample_lock().with_gate(sample_gate(), sample_reply_gate());
}

std::string read_code(std::string_view bytes) {
  return code_of([&] { SafetyLock::from_bytes(bytes, "test.lock.safetensors"); });
}

// The gated lock's content after `change`, with the digest that belongs to it.
std::string sealed(const std::function<void(LockContent&)>& change) {
  LockContent content =
      lock_content(sample_identity(), sample_heads(), 6.0, 24.0, sample_gate(), sample_reply_gate());
  change(content);
  content.metadata["content_digest"] = content_digest(content);
  return safetensors_to_bytes(content.tensors, content.metadata);
}

std::string code_with(const std::function<void(Gate&)>& change) {
  Gate gate = sample_gate();
  change(gate);
  return code_of([&] { sample_lock().with_gate(gate); });
}

TEST(GateScore, IsAProbabilityByTheLogisticFunction) {
  EXPECT_DOUBLE_EQ(probability_of(0), 0.5);
  EXPECT_DOUBLE_EQ(probability_of(std::log(3)), 0.75);
  EXPECT_DOUBLE_EQ(probability_of(-std::log(3)), 0.25);
  EXPECT_EQ(probability_of(-1000), 0);
  EXPECT_EQ(probability_of(1000), 1);
  for (const double p : {1e-9, 0.2, 0.5, 0.999}) EXPECT_NEAR(probability_of(log_odds(p)), p, 1e-12);
}

TEST(GateScore, OpensFromTheThresholdOn) {
  const GateRule rule{.threshold = 0.75};
  EXPECT_FALSE(read_score(std::log(3) - 1e-9, rule).opened());
  EXPECT_EQ(read_score(std::log(3) + 1e-9, rule).share, 1);
  EXPECT_EQ(read_score(50, rule).share, 1);
  EXPECT_EQ(read_score(-50, rule).share, 0);
}

TEST(GateScore, ARampRisesToTheThreshold) {
  const GateRule rule{.threshold = 0.5, .ramp = 2};
  EXPECT_EQ(read_score(0, rule).share, 1);
  EXPECT_EQ(read_score(3, rule).share, 1);
  EXPECT_DOUBLE_EQ(read_score(-0.5, rule).share, 0.75);
  EXPECT_DOUBLE_EQ(read_score(-1.5, rule).share, 0.25);
  EXPECT_EQ(read_score(-2, rule).share, 0);
  EXPECT_EQ(read_score(-9, rule).share, 0);
}

TEST(GateScore, WhatCannotBeReadIsLocked) {
  for (const double score : {kNan, -kNan, kInfinity, -kInfinity}) {
    const GateReading reading = read_score(score, {.threshold = 0.999});
    EXPECT_EQ(reading.share, 1) << score;
    EXPECT_FALSE(reading.readable);
  }
}

TEST(GateRule, RefusesWhatCannotBe) {
  for (const double threshold : {0.0, 1.0, -0.1, 1.5, kNan, kInfinity})
    EXPECT_EQ(code_of([&] { check_rule({.threshold = threshold}); }), "arg.gate") << threshold;
  for (const double ramp : {-1.0, 101.0, kNan, kInfinity})
    EXPECT_EQ(code_of([&] { check_rule({.ramp = ramp}); }), "arg.gate") << ramp;
  EXPECT_EQ(code_of([&] { check_rule({.threshold = 0.01, .ramp = 100}); }), "no error");
}

void expect_equal(const Gate& a, const Gate& b) {
  ASSERT_EQ(a.heads.size(), b.heads.size());
  for (size_t i = 0; i < a.heads.size(); ++i) {
    EXPECT_EQ(a.heads[i].id, b.heads[i].id);
    EXPECT_EQ(a.heads[i].position, b.heads[i].position);
    EXPECT_EQ(a.heads[i].weights, b.heads[i].weights);
  }
  EXPECT_EQ(a.bias, b.bias);
  EXPECT_EQ(a.threshold, b.threshold);
  EXPECT_EQ(a.evidence.missed, b.evidence.missed);
  EXPECT_EQ(a.evidence.harmful, b.evidence.harmful);
  EXPECT_EQ(a.evidence.false_alarms, b.evidence.false_alarms);
  EXPECT_EQ(a.evidence.harmless, b.evidence.harmless);
  EXPECT_EQ(a.evidence.mean, b.evidence.mean);
  EXPECT_EQ(a.evidence.sd, b.evidence.sd);
  EXPECT_EQ(a.prompts_digest, b.prompts_digest);
}

TEST(GateFile, RoundTripKeepsEveryBit) {
  const SafetyLock lock = gated_lock();
  const SafetyLock read = SafetyLock::from_bytes(lock.to_bytes(), "memory");
  EXPECT_EQ(read.to_bytes(), lock.to_bytes());
  ASSERT_TRUE(read.gate());
  expect_equal(*read.gate(), sample_gate());
  ASSERT_TRUE(read.reply_gate());
  expect_equal(*read.reply_gate(), sample_reply_gate());
}

TEST(GateFile, IsPartOfTheDigest) {
  EXPECT_NE(gated_lock().content_digest(), sample_lock().content_digest());
  Gate other = sample_gate();
  other.threshold = 0.31;
  EXPECT_NE(sample_lock().with_gate(other, sample_reply_gate()).content_digest(),
            gated_lock().content_digest());
  EXPECT_NE(sample_lock().with_gate(sample_gate()).content_digest(), gated_lock().content_digest());
  EXPECT_EQ(gated_lock().with_gate({}).to_bytes(), sample_lock().to_bytes());
}

TEST(GateFile, EveryFlippedBitIsRefused) {
  std::string bytes = gated_lock().to_bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      ASSERT_NE(read_code(bytes), "no error") << "byte " << i << ", bit " << bit;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
    }
  }
}

// A part of a gate that went missing must not leave an unconditional lock, nor one without a threshold.
TEST(GateFile, IsThereWholeOrNotAtAll) {
  const LockContent content =
      lock_content(sample_identity(), sample_heads(), 6.0, 24.0, sample_gate(), sample_reply_gate());
  size_t removed = 0;
  for (const auto& [key, value] : content.metadata) {
    if (!is_of_gate(key, lock_format::kGateKeys)) continue;
    ++removed;
    EXPECT_EQ(read_code(sealed([&, name = key](LockContent& c) { c.metadata.erase(name); })), "lock.metadata")
        << key;
  }
  for (const SafetensorsEntry& tensor : content.tensors) {
    if (!is_of_gate(tensor.name, lock_format::kGateTensors)) continue;
    ++removed;
    const auto remove = [&](LockContent& c) {
      std::erase_if(c.tensors, [&](const auto& t) { return t.name == tensor.name; });
    };
    EXPECT_EQ(read_code(sealed(remove)), "lock.tensor") << tensor.name;
  }
  EXPECT_EQ(removed, 26U);
}

TEST(GateFile, RefusesOtherShapesTypesAndSpellings) {
  const auto replaced = [](const SafetensorsEntry& entry) {
    return read_code(sealed([&](LockContent& c) {
      std::replace_if(
          c.tensors.begin(), c.tensors.end(), [&](const auto& t) { return t.name == entry.name; }, entry);
    }));
  };
  const std::vector<std::int64_t> two = {0, 1};
  EXPECT_EQ(replaced(SafetensorsEntry::i64("gate_heads", {2}, two)), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::i64("gate_positions", {2}, two)), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("gate_layers", {3}, std::vector<float>(3))), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("gate_weights", {24}, std::vector<float>(24))), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("gate_weights", {3, 7}, std::vector<float>(21, 1))), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("gate_bias", {2}, std::vector<float>(2))), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::i64("reply_gate_positions", {2}, two)), "lock.gate");
  EXPECT_EQ(replaced(SafetensorsEntry::f32("reply_gate_weights", {2, 7}, std::vector<float>(14, 1))),
            "lock.gate");
  for (const char* bad : {"", "nan", "0.30", "3e-1", "half"})
    EXPECT_NE(read_code(sealed([&](LockContent& c) { c.metadata["gate_threshold"] = bad; })), "no error")
        << bad;
  for (const char* bad : {"", "1e3", "-1", "08", "1.0"})
    EXPECT_NE(read_code(sealed([&](LockContent& c) { c.metadata["gate_missed"] = bad; })), "no error") << bad;
}

TEST(Gate, OfRepliesReadsThemAloneAndBesideOneOfPrompts) {
  const auto code = [](const std::optional<Gate>& gate, const Gate& reply_gate) {
    return code_of([&] { sample_lock().with_gate(gate, reply_gate); });
  };
  EXPECT_EQ(code(sample_gate(), sample_reply_gate()), "no error");
  EXPECT_EQ(code({}, sample_reply_gate()), "lock.gate");
  EXPECT_EQ(code(sample_gate(), sample_gate()), "lock.gate");
  EXPECT_EQ(code(sample_reply_gate(), sample_reply_gate()), "lock.gate");
}

TEST(Gate, RefusesWhatCannotBe) {
  EXPECT_EQ(code_with([](Gate&) {}), "no error");
  EXPECT_EQ(code_with([](Gate& g) { g.heads.clear(); }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[0].id.layer = 6; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[0].id.head = -1; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[0].position = static_cast<GatePosition>(4); }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[0].position = static_cast<GatePosition>(-1); }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[2].position = g.heads[1].position; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[1].weights.pop_back(); }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[1].weights[3] = std::nanf(""); }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.heads[1].weights[3] = 1e9F; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) {
              for (GateHead& head : g.heads) head.weights.assign(8, 0.0F);
            }),
            "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.bias = std::nanf(""); }), "lock.gate");
  for (const double threshold : {0.0, 1.0, kNan, -3.0})
    EXPECT_EQ(code_with([&](Gate& g) { g.threshold = threshold; }), "lock.gate") << threshold;
  EXPECT_EQ(code_with([](Gate& g) { g.evidence.missed = 181; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.evidence.missed = 180; }), "lock.gate");  // opens on nothing
  EXPECT_EQ(code_with([](Gate& g) { g.evidence.false_alarms = -1; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.evidence.sd = -1; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.evidence.mean = kNan; }), "lock.gate");
  EXPECT_EQ(code_with([](Gate& g) { g.prompts_digest = "none"; }), "lock.metadata");
  EXPECT_EQ(code_with([](Gate& g) { g.prompts_digest.clear(); }), "no error");
}

}  // namespace
}  // namespace safetylock
