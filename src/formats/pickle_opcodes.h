// The opcodes of Python's pickle protocols 0 to 5: those that are read, and the names of all others for
// errors.
#pragma once

#include <string>

namespace safetylock::pickle {

enum class Opcode : unsigned char {
  mark = '(',
  stop = '.',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  none = 'N',
  reduce = 'R',
  binunicode = 'X',
  empty_list = ']',
  append = 'a',
  build = 'b',
  global = 'c',
  appends = 'e',
  binget = 'h',
  long_binget = 'j',
  binput = 'q',
  long_binput = 'r',
  setitem = 's',
  tuple = 't',
  setitems = 'u',
  empty_dict = '}',
  proto = 0x80,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  newtrue = 0x88,
  newfalse = 0x89,
};

/// "STACK_GLOBAL (0x93)"; "0xFF" for a byte that is no opcode.
std::string opcode_name(unsigned char opcode);

}  // namespace safetylock::pickle
