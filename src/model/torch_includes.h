// The ATen headers this library uses: narrow ones, since all of torch costs twenty seconds a file.
// Precompiled once for the libtorch half of the project.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
