#include "text/templates/parser.h"

#include <algorithm>
#include <initializer_list>

#include "safetylock/error.h"
#include "text/templates/scopes.h"

namespace safetylock::jinja {

namespace {

// One parenthesis passes three counted functions.
constexpr int kMaxRecursion = 3 * kMaxSyntaxDepth;

std::string describe(const Token& token) {
  switch (token.type) {
    case Token::Type::data:
      return "text";
    case Token::Type::variable_begin:
      return "{{";
    case Token::Type::variable_end:
      return "}}";
    case Token::Type::block_begin:
      return "{%";
    case Token::Type::block_end:
      return "%}";
    case Token::Type::string:
      return "a string";
    case Token::Type::integer:
    case Token::Type::floating:
      return "a number";
    case Token::Type::end:
      return "end of template";
    default:
      return "\"" + escape_untrusted(token.text) + "\"";
  }
}

}  // namespace

const Token& TokenStream::next() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::skip_op(std::string_view op) {
  if (!is_op(op)) return false;
  next();
  return true;
}

bool TokenStream::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  next();
  return true;
}

void TokenStream::expect_op(std::string_view op) {
  if (!skip_op(op)) fail("\"" + std::string(op) + "\"");
}

void TokenStream::expect_name(std::string_view name) {
  if (!skip_name(name)) fail("\"" + std::string(name) + "\"");
}

void TokenStream::expect(Token::Type type) {
  if (!is(type)) fail(describe(Token{type, 0, ""}));
  next();
}

std::string TokenStream::expect_any_name() {
  if (!is(Token::Type::name)) fail("a name");
  return next().text;
}

void TokenStream::fail(const std::string& expected) const {
  fail_syntax(file_, line(), expected, describe(current()));
}

DepthGuard::DepthGuard(int& depth, const TokenStream& tokens) : depth_(depth) {
  if (depth_ >= kMaxRecursion) {
    throw Error({"limit.template_depth", tokens.file(), "template line " + std::to_string(tokens.line()),
                 "syntax nested at most " + std::to_string(kMaxSyntaxDepth) + " deep", "more", ""});
  }
  ++depth_;
}

namespace {

using Kind = Statement::Kind;
using Words = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  explicit StatementParser(TokenStream& tokens) : tokens_(tokens), expressions_(tokens) {}

  Block run() {
    Block block = parse_block({});
    if (!tokens_.is(Token::Type::end)) tokens_.fail("end of template");
    return block;
  }

 private:
  // Statements up to a tag that begins with one of `ends`, whose name is then the current token, or to the
  // end of the template when `ends` is empty.
  Block parse_block(Words ends) {
    const DepthGuard guard(depth_, tokens_);
    Block block;
    while (!tokens_.is(Token::Type::end)) {
      const int line = tokens_.line();
      if (tokens_.is(Token::Type::data)) {
        block.statements.push_back({.kind = Kind::data, .line = line, .text = tokens_.next().text});
      } else if (tokens_.is(Token::Type::variable_begin)) {
        tokens_.next();
        Statement print{.kind = Kind::print, .line = line};
        print.expressions.push_back(expressions_.parse_tuple(true));
        block.statements.push_back(std::move(print));
        tokens_.expect(Token::Type::variable_end);
      } else {
        tokens_.expect(Token::Type::block_begin);
        for (const std::string_view end : ends) {
          if (tokens_.is_name(end)) return block;
        }
        block.statements.push_back(parse_statement());
        tokens_.expect(Token::Type::block_end);
      }
    }
    if (ends.size() > 0) tokens_.fail("{% " + std::string(*(ends.end() - 1)) + " %}");
    return block;
  }

  // The body of a tag, from the end of the tag to the closing one, which is left current.
  Block parse_body(Words ends) {
    tokens_.skip_op(":");
    tokens_.expect(Token::Type::block_end);
    return parse_block(ends);
  }
  Block parse_whole_body(std::string_view end) {
    Block body = parse_body({end});
    tokens_.next();
    return body;
  }

  Statement parse_statement() {
    if (!tokens_.is(Token::Type::name)) tokens_.fail("a tag name");
    const int line = tokens_.line();
    const std::string tag = tokens_.next().text;
    if (tag == "if") return parse_if(line);
    if (tag == "for") return parse_for(line);
    if (tag == "set") return parse_set(line);
    if (tag == "macro") return parse_macro(line);
    if (tag == "with") return parse_with(line);
    if (tag == "filter") return parse_filter_block(line);
    if (tag == "generation") return parse_generation(line);
    if (tag == "break" || tag == "continue") return parse_loop_control(line, tag);
    static constexpr std::string_view kLeftOut[] = {"block", "extends", "print", "include",
                                                    "from",  "import",  "call",  "autoescape"};
    if (std::find(std::begin(kLeftOut), std::end(kLeftOut), tag) != std::end(kLeftOut)) {
      fail_unsupported(tokens_.file(), line, "the tag \"" + tag + "\"");
    }
    fail_unsupported(tokens_.file(), line, "the unknown or misplaced tag \"" + escape_untrusted(tag) + "\"");
  }

  Statement parse_if(int line) {
    Statement branch{.kind = Kind::branch, .line = line};
    while (true) {
      branch.expressions.push_back(expressions_.parse_tuple(false));
      branch.blocks.push_back(parse_body({"elif", "else", "endif"}));
      if (tokens_.skip_name("elif")) continue;
      if (tokens_.skip_name("else")) branch.blocks.push_back(parse_body({"endif"}));
      tokens_.expect_name("endif");
      return branch;
    }
  }

  Statement parse_for(int line) {
    Statement loop{.kind = Kind::loop, .line = line};
    ++loops_;
    loop.targets.push_back(expressions_.parse_target(false, "in"));
    refuse_loop_target(loop.targets.front());
    tokens_.expect_name("in");
    loop.expressions.push_back(expressions_.parse_tuple(false, "recursive"));
    loop.expressions.push_back(tokens_.skip_name("if") ? expressions_.parse_expression() : nullptr);
    if (tokens_.is_name("recursive")) fail_unsupported(tokens_.file(), line, "a recursive loop");
    ++breakable_;
    loop.blocks.push_back(parse_body({"endfor", "else"}));
    --breakable_;
    if (tokens_.skip_name("else")) loop.blocks.push_back(parse_body({"endfor"}));
    tokens_.expect_name("endfor");
    --loops_;
    return loop;
  }

  // Inside a loop, `loop` is the loop's own.
  void refuse_loop_target(const Target& target) const {
    if (loops_ > 0 && target.name == "loop") {
      fail_syntax(tokens_.file(), tokens_.line(), "no assignment to \"loop\" inside a loop", "one");
    }
    for (const Target& part : target.parts) refuse_loop_target(part);
  }

  Statement parse_set(int line) {
    Target target = expressions_.parse_target(true);
    refuse_loop_target(target);
    if (tokens_.skip_op("=")) {
      Statement assign{.kind = Kind::assign, .line = line};
      assign.targets.push_back(std::move(target));
      assign.expressions.push_back(expressions_.parse_tuple(true));
      return assign;
    }
    Statement assign{.kind = Kind::assign_block, .line = line};
    assign.targets.push_back(std::move(target));
    assign.expressions.push_back(tokens_.is_op("|") ? expressions_.parse_filters(nullptr) : nullptr);
    assign.blocks.push_back(parse_own_body("endset"));
    return assign;
  }

  // A body that Jinja compiles to a function of its own: break and continue cannot leave it.
  Block parse_own_body(std::string_view end) {
    const int outer = std::exchange(breakable_, 0);
    Block body = parse_whole_body(end);
    breakable_ = outer;
    return body;
  }

  Statement parse_macro(int line) {
    Statement statement{.kind = Kind::macro, .line = line};
    statement.macro = std::make_unique<Macro>();
    Macro& macro = *statement.macro;
    macro.name = tokens_.expect_any_name();
    const bool outer = expressions_.in_macro();
    expressions_.set_in_macro(true);
    tokens_.expect_op("(");
    while (!tokens_.is_op(")")) {
      const Target parameter = expressions_.parse_target_name();
      macro.parameters.push_back(parameter.name);
      if (tokens_.skip_op("=")) {
        macro.defaults.push_back(expressions_.parse_expression());
      } else if (!macro.defaults.empty()) {
        tokens_.fail("a default for every parameter after the first with one");
      }
      if (!tokens_.skip_op(",")) break;
    }
    tokens_.expect_op(")");
    macro.body = parse_own_body("endmacro");
    expressions_.set_in_macro(outer);
    return statement;
  }

  Statement parse_with(int line) {
    Statement with{.kind = Kind::with, .line = line};
    while (!tokens_.is(Token::Type::block_end)) {
      if (!with.targets.empty()) tokens_.expect_op(",");
      with.targets.push_back(expressions_.parse_target_name());
      tokens_.expect_op("=");
      with.expressions.push_back(expressions_.parse_expression());
    }
    with.blocks.push_back(parse_whole_body("endwith"));
    return with;
  }

  Statement parse_filter_block(int line) {
    Statement filter{.kind = Kind::filter_block, .line = line};
    filter.expressions.push_back(expressions_.parse_filter_names());
    filter.blocks.push_back(parse_whole_body("endfilter"));
    return filter;
  }

  Statement parse_generation(int line) {
    Statement scope{.kind = Kind::scope, .line = line};
    scope.blocks.push_back(parse_own_body("endgeneration"));
    return scope;
  }

  Statement parse_loop_control(int line, const std::string& tag) {
    if (breakable_ == 0) fail_syntax(tokens_.file(), line, "\"" + tag + "\" inside a loop", "outside");
    return {.kind = tag == "break" ? Kind::stop_loop : Kind::next_loop, .line = line};
  }

  TokenStream& tokens_;
  ExpressionParser expressions_;
  int depth_ = 2 * kMaxSyntaxDepth;  // statements take more of the stack: a third of the recursion
  int loops_ = 0;
  int breakable_ = 0;
};

}  // namespace

Block parse_template(std::string_view source, const std::string& file) {
  if (source.size() > kMaxSourceBytes) {
    throw Error({"limit.template_source", file, "", "at most " + std::to_string(kMaxSourceBytes) + " bytes",
                 std::to_string(source.size()), ""});
  }
  TokenStream tokens(tokenize(source, file), file);
  Block body = StatementParser(tokens).run();
  find_late_names(body);
  return body;
}

}  // namespace safetylock::jinja
