#include <gtest/gtest.h>

#include <deque>

#include "cli/chat/input.h"
#include "cli/chat/slash_commands.h"
#include "lock/sample_lock.h"
#include "support/errors.h"

namespace safetylock::cli {
namespace {

using test::code_of;
using test::error_of;

/// Lines as they would be typed; then Ctrl-C or the end.
class TypedLines : public LineSource {
 public:
  TypedLines(std::deque<std::string> lines, Line last) : lines_(std::move(lines)), last_(std::move(last)) {}

  Line read(const Prompt& prompt) override {
    prompts.push_back(prompt.text);
    if (lines_.empty()) return last_;
    Line line{LineEnd::entered, lines_.front()};
    lines_.pop_front();
    return line;
  }
  size_t left() const { return lines_.size(); }

  std::vector<std::string> prompts;

 private:
  std::deque<std::string> lines_;
  Line last_;
};

struct Read {
  ChatInputKind kind;
  std::string text;
  bool operator==(const Read&) const = default;
};

void PrintTo(const Read& read, std::ostream* out) {
  *out << static_cast<int>(read.kind) << " \"" << read.text << "\"";
}

/// What is read from `lines`, all of which it must take.
Read read(std::deque<std::string> lines, Line last = {LineEnd::end_of_input, ""}) {
  TypedLines typed(std::move(lines), std::move(last));
  const ChatInput input = read_chat_input(typed, {"lock 6.0 >", Style::green});
  EXPECT_EQ(typed.left(), 0U);
  EXPECT_EQ(typed.prompts.front(), "lock 6.0 >");
  for (size_t i = 1; i < typed.prompts.size(); ++i) EXPECT_EQ(typed.prompts[i], "...");
  return {input.kind, input.text};
}

constexpr auto kMessage = ChatInputKind::message;

TEST(ChatInput, OneLineAndSeveral) {
  EXPECT_EQ(read({"How are you?"}), (Read{kMessage, "How are you?"}));
  EXPECT_EQ(read({" a  "}), (Read{kMessage, " a  "}));
  EXPECT_EQ(read({
                "a\\",
                "b\\",
                "",
            }),
            (Read{kMessage, "a\nb\n"}));
  EXPECT_EQ(read({"a\\", "/reset"}), (Read{kMessage, "a\n/reset"}));
  EXPECT_EQ(read({"pasted\nin one piece"}), (Read{kMessage, "pasted\nin one piece"}));
}

TEST(ChatInput, BlocksAreTakenAsTheyStand) {
  EXPECT_EQ(read({"\"\"\"one\"\"\""}), (Read{kMessage, "one"}));
  EXPECT_EQ(read({"\"\"\"", "/a\\", "", " b", "\"\"\""}), (Read{kMessage, "/a\\\n\n b"}));
  EXPECT_EQ(read({"\"\"\"a", "b\"\"\""}), (Read{kMessage, "a\nb"}));
  EXPECT_EQ(read({"\"\"\"", "", "a", "", "\"\"\""}), (Read{kMessage, "\na\n"}));
  EXPECT_EQ(read({"say \"\"\""}), (Read{kMessage, "say \"\"\""}));
}

TEST(ChatInput, Slashes) {
  EXPECT_EQ(read({"/reset"}), (Read{ChatInputKind::command, "/reset"}));
  EXPECT_EQ(read({"/system a\\", "b"}), (Read{ChatInputKind::command, "/system a\nb"}));
  EXPECT_EQ(read({"//etc/passwd?"}), (Read{kMessage, "/etc/passwd?"}));
  EXPECT_EQ(read({" /reset"}), (Read{kMessage, " /reset"}));
}

TEST(ChatInput, NothingIsNotSent) {
  for (const char* blank : {"", "  ", "\t", "\"\"\"\"\"\"", "\"\"\" \n\"\"\""})
    EXPECT_EQ(read({blank}), (Read{ChatInputKind::nothing, ""})) << blank;
}

TEST(ChatInput, CtrlCAndTheEnd) {
  const Line end{LineEnd::end_of_input, ""}, empty{LineEnd::cancelled, ""}, dropped{LineEnd::cancelled, "ab"};
  EXPECT_EQ(read({}, end), (Read{ChatInputKind::end, ""}));
  EXPECT_EQ(read({}, empty), (Read{ChatInputKind::cancelled, ""}));
  EXPECT_EQ(read({}, dropped), (Read{ChatInputKind::nothing, ""}));
  for (const char* begun : {"a\\", "\"\"\"a", "\"\"\""}) {
    EXPECT_EQ(read({begun}, end), (Read{ChatInputKind::cut_off, ""}));
    EXPECT_EQ(read({begun}, empty), (Read{ChatInputKind::nothing, ""}));
    EXPECT_EQ(read({begun}, dropped), (Read{ChatInputKind::nothing, ""}));
  }
}

class SlashCommands : public ::testing::Test {
 protected:
  std::string run(const std::string& line) { return run_slash_command(state, line); }
  std::string code(const std::string& line) {
    return code_of([&] { run(line); });
  }

  const SafetyLock lock = test::sample_lock();  // alpha 6, at most 24
  ChatState state{
      .lock = ChatLock(&lock, 2.5), .system = "Be kind.", .messages = {{"user", "Hi"}, {"assistant", "Ho"}}};
};

TEST_F(SlashCommands, LockOffAndOn) {
  EXPECT_EQ(state.lock.label(), "lock 2.5");
  EXPECT_EQ(run("/lock off").find("UNLOCKED"), 0U);
  EXPECT_EQ(state.lock.label(), "UNLOCKED");
  EXPECT_TRUE(state.lock.strength().is_zero());
  EXPECT_EQ(run("/lock").find("UNLOCKED"), 0U);
  EXPECT_NE(run("/lock  on ").find("alpha 2.5"), std::string::npos);
  EXPECT_EQ(state.lock.strength().alpha(), 2.5);
  for (const char* line : {"/lock maybe", "/lock on off", "/lock On"}) EXPECT_EQ(code(line), "arg.usage");
  EXPECT_EQ(state.lock.label(), "lock 2.5");
  EXPECT_EQ(state.messages.size(), 2U);
}

TEST_F(SlashCommands, Alpha) {
  EXPECT_NE(run("/alpha 24").find("at most 24.0"), std::string::npos);
  EXPECT_EQ(state.lock.label(), "lock 24.0");
  for (const char* line : {"/alpha 24.5", "/alpha -1", "/alpha nan", "/alpha six", "/alpha 1 2"}) {
    EXPECT_EQ(code(line), "arg.alpha") << line;
    EXPECT_EQ(state.lock.label(), "lock 24.0");
  }
  EXPECT_EQ(error_of([&] { run("/alpha six"); })->where, "/alpha");
  EXPECT_EQ(run("/alpha 0").find("UNLOCKED"), 0U);
  EXPECT_EQ(state.lock.label(), "UNLOCKED");
  run("/lock on");
  EXPECT_EQ(state.lock.label(), "lock 24.0");
  run("/lock off");
  run("/alpha 4");
  EXPECT_EQ(state.lock.label(), "lock 4.0");
}

TEST_F(SlashCommands, AChatBegunAtZeroIsLockedAtTheLocksOwnStrength) {
  state.lock = ChatLock(&lock, 0);
  EXPECT_EQ(state.lock.label(), "UNLOCKED");
  run("/lock on");
  EXPECT_EQ(state.lock.label(), "lock 6.0");
}

TEST_F(SlashCommands, WithoutALock) {
  state.lock = ChatLock(nullptr, 0);
  EXPECT_EQ(state.lock.label(), "UNLOCKED");
  for (const char* line : {"/lock on", "/lock off", "/alpha 4", "/alpha 0"}) {
    EXPECT_EQ(code(line), "arg.usage") << line;
    EXPECT_TRUE(state.lock.strength().is_zero());
  }
  EXPECT_NE(run("/lock").find("without --lock"), std::string::npos);
}

TEST_F(SlashCommands, SystemBeginsAnew) {
  EXPECT_NE(run("/system").find("Be kind."), std::string::npos);
  EXPECT_EQ(state.messages.size(), 2U);
  EXPECT_NE(run("/system  Be brief.\nAnd true. ").find("anew"), std::string::npos);
  EXPECT_EQ(state.system, "Be brief.\nAnd true.");
  EXPECT_TRUE(state.messages.empty());
  state.messages = {{"user", "Hi"}, {"assistant", "Ho"}};
  EXPECT_EQ(code("/system a\xFF"), "arg.prompt");
  EXPECT_EQ(state.system, "Be brief.\nAnd true.");
  EXPECT_EQ(state.messages.size(), 2U);
  EXPECT_NE(run("/system -").find("anew"), std::string::npos);
  EXPECT_EQ(state.system, "");
  EXPECT_TRUE(state.messages.empty());
}

TEST_F(SlashCommands, HistoryResetAndExit) {
  EXPECT_EQ(run("/history"), "system: Be kind.\nuser: Hi\nassistant: Ho");
  EXPECT_FALSE(state.ended);
  EXPECT_NE(run("/reset").find("anew"), std::string::npos);
  EXPECT_TRUE(state.messages.empty());
  EXPECT_EQ(run("/history"), "system: Be kind.");
  run("/exit");
  EXPECT_TRUE(state.ended);
}

TEST_F(SlashCommands, EveryCommandIsInTheHelp) {
  const std::string help = run("/help");
  for (const std::string& name : slash_command_names())
    EXPECT_NE(help.find("  " + name + " "), std::string::npos) << name;
}

TEST_F(SlashCommands, UnknownOnes) {
  const auto hint = [&](const std::string& line) {
    const auto error = error_of([&] { run(line); });
    return error && error->code == "arg.usage" ? error->hint : "no error";
  };
  EXPECT_EQ(hint("/rest").find("Did you mean /reset?"), 0U);
  EXPECT_EQ(hint("/hlep me").find("Did you mean /help?"), 0U);
  EXPECT_EQ(hint("/sys").find("Did you mean /system?"), 0U);
  for (const char* line :
       {"/", "/frobnicate", "/etc/passwd", "/Reset", "/reset now", "/help me", "/reset\xFF"})
    EXPECT_EQ(code(line), "arg.usage") << line;
  EXPECT_EQ(hint("/frobnicate").find("/help lists"), 0U);
  EXPECT_EQ(state.messages.size(), 2U);
}

}  // namespace
}  // namespace safetylock::cli
