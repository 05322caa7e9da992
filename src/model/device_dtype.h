// Which device and number type a model runs in.
#pragma once

#include <string>

#include "model/torch_includes.h"

namespace safetylock {

/// "auto" (CUDA when there is one), "cpu", "cuda", "cuda:N". Throws Error arg.device.
at::Device parse_device(const std::string& text);

/// "auto", "float32", "bfloat16", "float16". auto: bfloat16 on CUDA and on CPUs with bfloat16 arithmetic,
/// else float32. Throws Error arg.dtype.
at::ScalarType parse_dtype(const std::string& text, at::Device device);

/// AVX512-BF16 or AMX-BF16: bfloat16 is then worth computing in. Without them bfloat16 is several times
/// slower than float32 for more than a few rows.
bool cpu_has_bfloat16_arithmetic();

/// Whether large bfloat16 matrix products are quicker than float32 ones: AMX-BF16, or AVX512-BF16 as AMD
/// builds it. Intel's AVX512-BF16 without AMX (a virtual machine may hide it) does 0.6 times the float32
/// rate: docs/results.
bool cpu_multiplies_bfloat16_fast();

}  // namespace safetylock
