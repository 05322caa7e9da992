#include "text/sentencepiece_proto.h"

#include <bit>
#include <limits>

#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::uint32_t kMaxFieldNumber = (1U << 29U) - 1;

std::uint64_t tag_of(std::uint32_t number, WireType type) {
  return std::uint64_t{number} << 3U | static_cast<std::uint64_t>(type);
}

}  // namespace

ProtoReader::ProtoReader(std::string_view bytes, size_t offset, std::string file, std::string message)
    : bytes_(bytes), offset_(offset), file_(std::move(file)), message_(std::move(message)) {}

void ProtoReader::fail(size_t offset, const std::string& expected, const std::string& found) const {
  throw Error({"spm.proto", file_, message_ + ", byte " + std::to_string(offset), expected, found,
               "The file is damaged, or not a sentencepiece model"});
}

void ProtoReader::need(std::uint64_t size, const std::string& what) const {
  if (size <= bytes_.size() - at_) return;
  fail(offset_ + at_, what + " of " + std::to_string(size) + " bytes inside " + message_,
       std::to_string(bytes_.size() - at_) + " bytes left");
}

std::uint64_t ProtoReader::varint() {
  const size_t start = at_;
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    need(1, "a number");
    const auto byte = static_cast<unsigned char>(bytes_[at_++]);
    if (shift == 63 && byte > 1) break;  // the tenth byte holds one bit
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return value;
  }
  fail(offset_ + start, "a number of at most 10 bytes and 64 bits", "a longer one");
}

std::uint64_t ProtoReader::fixed(size_t size) {
  need(size, "a number");
  std::uint64_t value = 0;
  for (size_t i = 0; i < size; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(bytes_[at_ + i])} << (8 * i);
  at_ += size;
  return value;
}

std::optional<ProtoField> ProtoReader::next() {
  if (at_ == bytes_.size()) return std::nullopt;
  const size_t start = at_;
  const std::uint64_t tag = varint();
  const std::uint64_t number = tag >> 3U;
  if (number == 0 || number > kMaxFieldNumber)
    fail(offset_ + start, "a field number from 1 to 2^29 - 1", std::to_string(number));
  ProtoField field{static_cast<std::uint32_t>(number), WireType::varint, 0, {}, offset_ + start};
  switch (tag & 7U) {
    case 0:
      field.value = varint();
      return field;
    case 1:
      field.type = WireType::fixed64;
      field.value = fixed(8);
      return field;
    case 2: {
      field.type = WireType::bytes;
      const std::uint64_t size = varint();
      need(size, "a field");
      field.bytes = bytes_.substr(at_, static_cast<size_t>(size));
      at_ += field.bytes.size();
      return field;
    }
    case 5:
      field.type = WireType::fixed32;
      field.value = fixed(4);
      return field;
    default:
      fail(offset_ + start, "a wire type of 0, 1, 2 or 5", std::to_string(tag & 7U));
  }
}

void ProtoReader::expect(const ProtoField& field, WireType type) const {
  if (field.type == type) return;
  fail(field.offset,
       "field " + std::to_string(field.number) + " with wire type " + std::to_string(static_cast<int>(type)),
       std::to_string(static_cast<int>(field.type)));
}

bool ProtoReader::boolean(const ProtoField& field) const {
  expect(field, WireType::varint);
  if (field.value > 1) fail(field.offset, "0 or 1", std::to_string(field.value));
  return field.value == 1;
}

std::int32_t ProtoReader::int32(const ProtoField& field) const {
  expect(field, WireType::varint);
  const auto value = static_cast<std::int64_t>(field.value);  // negative numbers are written with 64 bits
  if (value < std::numeric_limits<std::int32_t>::min() || value > std::numeric_limits<std::int32_t>::max())
    fail(field.offset, "a number of 32 bits", std::to_string(value));
  return static_cast<std::int32_t>(value);
}

float ProtoReader::float32(const ProtoField& field) const {
  expect(field, WireType::fixed32);
  return std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
}

std::string_view ProtoReader::text(const ProtoField& field) const {
  expect(field, WireType::bytes);
  return field.bytes;
}

ProtoReader ProtoReader::message(const ProtoField& field, std::string name) const {
  expect(field, WireType::bytes);
  const auto inside = static_cast<size_t>(field.bytes.data() - bytes_.data());
  return {field.bytes, offset_ + inside, file_, std::move(name)};
}

void ProtoWriter::put(std::uint64_t value) {
  while (value >= 0x80) {
    out_.push_back(static_cast<char>(value | 0x80U));
    value >>= 7U;
  }
  out_.push_back(static_cast<char>(value));
}

void ProtoWriter::varint(std::uint32_t number, std::uint64_t value) {
  put(tag_of(number, WireType::varint));
  put(value);
}

void ProtoWriter::float32(std::uint32_t number, float value) {
  put(tag_of(number, WireType::fixed32));
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (unsigned i = 0; i < 4; ++i) out_.push_back(static_cast<char>(bits >> (8 * i) & 0xFFU));
}

void ProtoWriter::bytes(std::uint32_t number, std::string_view value) {
  put(tag_of(number, WireType::bytes));
  put(value.size());
  out_ += value;
}

}  // namespace safetylock
