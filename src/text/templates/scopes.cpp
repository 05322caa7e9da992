#include "text/templates/scopes.h"

#include <set>
#include <string>
#include <utility>

namespace safetylock::jinja {
namespace {

using Kind = Statement::Kind;

// The variables of one block, as Jinja's idtracking.Symbols.
class Symbols {
 public:
  /// Of a block inside `outer`'s, or of the template.
  explicit Symbols(const Symbols* outer) : outer_(outer) {}
  /// Of one way through a branch of `whole`'s block.
  static Symbols branch_of(const Symbols& whole) {
    Symbols way(whole.outer_);
    way.whole_ = &whole;
    return way;
  }

  void load(const std::string& name) {
    if (!knows(name)) references_.insert(name);
  }
  void store(const std::string& name) {
    if (refers_to(name)) return;
    if (outer_ == nullptr || !outer_->knows(name)) late_.insert(name);
    references_.insert(name);
  }
  void declare(const Target& target) {
    if (target.parts.empty()) references_.insert(target.name);
    for (const Target& part : target.parts) declare(part);
  }
  /// What a branch sets it sets conditionally: until then the name keeps its outer meaning.
  void merge(const Symbols& way) { references_.insert(way.references_.begin(), way.references_.end()); }

  std::vector<std::string> late() const { return {late_.begin(), late_.end()}; }

 private:
  bool refers_to(const std::string& name) const {
    return references_.contains(name) || (whole_ != nullptr && whole_->refers_to(name));
  }
  bool knows(const std::string& name) const {
    return refers_to(name) || (outer_ != nullptr && outer_->knows(name));
  }

  const Symbols* outer_;
  const Symbols* whole_ = nullptr;
  std::set<std::string> references_;  // read or set here
  std::set<std::string> late_;        // set before anything else
};

void load(Symbols& symbols, const Expression* e) {
  if (e == nullptr) return;
  if (e->kind == Expression::Kind::name) symbols.load(e->text);
  for (const ExpressionPtr& operand : e->operands) load(symbols, operand.get());
  for (const auto& [name, operand] : e->keywords) load(symbols, operand.get());
}

void store(Symbols& symbols, const Target& target) {
  for (const Target& part : target.parts) store(symbols, part);
  if (!target.parts.empty()) return;
  if (target.attribute.empty()) {
    symbols.store(target.name);
  } else {
    symbols.load(target.name);
  }
}

void collect(Symbols& symbols, const Block& block);

void collect_way(Symbols& symbols, const Block& block) {
  Symbols way = Symbols::branch_of(symbols);
  collect(way, block);
  symbols.merge(way);
}

void collect_branch(Symbols& symbols, const Statement& branch) {
  load(symbols, branch.expressions[0].get());
  Symbols first = Symbols::branch_of(symbols);
  Symbols others = Symbols::branch_of(symbols);
  Symbols otherwise = Symbols::branch_of(symbols);
  collect(first, branch.blocks[0]);
  for (size_t i = 1; i < branch.expressions.size(); ++i) {
    load(others, branch.expressions[i].get());
    collect_way(others, branch.blocks[i]);
  }
  if (branch.blocks.size() > branch.expressions.size()) collect(otherwise, branch.blocks.back());
  for (const Symbols* way : {&first, &others, &otherwise}) symbols.merge(*way);
}

// The names that `block` itself touches, without those of inner blocks.
void collect(Symbols& symbols, const Block& block) {
  for (const Statement& s : block.statements) {
    if (s.kind == Kind::branch) {
      collect_branch(symbols, s);
      continue;
    }
    if (s.kind == Kind::loop) {
      load(symbols, s.expressions[0].get());
      continue;
    }
    if (s.kind != Kind::assign_block) {
      for (const ExpressionPtr& e : s.expressions) load(symbols, e.get());
    }
    if (s.kind == Kind::assign || s.kind == Kind::assign_block) store(symbols, s.targets[0]);
    if (s.kind == Kind::macro) symbols.store(s.macro->name);
  }
}

void resolve_inner(Block& block, const Symbols& symbols);

// `symbols` already has the block's parameters.
void resolve(Block& block, Symbols symbols) {
  collect(symbols, block);
  block.late_names = symbols.late();
  resolve_inner(block, symbols);
}

void resolve_macro(Macro& macro, const Symbols& outer) {
  Symbols inner(&outer);
  for (const std::string& parameter : macro.parameters) inner.declare({parameter, "", {}});
  for (const ExpressionPtr& e : macro.defaults) load(inner, e.get());
  resolve(macro.body, inner);
}

void resolve_inner(Block& block, const Symbols& symbols) {
  for (Statement& s : block.statements) {
    Symbols inner(&symbols);
    switch (s.kind) {
      case Kind::branch:
        for (Block& way : s.blocks) resolve_inner(way, symbols);
        break;
      case Kind::loop:
        if (s.blocks.size() > 1) resolve(s.blocks[1], inner);
        inner.declare({"loop", "", {}});
        inner.declare(s.targets[0]);
        resolve(s.blocks[0], inner);
        break;
      case Kind::with:
        for (const Target& target : s.targets) inner.declare(target);
        resolve(s.blocks[0], inner);
        break;
      case Kind::filter_block:
        load(inner, s.expressions[0].get());
        resolve(s.blocks[0], inner);
        break;
      case Kind::assign_block:
      case Kind::scope:
        resolve(s.blocks[0], inner);
        break;
      case Kind::macro:
        resolve_macro(*s.macro, symbols);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void find_late_names(Block& template_body) {
  resolve(template_body, Symbols(nullptr));
}

}  // namespace safetylock::jinja
