// Statements.
#include "text/templates/interpreter.h"

#include <algorithm>

#include "safetylock/chat_template.h"
#include "safetylock/error.h"
#include "text/templates/interpreter_level.h"

namespace safetylock::jinja {

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [variable, value] : scope->variables) {
      if (variable == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(const std::string& name, Value value) {
  for (auto& [variable, present] : variables) {
    if (variable == name) {
      present = std::move(value);
      return;
    }
  }
  variables.emplace_back(name, std::move(value));
}

Interpreter::~Interpreter() {
  for (const NamespacePtr& space : namespaces_) space->attributes.clear();
}

MarkedText Interpreter::render(const Block& block) {
  MarkedText out;
  execute(block, std::make_shared<Scope>(), out);
  return out;
}

ScopePtr Interpreter::inner(const ScopePtr& scope) const {
  auto child = std::make_shared<Scope>();
  child->parent = scope;
  return child;
}

void Interpreter::emit(const MarkedText& text, MarkedText& out) {
  run_.check_text_size(out.size() + text.size());
  run_.charge_bytes(text.size());
  out.append(text);
}

Interpreter::Flow Interpreter::execute(const Block& block, const ScopePtr& scope, MarkedText& out) {
  for (const std::string& name : block.late_names) scope->set(name, Undefined{"'" + name + "' is undefined"});
  for (const Statement& statement : block.statements) {
    const Flow flow = execute(statement, scope, out);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, const ScopePtr& scope, MarkedText& out) {
  using Kind = Statement::Kind;
  run_.line = statement.line;
  run_.charge(1);
  const Level level(*this);
  const auto filters = [&] { return statement.expressions[0].get(); };
  switch (statement.kind) {
    case Kind::data:
      emit(MarkedText(statement.text, RenderedPrompt::kTemplate), out);
      return Flow::next;
    case Kind::print: {
      const Value value = evaluate(*statement.expressions[0], scope);
      run_.line = statement.line;
      if (const MarkedText* s = as_text(value)) {
        emit(*s, out);
      } else {
        emit(to_text(run_, value), out);
      }
      return Flow::next;
    }
    case Kind::branch:
      return execute_branch(statement, scope, out);
    case Kind::loop:
      return execute_loop(statement, scope, out);
    case Kind::assign:
      assign(statement.targets[0], evaluate(*statement.expressions[0], scope), scope);
      return Flow::next;
    case Kind::assign_block:
      assign(statement.targets[0], capture(statement.blocks[0], inner(scope), filters()), scope);
      return Flow::next;
    case Kind::with: {
      const ScopePtr body = inner(scope);
      execute_with(statement, body, scope);
      return execute(statement.blocks[0], body, out);
    }
    case Kind::filter_block:
      emit(to_text(run_, capture(statement.blocks[0], inner(scope), filters())), out);
      return Flow::next;
    case Kind::scope:
      return execute(statement.blocks[0], inner(scope), out);
    case Kind::macro:
      scope->set(statement.macro->name, std::make_shared<const Callable>(
                                            Callable{Callable::Kind::macro, statement.macro->name, None{},
                                                     statement.macro.get(), scope->weak_from_this()}));
      return Flow::next;
    case Kind::stop_loop:
      return Flow::stop_loop;
    default:
      return Flow::next_loop;
  }
}

Interpreter::Flow Interpreter::execute_branch(const Statement& branch, const ScopePtr& scope,
                                              MarkedText& out) {
  for (size_t i = 0; i < branch.expressions.size(); ++i) {
    if (truthy(evaluate(*branch.expressions[i], scope))) return execute(branch.blocks[i], scope, out);
  }
  const bool has_else = branch.blocks.size() > branch.expressions.size();
  return has_else ? execute(branch.blocks.back(), scope, out) : Flow::next;
}

Interpreter::Flow Interpreter::execute_loop(const Statement& loop, const ScopePtr& scope, MarkedText& out) {
  const Target& target = loop.targets[0];
  const IteratorPtr source = iterate(run_, evaluate(*loop.expressions[0], scope));
  std::function<bool(const Value&)> keep;
  if (const Expression* condition = loop.expressions[1].get()) {
    keep = [&, condition](const Value& item) {
      const ScopePtr test = inner(scope);
      assign(target, item, test);
      return truthy(evaluate(*condition, test));
    };
  }
  const auto state = std::make_shared<Loop>(source, std::move(keep));
  // However the loop ends, it may not be asked about items any more.
  struct Finish {
    Loop& loop;
    ~Finish() { loop.finish(); }
  } const finish{*state};
  while (const auto item = state->advance()) {
    run_.line = loop.line;
    run_.charge(1);
    const ScopePtr body = inner(scope);
    body->set("loop", state);
    assign(target, *item, body);
    if (execute(loop.blocks[0], body, out) == Flow::stop_loop) break;
  }
  if (state->index0() < 0 && loop.blocks.size() > 1) return execute(loop.blocks[1], inner(scope), out);
  return Flow::next;
}

void Interpreter::execute_with(const Statement& with, const ScopePtr& inner, const ScopePtr& scope) {
  for (size_t i = 0; i < with.targets.size(); ++i)
    assign(with.targets[i], evaluate(*with.expressions[i], scope), inner);
}

Value Interpreter::capture(const Block& block, const ScopePtr& scope, const Expression* filters) {
  MarkedText captured;
  execute(block, scope, captured);
  const Value value = text(std::move(captured));
  return filters == nullptr ? value : evaluate_filter(*filters, scope, &value);
}

void Interpreter::assign(const Target& target, Value value, const ScopePtr& scope) {
  if (target.name.empty()) {
    std::vector<Value> items = elements(run_, value);
    if (items.size() != target.parts.size()) {
      run_.fail_type(std::to_string(target.parts.size()) + " values to unpack", std::to_string(items.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) assign(target.parts[i], std::move(items[i]), scope);
    return;
  }
  if (target.attribute.empty()) {
    scope->set(target.name, std::move(value));
    return;
  }
  const Value space = lookup(target.name, scope);
  if (!std::holds_alternative<NamespacePtr>(space)) {
    run_.fail_type("a namespace before ." + target.attribute + " =", jinja::describe(space));
  }
  std::get<NamespacePtr>(space)->attributes.set(run_, target.attribute, std::move(value));
}

}  // namespace safetylock::jinja
