// Addresses of servers.
#pragma once

#include <string>
#include <string_view>

namespace safetylock {

/// scheme://host[:port]/path, without user, query and fragment.
struct Url {
  bool tls = false;  ///< https
  std::string host;  ///< a name, an IPv4 address, or an IPv6 address without brackets
  int port = 0;      ///< 80 or 443 unless given
  std::string path;  ///< "" or "/v1": begins with a slash, ends without one

  bool loopback() const;     ///< this machine, by name or address
  std::string text() const;  ///< as it is written
};

/// The base address of an OpenAI-compatible API; one without a path gets "/v1", where such servers have it.
/// Throws arg.endpoint naming the rule for anything but http and https, and for user names, queries,
/// fragments, spaces and control characters.
Url parse_endpoint_url(std::string_view text);

}  // namespace safetylock
