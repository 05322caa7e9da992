#include <algorithm>
#include <optional>

#include "safetylock/error.h"
#include "text/templates/builtins.h"
#include "text/templates/parser.h"

namespace safetylock::jinja {

using Kind = Expression::Kind;

ExpressionPtr ExpressionParser::make(Kind kind, int line, std::vector<ExpressionPtr> operands) {
  auto node = std::make_unique<Expression>(Expression{.kind = kind, .line = line});
  node->operands = std::move(operands);
  return finish(std::move(node));
}

// Chains such as a + b + c + ... build deep trees without deep recursion here: limit the tree itself.
ExpressionPtr ExpressionParser::finish(ExpressionPtr node) const {
  for (const ExpressionPtr& operand : node->operands) {
    if (operand) node->depth = std::max(node->depth, 1 + operand->depth);
  }
  for (const auto& [name, operand] : node->keywords) node->depth = std::max(node->depth, 1 + operand->depth);
  if (node->depth > kMaxSyntaxDepth) {
    throw Error({"limit.template_depth", tokens_.file(), "template line " + std::to_string(node->line),
                 "expressions nested at most " + std::to_string(kMaxSyntaxDepth) + " deep", "more", ""});
  }
  return node;
}

namespace {

template <typename... Operands>
std::vector<ExpressionPtr> list_of(Operands... operands) {
  std::vector<ExpressionPtr> list;
  (list.push_back(std::move(operands)), ...);
  return list;
}

std::optional<Value> constant(std::string_view name) {
  if (name == "true" || name == "True") return true;
  if (name == "false" || name == "False") return false;
  if (name == "none" || name == "None") return None{};
  return std::nullopt;
}

std::optional<Comparison> comparison(const Token& token) {
  if (token.type != Token::Type::op) return std::nullopt;
  if (token.text == "==") return Comparison::equal;
  if (token.text == "!=") return Comparison::not_equal;
  if (token.text == "<") return Comparison::less;
  if (token.text == "<=") return Comparison::less_equal;
  if (token.text == ">") return Comparison::greater;
  if (token.text == ">=") return Comparison::greater_equal;
  return std::nullopt;
}

}  // namespace

bool ExpressionParser::at_tuple_end(std::string_view end_word) const {
  return tokens_.is(Token::Type::variable_end) || tokens_.is(Token::Type::block_end) || tokens_.is_op(")") ||
         (!end_word.empty() && tokens_.is_name(end_word));
}

ExpressionPtr ExpressionParser::parse_tuple(bool with_conditional, std::string_view end_word) {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> items;
  bool tuple = false;
  while (!at_tuple_end(end_word)) {
    items.push_back(parse_expression(with_conditional));
    if (!tokens_.skip_op(",")) break;
    tuple = true;
  }
  if (items.empty()) tokens_.fail("an expression");
  if (!tuple) return std::move(items.front());
  return make(Kind::tuple, line, std::move(items));
}

ExpressionPtr ExpressionParser::parse_expression(bool with_conditional) {
  const DepthGuard guard(depth_, tokens_);
  const int line = tokens_.line();
  ExpressionPtr node = parse_or();
  while (with_conditional && tokens_.skip_name("if")) {
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise = tokens_.skip_name("else") ? parse_expression() : nullptr;
    node =
        make(Kind::conditional, line, list_of(std::move(condition), std::move(node), std::move(otherwise)));
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_or() {
  const int line = tokens_.line();
  ExpressionPtr node = parse_and();
  while (tokens_.skip_name("or")) node = make(Kind::either, line, list_of(std::move(node), parse_and()));
  return node;
}

ExpressionPtr ExpressionParser::parse_and() {
  const int line = tokens_.line();
  ExpressionPtr node = parse_not();
  while (tokens_.skip_name("and")) node = make(Kind::both, line, list_of(std::move(node), parse_not()));
  return node;
}

ExpressionPtr ExpressionParser::parse_not() {
  const DepthGuard guard(depth_, tokens_);
  const int line = tokens_.line();
  if (tokens_.skip_name("not")) return make(Kind::negation, line, list_of(parse_not()));
  return parse_compare();
}

ExpressionPtr ExpressionParser::parse_compare() {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> operands = list_of(parse_sum());
  std::vector<Comparison> comparisons;
  while (true) {
    if (const auto op = comparison(tokens_.current())) {
      tokens_.next();
      comparisons.push_back(*op);
    } else if (tokens_.skip_name("in")) {
      comparisons.push_back(Comparison::in);
    } else if (tokens_.is_name("not") && tokens_.look().type == Token::Type::name &&
               tokens_.look().text == "in") {
      tokens_.next();
      tokens_.next();
      comparisons.push_back(Comparison::not_in);
    } else {
      break;
    }
    operands.push_back(parse_sum());
  }
  if (comparisons.empty()) return std::move(operands.front());
  ExpressionPtr node = make(Kind::compare, line, std::move(operands));
  node->comparisons = std::move(comparisons);
  return node;
}

ExpressionPtr ExpressionParser::parse_sum() {
  const int line = tokens_.line();
  ExpressionPtr node = parse_concatenation();
  while (tokens_.is_op("+") || tokens_.is_op("-")) {
    const Operator op = tokens_.next().text == "+" ? Operator::add : Operator::subtract;
    node = make(Kind::arithmetic, line, list_of(std::move(node), parse_concatenation()));
    node->arithmetic = op;
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_concatenation() {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> operands = list_of(parse_product());
  while (tokens_.skip_op("~")) operands.push_back(parse_product());
  if (operands.size() == 1) return std::move(operands.front());
  return make(Kind::concatenate, line, std::move(operands));
}

ExpressionPtr ExpressionParser::parse_product() {
  const int line = tokens_.line();
  ExpressionPtr node = parse_power();
  while (tokens_.is_op("*") || tokens_.is_op("/") || tokens_.is_op("//") || tokens_.is_op("%")) {
    const std::string op = tokens_.next().text;
    node = make(Kind::arithmetic, line, list_of(std::move(node), parse_power()));
    node->arithmetic = op == "*"    ? Operator::multiply
                       : op == "/"  ? Operator::divide
                       : op == "//" ? Operator::floor_divide
                                    : Operator::modulo;
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_power() {
  const int line = tokens_.line();
  ExpressionPtr node = parse_unary();
  while (tokens_.skip_op("**")) {
    node = make(Kind::arithmetic, line, list_of(std::move(node), parse_unary()));
    node->arithmetic = Operator::power;
  }
  return node;
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filter) {
  const DepthGuard guard(depth_, tokens_);
  const int line = tokens_.line();
  ExpressionPtr node;
  if (tokens_.skip_op("-")) {
    node = make(Kind::minus, line, list_of(parse_unary(false)));
  } else if (tokens_.skip_op("+")) {
    node = make(Kind::plus, line, list_of(parse_unary(false)));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filter_tail(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::parse_primary() {
  const Token& token = tokens_.current();
  const int line = token.line;
  switch (token.type) {
    case Token::Type::name:
      return parse_name();
    case Token::Type::string: {
      std::string joined;
      while (tokens_.is(Token::Type::string)) joined += tokens_.next().text;
      ExpressionPtr node = make(Kind::literal, line);
      node->value = own_text(std::move(joined));
      return node;
    }
    case Token::Type::integer:
    case Token::Type::floating: {
      ExpressionPtr node = make(Kind::literal, line);
      node->value = token.type == Token::Type::integer ? Value(token.integer) : Value(token.floating);
      tokens_.next();
      return node;
    }
    default:
      break;
  }
  if (tokens_.is_op("[")) return parse_list();
  if (tokens_.is_op("{")) return parse_mapping();
  if (!tokens_.skip_op("(")) tokens_.fail("an expression");
  if (tokens_.skip_op(")")) return make(Kind::tuple, line);
  ExpressionPtr node = parse_tuple(true);
  tokens_.expect_op(")");
  return node;
}

ExpressionPtr ExpressionParser::parse_name() {
  const int line = tokens_.line();
  const std::string name = tokens_.next().text;
  if (auto value = constant(name)) {
    ExpressionPtr node = make(Kind::literal, line);
    node->value = std::move(*value);
    return node;
  }
  if (in_macro_ && (name == "caller" || name == "varargs" || name == "kwargs")) {
    fail_unsupported(tokens_.file(), line, "\"" + name + "\" in a macro");
  }
  ExpressionPtr node = make(Kind::name, line);
  node->text = name;
  return node;
}

ExpressionPtr ExpressionParser::parse_list() {
  const int line = tokens_.line();
  tokens_.expect_op("[");
  std::vector<ExpressionPtr> items;
  while (!tokens_.is_op("]")) {
    items.push_back(parse_expression());
    if (!tokens_.skip_op(",")) break;
  }
  tokens_.expect_op("]");
  return make(Kind::list, line, std::move(items));
}

ExpressionPtr ExpressionParser::parse_mapping() {
  const int line = tokens_.line();
  tokens_.expect_op("{");
  std::vector<ExpressionPtr> items;
  while (!tokens_.is_op("}")) {
    items.push_back(parse_expression());
    tokens_.expect_op(":");
    items.push_back(parse_expression());
    if (!tokens_.skip_op(",")) break;
  }
  tokens_.expect_op("}");
  return make(Kind::mapping, line, std::move(items));
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr node) {
  while (true) {
    if (tokens_.is_op(".")) {
      node = parse_attribute(std::move(node));
    } else if (tokens_.is_op("[")) {
      node = parse_subscript(std::move(node));
    } else if (tokens_.is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_filter_tail(ExpressionPtr node) {
  while (true) {
    if (tokens_.is_op("|")) {
      node = parse_filters(std::move(node));
    } else if (tokens_.is_name("is")) {
      node = parse_test(std::move(node));
    } else if (tokens_.is_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::parse_attribute(ExpressionPtr node) {
  const int line = tokens_.line();
  tokens_.expect_op(".");
  if (tokens_.is(Token::Type::integer)) {
    ExpressionPtr index = make(Kind::literal, line);
    index->value = tokens_.next().integer;
    return make(Kind::subscript, line, list_of(std::move(node), std::move(index)));
  }
  std::string name = tokens_.expect_any_name();
  if (name.starts_with("__")) fail_unsupported(tokens_.file(), line, "the attribute \"" + name + "\"");
  ExpressionPtr attribute = make(Kind::attribute, line, list_of(std::move(node)));
  attribute->text = std::move(name);
  return attribute;
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr node) {
  const int line = tokens_.line();
  tokens_.expect_op("[");
  ExpressionPtr bounds[3];
  bool slice = false;
  if (!tokens_.is_op(":")) bounds[0] = parse_expression();
  for (size_t i = 1; i < 3 && tokens_.skip_op(":"); ++i) {
    slice = true;
    if (!tokens_.is_op(":") && !tokens_.is_op("]") && !tokens_.is_op(",")) bounds[i] = parse_expression();
  }
  if (tokens_.is_op(","))
    fail_unsupported(tokens_.file(), line, "several subscripts in one pair of brackets");
  tokens_.expect_op("]");
  if (!slice) return make(Kind::subscript, line, list_of(std::move(node), std::move(bounds[0])));
  return make(Kind::slice, line,
              list_of(std::move(node), std::move(bounds[0]), std::move(bounds[1]), std::move(bounds[2])));
}

void ExpressionParser::parse_arguments(Expression& call) {
  tokens_.expect_op("(");
  while (!tokens_.is_op(")")) {
    if (tokens_.is_op("*") || tokens_.is_op("**")) {
      fail_unsupported(tokens_.file(), tokens_.line(), "argument unpacking with * or **");
    }
    const bool keyword =
        tokens_.is(Token::Type::name) && tokens_.look().type == Token::Type::op && tokens_.look().text == "=";
    if (keyword) {
      std::string name = tokens_.next().text;
      tokens_.next();
      for (const auto& [earlier, value] : call.keywords) {
        if (earlier == name) tokens_.fail("each argument once");
      }
      call.keywords.emplace_back(std::move(name), parse_expression());
    } else {
      if (!call.keywords.empty()) tokens_.fail("positional arguments before named ones");
      call.operands.push_back(parse_expression());
    }
    if (!tokens_.skip_op(",")) break;
  }
  tokens_.expect_op(")");
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr node) {
  auto call = make(Kind::call, tokens_.line(), list_of(std::move(node)));
  parse_arguments(*call);
  return finish(std::move(call));
}

ExpressionPtr ExpressionParser::parse_filter(ExpressionPtr input) {
  const int line = tokens_.line();
  const std::string name = tokens_.expect_any_name();
  if (find_filter(name) == nullptr) fail_unsupported(tokens_.file(), line, "the filter \"" + name + "\"");
  std::vector<ExpressionPtr> operands;
  operands.push_back(std::move(input));
  auto filter = make(Kind::filter, line, std::move(operands));
  filter->text = name;
  if (tokens_.is_op("(")) parse_arguments(*filter);
  return finish(std::move(filter));
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr input) {
  while (tokens_.skip_op("|")) input = parse_filter(std::move(input));
  return input;
}

ExpressionPtr ExpressionParser::parse_filter_names() {
  return parse_filters(parse_filter(nullptr));
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr node) {
  const int line = tokens_.line();
  tokens_.expect_name("is");
  const bool negated = tokens_.skip_name("not");
  const std::string name = tokens_.expect_any_name();
  if (find_test(name) == nullptr) fail_unsupported(tokens_.file(), line, "the test \"" + name + "\"");
  auto test = make(Kind::test, line, list_of(std::move(node)));
  test->text = name;
  const Token& token = tokens_.current();
  const bool literal = token.type == Token::Type::string || token.type == Token::Type::integer ||
                       token.type == Token::Type::floating || tokens_.is_op("[") || tokens_.is_op("{");
  const bool word =
      token.type == Token::Type::name && token.text != "else" && token.text != "or" && token.text != "and";
  if (tokens_.is_op("(")) {
    parse_arguments(*test);
  } else if (literal || word) {
    if (tokens_.is_name("is")) tokens_.fail("no second \"is\"");
    test->operands.push_back(parse_postfix(parse_primary()));
  }
  test = finish(std::move(test));
  return negated ? make(Kind::negation, line, list_of(std::move(test))) : std::move(test);
}

Target ExpressionParser::parse_target(bool with_namespace, std::string_view end_word) {
  std::vector<Target> parts;
  bool tuple = false;
  while (!at_tuple_end(end_word) && !tokens_.is_op("=")) {
    parts.push_back(parse_single_target(with_namespace));
    if (!tokens_.skip_op(",")) break;
    tuple = true;
  }
  if (parts.empty()) tokens_.fail("a variable to assign to");
  if (!tuple) return std::move(parts.front());
  return Target{"", "", std::move(parts)};
}

Target ExpressionParser::parse_target_name() {
  if (!tokens_.is(Token::Type::name) || constant(tokens_.current().text)) tokens_.fail("a variable name");
  return {tokens_.next().text, "", {}};
}

Target ExpressionParser::parse_single_target(bool with_namespace) {
  const DepthGuard guard(depth_, tokens_);
  if (tokens_.skip_op("(")) {
    Target inner = parse_target(false);
    tokens_.expect_op(")");
    return inner;
  }
  if (!tokens_.is(Token::Type::name) || constant(tokens_.current().text))
    tokens_.fail("a variable to assign to");
  Target target{tokens_.next().text, "", {}};
  if (with_namespace && tokens_.skip_op(".")) {
    target.attribute = tokens_.expect_any_name();
    if (target.attribute.starts_with('_')) {
      fail_unsupported(tokens_.file(), tokens_.line(), "a namespace attribute that begins with _");
    }
  }
  return target;
}

}  // namespace safetylock::jinja
