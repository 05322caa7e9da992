// What extract prints.
#pragma once

#include <string>

#include "base/json.h"
#include "cli/extract/extraction.h"

namespace safetylock::cli {

/// safetylock.extract/2.
Json extraction_json(const ExtractOptions& options, const SafetyLock& lock, const Extraction& extraction);
std::string extraction_report(const Session& session, const ExtractOptions& options, const SafetyLock& lock,
                              const Extraction& extraction);

}  // namespace safetylock::cli
