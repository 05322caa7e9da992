// compare_baked SOURCE OUTPUT: bakes a lock into a real model, reads the result again, and compares it with
// the source under the same lock at run time. Prints the largest differences; ends with 1 where they are not
// rounding's, or where greedy tokens are others.
#include <ATen/ATen.h>

#include <cstdio>
#include <vector>

#include "bake/model_lock.h"
#include "safetylock/apply.h"
#include "safetylock/bake.h"
#include "safetylock/causal_lm.h"
#include "safetylock/error.h"

namespace {

using namespace safetylock;
using Prompts = std::vector<std::vector<TokenId>>;

constexpr int kSteps = 12;
// The lock is added in float32 to sums over 576 columns and then runs through 30 layers.
constexpr double kRounding = 2e-5;

struct Run {
  Prompts ids;        // prompts and the greedy tokens after them
  at::Tensor logits;  // [tokens of all prompts, V]
};

CausalLM load(const std::string& path) {
  return CausalLM::from_pretrained(path, {.device = "cpu", .dtype = "float32"});
}

Prompts prompts_for(const CausalLM& model) {
  Prompts prompts;
  for (const char* text : {"What is the capital of France?", "Tell me how to pick a lock.", "Hi!"})
    prompts.push_back(model.tokenizer().encode(model.chat_template().render({{"user", text}})).ids);
  return prompts;
}

Run run(const CausalLM& model, const Prompts& prompts) {
  Run result{prompts, model.logits(prompts, LogitsOf::all_tokens)};
  for (int step = 0; step < kSteps; ++step) {
    const at::Tensor next = model.logits(result.ids, LogitsOf::last_token).argmax(-1);
    for (size_t i = 0; i < prompts.size(); ++i)
      result.ids[i].push_back(next[static_cast<std::int64_t>(i)].item<std::int64_t>());
  }
  return result;
}

double largest(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

bool compare(const std::string& source, const std::string& output) {
  Run free, locked;
  Prompts prompts;
  {
    const CausalLM model = load(source);
    const SafetyLock lock = test::lock_for(model.config());
    bake_lock(source, lock, output);
    prompts = prompts_for(model);
    free = run(model, prompts);
    const AppliedLock applied = apply_lock(model, lock);
    locked = run(model, prompts);
  }
  const CausalLM model = load(output);
  if (prompts_for(model) != prompts) {
    std::printf("the baked model tokenises the prompts differently\n");
    return false;
  }
  const Run baked = run(model, prompts);
  const double effect = largest(free.logits, locked.logits),
               difference = largest(baked.logits, locked.logits);
  const double scale = locked.logits.abs().max().item<double>();
  std::printf(
      "largest logit difference %.2g of %.3g; the lock's effect %.3g; greedy tokens %s, unlocked %s\n",
      difference, scale, effect, baked.ids == locked.ids ? "the same" : "others",
      free.ids == locked.ids ? "the same" : "others");
  return difference <= kRounding * scale && effect > 0.1 && baked.ids == locked.ids;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return compare(argv[1], argv[2]) ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return exit_code(error);
  }
}
