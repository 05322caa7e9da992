// The tests of `is`.
#include "text/templates/builtins.h"

namespace safetylock::jinja {
namespace {

template <bool (*Holds)(const Value&)>
bool plain(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "the test", arguments, {}, 0);
  return Holds(input);
}

bool is_defined(const Value& value) {
  return !is_undefined(value);
}
bool is_true(const Value& value) {
  return std::holds_alternative<bool>(value) && std::get<bool>(value);
}
bool is_false(const Value& value) {
  return std::holds_alternative<bool>(value) && !std::get<bool>(value);
}
bool is_boolean(const Value& value) {
  return std::holds_alternative<bool>(value);
}
bool is_integer(const Value& value) {
  return std::holds_alternative<std::int64_t>(value);
}
bool is_float(const Value& value) {
  return std::holds_alternative<double>(value);
}
bool is_number(const Value& value) {
  return as_number(value).has_value();
}
bool is_string(const Value& value) {
  return as_any_text(value) != nullptr;
}
bool is_mapping(const Value& value) {
  return as_map(value) != nullptr;
}
bool is_sequence(const Value& value) {
  return length_of(value).has_value() && !std::holds_alternative<ViewPtr>(value);
}
bool is_callable(const Value& value) {
  // An undefined value has __call__, if only to complain.
  return std::holds_alternative<CallablePtr>(value) || is_undefined(value);
}

template <Comparison Op>
bool compares(Execution& run, const Value& input, const Arguments& arguments) {
  return compare(run, Op, input, *bind_arguments(run, "the test", arguments, {"/other"}, 1)[0]);
}

bool is_in(Execution& run, const Value& input, const Arguments& arguments) {
  return contains(run, *bind_arguments(run, "in", arguments, {"seq"}, 1)[0], input);
}

bool divisible(Execution& run, const Value& input, const Value& divisor, std::int64_t remainder) {
  return equals(run, calculate(run, Operator::modulo, input, divisor), remainder);
}

bool is_odd(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "odd", arguments, {}, 0);
  return divisible(run, input, std::int64_t{2}, 1);
}

bool is_even(Execution& run, const Value& input, const Arguments& arguments) {
  bind_arguments(run, "even", arguments, {}, 0);
  return divisible(run, input, std::int64_t{2}, 0);
}

bool is_divisible_by(Execution& run, const Value& input, const Arguments& arguments) {
  return divisible(run, input, *bind_arguments(run, "divisibleby", arguments, {"num"}, 1)[0], 0);
}

}  // namespace

Test find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, Test> kTests{
      {"!=", compares<Comparison::not_equal>},
      {"<", compares<Comparison::less>},
      {"<=", compares<Comparison::less_equal>},
      {"==", compares<Comparison::equal>},
      {">", compares<Comparison::greater>},
      {">=", compares<Comparison::greater_equal>},
      {"boolean", plain<is_boolean>},
      {"callable", plain<is_callable>},
      {"defined", plain<is_defined>},
      {"divisibleby", is_divisible_by},
      {"eq", compares<Comparison::equal>},
      {"equalto", compares<Comparison::equal>},
      {"even", is_even},
      {"false", plain<is_false>},
      {"float", plain<is_float>},
      {"ge", compares<Comparison::greater_equal>},
      {"greaterthan", compares<Comparison::greater>},
      {"gt", compares<Comparison::greater>},
      {"in", is_in},
      {"integer", plain<is_integer>},
      {"iterable", plain<iterable>},
      {"le", compares<Comparison::less_equal>},
      {"lessthan", compares<Comparison::less>},
      {"lt", compares<Comparison::less>},
      {"mapping", plain<is_mapping>},
      {"ne", compares<Comparison::not_equal>},
      {"none", plain<is_none>},
      {"number", plain<is_number>},
      {"odd", is_odd},
      {"sequence", plain<is_sequence>},
      {"string", plain<is_string>},
      {"true", plain<is_true>},
      {"undefined", plain<is_undefined>},
  };
  const auto found = kTests.find(name);
  return found == kTests.end() ? nullptr : found->second;
}

}  // namespace safetylock::jinja
