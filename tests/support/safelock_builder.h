// Published locks and what could be wrong with them, byte by byte: a zip archive of stored entries, and a
// pickle.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace safetylock::test {

template <typename T>
std::string little(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::uint32_t crc32_of(const std::string& bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int k = 0; k < 8; ++k) crc = (crc & 1U) != 0 ? (crc >> 1U) ^ 0xEDB88320U : crc >> 1U;
  }
  return ~crc;
}

struct ZipPart {
  std::string name, data;
  std::uint16_t flags = 0x808;  ///< sizes follow the data; UTF-8 name
  std::uint16_t method = 0;
  std::uint32_t attributes = 0;
  std::string before = {}, extra = {}, comment = {};
  // Where the headers say something else than the data.
  std::string local_name = {};
  std::int64_t size_lie = 0, local_size_lie = 0, offset_lie = 0;
  std::uint32_t crc_lie = 0, descriptor_lie = 0, local_flags_lie = 0;
};

struct Zip {
  std::vector<ZipPart> parts;
  std::string tail = {};  ///< between the last entry and the directory
  bool zip64 = true;
  std::int64_t zip64_count_lie = 0;

  std::string build() const {
    std::string out, directory;
    for (const ZipPart& p : parts) add(p, out, directory);
    out += tail;
    const size_t begin = out.size();
    out += directory;
    const size_t end = out.size();
    const auto count = static_cast<std::int64_t>(parts.size());
    if (zip64) {
      out += "PK\x06\x06" + little<std::uint64_t>(44) + little<std::uint32_t>(0x2D031E) +
             little<std::uint64_t>(0) + little(count) + little(count + zip64_count_lie) +
             little<std::uint64_t>(directory.size()) + little<std::uint64_t>(begin);
      out += "PK\x06\x07" + little<std::uint32_t>(0) + little<std::uint64_t>(end) + little<std::uint32_t>(1);
    }
    out += "PK\x05\x06" + little<std::uint32_t>(0) + little(static_cast<std::uint16_t>(count)) +
           little(static_cast<std::uint16_t>(count)) + little(static_cast<std::uint32_t>(directory.size())) +
           little(static_cast<std::uint32_t>(begin)) + little<std::uint16_t>(0);
    return out;
  }

 private:
  static void add(const ZipPart& p, std::string& out, std::string& directory) {
    const bool follow = (p.flags & 8U) != 0;
    const std::uint32_t crc = crc32_of(p.data) + p.crc_lie;
    const auto size = static_cast<std::uint32_t>(static_cast<std::int64_t>(p.data.size()) + p.size_lie);
    out += p.before;
    const auto offset = static_cast<std::uint32_t>(static_cast<std::int64_t>(out.size()) + p.offset_lie);
    const auto kind =
        little<std::uint16_t>(0) + little(p.flags) + little(p.method) + little<std::uint32_t>(0);
    const std::uint32_t local_size = follow ? 0 : size + static_cast<std::uint32_t>(p.local_size_lie);
    const std::string& local_name = p.local_name.empty() ? p.name : p.local_name;
    out += "PK\x03\x04" + little<std::uint16_t>(0) +
           little(static_cast<std::uint16_t>(p.flags ^ p.local_flags_lie)) + little(p.method) +
           little<std::uint32_t>(0) + little(follow ? 0U : crc) + little(local_size) + little(local_size) +
           little(static_cast<std::uint16_t>(local_name.size())) +
           little(static_cast<std::uint16_t>(p.extra.size())) + local_name + p.extra + p.data;
    if (follow) out += "PK\x07\x08" + little(crc + p.descriptor_lie) + little(size) + little(size);
    directory += "PK\x01\x02" + little<std::uint16_t>(0) + kind + little(crc) + little(size) + little(size) +
                 little(static_cast<std::uint16_t>(p.name.size())) + little<std::uint16_t>(0) +
                 little(static_cast<std::uint16_t>(p.comment.size())) + little<std::uint32_t>(0) +
                 little(p.attributes) + little(offset) + p.name + p.comment;
  }
};

/// The archive of torch.save around `pickle`.
inline Zip safelock_zip(const std::string& pickle) {
  return {.parts = {{.name = "lock/data.pkl", .data = pickle},
                    {.name = "lock/byteorder", .data = "little"},
                    {.name = "lock/version", .data = "3\n"},
                    {.name = "lock/.data/serialization_id", .data = "0123456789"}}};
}

/// Opcodes with their arguments.
namespace pkl {

inline std::string text(const std::string& value) {
  return "X" + little(static_cast<std::uint32_t>(value.size())) + value;
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) {
  return "(" + items + "t";
}
inline std::string integer(std::int32_t value) {
  return "J" + little(value);
}
/// Bytes as protocol 2 stores them: a text of their code points.
inline std::string bytes(const std::string& value, const std::string& charset = "latin1") {
  std::string utf8;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xC0U | (byte >> 6U));
      utf8 += static_cast<char>(0x80U | (byte & 0x3FU));
    }
  }
  return global("_codecs", "encode") + text(utf8) + text(charset) + "\x86R";
}
inline std::string dtype(const std::string& name, const std::string& order = "<") {
  return global("numpy", "dtype") + text(name) + "\x89\x88\x87R" +
         tuple(integer(3) + text(order) + "NNN" + integer(-1) + integer(-1) + integer(0)) + "b";
}
inline std::string scalar(const std::string& type, const std::string& value) {
  return global("numpy.core.multiarray", "scalar") + dtype(type) + bytes(value) + "\x86R";
}
inline std::string array(const std::string& type, std::int32_t length, const std::string& values) {
  return global("numpy.core.multiarray", "_reconstruct") + global("numpy", "ndarray") + integer(0) + "\x85" +
         bytes("b") + "\x87R" +
         tuple(integer(1) + integer(length) + "\x85" + dtype(type) + "\x89" + bytes(values)) + "b";
}
inline std::string head(std::int64_t number) {
  return scalar("i8", little(number));
}
/// (number, [1, 0], 0.5)
inline std::string row(std::int64_t number) {
  return tuple(head(number) + array("f4", 2, little(1.0F) + little(0.0F)) + scalar("f4", little(0.5F)));
}
inline std::string key(const std::string& layer) {
  return text("model.layers." + layer + ".self_attn.head_out");
}
inline std::string list(const std::string& items) {
  return "](" + items + "e";
}
inline std::string dict(const std::string& items) {
  return "}(" + items + "u";
}
inline std::string whole(const std::string& value) {
  return "\x80\x02" + value + ".";
}
/// A sound lock: one head of layer 3.
inline std::string sound() {
  return whole(dict(key("3") + list(row(1))));
}

}  // namespace pkl
}  // namespace safetylock::test
