// Tokens to statements: Jinja2's grammar, less what chat templates never use.
#pragma once

#include <string>
#include <string_view>

#include "text/templates/ast.h"
#include "text/templates/lexer.h"

namespace safetylock::jinja {

/// Throws template.syntax for what is not Jinja, template.unsupported for what this subset leaves out, both
/// naming the template line; limit.template_depth.
Block parse_template(std::string_view source, const std::string& file);

/// Position in the tokens, and what both halves of the parser share.
class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, const std::string& file) : tokens_(std::move(tokens)), file_(file) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& next();
  const std::string& file() const { return file_; }
  int line() const { return current().line; }

  bool is(Token::Type type) const { return current().type == type; }
  bool is_op(std::string_view op) const { return is(Token::Type::op) && current().text == op; }
  bool is_name(std::string_view name) const { return is(Token::Type::name) && current().text == name; }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  void expect(Token::Type type);
  std::string expect_any_name();
  /// template.syntax at the current token.
  [[noreturn]] void fail(const std::string& expected) const;

 private:
  std::vector<Token> tokens_;
  const std::string& file_;
  size_t at_ = 0;
};

/// Counts the recursion of the parser; throws limit.template_depth.
class DepthGuard {
 public:
  DepthGuard(int& depth, const TokenStream& tokens);
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// An expression, or a tuple when commas follow. `end_word` ("in", "recursive") may close it too.
  ExpressionPtr parse_tuple(bool with_conditional, std::string_view end_word = {});
  ExpressionPtr parse_expression(bool with_conditional = true);
  /// `| filter | filter ...` applied to `input`, which is null for a block's text.
  ExpressionPtr parse_filters(ExpressionPtr input);
  /// `filter | filter ...` of {% filter %}.
  ExpressionPtr parse_filter_names();
  Target parse_target(bool with_namespace, std::string_view end_word = {});
  /// One plain variable name.
  Target parse_target_name();
  /// Variables whose meaning a macro would change: refused inside one.
  void set_in_macro(bool inside) { in_macro_ = inside; }
  bool in_macro() const { return in_macro_; }

 private:
  ExpressionPtr make(Expression::Kind kind, int line, std::vector<ExpressionPtr> operands = {});
  ExpressionPtr finish(ExpressionPtr node) const;
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concatenation();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool with_filter = true);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_list();
  ExpressionPtr parse_mapping();
  ExpressionPtr parse_postfix(ExpressionPtr node);
  ExpressionPtr parse_filter_tail(ExpressionPtr node);
  ExpressionPtr parse_filter(ExpressionPtr input);
  ExpressionPtr parse_test(ExpressionPtr node);
  ExpressionPtr parse_attribute(ExpressionPtr node);
  ExpressionPtr parse_subscript(ExpressionPtr node);
  ExpressionPtr parse_call(ExpressionPtr node);
  void parse_arguments(Expression& call);
  bool at_tuple_end(std::string_view end_word) const;
  Target parse_single_target(bool with_namespace);

  TokenStream& tokens_;
  int depth_ = 0;
  bool in_macro_ = false;
};

}  // namespace safetylock::jinja
