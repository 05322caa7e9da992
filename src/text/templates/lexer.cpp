#include "text/templates/lexer.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/utf8.h"
#include "safetylock/error.h"
#include "text/templates/marked_text.h"
#include "text/templates/strings.h"

namespace safetylock::jinja {

void fail_syntax(const std::string& file, int line, const std::string& expected, const std::string& found) {
  throw Error({"template.syntax", file, "template line " + std::to_string(line), expected, found, ""});
}

void fail_unsupported(const std::string& file, int line, const std::string& what) {
  throw Error({"template.unsupported", file, "template line " + std::to_string(line),
               "the Jinja subset that chat templates use", what, ""});
}

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// \r\n and \r become \n; the source's last newline is dropped.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  Lexer(std::string source, const std::string& file) : source_(std::move(source)), file_(file) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_data();
    push(Token::Type::end, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool next_is(std::string_view what) const { return rest().starts_with(what); }

  void push(Token::Type type, std::string text) { tokens_.push_back({type, line_, std::move(text)}); }

  // Every move over source text goes through here: counts lines and remembers how the move ended.
  void skip(size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
    if (bytes > 0) line_starting_ = source_[at_ - 1] == '\n';
  }
  size_t space_after(size_t offset) const {
    return stripped(std::string_view(source_).substr(offset), true, false).begin;
  }

  // Text up to the next tag, then the tag.
  void lex_data() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push(Token::Type::data, std::string(rest()));
        skip(rest().size());
        return;
      }
      const char kind = source_[tag + 1];
      if (kind == '%' || kind == '{' || kind == '#') break;
      ++tag;
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    push_data_before(tag, sign, kind != '{');
    if (kind == '#') return skip_comment(sign);
    if (kind == '%' && lex_raw()) return;
    push(kind == '{' ? Token::Type::variable_begin : Token::Type::block_begin, "");
    skip(sign == 0 ? 2 : 3);
    lex_tag(kind == '{');
  }

  char sign_at(size_t offset) const {
    if (offset >= source_.size()) return 0;
    return source_[offset] == '-' || source_[offset] == '+' ? source_[offset] : '\0';
  }

  // The text before a tag, without the white space that the tag's sign or lstrip_blocks takes away.
  void push_data_before(size_t tag, char sign, bool block) {
    const std::string_view text = std::string_view(source_).substr(at_, tag - at_);
    size_t keep = text.size();
    if (sign == '-') {
      keep = stripped(text, false, true).end;
    } else if (sign != '+' && block) {
      const size_t newline = text.rfind('\n');
      const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
      const bool whole_line = line_begin > 0 || line_starting_;
      if (whole_line && stripped(text.substr(line_begin), true, false).begin == text.size() - line_begin) {
        keep = line_begin;
      }
    }
    if (keep > 0) push(Token::Type::data, std::string(text.substr(0, keep)));
    skip(text.size());
  }

  // Where a closing "%}" or "#}" at `offset` ends, its sign, following white space or newline included.
  std::optional<size_t> closing(size_t offset, std::string_view close, bool takes_newline) const {
    const std::string_view text = std::string_view(source_).substr(offset);
    if (text.starts_with('-') && text.substr(1).starts_with(close)) {
      const size_t end = offset + 1 + close.size();
      return end + space_after(end);
    }
    const size_t plus = text.starts_with('+') ? 1 : 0;
    if (plus == 1 && close == "}}") return std::nullopt;
    if (!text.substr(plus).starts_with(close)) return std::nullopt;
    const size_t end = offset + plus + close.size();
    const bool newline = takes_newline && plus == 0 && end < source_.size() && source_[end] == '\n';
    return newline ? end + 1 : end;
  }

  void skip_comment(char sign) {
    for (size_t i = at_ + (sign == 0 ? 2 : 3); i < source_.size(); ++i) {
      if (const auto end = closing(i, "#}", true)) return skip(*end - at_);
    }
    fail_syntax(file_, line_, "#} at the end of a comment", "end of template");
  }

  // {% raw %} ... {% endraw %}; false when the tag here is another.
  bool lex_raw() {
    const auto begin = raw_tag(at_, "raw", false);
    if (!begin) return false;
    const int opened = line_;
    skip(*begin - at_);
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 1)) {
      const auto end = raw_tag(tag, "endraw", true);
      if (!end) continue;
      push_data_before(tag, sign_at(tag + 2), true);
      skip(*end - at_);
      return true;
    }
    fail_syntax(file_, opened, "{% endraw %}", "end of template");
  }

  // End of the tag "{% `word` %}" at `offset`, or nothing.
  std::optional<size_t> raw_tag(size_t offset, std::string_view word, bool end_tag) const {
    size_t i = offset + 2;
    if (sign_at(i) != 0) ++i;
    i += space_after(i);
    if (!std::string_view(source_).substr(i).starts_with(word)) return std::nullopt;
    i += word.size();
    i += space_after(i);
    if (!end_tag && i < source_.size() && source_[i] == '+') return std::nullopt;
    return closing(i, "%}", end_tag);
  }

  void lex_tag(bool variable) {
    const std::string_view close = variable ? "}}" : "%}";
    std::string open_brackets;
    while (at_ < source_.size()) {
      if (open_brackets.empty()) {
        if (const auto end = closing(at_, close, !variable)) {
          push(variable ? Token::Type::variable_end : Token::Type::block_end, "");
          return skip(*end - at_);
        }
      }
      if (const size_t space = space_after(at_); space > 0) {
        skip(space);
      } else if (is_digit(source_[at_])) {
        lex_number();
      } else if (is_name_start(source_[at_])) {
        lex_name();
      } else if (source_[at_] == '"' || source_[at_] == '\'') {
        lex_string();
      } else {
        lex_operator(open_brackets);
      }
    }
  }

  void lex_name() {
    size_t end = at_;
    while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
    push(Token::Type::name, source_.substr(at_, end - at_));
    skip(end - at_);
  }

  void lex_string() {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != source_[at_]) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_syntax(file_, line_, "a closing quote", "end of template");
    push(Token::Type::string,
         unescape(std::string_view(source_).substr(at_ + 1, end - at_ - 1), file_, line_));
    skip(end + 1 - at_);
  }

  // End of digits with single underscores between them; `offset` itself when there is none.
  template <typename IsDigit>
  size_t digits_from(size_t offset, IsDigit&& digit) const {
    size_t end = offset;
    while (end < source_.size() && digit(source_[end])) {
      ++end;
      if (end + 1 < source_.size() && source_[end] == '_' && digit(source_[end + 1])) ++end;
    }
    return end;
  }

  void lex_number() {
    // After a dot comes an index ("x.0.1"), never a fraction.
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    size_t end = digits_from(at_, is_digit);
    bool floating = false;
    if (!after_dot && end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      end = digits_from(end + 1, is_digit);
      floating = true;
    }
    if (!after_dot && end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        end = digits_from(exponent, is_digit);
        floating = true;
      }
    }
    floating ? push_float(end) : push_integer(end);
  }

  std::string without_underscores(size_t end) const {
    std::string digits = source_.substr(at_, end - at_);
    std::erase(digits, '_');
    return digits;
  }

  void push_float(size_t end) {
    const std::string digits = without_underscores(end);
    Token token{Token::Type::floating, line_, ""};
    if (std::from_chars(digits.data(), digits.data() + digits.size(), token.floating).ec != std::errc()) {
      fail_unsupported(file_, line_, "the number " + escape_untrusted(digits));
    }
    tokens_.push_back(token);
    skip(end - at_);
  }

  void push_integer(size_t end) {
    const auto is_zero = [](char c) { return c == '0' || c == '_'; };
    std::string digits = without_underscores(end);
    if (digits.size() > 1 && digits[0] == '0' && !std::all_of(digits.begin(), digits.end(), is_zero)) {
      fail_syntax(file_, line_, "a number without leading zeros", digits);
    }
    if (digits == "0" && end < source_.size() &&
        std::string_view("bBoOxX").find(source_[end]) != std::string::npos) {
      fail_unsupported(file_, line_, "binary, octal and hexadecimal numbers");
    }
    Token token{Token::Type::integer, line_, ""};
    if (std::from_chars(digits.data(), digits.data() + digits.size(), token.integer).ec != std::errc()) {
      fail_unsupported(file_, line_, "an integer of more than 63 bits");
    }
    tokens_.push_back(token);
    skip(end - at_);
  }

  void lex_operator(std::string& open_brackets) {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kOne = "+-/*%~[](){}<>=.:|,;";
    size_t length = 0;
    for (const std::string_view two : kTwo) {
      if (next_is(two)) length = 2;
    }
    const char c = source_[at_];
    if (length == 0 && kOne.find(c) != std::string_view::npos) length = 1;
    if (length == 0) {
      const size_t bytes = utf8::decode(rest()).length;
      fail_syntax(file_, line_, "an expression", "\"" + escape_untrusted(rest().substr(0, bytes)) + "\"");
    }
    if (length == 1) balance(c, open_brackets);
    push(Token::Type::op, source_.substr(at_, length));
    skip(length);
  }

  void balance(char c, std::string& open_brackets) {
    if (c == '(') open_brackets += ')';
    if (c == '[') open_brackets += ']';
    if (c == '{') open_brackets += '}';
    if (c != ')' && c != ']' && c != '}') return;
    if (open_brackets.empty() || open_brackets.back() != c) {
      fail_syntax(file_, line_,
                  open_brackets.empty() ? "no closing bracket" : std::string(1, open_brackets.back()),
                  std::string(1, c));
    }
    open_brackets.pop_back();
  }

  std::string source_;
  const std::string& file_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& file) {
  if (const auto bad = utf8::find_invalid(source)) {
    throw Error(
        {"template.syntax", file, "byte " + std::to_string(*bad), "valid UTF-8", "an invalid sequence", ""});
  }
  return Lexer(normalized(source), file).run();
}

}  // namespace safetylock::jinja
