// A reader of one kind of pickle: a dictionary from text to lists of tuples of numpy numbers and arrays, as
// published locks hold. It is no pickle machine: opcodes are a whitelist, each global is a name that is
// compared and never looked up, and nothing is ever imported or called.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

enum class NumpyType { f2, f4, f8, i8 };  ///< float16, float32, float64, int64; all little-endian

struct PickleValue {
  enum class Kind { none, boolean, integer, text, bytes, global, tuple, list, dict, dtype, array, scalar };
  /// numpy's functions; scalar and reconstruct under the module names of numpy 1 and 2.
  enum class Global { encode, dtype, ndarray, reconstruct, scalar };

  Kind kind = Kind::none;
  std::int64_t integer = 0;  ///< also 0 and 1 of a boolean
  std::string_view text;     ///< UTF-8, a view into what was read
  std::shared_ptr<const std::string>
      bytes;  ///< of bytes, arrays and scalars; null for an array without values yet
  Global global = Global::encode;
  NumpyType dtype = NumpyType::f2;  ///< of dtypes, arrays and scalars
  std::vector<PickleValue> items;   ///< of tuples and lists; of a dict: key, value, key, value ...
  int depth = 0;                    ///< 0 for a leaf
};

/// Reads `bytes` whole; the result's texts point into it. `file` labels errors. Throws Error pkl.protocol,
/// pkl.opcode, pkl.global, pkl.reduce, pkl.stack, pkl.memo, pkl.depth, pkl.dtype, pkl.array, pkl.encode,
/// pkl.key, pkl.truncated, pkl.trailing, limit.nodes (over 65,536 steps or 4 MiB of decoded bytes).
PickleValue read_numpy_pickle(std::string_view bytes, const std::string& file);

}  // namespace safetylock
