// Runs a parsed template.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/templates/ast.h"
#include "text/templates/builtins.h"

namespace safetylock::jinja {

using Clock = std::function<std::chrono::system_clock::time_point()>;

/// Variables of one block; a lookup goes outwards.
struct Scope : std::enable_shared_from_this<Scope> {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> variables;

  const Value* find(std::string_view name) const;
  void set(const std::string& name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

class Interpreter {
 public:
  /// `variables` are what the caller gives the template: messages, tools ...
  Interpreter(Execution& run, const Map& variables, Clock clock)
      : run_(run), variables_(variables), clock_(std::move(clock)) {}
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  MarkedText render(const Block& block);

 private:
  enum class Flow { next, stop_loop, next_loop };
  class Level;  // counts the depth of evaluation

  // Statements
  Flow execute(const Block& block, const ScopePtr& scope, MarkedText& out);
  Flow execute(const Statement& statement, const ScopePtr& scope, MarkedText& out);
  Flow execute_branch(const Statement& branch, const ScopePtr& scope, MarkedText& out);
  Flow execute_loop(const Statement& loop, const ScopePtr& scope, MarkedText& out);
  void execute_with(const Statement& with, const ScopePtr& inner, const ScopePtr& scope);
  Value capture(const Block& block, const ScopePtr& scope, const Expression* filters);
  void emit(const MarkedText& text, MarkedText& out);
  void assign(const Target& target, Value value, const ScopePtr& scope);
  ScopePtr inner(const ScopePtr& scope) const;

  // Expressions
  Value evaluate(const Expression& e, const ScopePtr& scope);
  Value evaluate_or_none(const ExpressionPtr& e, const ScopePtr& scope);
  Value lookup(const std::string& name, const ScopePtr& scope);
  Value evaluate_sequence(const Expression& e, const ScopePtr& scope);
  Value evaluate_mapping(const Expression& e, const ScopePtr& scope);
  Value evaluate_subscript(const Expression& e, const ScopePtr& scope);
  Value evaluate_logic(const Expression& e, const ScopePtr& scope);
  Value evaluate_compare(const Expression& e, const ScopePtr& scope);
  Value evaluate_concatenation(const Expression& e, const ScopePtr& scope);
  Value evaluate_test(const Expression& e, const ScopePtr& scope);
  Value evaluate_call(const Expression& e, const ScopePtr& scope);
  /// Filters of a block: `input` stands where the innermost filter has none.
  Value evaluate_filter(const Expression& e, const ScopePtr& scope, const Value* input);
  Arguments arguments_of(const Expression& e, const ScopePtr& scope);
  Value call_macro(const Callable& callable, const Arguments& arguments);
  Value call_global(const std::string& name, const Arguments& arguments);
  Value make_namespace(const Arguments& arguments);

  Execution& run_;
  const Map& variables_;
  Clock clock_;
  int depth_ = 0;
  std::vector<NamespacePtr> namespaces_;  // emptied at the end: they may hold each other
};

/// range(...) and dict(...); what strftime_now prints for `time`.
Value make_range(Execution& run, const Arguments& arguments);
Map make_map(Execution& run, const std::string& callee, const Arguments& arguments);
std::string format_time(Execution& run, const std::string& format,
                        std::chrono::system_clock::time_point time);

}  // namespace safetylock::jinja
