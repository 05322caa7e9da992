// The tool `safetylock`.
#pragma once

namespace safetylock::cli {

/// Runs one command line; returns the exit code: 0 ok, 1 runtime failure, 2 usage, 3 bad input file, 4
/// refused (the lock does not belong to the model), 5 a check failed, 130 interrupted.
int run(int argc, char** argv);

}  // namespace safetylock::cli
