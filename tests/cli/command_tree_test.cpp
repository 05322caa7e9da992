#include "cli/command_tree.h"

#include <gtest/gtest.h>

#include "cli/completion.h"
#include "cli/help.h"
#include "cli/suggest.h"

namespace safetylock::cli {
namespace {

std::vector<CLI::App*> commands(CommandTree& tree) {
  return tree.app().get_subcommands([](CLI::App*) { return true; });
}

// An example that does not parse teaches something wrong.
TEST(CommandTree, EveryCommandHasExamplesThatParse) {
  CommandTree names;
  for (const CLI::App* command : commands(names)) {
    EXPECT_FALSE(command->get_description().empty()) << command->get_name();
    EXPECT_NE(command->get_group(), "Subcommands") << command->get_name() << " has no group: see teach()";
    EXPECT_FALSE(examples_of(*command).empty()) << command->get_name();
    for (const std::string& example : examples_of(*command)) {
      if (!example.starts_with("safetylock ") || example.find(" > ") != std::string::npos) continue;
      CommandTree tree;
      EXPECT_NO_THROW(tree.app().parse(example.substr(example.find(" ")))) << example;
      EXPECT_TRUE(tree.action()) << example;
    }
  }
}

TEST(CommandTree, EveryOptionSaysWhatItIs) {
  CommandTree tree;
  for (const CLI::App* command : commands(tree)) {
    for (const CLI::Option* option : command->get_options())
      EXPECT_FALSE(option->get_description().empty()) << command->get_name() << " " << option->get_name();
  }
}

TEST(CommandTree, HelpLinesFitAndGroupsAreShown) {
  CommandTree tree;
  const std::string help = tree.app().help();
  EXPECT_NE(help.find("Where to begin:"), std::string::npos);
  EXPECT_NE(help.find("Make a lock, use it, judge it:"), std::string::npos);
  for (const CLI::App* command : commands(tree)) {
    EXPECT_NE(help.find("\n  " + command->get_name() + " "), std::string::npos) << command->get_name();
    EXPECT_NE(command->help().find("Common options:") == std::string::npos,
              command->get_name() != "completion");
  }
}

TEST(Suggest, NearNamesAndBeginnings) {
  const std::vector<std::string> names = {"extract", "evaluate", "generate",
                                          "--pairs", "--prompt", "--prompts"};
  EXPECT_EQ(meant("exract", names), "extract");
  EXPECT_EQ(meant("gen", names), "generate");
  EXPECT_EQ(meant("--piars", names), "--pairs");
  EXPECT_EQ(meant("--prmopt", names), "--prompt");
  EXPECT_EQ(meant("frobnicate", names), std::nullopt);
  EXPECT_EQ(meant("--", names), std::nullopt);
  EXPECT_EQ(meant("-x", names), std::nullopt);
}

TEST(Completion, IsMadeFromTheTree) {
  CommandTree tree;
  const std::vector<CompletedCommand> completed = completed_commands(tree.app());
  ASSERT_EQ(completed.size(), commands(tree).size() + 1);
  const auto find = [&](const std::string& command, const std::string& option) {
    for (const CompletedCommand& c : completed)
      if (c.name == command)
        for (const CompletedOption& o : c.options)
          if (std::count(o.names.begin(), o.names.end(), option) > 0) return o;
    return CompletedOption();
  };
  EXPECT_EQ(find("generate", "--lock").value, ValueKind::file);
  EXPECT_EQ(find("generate", "--adapter").value, ValueKind::folder);
  EXPECT_EQ(find("generate", "--prompt").value, ValueKind::text);
  EXPECT_EQ(find("generate", "--json").value, ValueKind::none);
  EXPECT_EQ(find("generate", "--device").choices, (std::vector<std::string>{"auto", "cpu", "cuda"}));
  EXPECT_EQ(find("extract", "-o").names, (std::vector<std::string>{"-o", "--output"}));
  for (const CompletedCommand& command : completed) {
    for (const std::string& script :
         {bash_completion(completed), zsh_completion(completed), fish_completion(completed)}) {
      EXPECT_NE(script.find(command.name), std::string::npos);
      for (const CompletedOption& option : command.options)
        EXPECT_NE(script.find(option.names.back().substr(2)), std::string::npos) << option.names.back();
    }
  }
}

}  // namespace
}  // namespace safetylock::cli
