#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;
volatile std::sig_atomic_t g_second_ends = 1;

extern "C" void on_interrupt(int) {
  if (g_interrupted != 0 && g_second_ends != 0) ::_exit(130);
  g_interrupted = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  // Restarted, so that no read or write in the library sees EINTR; flags are looked at, not calls broken off.
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
}

bool interrupted() noexcept {
  return g_interrupted != 0;
}

void forget_interrupt() noexcept {
  g_interrupted = 0;
}

void second_interrupt_ends(bool ends) noexcept {
  g_second_ends = ends ? 1 : 0;
}

void check_interrupt() {
  if (interrupted()) throw Error({.code = "run.interrupted", .found = "Ctrl-C"});
}

}  // namespace safetylock::cli
