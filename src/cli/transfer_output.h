// What transfer found, as JSON.
#pragma once

#include <string>

#include "base/json.h"
#include "safetylock/transfer.h"

namespace safetylock::cli {

struct TransferInputs {
  std::string base, tuned, lock, pairs;
  std::string adapter;  ///< of the tuned model; empty: none
};

/// "safetylock.transfer/1".
Json transfer_json(const TransferInputs& inputs, const SafetyLock& lock, const Transfer& transfer);

}  // namespace safetylock::cli
