// A gate between memory and the bytes of a lock's file.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "lock/lock_fields.h"
#include "lock/lock_file.h"
#include "safetylock/gate.h"

namespace safetylock {

/// Adds the tensors and metadata keys of `gate`, of heads of `head_dim` values. `prefix`: one of those of
/// lock_format.
void add_gate(LockContent& content, const Gate& gate, std::string_view prefix, std::int64_t head_dim);

/// The file's gate of that prefix, if it has one. Throws lock.metadata, lock.tensor, lock.gate (shapes): a
/// gate is there whole or not at all.
std::optional<Gate> read_gate(const LockFields& fields, std::string_view prefix);

/// Whether `name` is that of a gate's key or tensor, of which `names` are those behind the prefix.
bool is_of_gate(std::string_view name, std::span<const char* const> names);

/// Throws Error lock.gate unless every head lies in the model, none is read twice at one position, all
/// weights are finite and not all of them are 0, and the threshold and the evidence can be. A gate of
/// replies reads them alone, another one nothing of them.
void check_gate(const Gate& gate, const LockIdentity& identity, bool of_replies);

}  // namespace safetylock
