#include "cli/chat/reply.h"

#include "cli/interrupt.h"
#include "cli/json_output.h"
#include "cli/streamed_reply.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

/// Takes a message back unless it was answered.
class PendingMessage {
 public:
  PendingMessage(std::vector<ChatMessage>& messages, const std::string& text) : messages_(messages) {
    messages_.push_back({.role = "user", .content = text});
  }
  ~PendingMessage() {
    if (!answered_) messages_.pop_back();
  }
  PendingMessage(const PendingMessage&) = delete;
  PendingMessage& operator=(const PendingMessage&) = delete;

  void answer(const std::string& text) {
    messages_.push_back({.role = "assistant", .content = text});
    answered_ = true;
  }

 private:
  std::vector<ChatMessage>& messages_;
  bool answered_ = false;
};

/// generate_batch's words are about prompts.
[[noreturn]] void throw_too_long(const Error& error, bool first) {
  ErrorFields fields = error.fields();
  fields.where = first ? "the message" : "the conversation with this message";
  fields.hint = first ? "Shorten it or start with a smaller --max-new-tokens"
                      : "/reset begins a new conversation; nothing is ever dropped from this one";
  throw Error(fields);
}

Generation generate_one(const CausalLM& model, const ChatState& state, const GenerateOptions& options) {
  try {
    return generate_batch(model, {{.messages = state.messages, .strength = state.lock.strength()}}, options)
        .front();
  } catch (const Error& error) {
    if (error.code() == "arg.prompt") throw_too_long(error, state.messages.size() == 1);
    throw;
  }
}

Json reply_json(const ChatState& state, const std::string& message, const Generation& generation) {
  return {{"schema", "safetylock.chat/1"},
          {"prompt", message},
          {"alpha", state.lock.strength().alpha()},
          {"prompt_ids", generation.prompt_ids},
          {"token_ids", generation.token_ids},
          {"text", generation.text},
          {"finish_reason", generation.finish_reason},
          {"gate", to_json(generation.gate)}};
}

/// Streams the reply; `said` holds what has been shown, even when Ctrl-C ends it.
Generation stream(Session& session, const CausalLM& model, const ChatState& state, GenerateOptions options,
                  std::string& said) {
  StreamedReply reply(session);
  reply.attach(options);
  options.on_progress = [](const Progress&) { return !interrupted(); };
  options.on_text = [&said, show = options.on_text](size_t request, std::string_view text) {
    // Tokens come quickly from here on: a second press is impatience, not a way out of a step that hangs.
    second_interrupt_ends(false);
    said += text;
    show(request, text);
  };
  Generation generation = generate_one(model, state, options);
  reply.end();
  return generation;
}

}  // namespace

ChatReply chat_reply(Session& session, const CausalLM& model, const GenerateOptions& base, ChatMode mode,
                     ChatState& state, const std::string& message) {
  GenerateOptions options = base;
  options.system = state.system;
  PendingMessage pending(state.messages, message);
  ChatReply reply;
  if (mode == ChatMode::json) {
    options.on_progress = session.progress();
    const Generation generation = generate_one(model, state, options);
    session.print(json_line(reply_json(state, message, generation)));
    session.flush();
    reply = {generation.text, generation.finish_reason, generation.gate};
  } else {
    try {
      const Generation generation = stream(session, model, state, options, reply.text);
      reply.finish_reason = generation.finish_reason;
      reply.gate = generation.gate;
    } catch (const Error& error) {
      second_interrupt_ends(true);
      if (mode == ChatMode::script || error.code() != "run.interrupted") throw;
      reply.finish_reason = "interrupted";
      if (reply.text.empty()) return reply;
    }
    second_interrupt_ends(true);
  }
  pending.answer(reply.text);
  return reply;
}

}  // namespace safetylock::cli
