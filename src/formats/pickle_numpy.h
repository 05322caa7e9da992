// The calls and states by which numpy's values are stored in a pickle: understood as data.
#pragma once

#include <string>

#include "formats/pickle.h"

namespace safetylock::pickle {

struct Place {
  const std::string& file;
  size_t at;    ///< byte of the pickle
  size_t room;  ///< bytes that may still be decoded
};

/// What the call of `function` stands for. Throws Error pkl.reduce, pkl.dtype, pkl.encode, limit.nodes.
PickleValue call(PickleValue::Global function, const PickleValue& arguments, const Place& place);

/// BUILD: gives an array its values, and checks what is said of a dtype. Throws Error pkl.stack, pkl.dtype,
/// pkl.array.
void set_state(PickleValue& value, const PickleValue& state, const Place& place);

/// Bytes of one number.
size_t numpy_size(NumpyType type);

}  // namespace safetylock::pickle
