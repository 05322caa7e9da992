// Writing a SafetyLock into a model's files: step 8 of the method. The result is an ordinary model whose
// attention output projections carry a bias, which engines serve at no cost.
//
// Core only: links no libtorch. Thread rule: calls on different outputs may run at the same time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "safetylock/lock.h"
#include "safetylock/progress.h"

namespace safetylock {

/// What an engine makes of a baked model.
enum class EngineSupport {
  exact,         ///< adds the bias where the lock acts
  needs_loader,  ///< drops or refuses the bias; serves the lock through a loader (examples/python)
  refused,       ///< cannot serve the lock
  not_checked,   ///< neither its source was read nor was it run
};

struct EngineVerdict {
  std::string engine;  ///< "transformers", "vLLM", "SGLang", "llama.cpp"
  EngineSupport support = EngineSupport::not_checked;
  std::string why;  ///< one sentence
};

/// "exact", "needs the loader", "refused", "not checked".
std::string to_string(EngineSupport support);

struct BakeOptions {
  /// Nothing: the lock's default strength. 0 is refused: a baked model is locked.
  std::optional<double> alpha = {};
  /// Folder of a PEFT LoRA adapter, or empty. The bias is then that of W_o + scale * B A, and the output is
  /// locked exactly when it is served with this adapter, a copy of which is put in its folder "adapter".
  std::string adapter = {};
  /// Bake a lock with a gate as one that acts on every request. Else such a lock is refused: a bias cannot be
  /// conditional.
  bool without_gate = false;
  /// Copy the weights even where the file system could share them.
  bool copy = false;
  /// Text of verify.json (verify_probes.h); called once everything else is written. Empty: no such file.
  std::function<std::string()> make_probes = {};
  ProgressCallback on_progress = {};
};

struct BakeReport {
  std::string output;             ///< folder, or GGUF file
  std::string architecture;       ///< class, or GGUF architecture, of the output
  std::string base_architecture;  ///< of the model that was given
  double alpha = 0;
  std::vector<std::int64_t> layers;  ///< that hold a locked head
  double largest_bias = 0;           ///< |b| of what the lock adds
  std::uint64_t bytes_read = 0;      ///< of weights, to compute the biases
  std::uint64_t bytes_written = 0;   ///< of new files and copies
  std::uint64_t bytes_shared = 0;    ///< of weights that are not copied
  std::string sharing;               ///< "reflink", "hard link" or "copy"; of several the last named
  std::vector<EngineVerdict> engines;
  std::vector<std::string> notes;  ///< what a user should know, a sentence each
  double seconds = 0;
};

/// Writes `model` (a Hugging Face folder or a GGUF file) with the lock in its o_proj biases to `output`: a
/// folder that does not exist or is empty, or a GGUF file that does not exist. b_l = alpha * W_o d_l + the
/// bias there was, accumulated in double and rounded once to the stored type (GGUF: F32). Reads only the
/// locked heads' columns of W_o. The output appears whole under its name or not at all.
/// Throws Error bind.model, bind.bake (this family, engine or file cannot hold the lock exactly: with the
/// reason and what to do instead), arg.alpha, arg.output, lora.*, io.*, run.interrupted, and what opening
/// the model throws.
BakeReport bake_lock(const std::string& model, const SafetyLock& lock, const std::string& output,
                     const BakeOptions& options = {});

}  // namespace safetylock
