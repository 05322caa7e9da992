// verify for a served model: the half of the command that asks a server.
#pragma once

#include <optional>
#include <string>

#include "cli/options.h"

namespace safetylock::cli {

struct VerifyServedOptions {
  std::string url, lock, base, adapter;
  std::string expect;        ///< verify.json
  std::string served_model;  ///< as the server calls it; empty: its only one
  std::optional<double> alpha;
};

/// Whether `path` names a server, not a file.
bool is_served(const std::string& path);

int verify_served(Session& session, const VerifyServedOptions& options);

}  // namespace safetylock::cli
