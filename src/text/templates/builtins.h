// Filters, tests, methods and operators: what templates can do with values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/templates/ast.h"
#include "text/templates/callable.h"

namespace safetylock::jinja {

using Filter = Value (*)(Execution&, const Value& input, const Arguments&);
using Test = bool (*)(Execution&, const Value& input, const Arguments&);

/// Null for what this subset does not have.
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);

/// `arguments` in the order of `parameters`, absent ones empty. The first `required` must be given; a name
/// that begins with '/' cannot be given by name. Throws template.type as Python's call does.
std::vector<std::optional<Value>> bind_arguments(Execution& run, const std::string& callee,
                                                 const Arguments& arguments,
                                                 const std::vector<std::string_view>& parameters,
                                                 size_t required);

/// value.name and value["name"]: Jinja looks for a method first in the one, for an element first in the
/// other. `loop.cycle` and methods come back as callables.
Value get_attribute(Execution& run, const Value& value, const std::string& name);
Value get_item(Execution& run, const Value& value, const Value& key);
/// value[start:stop:step]; absent bounds are None.
Value get_slice(Execution& run, const Value& value, const Value& start, const Value& stop, const Value& step);

/// Calls the method `method.name` of `method.receiver`.
Value call_method(Execution& run, const Callable& method, const Arguments& arguments);

Value calculate(Execution& run, Operator op, const Value& a, const Value& b);
Value negated(Execution& run, const Value& value, bool minus);
bool compare(Execution& run, Comparison op, const Value& a, const Value& b);
/// Python's `a < b`.
bool less(Execution& run, const Value& a, const Value& b);
/// Python's `item in container`.
bool contains(Execution& run, const Value& container, const Value& item);

}  // namespace safetylock::jinja
