// bake_model MODEL OUTPUT LOCK [ADAPTER]: makes a lock for a model, and bakes it.
#include <iostream>

#include "bake/model_lock.h"
#include "bake/model_tensors.h"
#include "safetylock/bake.h"
#include "safetylock/error.h"

int main(int argc, char** argv) {
  using namespace safetylock;
  if (argc < 4) return 2;
  try {
    const SafetyLock lock = test::lock_for(ModelTensors::open(argv[1])->config());
    lock.save(argv[3]);
    bake_lock(argv[1], lock, argv[2], {.adapter = argc > 4 ? argv[4] : ""});
  } catch (const Error& error) {
    std::cerr << error.what() << "\n";
    return exit_code(error);
  }
  return 0;
}
