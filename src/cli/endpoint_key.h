// Keys of servers that are asked.
#pragma once

#include <string>

#include "cli/session.h"

namespace safetylock::cli {

/// The key that the environment holds for the server at `url`, or nothing: a command line can be read by
/// every user of the machine. Warns of one that would leave this machine unencrypted. Throws arg.endpoint.
std::string endpoint_key(Session& session, const char* variable, const std::string& url);

}  // namespace safetylock::cli
