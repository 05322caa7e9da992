// Python's operators on template values.
#include <algorithm>
#include <cmath>
#include <limits>

#include "text/templates/builtins.h"
#include "text/templates/safe_text.h"

namespace safetylock::jinja {
namespace {

constexpr std::int64_t kExactInDouble = std::int64_t{1} << 53U;

std::string_view symbol(Operator op) {
  switch (op) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::floor_divide:
      return "//";
    case Operator::modulo:
      return "%";
    default:
      return "**";
  }
}

[[noreturn]] void fail_operands(Execution& run, std::string_view op, const Value& a, const Value& b) {
  run.fail_type("operands that \"" + std::string(op) + "\" takes", describe(a) + " and " + describe(b));
}

// By reference: the caller computes `result` in the same argument list.
Value checked_integer(Execution& run, bool overflow, const std::int64_t& result) {
  if (overflow) run.fail_unsupported("an integer of more than 63 bits");
  return result;
}

Value integer_power(Execution& run, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) run.fail_unsupported("a negative exponent");
  std::int64_t result = 1;
  if (exponent == 0) return std::int64_t{1};
  if (base >= -1 && base <= 1) return exponent % 2 == 0 ? base * base : base;
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result))
      run.fail_unsupported("an integer of more than 63 bits");
  }
  return result;
}

Value calculate_integers(Execution& run, Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Operator::add:
      return checked_integer(run, __builtin_add_overflow(a, b, &result), result);
    case Operator::subtract:
      return checked_integer(run, __builtin_sub_overflow(a, b, &result), result);
    case Operator::multiply:
      return checked_integer(run, __builtin_mul_overflow(a, b, &result), result);
    case Operator::power:
      return integer_power(run, a, b);
    default:
      break;
  }
  if (b == 0) run.fail_type("a divisor other than zero", "zero");
  if (op == Operator::divide) {
    if (a > kExactInDouble || a < -kExactInDouble || b > kExactInDouble || b < -kExactInDouble) {
      run.fail_unsupported("dividing integers of more than 53 bits");
    }
    return static_cast<double>(a) / static_cast<double>(b);
  }
  if (a == std::numeric_limits<std::int64_t>::min() && b == -1) {
    run.fail_unsupported("an integer of more than 63 bits");
  }
  const bool floors = a % b != 0 && (a < 0) != (b < 0);
  if (op == Operator::floor_divide) return a / b - (floors ? 1 : 0);
  return a % b + (floors ? b : 0);
}

// CPython's float_divmod.
double float_modulo(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(0.0, b);
  return (b < 0) != (remainder < 0) ? remainder + b : remainder;
}

double float_floor_divide(double a, double b) {
  const double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (b < 0) != (remainder < 0)) quotient -= 1.0;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1.0 : floored;
}

Value calculate_floats(Execution& run, Operator op, double a, double b) {
  switch (op) {
    case Operator::add:
      return a + b;
    case Operator::subtract:
      return a - b;
    case Operator::multiply:
      return a * b;
    case Operator::power:
      run.fail_unsupported("powers of floats");
    default:
      break;
  }
  if (b == 0) run.fail_type("a divisor other than zero", "zero");
  if (op == Operator::divide) return a / b;
  return op == Operator::modulo ? float_modulo(a, b) : float_floor_divide(a, b);
}

Value add_texts(Execution& run, const MarkedText& a, const MarkedText& b) {
  run.check_text_size(a.size() + b.size());
  run.charge_bytes(a.size() + b.size());
  MarkedText sum = a;
  sum.append(b);
  return text(std::move(sum));
}

Value add_lists(Execution& run, const List& a, const List& b) {
  run.charge(a.items.size() + b.items.size());
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return make_list(run, std::move(items), a.tuple);
}

Value repeat(Execution& run, const Value& value, std::int64_t times) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(times, 0));
  const List* list = as_list(value);
  const std::uint64_t size = list != nullptr ? list->items.size() : as_text(value)->size();
  std::uint64_t total = 0;
  if (__builtin_mul_overflow(size, count, &total)) total = std::numeric_limits<std::uint64_t>::max() / 2;
  if (list != nullptr) {
    run.charge(total);
    std::vector<Value> items;
    for (std::uint64_t i = 0; i < count && size > 0; ++i) {
      items.insert(items.end(), list->items.begin(), list->items.end());
    }
    return make_list(run, std::move(items), list->tuple);
  }
  run.check_text_size(total);
  run.charge_bytes(total);
  MarkedText repeated;
  for (std::uint64_t i = 0; i < count && size > 0; ++i) repeated.append(*as_text(value));
  return text(std::move(repeated));
}

bool is_sequence(const Value& value) {
  return as_text(value) != nullptr || as_list(value) != nullptr;
}

bool less_lists(Execution& run, const List& a, const List& b) {
  const size_t common = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < common; ++i) {
    if (!equals(run, a.items[i], b.items[i])) return less(run, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size();
}

std::optional<long double> exact_number(const Value& value) {
  if (const auto integer = as_integer(value)) return static_cast<long double>(*integer);
  if (const auto* number = std::get_if<double>(&value)) return static_cast<long double>(*number);
  return std::nullopt;
}

}  // namespace

Value calculate(Execution& run, Operator op, const Value& a, const Value& b) {
  const auto i = as_integer(a);
  const auto j = as_integer(b);
  if (i && j) return calculate_integers(run, op, *i, *j);
  if (const auto x = as_number(a), y = as_number(b); x && y) return calculate_floats(run, op, *x, *y);
  if (op != Operator::add) {
    refuse_safe(run, a, "arithmetic");
    refuse_safe(run, b, "arithmetic");
  }
  const MarkedText* s = as_text(a);
  if (op == Operator::add) {
    if (std::holds_alternative<SafeText>(a) || std::holds_alternative<SafeText>(b))
      return add_safe(run, a, b);
    if (s != nullptr && as_text(b) != nullptr) return add_texts(run, *s, *as_text(b));
    const List* list = as_list(a);
    const List* other = as_list(b);
    if (list != nullptr && other != nullptr && list->tuple == other->tuple)
      return add_lists(run, *list, *other);
  }
  if (op == Operator::multiply && is_sequence(a) && j) return repeat(run, a, *j);
  if (op == Operator::multiply && i && is_sequence(b)) return repeat(run, b, *i);
  if (op == Operator::modulo && s != nullptr) run.fail_unsupported("formatting a string with %");
  fail_operands(run, symbol(op), a, b);
}

Value negated(Execution& run, const Value& value, bool minus) {
  if (const auto integer = as_integer(value)) {
    if (!minus) return *integer;
    std::int64_t result = 0;
    return checked_integer(run, __builtin_sub_overflow(std::int64_t{0}, *integer, &result), result);
  }
  if (const auto* number = std::get_if<double>(&value)) return minus ? -*number : *number;
  run.fail_type(minus ? "a number after -" : "a number after +", describe(value));
}

bool less(Execution& run, const Value& a, const Value& b) {
  run.charge(1);
  if (const auto x = exact_number(a), y = exact_number(b); x && y) return *x < *y;
  if (const MarkedText* s = as_any_text(a), *t = as_any_text(b); s != nullptr && t != nullptr) {
    run.charge_bytes(s->size());
    return s->bytes() < t->bytes();  // UTF-8 sorts as its code points
  }
  const List* list = as_list(a);
  const List* other = as_list(b);
  if (list != nullptr && other != nullptr && list->tuple == other->tuple)
    return less_lists(run, *list, *other);
  if (std::holds_alternative<ViewPtr>(a)) run.fail_unsupported("comparing a " + type_name(a));
  fail_operands(run, "<", a, b);
}

bool contains(Execution& run, const Value& container, const Value& item) {
  if (const MarkedText* s = as_any_text(container)) {
    const MarkedText* part = as_any_text(item);
    if (part == nullptr) run.fail_type("a string before \"in\" a string", describe(item));
    run.charge_bytes(s->size());
    return s->bytes().find(part->bytes()) != std::string::npos;
  }
  if (const Map* map = as_map(container)) {
    if (!hashable(item)) run.fail_type("something that can be a key", describe(item));
    return map->find(run, item) != nullptr;
  }
  if (const auto* iterator = std::get_if<IteratorPtr>(&container)) {
    (*iterator)->start();
    while ((*iterator)->next < (*iterator)->items.size()) {
      if (equals(run, (*iterator)->items[(*iterator)->next++], item)) return true;
    }
    return false;
  }
  for (const Value& element : elements(run, container)) {
    if (equals(run, element, item)) return true;
  }
  return false;
}

bool compare(Execution& run, Comparison op, const Value& a, const Value& b) {
  switch (op) {
    case Comparison::equal:
      return equals(run, a, b);
    case Comparison::not_equal:
      return !equals(run, a, b);
    case Comparison::less:
      return less(run, a, b);
    case Comparison::greater:
      return less(run, b, a);
    case Comparison::less_equal:
      return less(run, a, b) || equals(run, a, b);
    case Comparison::greater_equal:
      return less(run, b, a) || equals(run, a, b);
    case Comparison::in:
      return contains(run, b, a);
    default:
      return !contains(run, b, a);
  }
}

}  // namespace safetylock::jinja
