// For kernels whose text, a *_body.h, is included once for each instruction set, in a namespace of its own.
#pragma once

// What SAFETYLOCK_ATTRIBUTES, of every function there, is defined as.
#define SAFETYLOCK_FOR_AVX2 [[gnu::target("avx2,fma,f16c")]]
#define SAFETYLOCK_FOR_AVX512 \
  [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,prefer-vector-width=512")]]

// What is called from outside; and what is inlined into that, so that no call's ABI depends on the
// instruction set.
#define SAFETYLOCK_KERNEL_ENTRY SAFETYLOCK_ATTRIBUTES
#define SAFETYLOCK_KERNEL SAFETYLOCK_ATTRIBUTES [[gnu::always_inline]] inline
