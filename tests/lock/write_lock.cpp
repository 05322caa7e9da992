// Writes the sample lock to the path it is given: the other half of read_lock.py.
#include "lock/sample_lock.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  safetylock::test::sample_lock().save(argv[1]);
  return 0;
}
