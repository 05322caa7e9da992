#include "remote/endpoint.h"

#include <algorithm>
#include <thread>

#include "base/json.h"
#include "base/utf8.h"
#include "remote/reply_json.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestWait{60'000};
constexpr milliseconds kPoll{50};  ///< how soon a wait notices that it has been cancelled

/// How servers say that they do not know a field.
constexpr int kBadRequest = 400, kUnprocessable = 422;

bool is_transient(int status) {
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

void check_response(const HttpResponse& response, const std::string& url) {
  const auto fail = [&](const char* code, std::string expected, std::string found, std::string hint = {}) {
    throw Error({.code = code,
                 .file = url,
                 .where = {},
                 .expected = std::move(expected),
                 .found = std::move(found),
                 .hint = std::move(hint)});
  };
  if (response.status >= 300 && response.status < 400) {
    fail("remote.redirect", "an answer", "a redirect to \"" + escape_untrusted(response.location) + "\"",
         "Redirects are not followed: give that server's own address");
  }
  if (response.status != 200) {
    std::string hint;
    if (response.status == 404) hint = "The base address usually ends with /v1";
    if (response.status == 401 || response.status == 403) hint = "Keys are read from the environment";
    throw StatusError(
        {.code = "remote.status",
         .file = url,
         .where = {},
         .expected = "status 200",
         .found = "status " + std::to_string(response.status) + ": " + error_words(response.body),
         .hint = std::move(hint)},
        response.status);
  }
  if (const auto offset = utf8::find_invalid(response.body))
    fail("remote.utf8", "UTF-8", "other bytes at offset " + std::to_string(*offset));
  const size_t begin = response.body.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) fail("remote.not_json", "JSON", "an empty body");
  if (response.body[begin] != '{') {
    const bool html = response.body[begin] == '<';
    fail("remote.not_json", "a JSON object",
         (html ? "HTML: \"" : "\"") + escape_untrusted(response.body.substr(begin, 80)) + "\"",
         "Is this the base address of the API? It usually ends with /v1");
  }
}

std::string json_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Endpoint::Endpoint(EndpointOptions options)
    : options_(std::move(options)),
      http_(parse_endpoint_url(options_.url), options_.http),
      model_(options_.model) {}

void Endpoint::wait(milliseconds time) const {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!http_.cancelled() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(kPoll);
}

std::string Endpoint::exchange(const std::string& path, const std::string& json) {
  const std::string url = http_.url().text() + path;
  milliseconds pause = options_.first_wait;
  for (int attempt = 1;; ++attempt, pause = std::min(2 * pause, kLongestWait)) {
    const bool last = attempt >= options_.attempts;
    try {
      HttpResponse response = http_.send(path, json);
      if (!is_transient(response.status)) {
        check_response(response, url);
        return std::move(response.body);
      }
      if (last) {
        throw Error(
            {.code = "run.endpoint",
             .file = url,
             .where = {},
             .expected = "an answer within " + std::to_string(attempt) + " attempts",
             .found = "status " + std::to_string(response.status) + ": " + error_words(response.body)});
      }
      if (response.retry_after) {
        pause =
            std::min(std::max(pause, milliseconds(1000 * std::min<std::int64_t>(*response.retry_after, 60))),
                     kLongestWait);
      }
    } catch (const ConnectionLost&) {
      if (last) throw;
    }
    wait(pause);
  }
}

std::vector<std::string> Endpoint::models() {
  return parse_model_list(exchange("/models", ""), http_.url().text() + "/models");
}

const std::string& Endpoint::model() {
  const std::lock_guard hold(mutex_);
  if (!model_.empty()) return model_;
  const std::vector<std::string> names = models();
  if (names.size() != 1) {
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + escape_untrusted(name, 60);
    throw Error({.code = "arg.endpoint",
                 .file = http_.url().text(),
                 .where = "model",
                 .expected = "the name of one of the models served",
                 .found = names.empty() ? "a server that lists none" : escape_untrusted(list)});
  }
  model_ = names.front();
  return model_;
}

RemoteReply Endpoint::chat(const ChatRequest& request) {
  Json messages = Json::array();
  for (const ChatMessage& m : request.messages)
    messages.push_back({{"role", m.role}, {"content", m.content}});
  Json body = {{"model", model()},
               {"messages", std::move(messages)},
               {"max_tokens", request.max_tokens},
               {"temperature", request.temperature},
               {"stream", false}};
  if (request.top_logprobs > 0 && !gives_no_logprobs_) {
    Json with_logprobs = body;
    with_logprobs["logprobs"] = true;
    with_logprobs["top_logprobs"] = request.top_logprobs;
    try {
      return post_chat(json_line(with_logprobs));
    } catch (const StatusError& error) {
      if (error.status() != kBadRequest && error.status() != kUnprocessable) throw;
    }
    RemoteReply reply = post_chat(json_line(body));
    gives_no_logprobs_ = true;  // they were what it would not take
    return reply;
  }
  return post_chat(json_line(body));
}

RemoteReply Endpoint::post_chat(const std::string& body) {
  return parse_chat_reply(exchange("/chat/completions", body), http_.url().text() + "/chat/completions");
}

RemoteReply Endpoint::complete(const CompletionRequest& request) {
  Json body = {{"model", model()},
               {"max_tokens", request.max_tokens},
               {"temperature", request.temperature},
               {"stream", false}};
  if (request.prompt_ids.empty()) {
    body["prompt"] = request.prompt;
  } else {
    body["prompt"] = request.prompt_ids;
  }
  if (request.logprobs > 0) {
    body["logprobs"] = request.logprobs;
    body["return_tokens_as_token_ids"] = true;  // vLLM's: texts of tokens are not unique
  }
  if (request.prompt_logprobs) body["prompt_logprobs"] = *request.prompt_logprobs;
  return parse_completion_reply(exchange("/completions", json_line(body)),
                                http_.url().text() + "/completions");
}

}  // namespace safetylock
