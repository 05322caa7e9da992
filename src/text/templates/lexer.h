// Template source to tokens: Jinja2's lexer with trim_blocks and lstrip_blocks on, without line statements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock::jinja {

struct Token {
  enum class Type {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    floating,
    op,
    end
  };
  Type type;
  int line;
  std::string text;  ///< data, name, string (unescaped), operator
  std::int64_t integer = 0;
  double floating = 0;
};

/// Throws template.syntax or template.unsupported naming the line; `file` labels errors. The last token is
/// `end`.
std::vector<Token> tokenize(std::string_view source, const std::string& file);

[[noreturn]] void fail_syntax(const std::string& file, int line, const std::string& expected,
                              const std::string& found);
[[noreturn]] void fail_unsupported(const std::string& file, int line, const std::string& what);

}  // namespace safetylock::jinja
