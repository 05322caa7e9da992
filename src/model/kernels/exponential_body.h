// e^x of vectors, included once for each instruction set by the kernels that need it (hence no include
// guard), which define SAFETYLOCK_KERNEL, the attributes of every function here; and Lanes, eight or sixteen
// floats.

using Ints = std::int32_t __attribute__((vector_size(sizeof(Lanes))));

/// e^x for x <= 87, lane by lane; below -87 it is as good as 0. As exp_within_range does.
SAFETYLOCK_KERNEL void exponential(Lanes& x) {
  x = x < -87.0F ? Lanes{} - 87.0F : x;
  const Lanes n = (x * kLog2E + kRoundToInteger) - kRoundToInteger;
  const Lanes f = (x - n * kLn2High) - n * kLn2Low;
  Lanes p = Lanes{} + kExpPolynomial[0];
#pragma GCC unroll 5
  for (int i = 1; i < 6; ++i) p = p * f + kExpPolynomial[i];
  p = p * f * f + f + 1.0F;
  const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
  x = p * std::bit_cast<Lanes>(power);
}
