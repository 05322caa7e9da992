// One HTTP request after another to one server, with limits on time and size. The only file that knows the
// HTTP library is http.cpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "remote/url.h"
#include "safetylock/error.h"

namespace safetylock {

struct HttpOptions {
  std::string bearer = {};  ///< key of the Authorization header; empty: none
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{300'000};  ///< of a whole exchange, and between two of its bytes
  std::uint64_t max_response_bytes = std::uint64_t{64} << 20;
};

/// run.endpoint of a connection that broke or could not be kept, where another attempt may do.
class ConnectionLost : public Error {
 public:
  using Error::Error;
};

struct HttpResponse {
  int status = 0;
  std::string body;
  std::string location;                     ///< of a redirect, which is not followed
  std::optional<std::int64_t> retry_after;  ///< seconds, where the server names them
};

/// Thread rule: any number of threads may send at once; each exchange has a connection of its own.
class HttpClient {
 public:
  /// Throws arg.endpoint for a key that no header can hold.
  HttpClient(Url url, HttpOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// POSTs `json` to the base address plus `path`, or GETs it when `json` is empty. Whatever the status, the
  /// response is returned. Throws run.endpoint (no connection, certificate, connection lost), run.timeout,
  /// remote.size, remote.encoding (a compressed body), run.interrupted after cancel().
  HttpResponse send(const std::string& path, const std::string& json);

  /// Ends all exchanges, now and later: their calls throw run.interrupted.
  void cancel() noexcept;
  bool cancelled() const noexcept;

  const Url& url() const noexcept { return url_; }

 private:
  struct Impl;
  Url url_;
  HttpOptions options_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace safetylock
