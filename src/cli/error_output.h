// How a failed run ends: one line on standard error and, with --json, one object on standard output.
#pragma once

#include <exception>

#include "safetylock/error.h"

namespace safetylock::cli {

/// Prints the error; returns the exit code of the process.
int report_error(const Error& error, bool json);

/// As above for whatever `error` holds: std::bad_alloc becomes resource.memory, anything else run.internal.
int report_exception(std::exception_ptr error, bool json);

}  // namespace safetylock::cli
