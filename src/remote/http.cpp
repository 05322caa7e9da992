#include "remote/http.h"

#include <httplib.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>
#include <set>

#include "safetylock/error.h"

namespace safetylock {
namespace {

/// Writing to a connection that the server has closed raises SIGPIPE, which would end the process.
class NoBrokenPipe {
 public:
  NoBrokenPipe() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoBrokenPipe() {
    const timespec at_once{};
    if (::sigismember(&before_, SIGPIPE) == 0) {
      while (::sigtimedwait(&pipe_, nullptr, &at_once) > 0) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoBrokenPipe(const NoBrokenPipe&) = delete;
  NoBrokenPipe& operator=(const NoBrokenPipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failure != std::errc() || end != text.data() + text.size() || value < 0) return {};
  return value;
}

std::string seconds_text(std::chrono::milliseconds time) {
  return std::to_string((time.count() + 999) / 1000) + " s";
}

}  // namespace

struct HttpClient::Impl {
  std::atomic<bool> cancelled{false};
  std::mutex mutex;
  std::set<httplib::ClientImpl*> in_flight;  // guarded by mutex

  /// Lets cancel() reach a connection.
  class Registered {
   public:
    Registered(Impl& impl, httplib::ClientImpl& client) : impl_(impl), client_(&client) {
      const std::lock_guard hold(impl_.mutex);
      impl_.in_flight.insert(client_);
    }
    ~Registered() {
      const std::lock_guard hold(impl_.mutex);
      impl_.in_flight.erase(client_);
    }
    Registered(const Registered&) = delete;
    Registered& operator=(const Registered&) = delete;

   private:
    Impl& impl_;
    httplib::ClientImpl* client_;
  };
};

HttpClient::HttpClient(Url url, HttpOptions options)
    : url_(std::move(url)), options_(std::move(options)), impl_(std::make_unique<Impl>()) {
  const auto unprintable = [](char c) { return c <= ' ' || c > '~'; };
  if (std::any_of(options_.bearer.begin(), options_.bearer.end(), unprintable)) {
    throw Error({.code = "arg.endpoint",
                 .where = "key",
                 .expected = "printable ASCII without spaces and line ends",
                 .found = "other bytes"});
  }
}

HttpClient::~HttpClient() = default;

void HttpClient::cancel() noexcept {
  impl_->cancelled = true;
  const std::lock_guard hold(impl_->mutex);
  for (httplib::ClientImpl* client : impl_->in_flight) client->stop();
}

bool HttpClient::cancelled() const noexcept {
  return impl_->cancelled;
}

HttpResponse HttpClient::send(const std::string& path, const std::string& json) {
  const std::string file = url_.text() + path;
  const auto fail = [&](const char* code, std::string expected, std::string found, std::string hint = {}) {
    throw Error({.code = code,
                 .file = file,
                 .where = {},
                 .expected = std::move(expected),
                 .found = std::move(found),
                 .hint = std::move(hint)});
  };
  const auto check_cancelled = [&] {
    if (cancelled()) fail("run.interrupted", "", "the request was given up");
  };
  const NoBrokenPipe no_broken_pipe;
  const auto client = url_.tls ? std::make_unique<httplib::SSLClient>(url_.host, url_.port)
                               : std::make_unique<httplib::ClientImpl>(url_.host, url_.port);
  client->set_connection_timeout(options_.connect_timeout);
  client->set_read_timeout(options_.timeout);
  client->set_write_timeout(options_.timeout);
  client->set_follow_location(false);  // the key and the prompts go to this server and to no other
  client->set_decompress(false);       // the limit on size is on what is read
  client->set_url_encode(false);

  httplib::Request request;
  request.method = json.empty() ? "GET" : "POST";
  request.path = url_.path + path;
  const bool address6 = url_.host.find(':') != std::string::npos;
  request.set_header("Host",
                     (address6 ? "[" + url_.host + "]" : url_.host) + ":" + std::to_string(url_.port));
  request.set_header("Accept", "application/json");
  request.set_header("User-Agent", "safetylock");
  if (!json.empty()) request.set_header("Content-Type", "application/json");
  if (!options_.bearer.empty()) request.set_header("Authorization", "Bearer " + options_.bearer);
  request.body = json;

  HttpResponse response;
  bool too_large = false, late = false;
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  request.content_receiver = [&](const char* data, size_t size, std::uint64_t, std::uint64_t) {
    too_large = size > options_.max_response_bytes - response.body.size();
    late = std::chrono::steady_clock::now() > deadline;
    if (too_large || late) return false;
    response.body.append(data, size);
    return true;
  };
  check_cancelled();
  const httplib::Result result = [&] {
    const Impl::Registered registered(*impl_, *client);
    return client->send(request);
  }();
  check_cancelled();
  if (too_large) {
    fail("remote.size", "a response of at most " + std::to_string(options_.max_response_bytes) + " bytes",
         "more");
  }
  if (!result) {
    const bool slow = late || std::chrono::steady_clock::now() > deadline ||
                      result.error() == httplib::Error::ConnectionTimeout;
    if (slow) fail("run.timeout", "a response within " + seconds_text(options_.timeout), "none");
    if (result.error() == httplib::Error::Read || result.error() == httplib::Error::Write) {
      throw ConnectionLost({.code = "run.endpoint",
                            .file = file,
                            .where = {},
                            .expected = "a response",
                            .found = "a connection that was closed or sent no HTTP"});
    }
    if (result.error() == httplib::Error::Connection)
      fail("run.endpoint", "a response", "no connection", "Is the server running, and is this its address?");
    fail("run.endpoint", "a response", httplib::to_string(result.error()));
  }
  if (const std::string coding = result->get_header_value("Content-Encoding");
      !coding.empty() && coding != "identity") {
    fail("remote.encoding", "a body that is not compressed", "\"" + escape_untrusted(coding, 40) + "\"");
  }
  response.status = result->status;
  response.location = result->get_header_value("Location");
  response.retry_after = whole_number(result->get_header_value("Retry-After"));
  return response;
}

}  // namespace safetylock
