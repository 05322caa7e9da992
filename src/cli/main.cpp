#include "cli/command_line.h"
#include "cli/interrupt.h"

int main(int argc, char** argv) {
  safetylock::cli::catch_interrupts();
  return safetylock::cli::run(argc, argv);
}
