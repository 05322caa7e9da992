#include "cli/completion.h"

namespace safetylock::cli {
namespace {

using Options = std::vector<CompletedOption>;

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

/// `text` with a backslash before each of `marked`.
std::string backslashed(const std::string& text, const std::string& marked) {
  std::string out;
  for (const char c : text) {
    if (marked.find(c) != std::string::npos) out += '\\';
    out += c;
  }
  return out;
}

/// For single quotes of a POSIX shell.
std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> names_of(const Options& options) {
  std::vector<std::string> names;
  for (const CompletedOption& option : options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::vector<std::string> command_names(const std::vector<CompletedCommand>& commands) {
  std::vector<std::string> names;
  for (const CompletedCommand& command : commands)
    if (!command.name.empty()) names.push_back(command.name);
  return names;
}

std::string bash_action(const CompletedOption& option) {
  switch (option.value) {
    case ValueKind::choice:
      return "_safetylock_words " + in_quotes(joined(option.choices, " "));
    case ValueKind::file:
      return "_safetylock_paths -f";
    case ValueKind::folder:
      return "_safetylock_paths -d";
    case ValueKind::text:
    case ValueKind::none:
      break;
  }
  return ":";
}

std::string zsh_action(const CompletedOption& option) {
  switch (option.value) {
    case ValueKind::choice:
      return "(" + joined(option.choices, " ") + ")";
    case ValueKind::file:
      return "_files";
    case ValueKind::folder:
      return "_files -/";
    case ValueKind::text:
    case ValueKind::none:
      break;
  }
  return " ";
}

/// Arguments of zsh's _arguments: one for each name of each option, and the positional ones.
std::string zsh_arguments(const CompletedCommand& command) {
  std::string out;
  for (const CompletedOption& option : command.options) {
    const std::string text = "[" + backslashed(option.description, "[]\\:") + "]";
    for (const std::string& name : option.names) {
      const bool takes_value = option.value != ValueKind::none;
      const std::string value = takes_value ? ":value:" + zsh_action(option) : "";
      // The value of a long option may follow an equals sign.
      const std::string equals = takes_value && name.starts_with("--") ? "=" : "";
      out += " \\\n        " + in_quotes(name + equals + text + value);
    }
  }
  for (const CompletedOption& argument : command.arguments)
    out += " \\\n        " + in_quotes(":" + argument.names.front() + ":" + zsh_action(argument));
  return out;
}

std::string fish_value(const CompletedOption& option) {
  switch (option.value) {
    case ValueKind::choice:
      return " -x -a " + in_quotes(joined(option.choices, " "));
    case ValueKind::folder:
      return " -x -a '(__fish_complete_directories)'";
    case ValueKind::file:
      return " -r -F";
    case ValueKind::text:
      return " -x";
    case ValueKind::none:
      break;
  }
  return "";
}

std::string fish_names(const CompletedOption& option) {
  std::string out;
  for (const std::string& name : option.names)
    out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  return out;
}

/// fish's single quotes know the escapes \' and \\.
std::string in_fish_quotes(const std::string& text) {
  return "'" + backslashed(text, "'\\") + "'";
}

}  // namespace

std::string bash_completion(const std::vector<CompletedCommand>& commands) {
  std::string values, words;
  for (const CompletedCommand& command : commands) {
    for (const CompletedOption& option : command.options) {
      if (option.value == ValueKind::none) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) patterns.push_back(command.name + ":" + name);
      values += "    " + joined(patterns, "|") + ") " + bash_action(option) + "; return ;;\n";
    }
    const std::string options = in_quotes(joined(names_of(command.options), " "));
    if (command.name.empty()) {
      words +=
          "    '') _safetylock_words " +
          in_quotes(joined(command_names(commands), " ") + " " + joined(names_of(command.options), " ")) +
          " ;;\n";
      continue;
    }
    const std::string argument = command.arguments.empty() ? ":" : bash_action(command.arguments.front());
    words += "    " + command.name + ") if [[ $cur == -* ]]; then _safetylock_words " + options + "; else " +
             argument + "; fi ;;\n";
  }
  return "# bash completion for safetylock: eval \"$(safetylock completion bash)\"\n"
         "_safetylock_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
         "_safetylock_paths() {\n"
         "  compopt -o filenames 2>/dev/null\n"
         "  mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
         "}\n"
         "_safetylock() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= i\n"
         "  COMPREPLY=()\n"
         "  # --option=value comes as three words.\n"
         "  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in\n"
         "    " +
         joined(command_names(commands), "|") +
         ") command=${COMP_WORDS[i]}; break ;;\n"
         "    esac\n"
         "  done\n"
         "  case $command:$prev in\n" +
         values +
         "  esac\n"
         "  case $command in\n" +
         words +
         "  esac\n"
         "}\n"
         "complete -F _safetylock safetylock\n";
}

std::string zsh_completion(const std::vector<CompletedCommand>& commands) {
  std::string descriptions, cases;
  for (const CompletedCommand& command : commands) {
    if (command.name.empty()) continue;
    descriptions +=
        "        " + in_quotes(command.name + ":" + backslashed(command.description, ":\\")) + "\n";
    cases += "      " + command.name + ") _arguments" + zsh_arguments(command) + " ;;\n";
  }
  return "#compdef safetylock\n"
         "# zsh completion for safetylock: eval \"$(safetylock completion zsh)\" after compinit, or this "
         "text as\n"
         "# _safetylock in a folder of $fpath\n"
         "_safetylock() {\n"
         "  local curcontext=$curcontext state line\n"
         "  typeset -A opt_args\n"
         "  _arguments -C" +
         zsh_arguments({"", "", commands.front().options, {}}) +
         " \\\n        '1:command:->command' '*::argument:->argument'\n"
         "  case $state in\n"
         "  command)\n"
         "    local -a names=(\n" +
         descriptions +
         "    )\n"
         "    _describe command names ;;\n"
         "  argument)\n"
         "    case $line[1] in\n" +
         cases +
         "    esac ;;\n"
         "  esac\n"
         "}\n"
         "if [[ $funcstack[1] == _safetylock ]]; then _safetylock \"$@\"; else compdef _safetylock "
         "safetylock; fi\n";
}

std::string fish_completion(const std::vector<CompletedCommand>& commands) {
  const std::string line = "complete -c safetylock";
  std::string out =
      "# fish completion for safetylock: safetylock completion fish | source\n" + line + " -f\n";
  for (const CompletedCommand& command : commands) {
    const bool tool = command.name.empty();
    const std::string when = " -n " + (tool ? std::string("__fish_use_subcommand")
                                            : "'__fish_seen_subcommand_from " + command.name + "'");
    if (!tool) {
      out += line + " -n __fish_use_subcommand -a " + command.name + " -d " +
             in_fish_quotes(command.description) + "\n";
    }
    for (const CompletedOption& option : command.options) {
      out += line + when + fish_names(option) + fish_value(option) + " -d " +
             in_fish_quotes(option.description) + "\n";
    }
    for (const CompletedOption& argument : command.arguments) {
      if (argument.value == ValueKind::file) out += line + when + " -F\n";
      if (argument.value == ValueKind::choice)
        out += line + when + " -a " + in_quotes(joined(argument.choices, " ")) + "\n";
    }
  }
  return out;
}

}  // namespace safetylock::cli
