#include "cli/endpoint_key.h"

#include <cstdlib>

#include "remote/url.h"

namespace safetylock::cli {

std::string endpoint_key(Session& session, const char* variable, const std::string& url) {
  const char* value = std::getenv(variable);
  const std::string key = value == nullptr ? "" : value;
  const Url server = parse_endpoint_url(url);
  if (!key.empty() && !server.tls && !server.loopback()) {
    session.warn(std::string("the key in ") + variable + " goes to " + server.host +
                 " unencrypted, where others on the way can read it: use https");
  }
  return key;
}

}  // namespace safetylock::cli
