// Assertions on the fields of an Error.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "safetylock/error.h"

namespace safetylock::test {

/// The fields of the Error that `action` throws; nothing when it throws none. Other exceptions pass through.
template <typename Action>
std::optional<ErrorFields> error_of(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.fields();
  }
  return std::nullopt;
}

/// The code of the Error that `action` throws, "no error" when it throws none.
template <typename Action>
std::string code_of(Action&& action) {
  const auto fields = error_of(action);
  return fields ? fields->code : "no error";
}

}  // namespace safetylock::test
