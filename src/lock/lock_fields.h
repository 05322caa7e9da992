// Checked access to what a lock's file holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/safetensors.h"

namespace safetylock {

/// The shortest text that reads back to the same double: how the file spells numbers.
std::string number_text(double value);

/// A lock's file, parsed but not yet believed. Errors name the file. Must not outlive what it was made from.
class LockFields {
 public:
  LockFields(const SafetensorsFile& safetensors, const std::string& file)
      : safetensors_(safetensors), file_(file) {}

  [[noreturn]] void fail(const char* code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const;

  const SafetensorsFile& safetensors() const noexcept { return safetensors_; }
  bool has_text(const std::string& key) const { return safetensors_.metadata().contains(key); }
  /// Of a key that is there.
  const std::string& text(const std::string& key) const { return safetensors_.metadata().at(key); }
  /// Numbers are read back only as this library spells them, so that one lock has one file. `code` is what
  /// another spelling throws.
  std::int64_t integer(const std::string& key, const char* code = "lock.metadata") const;
  double number(const std::string& key, const char* code) const;

  bool has_tensor(const std::string& name) const { return safetensors_.find(name) != nullptr; }
  /// Throws lock.tensor when there is none.
  const SafetensorsTensor& tensor(const std::string& name) const;
  void check_tensor(const std::string& name, const char* code, const char* dtype,
                    const std::vector<std::uint64_t>& shape) const;
  /// Values of a checked tensor.
  std::vector<float> floats(const std::string& name) const;
  std::vector<std::int64_t> integers(const std::string& name) const;

 private:
  const SafetensorsFile& safetensors_;
  const std::string& file_;
};

}  // namespace safetylock
