#include "cli/doctor_report.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace safetylock::cli {
namespace {

constexpr std::uint64_t kGigabyte = 1'000'000'000;

DoctorInput healthy() {
  DoctorInput input;
  input.host.cpu = {.model = "chip", .flags = {"avx2"}, .logical = 4, .usable = 4, .quota = {}};
  input.host.memory = {.total = 16 * kGigabyte, .available = 8 * kGigabyte, .limit = {}};
  input.torch = {.version = "2.13.0",
                 .cpu_kernels = "AVX2",
                 .own_kernels = "avx2",
                 .openmp = true,
                 .threads = 4,
                 .cuda_built = false,
                 .cuda_version = {},
                 .devices = {},
                 .bfloat16_arithmetic = false};
  input.models = {{.name = "m", .path = "/m", .bytes = 5, .present = true, .damaged = false}};
  return input;
}

/// Everything said, needed findings in capitals.
std::string said(const DoctorInput& input) {
  std::string out;
  for (const Finding& finding : examine(input))
    out += (finding.needed ? "MISSING " : "note ") + finding.what + " | " + finding.advice + "\n";
  return out;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Doctor, NothingToSayOfAHealthyHost) {
  EXPECT_EQ(said(healthy()), "");
}

TEST(Doctor, MissingAndDamagedModels) {
  DoctorInput input = healthy();
  input.models[0].present = false;
  EXPECT_TRUE(has(said(input), "MISSING the packaged model m is not there"));
  EXPECT_TRUE(has(said(input), "scripts/get_model.py m"));
  input.models[0].damaged = true;
  EXPECT_TRUE(has(said(input), "damaged"));
  input.asked = AskedModel{.path = "own", .problem = {}, .parameters = 10};
  EXPECT_TRUE(has(said(input), "note the packaged model m")) << "a model of one's own needs no packaged one";
}

TEST(Doctor, CudaThatIsAskedForOrCouldBeUsed) {
  DoctorInput input = healthy();
  input.device = "cuda";
  EXPECT_TRUE(has(said(input), "MISSING this libtorch has no CUDA code"));
  input.torch.cuda_built = true;
  EXPECT_TRUE(has(said(input), "MISSING libtorch has CUDA code but sees no device"));
  input.torch.devices = {{.total_bytes = kGigabyte, .free_bytes = kGigabyte}};
  EXPECT_EQ(said(input), "");
  input.device = "cuda:1";
  EXPECT_TRUE(has(said(input), "MISSING there is no CUDA device 1"));
  input.device = "cuda:x";
  EXPECT_EQ(test::code_of([&] { examine(input); }), "arg.device");
  input = healthy();
  input.host.nvidia_driver = true;
  EXPECT_TRUE(has(said(input), "note this libtorch has no CUDA code"));
}

TEST(Doctor, ModelsThatDoNotFit) {
  DoctorInput input = healthy();
  input.asked = AskedModel{.path = "own", .problem = {}, .parameters = kGigabyte};
  EXPECT_TRUE(has(said(input), "note the model fits: about 5.2 GB of memory as float32")) << said(input);
  input.host.memory.limit = 3 * kGigabyte;
  EXPECT_TRUE(has(said(input), "MISSING the model needs about 5.2 GB"));
  EXPECT_TRUE(has(said(input), "--dtype bfloat16 halves that, but is slow"));
  input.dtype = "bfloat16";
  EXPECT_TRUE(has(said(input), "note the model fits: about 2.6 GB"));
  input.asked->problem = "bad\x1b";
  EXPECT_TRUE(has(said(input), "MISSING the model cannot be used: bad\\x1B"));
}

TEST(Doctor, MoreThreadsThanProcessors) {
  DoctorInput input = healthy();
  input.host.cpu.quota = 2.0;
  EXPECT_TRUE(has(said(input), "note 4 threads share 2.0 processors"));
  EXPECT_TRUE(has(said(input), "--threads 2"));
}

TEST(Doctor, WhatRunsFast) {
  DoctorInput input = healthy();
  const auto verdict = [&](const std::string& name) {
    for (const auto& [what, text] : speeds(input))
      if (what == name) return text;
    return std::string();
  };
  EXPECT_TRUE(has(verdict("bfloat16"), "slow"));
  EXPECT_EQ(verdict("auto means"), "float32 on cpu");
  input.torch.bfloat16_arithmetic = true;
  EXPECT_EQ(verdict("bfloat16"), "fast: hardware instructions (AVX512-BF16)");
  EXPECT_EQ(verdict("auto means"), "bfloat16 on cpu");
  input.torch.own_kernels = "amx";
  EXPECT_TRUE(has(verdict("bfloat16"), "AMX"));
}

}  // namespace
}  // namespace safetylock::cli
