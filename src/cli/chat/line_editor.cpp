#include "cli/chat/line_editor.h"

#include <histedit.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "cli/chat/wide_text.h"
#include "cli/interrupt.h"

namespace safetylock::cli {
namespace {

constexpr int kHistorySize = 1000;
constexpr wchar_t kCtrlC = 3;
constexpr std::wstring_view kPasteEnd = L"\x1b[201~";
/// Around what takes no room on the screen.
constexpr char kUnseen = '\1';

/// Escape sequences, which end in "m", marked for the editor.
std::string marked(const std::string& styled) {
  std::string out;
  bool sequence = false;
  for (const char c : styled) {
    if (c == '\x1b') out += kUnseen;
    sequence = sequence || c == '\x1b';
    out += c;
    if (sequence && c == 'm') {
      out += kUnseen;
      sequence = false;
    }
  }
  return out;
}

bool knows_pasting() {
  const char* term = std::getenv("TERM");
  return term != nullptr && *term != '\0' && std::string_view(term) != "dumb";
}

}  // namespace

struct LineEditor::Editor {
  explicit Editor(std::vector<std::string> completed);
  ~Editor();
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static Editor& of(EditLine* line);
  template <unsigned char (Editor::*Key)()>
  static unsigned char on_key(EditLine* line, int /*character*/) {
    return (of(line).*Key)();
  }
  static char* on_prompt(EditLine* line) { return of(line).prompt.data(); }
  static int on_read(EditLine* line, wchar_t* character);

  void bind(const char* keys, const char* function) { ::el_set(line, EL_BIND, keys, function, nullptr); }
  void show(const char* text);
  void announce_pasting(bool on);
  void follow_size();
  std::optional<wchar_t> next_character();
  std::wstring_view typed() const;
  void remember(const std::wstring& text);
  void drop();

  unsigned char cancel();
  unsigned char suspend();
  unsigned char paste();
  unsigned char new_line();
  unsigned char complete();

  std::vector<std::string> words;
  Utf8Locale locale;
  // A stream of its own: standard error is unbuffered, and the editor writes character by character.
  std::FILE* out;
  EditLine* line;
  HistoryW* history;
  std::string prompt;
  CharacterReader reader;
  size_t columns = 0;
  bool pasting = knows_pasting();
  bool cancelled = false;
  std::wstring dropped;  // by Ctrl-C
};

LineEditor::Editor::Editor(std::vector<std::string> completed)
    : words(std::move(completed)),
      out(::fdopen(::dup(STDERR_FILENO), "w")),
      line(out == nullptr ? nullptr : ::el_init("safetylock", stdin, out, out)),
      history(::history_winit()) {
  if (line == nullptr || history == nullptr) throw std::bad_alloc();
  HistEventW event;
  ::history_w(history, &event, H_SETSIZE, kHistorySize);
  ::history_w(history, &event, H_SETUNIQUE, 1);
  ::el_set(line, EL_CLIENTDATA, this);
  ::el_set(line, EL_PROMPT_ESC, &Editor::on_prompt, kUnseen);
  ::el_set(line, EL_EDITOR, "emacs");
  ::el_wset(line, EL_HIST, ::history_w, history);
  ::el_wset(line, EL_GETCFN, &Editor::on_read);
  // Ctrl-C and Ctrl-Z as keys: a signal could come at any moment of the drawing.
  ::el_set(line, EL_SETTY, "-d", "-isig", nullptr);
  ::el_set(line, EL_ADDFN, "chat-cancel", "Drop the line", &Editor::on_key<&Editor::cancel>);
  ::el_set(line, EL_ADDFN, "chat-suspend", "Stop the program", &Editor::on_key<&Editor::suspend>);
  ::el_set(line, EL_ADDFN, "chat-paste", "Insert a pasted block", &Editor::on_key<&Editor::paste>);
  ::el_set(line, EL_ADDFN, "chat-new-line", "Insert a line break", &Editor::on_key<&Editor::new_line>);
  ::el_set(line, EL_ADDFN, "chat-complete", "Complete a command", &Editor::on_key<&Editor::complete>);
  bind("^C", "chat-cancel");
  bind("^Z", "chat-suspend");
  bind("^[[200~", "chat-paste");
  bind("^[^J", "chat-new-line");
  bind("^[^M", "chat-new-line");
  bind("^I", "chat-complete");
  // As readline has them.
  bind("^R", "em-inc-search-prev");
  bind("^U", "vi-kill-line-prev");
  bind("^W", "ed-delete-prev-word");
  bind("^[[1;5C", "em-next-word");
  bind("^[[1;5D", "ed-prev-word");
  bind("^[[3~", "ed-delete-next-char");
}

LineEditor::Editor::~Editor() {
  ::el_end(line);
  ::history_wend(history);
  std::fclose(out);
}

LineEditor::Editor& LineEditor::Editor::of(EditLine* line) {
  void* self = nullptr;
  ::el_get(line, EL_CLIENTDATA, &self);
  return *static_cast<Editor*>(self);
}

void LineEditor::Editor::show(const char* text) {
  std::fputs(text, out);
  std::fflush(out);
}

void LineEditor::Editor::announce_pasting(bool on) {
  if (pasting) show(on ? "\x1b[?2004h" : "\x1b[?2004l");
}

void LineEditor::Editor::follow_size() {
  const size_t now = Terminal::width(Stream::err);
  if (now == columns) return;
  columns = now;
  ::el_resize(line);
  ::el_set(line, EL_REFRESH);
}

/// Nothing at the end of the input and after a SIGINT, which may come from outside although its key is no
/// signal here.
std::optional<wchar_t> LineEditor::Editor::next_character() {
  const std::optional<wchar_t> next = reader.next([this] { follow_size(); });
  if (!next && interrupted()) drop();
  return next;
}

int LineEditor::Editor::on_read(EditLine* line, wchar_t* character) {
  const std::optional<wchar_t> next = of(line).next_character();
  if (!next) return 0;
  *character = *next;
  return 1;
}

std::wstring_view LineEditor::Editor::typed() const {
  const LineInfoW* info = ::el_wline(line);
  return {info->buffer, static_cast<size_t>(info->lastchar - info->buffer)};
}

void LineEditor::Editor::remember(const std::wstring& text) {
  HistEventW event;
  if (!text.empty()) ::history_w(history, &event, H_ENTER, text.c_str());
}

void LineEditor::Editor::drop() {
  cancelled = true;
  dropped = typed();
}

/// Ends the line as Enter does, so that nothing is printed over it.
unsigned char LineEditor::Editor::cancel() {
  drop();
  const LineInfoW* info = ::el_wline(line);
  ::el_cursor(line, static_cast<int>(info->lastchar - info->cursor));
  ::el_winsertstr(line, L"^C");
  ::el_push(line, "\n");
  return CC_REFRESH;
}

unsigned char LineEditor::Editor::suspend() {
  announce_pasting(false);
  ::el_set(line, EL_PREP_TERM, 0);
  // The rest of the job first. A signal to the whole process could stop another thread, while this one takes
  // the terminal back.
  struct sigaction ignored {
  }, before{};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGTSTP, &ignored, &before);
  ::kill(0, SIGTSTP);
  ::sigaction(SIGTSTP, &before, nullptr);
  std::raise(SIGTSTP);
  ::el_set(line, EL_PREP_TERM, 1);
  announce_pasting(true);
  return CC_REDISPLAY;
}

unsigned char LineEditor::Editor::paste() {
  std::wstring text;
  while (!text.ends_with(kPasteEnd)) {
    const std::optional<wchar_t> next = next_character();
    if (!next) return CC_EOF;
    if (*next == kCtrlC) return cancel();  // the way out where the end of a block never comes
    if (*next != L'\0') text += *next == L'\r' ? L'\n' : *next;
  }
  text.resize(text.size() - kPasteEnd.size());
  if (text.ends_with(L'\n')) text.pop_back();  // of a line copied whole
  if (text.empty()) return CC_NORM;
  return ::el_winsertstr(line, text.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
}

unsigned char LineEditor::Editor::new_line() {
  return ::el_winsertstr(line, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

/// As far as all words that begin so agree.
unsigned char LineEditor::Editor::complete() {
  const std::string begun = to_utf8(typed());
  std::optional<std::string> common;
  size_t matches = 0;
  for (const std::string& word : words) {
    if (begun.empty() || !word.starts_with(begun)) continue;
    ++matches;
    if (!common) common = word;
    while (!word.starts_with(*common)) common->pop_back();
  }
  if (!common) return CC_ERROR;
  std::string rest = common->substr(begun.size());
  if (matches == 1) rest += " ";
  if (rest.empty()) return CC_ERROR;
  ::el_insertstr(line, rest.c_str());
  return CC_REFRESH;
}

LineEditor::LineEditor(const Terminal& terminal, std::vector<std::string> words)
    : terminal_(terminal), editor_(std::make_unique<Editor>(std::move(words))) {}

LineEditor::~LineEditor() = default;

Line LineEditor::read(const Prompt& prompt) {
  Editor& e = *editor_;
  // An end of the process here would leave the terminal to the shell as the editor has it.
  second_interrupt_ends(false);
  e.prompt = marked(terminal_.styled(Stream::err, prompt.style, prompt.text)) + " ";
  e.columns = Terminal::width(Stream::err);
  e.cancelled = false;
  ::el_set(e.line, EL_PREP_TERM, 1);  // el_wgets would do it only once the prompt has been shown
  e.announce_pasting(true);
  int length = 0;
  const wchar_t* text = ::el_wgets(e.line, &length);
  e.announce_pasting(false);
  second_interrupt_ends(true);
  forget_interrupt();
  if (e.cancelled) {
    if (text == nullptr) e.show("\n");
    return {LineEnd::cancelled, to_utf8(e.dropped)};
  }
  if (text == nullptr || length <= 0) {
    e.show("\n");
    return {LineEnd::end_of_input, ""};
  }
  std::wstring entered(text, static_cast<size_t>(length));
  if (entered.ends_with(L'\n')) entered.pop_back();
  e.remember(entered);
  return {LineEnd::entered, to_utf8(entered)};
}

}  // namespace safetylock::cli
