// Models served elsewhere: a client of the OpenAI API as vLLM, llama.cpp's server and `transformers serve`
// speak it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "remote/http.h"
#include "safetylock/chat_template.h"
#include "safetylock/tokenizer.h"

namespace safetylock {

struct EndpointOptions {
  std::string url;         ///< base address; see parse_endpoint_url
  std::string model = {};  ///< as the server calls it; empty: the only one that it lists
  HttpOptions http = {};
  int attempts = 4;  ///< of a request that is answered with 429 or 5xx, or whose connection is lost
  std::chrono::milliseconds first_wait{500};  ///< before the second attempt; doubles with each one
};

/// remote.status: the server answered, but not with 200.
class StatusError : public Error {
 public:
  StatusError(ErrorFields fields, int status) : Error(std::move(fields)), status_(status) {}
  int status() const noexcept { return status_; }

 private:
  int status_;
};

/// A token and what the server says of it. Servers name ids or not, and text or not.
struct RemoteToken {
  std::optional<TokenId> id = {};
  std::string text = {};  ///< may hold U+FFFD where a token ends inside a character
  double logprob = 0;     ///< natural logarithm
};

/// One step of a reply: the token that was chosen, and the likeliest ones, best first.
struct RemoteStep {
  RemoteToken chosen = {};
  std::vector<RemoteToken> top = {};
};

struct ChatRequest {
  std::vector<ChatMessage> messages = {};  ///< role and content are sent
  std::int64_t max_tokens = 128;
  double temperature = 0;
  /// 0 to 20; 0: none are asked for. A server that refuses to give them is asked again without.
  std::int64_t top_logprobs = 0;
};

struct CompletionRequest {
  std::vector<TokenId> prompt_ids = {};  ///< used when not empty
  std::string prompt = {};               ///< else this
  std::int64_t max_tokens = 1;
  double temperature = 0;
  std::int64_t logprobs = 0;  ///< 0 to 20 likeliest tokens of each step; 0: none are asked for
  /// vLLM's prompt_logprobs: for each prompt token the logprob of itself and this many others; nothing: not
  /// asked for.
  std::optional<std::int64_t> prompt_logprobs = {};
};

struct RemoteReply {
  std::string text;
  std::string finish_reason;  ///< "stop", "length", or what the server says; may be empty
  std::optional<std::int64_t> prompt_tokens, completion_tokens;
  std::vector<RemoteStep> steps;  ///< empty when the server gives no logprobs
  /// One a prompt token: the token itself is `chosen`. Nothing for the first; empty when the server gives
  /// none.
  std::vector<std::optional<RemoteStep>> prompt_steps = {};
};

/// Thread rule: any number of threads may ask at once.
class Endpoint {
 public:
  /// Connects to nothing yet. Throws arg.endpoint.
  explicit Endpoint(EndpointOptions options);

  /// The names that GET /models lists.
  std::vector<std::string> models();
  /// The model that is asked: the one of the options, else the only one that the server lists. Throws
  /// arg.endpoint when it lists none or several.
  const std::string& model();

  /// POST /chat/completions. Besides what exchange throws: remote.reply (JSON that is no such reply, naming
  /// what is missing).
  RemoteReply chat(const ChatRequest& request);
  /// POST /completions.
  RemoteReply complete(const CompletionRequest& request);

  /// Ends all requests, now and later: they throw run.interrupted.
  void cancel() noexcept { http_.cancel(); }
  const Url& url() const noexcept { return http_.url(); }

  /// The body of a 200 response, which is valid UTF-8 and not HTML; `json` empty: GET. Waits and repeats
  /// after 429 and 5xx, as long as the server asks for up to a minute. Throws run.endpoint (no connection, or
  /// attempts used up), run.timeout, run.interrupted; for what a server answers remote.status (with its
  /// words), remote.redirect, remote.not_json, remote.utf8, remote.size, remote.encoding.
  std::string exchange(const std::string& path, const std::string& json);

 private:
  void wait(std::chrono::milliseconds time) const;
  RemoteReply post_chat(const std::string& body);

  EndpointOptions options_;
  HttpClient http_;
  std::mutex mutex_;
  std::string model_;  // guarded by mutex_ until it is known
  std::atomic<bool> gives_no_logprobs_{false};
};

/// Runs `task(i)` for i in [0, count) on up to `concurrency` threads. `keep_on(done)` is called from the
/// calling thread now and then; when it says false, and when a task throws, `endpoint` is cancelled, all
/// threads end, and run.interrupted or what the first failing task threw comes out.
void ask_together(Endpoint& endpoint, size_t count, size_t concurrency,
                  const std::function<void(size_t)>& task, const std::function<bool(size_t done)>& keep_on);

}  // namespace safetylock
