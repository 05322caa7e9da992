// lora_dump BASE ADAPTER: checks that the adapter fits and prints one line a module, "name rank scale
// sha256(A) sha256(B)", and one a replaced tensor, "name sha256". The counterpart of compare_lora.py.
#include <cstdio>

#include "base/sha256.h"
#include "formats/lora.h"
#include "safetylock/error.h"

namespace {

std::string digest(const std::vector<float>& values) {
  safetylock::Sha256 hash;
  hash.update(std::as_bytes(std::span(values)));
  return hash.hex();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const auto base = safetylock::Checkpoint::open(argv[1]);
    const auto adapter = safetylock::load_lora(argv[2]);
    safetylock::check_lora_fits(adapter, base->tensors());
    for (const auto& m : adapter.modules) {
      std::printf("%s %llu %.17g %s %s\n", m.module.c_str(), static_cast<unsigned long long>(m.rank), m.scale,
                  digest(m.a).c_str(), digest(m.b).c_str());
    }
    for (const auto& r : adapter.replacements)
      std::printf("%s %s\n", r.tensor.c_str(), digest(r.values).c_str());
  } catch (const safetylock::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
