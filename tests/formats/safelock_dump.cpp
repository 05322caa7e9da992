// Prints what our reader makes of a published lock: layer, head, sigma and direction as the bits of float32.
#include <bit>
#include <cstdio>
#include <iostream>

#include "formats/published_lock.h"
#include "safetylock/error.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    for (const safetylock::PublishedHead& head : safetylock::read_published_lock(argv[1])) {
      std::printf("%lld %lld %08x", static_cast<long long>(head.layer), static_cast<long long>(head.head),
                  std::bit_cast<unsigned>(head.sigma));
      for (const float x : head.direction) std::printf(" %08x", std::bit_cast<unsigned>(x));
      std::printf("\n");
    }
  } catch (const safetylock::Error& error) {
    std::cerr << error.what() << "\n";
    return 3;
  }
  return 0;
}
