// Ctrl-C: the first asks the running step to stop at its next safe point, the second ends the process.
#pragma once

namespace safetylock::cli {

/// Installs the handler for SIGINT.
void catch_interrupts();
bool interrupted() noexcept;
/// Throws Error run.interrupted after a Ctrl-C: for the places between two steps.
void check_interrupt();

}  // namespace safetylock::cli
