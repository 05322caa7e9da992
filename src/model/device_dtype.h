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

/// AVX512-BF16 or AMX-BF16. Without them bfloat16 is several times slower than float32 for more than a few
/// rows.
bool cpu_has_bfloat16_arithmetic();

}  // namespace safetylock
