// Ctrl-C: the first asks the running step to stop at its next safe point, the second ends the process.
#pragma once

namespace safetylock::cli {

/// Installs the handler for SIGINT.
void catch_interrupts();
bool interrupted() noexcept;
/// Throws Error run.interrupted after a Ctrl-C: for the places between two steps.
void check_interrupt();
/// The step has stopped and the process goes on, as a chat does.
void forget_interrupt() noexcept;
/// Whether a second press ends the process at once (it does, unless this is called). Not while a terminal is
/// in a state that its shell would inherit.
void second_interrupt_ends(bool ends) noexcept;

}  // namespace safetylock::cli
