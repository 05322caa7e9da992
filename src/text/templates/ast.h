// The parsed template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/templates/value.h"

namespace safetylock::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

struct Expression {
  enum class Kind {
    literal,      // value
    name,         // text
    list,         // operands
    tuple,        // operands
    mapping,      // operands: key, value, key, value ...
    attribute,    // operands[0] . text
    subscript,    // operands[0] [ operands[1] ]
    slice,        // operands[0] [ operands[1] : operands[2] : operands[3] ], each of the three may be null
    call,         // operands[0] ( operands[1..], keywords )
    filter,       // operands[0] | text ( operands[1..], keywords ); operands[0] null: of a block
    test,         // operands[0] is text ( operands[1..], keywords )
    conditional,  // operands[1] if operands[0] else operands[2], which may be null
    both,         // operands[0] and operands[1]
    either,       // operands[0] or operands[1]
    negation,     // not operands[0]
    minus,        // - operands[0]
    plus,         // + operands[0]
    arithmetic,   // operands[0] `arithmetic` operands[1]
    concatenate,  // operands ~ ...
    compare,      // operands[0] comparisons[0] operands[1] comparisons[1] operands[2] ...
  };
  Kind kind;
  int line;
  int depth = 1;  ///< of the tree below
  Value value = None{};
  std::string text{};
  Operator arithmetic = Operator::add;
  std::vector<ExpressionPtr> operands{};
  std::vector<std::pair<std::string, ExpressionPtr>> keywords{};
  std::vector<Comparison> comparisons{};
};

/// What an assignment writes to.
struct Target {
  std::string name;           ///< of the variable, or of the namespace when `attribute` is set
  std::string attribute;      ///< ns.attribute = ...
  std::vector<Target> parts;  ///< a, b = ...: then name is empty
};

struct Statement;

struct Block {
  std::vector<Statement> statements;
  std::vector<std::string> late_names;  ///< hidden from the start, set later: see scopes.h
};

struct Macro {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  ///< of the last parameters
  Block body;
};

struct Statement {
  enum class Kind {
    data,          // text
    print,         // expressions[0]
    branch,        // if expressions[i]: blocks[i]; one block more than expressions: else
    loop,          // for target in expressions[0] [if expressions[1]]: blocks[0]; else: blocks[1]
    assign,        // set target = expressions[0]
    assign_block,  // set target [| filters in expressions[0]]: blocks[0]
    with,          // with targets[i] = expressions[i]: blocks[0]
    filter_block,  // filter expressions[0]: blocks[0]
    scope,         // blocks[0] with variables of its own: {% generation %}
    macro,         // macro
    stop_loop,     // break
    next_loop,     // continue
  };
  Kind kind;
  int line;
  std::string text{};
  std::vector<Target> targets{};
  std::vector<ExpressionPtr> expressions{};
  std::vector<Block> blocks{};
  std::unique_ptr<Macro> macro{};
};

}  // namespace safetylock::jinja
