#include "cli/chat/slash_commands.h"

#include <array>

#include "cli/number_text.h"
#include "cli/options.h"
#include "cli/suggest.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

struct SlashCommand {
  const char* name;
  const char* argument;  ///< as /help shows it; empty: takes none
  const char* help;
  std::string (*run)(ChatState& state, const std::string& argument);
};

constexpr const char* kAnew = " The conversation begins anew.";

std::string help_text(ChatState& state, const std::string& argument);

std::string lock(ChatState& state, const std::string& argument) {
  if (argument == "on") {
    state.lock.put_on();
  } else if (argument == "off") {
    state.lock.take_off();
  } else if (!argument.empty()) {
    throw Error({.code = "arg.usage",
                 .where = "/lock",
                 .expected = "on or off",
                 .found = "\"" + escape_untrusted(argument) + "\""});
  }
  return state.lock.description();
}

std::string alpha(ChatState& state, const std::string& argument) {
  if (!argument.empty()) state.lock.set(parse_alpha(argument, "/alpha"));
  return state.lock.description();
}

std::string reset(ChatState& state, const std::string&) {
  state.messages.clear();
  return "Forgotten." + std::string(kAnew);
}

/// What was said under another system prompt was not said under this one: it cannot stay.
std::string system(ChatState& state, const std::string& argument) {
  if (argument.empty())
    return state.system.empty() ? "The system prompt is the chat template's own, if it has one."
                                : "The system prompt: " + state.system;
  check_utf8("/system", argument);
  const bool own = argument == "-";
  state.system = own ? "" : argument;
  state.messages.clear();
  return (own ? "The system prompt is the chat template's own again." : "The system prompt is set.") +
         std::string(kAnew);
}

std::string history(ChatState& state, const std::string&) {
  std::string text;
  if (!state.system.empty()) text += "system: " + state.system + "\n";
  for (const ChatMessage& message : state.messages) text += message.role + ": " + message.content + "\n";
  if (text.empty()) return "Nothing has been said yet.";
  text.pop_back();
  return text;
}

std::string leave(ChatState& state, const std::string&) {
  state.ended = true;
  return "";
}

constexpr std::array kCommands = {
    SlashCommand{"/help", "", "This list", help_text},
    SlashCommand{"/lock", "on|off", "Puts the lock on or takes it off", lock},
    SlashCommand{"/alpha", "A", "Strength of the lock, in units of sigma; 0 takes it off", alpha},
    SlashCommand{"/system", "TEXT", "Begins anew with this system prompt (-: the template's own)", system},
    SlashCommand{"/reset", "", "Forgets the conversation", reset},
    SlashCommand{"/history", "", "Shows the conversation as the model will read it", history},
    SlashCommand{"/exit", "", "Ends the chat, as Ctrl-D does", leave},
    SlashCommand{"/quit", "", "The same", leave},
};

constexpr const char* kInputHelp =
    "\n"
    "  /lock, /alpha and /system alone say how it is. A message that begins with a\n"
    "  slash is written with two.\n"
    "  A line that ends in \\ goes on in the next; Alt-Enter begins a new line. From\n"
    "  \"\"\" to \"\"\" all is one message, and so is what you paste.\n"
    "  Ctrl-C stops a reply or drops a line; on an empty line it ends the chat.";

std::string help_text(ChatState&, const std::string&) {
  size_t width = 0;
  const auto usage = [](const SlashCommand& c) { return std::string(c.name) + " " + c.argument; };
  for (const SlashCommand& command : kCommands) width = std::max(width, usage(command).size());
  std::string text;
  for (const SlashCommand& command : kCommands) {
    std::string name = usage(command);
    name.resize(width + 2, ' ');
    text += "  " + name + command.help + "\n";
  }
  return text + kInputHelp;
}

[[noreturn]] void unknown(const std::string& name) {
  const std::optional<std::string> near = meant(name, slash_command_names());
  throw Error({.code = "arg.usage",
               .where = "\"" + escape_untrusted(name) + "\"",
               .expected = "a command",
               .found = "an unknown one, which was not sent to the model",
               .hint = (near ? "Did you mean " + *near + "? " : std::string()) +
                       "/help lists the commands; a message that begins with a slash is written with two"});
}

}  // namespace

std::vector<std::string> slash_command_names() {
  std::vector<std::string> names;
  for (const SlashCommand& command : kCommands) names.emplace_back(command.name);
  return names;
}

std::string run_slash_command(ChatState& state, const std::string& line) {
  constexpr const char* kBlank = " \t\n";
  const size_t name_end = std::min(line.find_first_of(kBlank), line.size());
  const std::string name = line.substr(0, name_end);
  const size_t begin = std::min(line.find_first_not_of(kBlank, name_end), line.size());
  const std::string argument = line.substr(begin, line.find_last_not_of(kBlank) + 1 - begin);
  for (const SlashCommand& command : kCommands) {
    if (name != command.name) continue;
    if (*command.argument == '\0' && !argument.empty()) {
      throw Error({.code = "arg.usage",
                   .where = name,
                   .expected = "nothing after it",
                   .found = "\"" + escape_untrusted(argument) + "\""});
    }
    return command.run(state, argument);
  }
  unknown(name);
}

}  // namespace safetylock::cli
