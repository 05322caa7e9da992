// The largest value of each row, as greedy decoding asks for it.
#pragma once

#include <cstdint>
#include <vector>

#include "model/torch_includes.h"

namespace safetylock {

struct RowPeak {
  std::int64_t index = 0;  ///< of the largest value, the first one of several; of no meaning where not finite
  bool finite = true;      ///< whether the row's sum is: false where any value is not
};

/// For float32 rows [N, V], contiguous where they are on the CPU; `peaks` gets N entries.
void row_peaks(const at::Tensor& rows, std::vector<RowPeak>& peaks);

}  // namespace safetylock
