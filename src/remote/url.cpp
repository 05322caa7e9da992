#include "remote/url.h"

#include <algorithm>
#include <charconv>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr size_t kMaxUrl = 2048;
constexpr int kMaxPort = 65535;

[[noreturn]] void refuse(std::string_view text, std::string expected) {
  throw Error({.code = "arg.endpoint",
               .where = "URL",
               .expected = std::move(expected),
               .found = "\"" + escape_untrusted(text) + "\"",
               .hint = "Example: http://127.0.0.1:8000/v1"});
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_';
}

bool is_address6_character(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' || c == '.';
}

int parse_port(std::string_view digits, std::string_view text) {
  int port = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failure != std::errc() || end != digits.data() + digits.size() || port < 1 || port > kMaxPort)
    refuse(text, "a port of 1 to 65535");
  return port;
}

/// Takes the host off the front of `rest`.
std::string take_host(std::string_view& rest, std::string_view text) {
  std::string host;
  if (rest.starts_with('[')) {
    const size_t close = rest.find(']');
    if (close == std::string_view::npos) refuse(text, "an IPv6 address that ends with ]");
    host = rest.substr(1, close - 1);
    if (!std::all_of(host.begin(), host.end(), is_address6_character)) refuse(text, "an IPv6 address in []");
    rest.remove_prefix(close + 1);
  } else {
    const size_t end = std::min(rest.find_first_of(":/"), rest.size());
    host = rest.substr(0, end);
    if (!std::all_of(host.begin(), host.end(), is_host_character))
      refuse(text, "a host name of letters, digits, dots and hyphens, and no user name");
    rest.remove_prefix(end);
  }
  if (host.empty()) refuse(text, "a host name");
  return host;
}

}  // namespace

bool Url::loopback() const {
  const bool address4 =
      std::all_of(host.begin(), host.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  return host == "localhost" || host == "::1" || (address4 && host.starts_with("127."));
}

std::string Url::text() const {
  const bool address6 = host.find(':') != std::string::npos;
  const bool usual = port == (tls ? 443 : 80);
  return std::string(tls ? "https://" : "http://") + (address6 ? "[" + host + "]" : host) +
         (usual ? "" : ":" + std::to_string(port)) + path;
}

Url parse_endpoint_url(std::string_view text) {
  if (text.size() > kMaxUrl) refuse(text, "at most " + std::to_string(kMaxUrl) + " bytes");
  const auto unprintable = [](char c) { return c <= ' ' || c > '~'; };
  if (std::any_of(text.begin(), text.end(), unprintable)) refuse(text, "printable ASCII without spaces");
  if (text.find_first_of("?#@\\") != std::string_view::npos)
    refuse(text, "no user name, query or fragment (keys come from the environment)");
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    refuse(text, "http:// or https://");
  }
  url.port = url.tls ? 443 : 80;
  url.host = take_host(rest, text);
  if (rest.starts_with(':')) {
    const size_t end = std::min(rest.find('/'), rest.size());
    url.port = parse_port(rest.substr(1, end - 1), text);
    rest.remove_prefix(end);
  }
  if (!rest.empty() && !rest.starts_with('/')) refuse(text, "a port or a path after the host");
  while (rest.ends_with('/')) rest.remove_suffix(1);
  url.path = rest.empty() ? "/v1" : std::string(rest);
  return url;
}

}  // namespace safetylock
