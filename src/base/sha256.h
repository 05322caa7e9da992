// SHA-256 (OpenSSL), incremental and of whole buffers.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace safetylock {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view bytes);
  /// 64 lower-case hexadecimal digits. The object may not be used afterwards.
  std::string hex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace safetylock
