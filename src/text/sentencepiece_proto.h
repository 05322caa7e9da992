// The wire format of protocol buffers, as far as a sentencepiece model needs it: reading with every length
// checked, and writing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace safetylock {

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct ProtoField {
  std::uint32_t number;
  WireType type;
  std::uint64_t value;     ///< of varint, fixed64 and fixed32
  std::string_view bytes;  ///< of bytes
  size_t offset;           ///< of the field in the file
};

/// Walks the fields of one message. Every failure is spm.proto with the byte offset in the file.
class ProtoReader {
 public:
  /// `bytes` begin at `offset` of `file`, which labels errors; `message` is what they are called.
  ProtoReader(std::string_view bytes, size_t offset, std::string file, std::string message);

  /// The next field; nothing at the end. Fields of any number are read whole; groups are refused.
  std::optional<ProtoField> next();

  /// The field's value as a type of the schema; another wire type is refused.
  bool boolean(const ProtoField& field) const;
  std::int32_t int32(const ProtoField& field) const;
  float float32(const ProtoField& field) const;
  std::string_view text(const ProtoField& field) const;
  /// A message inside this one.
  ProtoReader message(const ProtoField& field, std::string name) const;

  [[noreturn]] void fail(size_t offset, const std::string& expected, const std::string& found) const;

 private:
  std::uint64_t varint();
  std::uint64_t fixed(size_t size);
  void need(std::uint64_t size, const std::string& what) const;
  void expect(const ProtoField& field, WireType type) const;

  std::string_view bytes_;
  size_t at_ = 0;
  size_t offset_;
  std::string file_, message_;
};

/// Appends fields to a message.
class ProtoWriter {
 public:
  void varint(std::uint32_t number, std::uint64_t value);
  void float32(std::uint32_t number, float value);
  void bytes(std::uint32_t number, std::string_view value);
  const std::string& message() const noexcept { return out_; }

 private:
  void put(std::uint64_t value);
  std::string out_;
};

}  // namespace safetylock
