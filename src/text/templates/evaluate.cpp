// Expressions.
#include <algorithm>

#include "safetylock/error.h"
#include "text/templates/interpreter.h"
#include "text/templates/interpreter_level.h"

namespace safetylock::jinja {

using Kind = Expression::Kind;

Value Interpreter::evaluate(const Expression& e, const ScopePtr& scope) {
  const Level level(*this);
  run_.charge(1);
  run_.line = e.line;
  switch (e.kind) {
    case Kind::literal:
      return e.value;
    case Kind::name:
      return lookup(e.text, scope);
    case Kind::list:
    case Kind::tuple:
      return evaluate_sequence(e, scope);
    case Kind::mapping:
      return evaluate_mapping(e, scope);
    case Kind::attribute:
    case Kind::subscript:
    case Kind::slice:
      return evaluate_subscript(e, scope);
    case Kind::call:
      return evaluate_call(e, scope);
    case Kind::filter:
      return evaluate_filter(e, scope, nullptr);
    case Kind::test:
      return evaluate_test(e, scope);
    case Kind::conditional:
    case Kind::both:
    case Kind::either:
      return evaluate_logic(e, scope);
    case Kind::negation:
      return !truthy(evaluate(*e.operands[0], scope));
    case Kind::minus:
    case Kind::plus: {
      const Value operand = evaluate(*e.operands[0], scope);
      run_.line = e.line;
      return negated(run_, operand, e.kind == Kind::minus);
    }
    case Kind::arithmetic: {
      const Value a = evaluate(*e.operands[0], scope);
      const Value b = evaluate(*e.operands[1], scope);
      run_.line = e.line;
      return calculate(run_, e.arithmetic, a, b);
    }
    case Kind::concatenate:
      return evaluate_concatenation(e, scope);
    default:
      return evaluate_compare(e, scope);
  }
}

Value Interpreter::evaluate_or_none(const ExpressionPtr& e, const ScopePtr& scope) {
  return e ? evaluate(*e, scope) : None{};
}

Value Interpreter::lookup(const std::string& name, const ScopePtr& scope) {
  if (const Value* variable = scope->find(name)) return *variable;
  if (const Value* variable = variables_.find(name)) return *variable;
  static constexpr std::string_view kGlobals[] = {"raise_exception", "strftime_now", "namespace", "range",
                                                  "dict"};
  if (std::find(std::begin(kGlobals), std::end(kGlobals), name) != std::end(kGlobals)) {
    return std::make_shared<const Callable>(Callable{Callable::Kind::global, name});
  }
  static constexpr std::string_view kLeftOut[] = {"lipsum", "cycler", "joiner", "self", "super"};
  if (std::find(std::begin(kLeftOut), std::end(kLeftOut), name) != std::end(kLeftOut)) {
    run_.fail_unsupported("the global \"" + name + "\"");
  }
  return Undefined{"'" + name + "' is undefined"};
}

Value Interpreter::evaluate_sequence(const Expression& e, const ScopePtr& scope) {
  std::vector<Value> items;
  for (const ExpressionPtr& operand : e.operands) items.push_back(evaluate(*operand, scope));
  run_.line = e.line;
  return make_list(run_, std::move(items), e.kind == Kind::tuple);
}

Value Interpreter::evaluate_mapping(const Expression& e, const ScopePtr& scope) {
  auto map = std::make_shared<Map>();
  for (size_t i = 0; i < e.operands.size(); i += 2) {
    Value key = evaluate(*e.operands[i], scope);
    Value value = evaluate(*e.operands[i + 1], scope);
    run_.line = e.line;
    if (!hashable(key)) run_.fail_type("something that can be a key", describe(key));
    map->set(run_, std::move(key), std::move(value));
  }
  return MapPtr(std::move(map));
}

Value Interpreter::evaluate_subscript(const Expression& e, const ScopePtr& scope) {
  const Value value = evaluate(*e.operands[0], scope);
  if (e.kind == Kind::attribute) {
    run_.line = e.line;
    return get_attribute(run_, value, e.text);
  }
  const Value first = evaluate_or_none(e.operands[1], scope);
  if (e.kind == Kind::subscript) {
    run_.line = e.line;
    return get_item(run_, value, first);
  }
  const Value stop = evaluate_or_none(e.operands[2], scope);
  const Value step = evaluate_or_none(e.operands[3], scope);
  run_.line = e.line;
  return get_slice(run_, value, first, stop, step);
}

Value Interpreter::evaluate_logic(const Expression& e, const ScopePtr& scope) {
  Value first = evaluate(*e.operands[0], scope);
  const bool holds = truthy(first);
  if (e.kind == Kind::both) return holds ? evaluate(*e.operands[1], scope) : std::move(first);
  if (e.kind == Kind::either) return holds ? std::move(first) : evaluate(*e.operands[1], scope);
  if (holds) return evaluate(*e.operands[1], scope);
  if (e.operands[2]) return evaluate(*e.operands[2], scope);
  return Undefined{"the inline if-expression has no else"};
}

Value Interpreter::evaluate_compare(const Expression& e, const ScopePtr& scope) {
  Value left = evaluate(*e.operands[0], scope);
  for (size_t i = 0; i < e.comparisons.size(); ++i) {
    Value right = evaluate(*e.operands[i + 1], scope);
    run_.line = e.line;
    if (!compare(run_, e.comparisons[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::evaluate_concatenation(const Expression& e, const ScopePtr& scope) {
  MarkedText whole;
  for (const ExpressionPtr& operand : e.operands) {
    const Value value = evaluate(*operand, scope);
    run_.line = e.line;
    emit(to_text(run_, value), whole);
  }
  return text(std::move(whole));
}

Value Interpreter::evaluate_test(const Expression& e, const ScopePtr& scope) {
  const Value input = evaluate(*e.operands[0], scope);
  const Arguments arguments = arguments_of(e, scope);
  run_.line = e.line;
  return find_test(e.text)(run_, input, arguments);
}

Value Interpreter::evaluate_filter(const Expression& e, const ScopePtr& scope, const Value* input) {
  const Level level(*this);
  Value value;
  if (!e.operands[0]) {
    value = *input;
  } else if (input != nullptr && e.operands[0]->kind == Kind::filter) {
    value = evaluate_filter(*e.operands[0], scope, input);
  } else {
    value = evaluate(*e.operands[0], scope);
  }
  const Arguments arguments = arguments_of(e, scope);
  run_.line = e.line;
  return find_filter(e.text)(run_, value, arguments);
}

Arguments Interpreter::arguments_of(const Expression& e, const ScopePtr& scope) {
  Arguments arguments;
  for (size_t i = 1; i < e.operands.size(); ++i)
    arguments.positional.push_back(evaluate(*e.operands[i], scope));
  for (const auto& [name, operand] : e.keywords)
    arguments.keywords.emplace_back(name, evaluate(*operand, scope));
  return arguments;
}

Value Interpreter::evaluate_call(const Expression& e, const ScopePtr& scope) {
  const Value callee = evaluate(*e.operands[0], scope);
  const Arguments arguments = arguments_of(e, scope);
  run_.line = e.line;
  const auto* callable = std::get_if<CallablePtr>(&callee);
  if (callable == nullptr) {
    if (std::holds_alternative<LoopPtr>(callee)) run_.fail_unsupported("a recursive loop");
    run_.fail_type("something that can be called", describe(callee));
  }
  switch ((*callable)->kind) {
    case Callable::Kind::method:
      return call_method(run_, **callable, arguments);
    case Callable::Kind::macro:
      return call_macro(**callable, arguments);
    default:
      return call_global((*callable)->name, arguments);
  }
}

Value Interpreter::call_macro(const Callable& callable, const Arguments& arguments) {
  const Macro& macro = *callable.macro;
  const ScopePtr outer = callable.scope.lock();
  if (!outer) run_.fail_unsupported("calling a macro after the block that defines it");
  const std::vector<std::string_view> parameters(macro.parameters.begin(), macro.parameters.end());
  const auto bound = bind_arguments(run_, "the macro " + macro.name, arguments, parameters, 0);
  const ScopePtr scope = inner(outer);
  const size_t first_default = parameters.size() - macro.defaults.size();
  for (size_t i = 0; i < parameters.size(); ++i) {
    Value value = Undefined{"parameter '" + macro.parameters[i] + "' was not provided"};
    if (bound[i]) {
      value = *bound[i];
    } else if (i >= first_default) {
      value = evaluate(*macro.defaults[i - first_default], scope);
    }
    scope->set(macro.parameters[i], std::move(value));
  }
  return capture(macro.body, scope, nullptr);
}

Value Interpreter::call_global(const std::string& name, const Arguments& arguments) {
  if (name == "range") return make_range(run_, arguments);
  if (name == "dict") return std::make_shared<const Map>(make_map(run_, name, arguments));
  if (name == "namespace") return make_namespace(arguments);
  if (name == "strftime_now") {
    const Value format = *bind_arguments(run_, name, arguments, {"format"}, 1)[0];
    if (as_text(format) == nullptr) run_.fail_type("a string as time format", describe(format));
    return own_text(format_time(run_, as_text(format)->bytes(), clock_()));
  }
  run_.fail_raised(to_text(run_, *bind_arguments(run_, name, arguments, {"message"}, 1)[0]).bytes());
}

Value Interpreter::make_namespace(const Arguments& arguments) {
  auto space = std::make_shared<Namespace>(Namespace{make_map(run_, "namespace", arguments)});
  for (const auto& [key, value] : space->attributes.entries()) {
    if (as_text(key) != nullptr && as_text(key)->bytes().starts_with('_')) {
      run_.fail_unsupported("a namespace attribute that begins with _");
    }
  }
  namespaces_.push_back(space);
  return space;
}

}  // namespace safetylock::jinja
