// Writes the sample lock to the path it is given, and with a gate to a second one: the other half of
// read_lock.py.
#include "lock/sample_lock.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  using namespace safetylock::test;
  sample_lock().save(argv[1]);
  sample_lock().with_gate(sample_gate(), sample_reply_gate()).save(argv[2]);
  return 0;
}
