// bake_model MODEL OUTPUT LOCK [ADAPTER]: makes a lock for a model, unless there is the file, and bakes it.
#include <iostream>

#include "bake/model_lock.h"
#include "bake/model_tensors.h"
#include "base/file.h"
#include "safetylock/bake.h"
#include "safetylock/error.h"

int main(int argc, char** argv) {
  using namespace safetylock;
  if (argc < 4) return 2;
  try {
    if (!exists(argv[3])) test::lock_for(ModelTensors::open(argv[1])->config()).save(argv[3]);
    const SafetyLock lock = SafetyLock::load(argv[3]);
    bake_lock(argv[1], lock, argv[2], {.adapter = argc > 4 ? argv[4] : ""});
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return exit_code(error);
  }
  return 0;
}
