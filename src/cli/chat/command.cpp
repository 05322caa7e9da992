#include <unistd.h>

#include <chrono>

#include "cli/chat/input.h"
#include "cli/chat/line_editor.h"
#include "cli/chat/plain_lines.h"
#include "cli/chat/reply.h"
#include "cli/chat/slash_commands.h"
#include "cli/help.h"
#include "cli/interrupt.h"
#include "cli/locked_model.h"
#include "cli/printable.h"
#include "cli/sampling_options.h"
#include "engine/reply_text.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kDefaultNewTokens = 512;
/// A press of Ctrl-C so soon after a reply was meant for the reply.
constexpr auto kImpatience = std::chrono::seconds(1);

struct Options {
  LockedModelOptions model;
  GenerateOptions generate;
  bool has_max_new_tokens = false;
};

/// On a terminal, with prompts, until the user ends it.
class TerminalChat {
 public:
  TerminalChat(Session& session, const CausalLM& model, const GenerateOptions& options, ChatState& state)
      : session_(session), model_(model), options_(options), state_(state) {}

  void run() {
    LineEditor lines(session_.terminal(), slash_command_names());
    while (!state_.ended) {
      const bool locked = !state_.lock.strength().is_zero();
      const ChatInput input =
          read_chat_input(lines, {state_.lock.label() + " >", locked ? Style::green : Style::yellow});
      if (input.kind == ChatInputKind::end) return;
      if (input.kind == ChatInputKind::cancelled) {
        if (Clock::now() - replied_ >= kImpatience) return;
        session_.note("(Ctrl-C once more ends the chat)");
      }
      try {
        obey(input);
      } catch (const Error& error) {
        if (error.code() == "io.write") throw;
        session_.say(session_.terminal().styled(Stream::err, Style::red, "error:") + " " +
                     one_line(error.what()));
      }
    }
  }

 private:
  void obey(const ChatInput& input) {
    if (input.kind == ChatInputKind::message) answer(input.text);
    if (input.kind != ChatInputKind::command) return;
    const std::string told = run_slash_command(state_, input.text);
    if (!told.empty()) session_.say(printable(told));
  }

  void answer(const std::string& message) {
    const ChatReply reply = chat_reply(session_, model_, options_, ChatMode::terminal, state_, message);
    forget_interrupt();  // one that came too late counts no more
    replied_ = Clock::now();
    if (reply.finish_reason == "interrupted") {
      session_.note(reply.text.empty() ? "(stopped before it began: the message is taken back)"
                                       : "(stopped)");
    } else if (reply.finish_reason == "length") {
      session_.note("(cut off after " + std::to_string(options_.max_new_tokens) +
                    " tokens: --max-new-tokens)");
    } else if (reply.text.empty()) {
      session_.note("(said nothing)");
    }
    if (reply.gate) session_.note("(" + gate_text(*reply.gate) + ")");
    session_.say("");
  }

  Session& session_;
  const CausalLM& model_;
  const GenerateOptions& options_;
  ChatState& state_;
  Clock::time_point replied_ = Clock::now() - kImpatience;
};

/// Each line a message or a command; replies on standard output. The first error ends it: what follows was
/// written for another conversation.
void run_script(Session& session, const CausalLM& model, const GenerateOptions& options, ChatState& state) {
  PlainLines lines;
  const ChatMode mode = session.json() ? ChatMode::json : ChatMode::script;
  while (!state.ended) {
    const ChatInput input = read_chat_input(lines, {});
    if (input.kind == ChatInputKind::end) return;
    if (input.kind == ChatInputKind::cut_off) {
      throw Error({.code = "arg.prompt",
                   .file = "standard input",
                   .expected = "the end of a message begun with \"\"\" or continued by \\",
                   .found = "the end of the input"});
    }
    if (input.kind == ChatInputKind::message) {
      const ChatReply reply = chat_reply(session, model, options, mode, state, input.text);
      if (reply.gate && mode == ChatMode::script) session.note("(" + gate_text(*reply.gate) + ")");
    }
    if (input.kind != ChatInputKind::command) continue;
    const std::string told = run_slash_command(state, input.text);
    if (!told.empty()) session.say(printable(told));
  }
}

void set_max_new_tokens(Options& options, std::int64_t context) {
  std::int64_t& tokens = options.generate.max_new_tokens;
  if (!options.has_max_new_tokens) tokens = std::min(kDefaultNewTokens, context / 4);
  if (tokens < context) return;
  throw Error({.code = "arg.range",
               .where = "--max-new-tokens",
               .expected = "less than the model's context of " + std::to_string(context) + " tokens",
               .found = std::to_string(tokens)});
}

int run_chat(Session& session, Options options) {
  check_utf8("--system", options.generate.system);
  check_stop_strings(options.generate.stop);
  const LockedModel locked = load_locked_model(session, options.model);
  locked.model.chat_template();  // that there is none should not be said after the first message
  set_max_new_tokens(options, locked.model.config().max_position_embeddings);
  ChatState state{.lock = ChatLock(locked.lock ? &*locked.lock : nullptr, locked.alpha, locked.gated),
                  .system = options.generate.system};
  const bool terminal = ::isatty(STDIN_FILENO) == 1 && session.terminal().is_tty(Stream::err);
  if (!terminal || session.json()) {
    run_script(session, locked.model, options.generate, state);
    return 0;
  }
  if (locked.lock) session.note(state.lock.description());
  session.note("/help lists what you can do; Ctrl-D ends the chat.");
  TerminalChat(session, locked.model, options.generate, state).run();
  return 0;
}

}  // namespace

void add_chat_command(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App* command = app.add_subcommand("chat", "Talks with a model, with or without a lock");
  const auto options = std::make_shared<Options>();
  add_locked_model_options(*command, options->model);
  add_integer(*command, "--max-new-tokens", options->generate.max_new_tokens, 1, 1 << 20,
              "Longest reply, in tokens (default 512, or a quarter of a small context)");
  add_texts(*command, "--stop", options->generate.stop, "End a reply before this text; may be given again");
  add_sampling_options(*command, options->generate.sampling);
  command->add_option("--system", options->generate.system, "System prompt (default: the template's own)")
      ->type_name("TEXT");
  command->add_flag("--trust-special-tokens", options->generate.trust_special_tokens,
                    "Let control tokens in what is typed be control tokens");
  add_common_options(*command, common);
  command->get_option("--json")->description("One JSON object a reply, each on a line of its own");
  teach(*command, Group::locks,
        {"safetylock chat models/tuned --lock base.lock.safetensors",
         "safetylock chat base.gguf --adapter tuned-lora --lock base.lock.safetensors --alpha 4"});
  command->callback([options, command, &action] {
    options->has_max_new_tokens = command->count("--max-new-tokens") > 0;
    check_sampling_options(*command, options->generate.sampling);
    action = [options](Session& session) { return run_chat(session, *options); };
  });
}

}  // namespace safetylock::cli
