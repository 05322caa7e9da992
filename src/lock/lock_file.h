// Between a SafetyLock and the bytes of its file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/safetensors.h"
#include "safetylock/lock.h"

namespace safetylock {

using LockMetadata = std::map<std::string, std::string>;

/// What the file holds, before it is written or after it was read. `metadata` lacks content_digest.
struct LockContent {
  std::vector<SafetensorsEntry> tensors;
  LockMetadata metadata;
};

LockContent lock_content(const LockIdentity& identity, std::span<const HeadDirection> heads,
                         double default_alpha, double alpha_max, const std::optional<Gate>& gate = {},
                         const std::optional<Gate>& reply_gate = {});

/// SHA-256 of the canonical serialisation that docs/lock-format.md defines.
std::string content_digest(const LockContent& content);

}  // namespace safetylock
