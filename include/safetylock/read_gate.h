// What a gate says of requests, without answering them.
//
// Thread rule: free functions; several threads may read with one model.
#pragma once

#include <vector>

#include "safetylock/causal_lm.h"
#include "safetylock/gate.h"
#include "safetylock/generate.h"

namespace safetylock {

/// Reads the gate of the lock applied to `model` at the end of each request's prompt; no reply is made, and
/// strengths play no part. Uses batch_size, system, trust_special_tokens and on_progress of the options.
/// Throws lock.state when no lock with a gate is applied, and as generate_batch.
std::vector<GateReading> read_gate(const CausalLM& model, const std::vector<GenerateRequest>& requests,
                                   const GenerateOptions& options = {});

}  // namespace safetylock
