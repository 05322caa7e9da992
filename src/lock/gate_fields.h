// A gate between memory and the bytes of a lock's file.
#pragma once

#include <optional>

#include "lock/lock_fields.h"
#include "lock/lock_file.h"
#include "safetylock/gate.h"

namespace safetylock {

/// Adds the tensors and metadata keys of `gate`, of heads of `head_dim` values.
void add_gate(LockContent& content, const Gate& gate, std::int64_t head_dim);

/// The file's gate, if it has one. Throws lock.metadata, lock.tensor, lock.gate (shapes): a gate is there
/// whole or not at all.
std::optional<Gate> read_gate(const LockFields& fields);

/// Throws Error lock.gate unless every head lies in the model, none is read twice at one position, all
/// weights are finite and not all of them are 0, and the threshold and the evidence can be.
void check_gate(const Gate& gate, const LockIdentity& identity);

}  // namespace safetylock
