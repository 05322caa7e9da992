// Puts a SafetyLock on a model for as long as a handle lives.
// Usage: apply_lock MODEL LOCK PROMPT
#include <ATen/ATen.h>
#include <safetylock/safetylock.h>

#include <iostream>

namespace sl = safetylock;

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::cerr << "usage: apply_lock MODEL LOCK PROMPT\n";
    return 2;
  }
  const auto model = sl::CausalLM::from_pretrained(argv[1]);
  const auto lock = sl::SafetyLock::load(argv[2]);
  const std::string prompt = argv[3];
  const sl::GenerateOptions options{.max_new_tokens = 32};

  const auto unlocked = sl::generate(model, prompt, options);
  std::cout << "unlocked: " << unlocked.text << "\n";
  const auto last_logits = [&] { return model.logits({unlocked.prompt_ids}, sl::LogitsOf::last_token); };
  const at::Tensor before = last_logits();

  at::Tensor during;
  {
    // Refuses a lock of another architecture; without .alpha the lock's own strength counts.
    const auto applied = sl::apply_lock(model, lock, {.alpha = 6.0});
    during = last_logits();
    std::cout << "locked:   " << sl::generate(model, prompt, options).text << "\n";
    std::cout << "applied in " << 1000 * applied.seconds() << " ms to " << lock.layers().size()
              << " layers\n";
  }

  // The handle is gone, and with it every trace of the lock.
  const at::Tensor after = last_logits();
  const bool changed = !at::equal(before, during), restored = at::equal(before, after);
  std::cout << "the lock changes the logits: " << (changed ? "yes" : "no")
            << "; without it they are bit-equal to before: " << (restored ? "yes" : "no") << "\n";
  return changed && restored ? 0 : 1;
} catch (const sl::Error& error) {
  std::cerr << "error: " << error.what() << "\n";
  return sl::exit_code(error);
}
