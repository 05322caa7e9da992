#include "formats/stored_zip.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "safetylock/error.h"

namespace safetylock {
namespace {

static_assert(std::endian::native == std::endian::little, "the formats read here are little-endian");

constexpr std::string_view kLocal = "PK\x03\x04", kDescriptor = "PK\x07\x08", kCentral = "PK\x01\x02",
                           kEnd = "PK\x05\x06", kEnd64 = "PK\x06\x06", kLocator = "PK\x06\x07";
constexpr size_t kLocalBytes = 30, kDescriptorBytes = 16, kCentralBytes = 46, kEndBytes = 22,
                 kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr size_t kMaxEntries = 64;
constexpr std::uint16_t kSizesFollow = 1U << 3, kUtf8Name = 1U << 11;
constexpr std::uint32_t kSeeZip64 = 0xFFFFFFFF;
constexpr std::uint16_t kPadding = 0x4246;  ///< "FB": torch aligns the data by it

std::uint32_t crc32(std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = (c & 1U) != 0 ? (c >> 1U) ^ 0xEDB88320U : c >> 1U;
      table[i] = c;
    }
    return table;
  }();
  std::uint32_t crc = ~0U;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (crc >> 8U);
  return ~crc;
}

/// What both headers of an entry say of it.
struct Header {
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc = 0, stored = 0, size = 0;
  std::uint16_t name_bytes = 0, extra_bytes = 0;
};

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  std::vector<ZipEntry> read() {
    read_end();
    std::vector<ZipEntry> entries;
    size_t next = 0;  // where the following entry has to begin
    for (size_t at = directory_; entries.size() < count_;) entries.push_back(read_entry(at, next));
    if (directory_at_ != directory_end_) {
      fail("zip.structure", directory_at_, "the end of the directory", "more bytes");
    }
    if (next != directory_)
      fail("zip.layout", next, "the directory right behind the last entry", "other bytes");
    refuse_repeated_names(entries);
    return entries;
  }

 private:
  [[noreturn]] void fail(const char* code, size_t at, const std::string& expected,
                         const std::string& found) const {
    throw Error({code, file_, "byte " + std::to_string(at), expected, found,
                 "Only archives as torch.save writes them are read"});
  }

  template <typename T>
  T number(size_t at) const {
    T value{};
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }
  bool has(size_t at, size_t bytes, std::string_view signature) const {
    return at <= bytes_.size() && bytes_.size() - at >= bytes &&
           bytes_.substr(at, signature.size()) == signature;
  }

  // The end record is the last thing in the file, so there is but one of it.
  void read_end() {
    const size_t end = bytes_.size() - std::min(bytes_.size(), kEndBytes);
    if (!has(0, kLocalBytes, kLocal) || !has(end, kEndBytes, kEnd) || number<std::uint16_t>(end + 20) != 0) {
      fail("zip.structure", end, "an archive that begins with an entry and ends with its end record",
           bytes_.empty() ? "nothing" : "something else there");
    }
    if (number<std::uint32_t>(end + 4) != 0) fail("zip.structure", end + 4, "one disk", "several");
    const std::uint16_t count = number<std::uint16_t>(end + 10);
    const std::uint32_t bytes = number<std::uint32_t>(end + 12), begin = number<std::uint32_t>(end + 16);
    directory_end_ = end;
    std::uint64_t count64 = count, bytes64 = bytes, begin64 = begin;
    if (end >= kLocatorBytes + kEnd64Bytes && has(end - kLocatorBytes, kLocatorBytes, kLocator)) {
      directory_end_ = end - kLocatorBytes - kEnd64Bytes;
      read_end64(directory_end_, end - kLocatorBytes);
      count64 = number<std::uint64_t>(directory_end_ + 32);
      bytes64 = number<std::uint64_t>(directory_end_ + 40);
      begin64 = number<std::uint64_t>(directory_end_ + 48);
      const auto agrees = [](std::uint64_t wide, std::uint64_t narrow, std::uint64_t see) {
        return narrow == wide || narrow == see;
      };
      if (!agrees(count64, count, 0xFFFF) || !agrees(bytes64, bytes, kSeeZip64) ||
          !agrees(begin64, begin, kSeeZip64)) {
        fail("zip.mismatch", end, "what the zip64 end record says", "other numbers");
      }
    }
    if (number<std::uint16_t>(end + 8) != count) fail("zip.structure", end + 8, "one disk", "several");
    if (count64 == 0 || count64 > kMaxEntries) {
      fail("zip.range", end, "1 to " + std::to_string(kMaxEntries) + " entries", std::to_string(count64));
    }
    if (begin64 > directory_end_ || directory_end_ - begin64 != bytes64) {
      fail("zip.range", end, "a directory that ends where the end records begin",
           std::to_string(bytes64) + " bytes from " + std::to_string(begin64));
    }
    count_ = static_cast<size_t>(count64);
    directory_ = static_cast<size_t>(begin64);
  }

  void read_end64(size_t end64, size_t locator) const {
    const bool sound =
        has(end64, kEnd64Bytes, kEnd64) && number<std::uint64_t>(end64 + 4) == kEnd64Bytes - 12 &&
        number<std::uint64_t>(locator + 8) == end64 && number<std::uint32_t>(locator + 4) == 0 &&
        number<std::uint32_t>(locator + 16) == 1 && number<std::uint64_t>(end64 + 16) == 0 &&
        number<std::uint64_t>(end64 + 24) == number<std::uint64_t>(end64 + 32);
    if (!sound)
      fail("zip.structure", end64, "one zip64 end record of one disk, where its locator says", "other bytes");
  }

  // The directory's header at `at` and the entry it names, which has to begin at `next`; both move on.
  ZipEntry read_entry(size_t& at, size_t& next) {
    if (directory_end_ - at < kCentralBytes || !has(at, kCentralBytes, kCentral)) {
      fail("zip.structure", at, "a header of the directory", "something else");
    }
    const Header header = header_at(at + 8);
    if (header.extra_bytes != 0 || number<std::uint32_t>(at + 32) != 0) {
      fail("zip.structure", at, "a header without extra field, comment and second disk", "one with");
    }
    check_kind(header, at, number<std::uint32_t>(at + 38));
    const size_t begin = number<std::uint32_t>(at + 42);
    at += kCentralBytes;
    if (header.name_bytes > directory_end_ - at)
      fail("zip.range", at, "a name within the directory", "a longer one");
    const std::string_view name = bytes_.substr(at, header.name_bytes);
    at += header.name_bytes;
    directory_at_ = at;
    if (begin > directory_)
      fail("zip.range", at, "an entry in front of the directory", "byte " + std::to_string(begin));
    if (begin != next) {
      fail("zip.layout", begin, "the entry to begin where the one before it ends, at " + std::to_string(next),
           "byte " + std::to_string(begin));
    }
    return {name, entry_data(header, name, next)};
  }

  Header header_at(size_t at) const {
    return {.flags = number<std::uint16_t>(at),
            .method = number<std::uint16_t>(at + 2),
            .crc = number<std::uint32_t>(at + 8),
            .stored = number<std::uint32_t>(at + 12),
            .size = number<std::uint32_t>(at + 16),
            .name_bytes = number<std::uint16_t>(at + 20),
            .extra_bytes = number<std::uint16_t>(at + 22)};
  }

  void check_kind(const Header& header, size_t at, std::uint32_t attributes) const {
    constexpr std::uint32_t kKind = 0xF000, kRegular = 0x8000;
    const std::uint32_t kind = (attributes >> 16U) & kKind;
    if ((header.flags & ~(kSizesFollow | kUtf8Name)) != 0 || (kind != 0 && kind != kRegular)) {
      fail("zip.flags", at, "a plain file that is not encrypted",
           "flags " + std::to_string(header.flags) + ", attributes " + std::to_string(attributes));
    }
    if (header.method != 0) {
      fail("zip.method", at, "a stored entry (method 0)", "method " + std::to_string(header.method));
    }
    if (header.stored != header.size) fail("zip.mismatch", at, "equal sizes of a stored entry", "two sizes");
    if (header.size == kSeeZip64) fail("zip.range", at, "a size below 4 GiB", "zip64");
  }

  std::string_view entry_data(const Header& header, std::string_view name, size_t& next) const {
    const size_t begin = next;
    if (directory_ - begin < kLocalBytes || !has(begin, kLocalBytes, kLocal)) {
      fail("zip.layout", begin, "the header of an entry", "something else");
    }
    const Header local = header_at(begin + 6);
    const bool follow = (local.flags & kSizesFollow) != 0;
    const std::uint32_t crc = follow ? 0 : header.crc, size = follow ? 0 : header.size;
    const size_t room = directory_ - begin - kLocalBytes;
    const size_t before = size_t{local.name_bytes} + local.extra_bytes,
                 behind = follow ? kDescriptorBytes : 0;
    if (room < before || room - before < header.size || room - before - header.size < behind) {
      fail("zip.range", begin, "an entry that ends before the directory",
           std::to_string(header.size) + " bytes");
    }
    if (local.flags != header.flags || local.method != header.method || local.crc != crc ||
        local.stored != size || local.size != size ||
        bytes_.substr(begin + kLocalBytes, local.name_bytes) != name) {
      fail("zip.mismatch", begin, "what the directory says of \"" + escape_untrusted(name) + "\"",
           "another header");
    }
    check_padding(begin + kLocalBytes + local.name_bytes, local.extra_bytes);
    const size_t data = begin + kLocalBytes + before;
    if (follow) check_descriptor(header, data + header.size);
    const std::string_view content = bytes_.substr(data, header.size);
    if (crc32(content) != header.crc) {
      fail("zip.crc", data, "the checksum of \"" + escape_untrusted(name) + "\"", "another");
    }
    next = data + header.size + behind;
    return content;
  }

  void check_padding(size_t at, size_t bytes) const {
    if (bytes == 0) return;
    const bool sound = bytes >= 4 && number<std::uint16_t>(at) == kPadding &&
                       number<std::uint16_t>(at + 2) == bytes - 4 &&
                       bytes_.substr(at + 4, bytes - 4).find_first_not_of('Z') == std::string_view::npos;
    if (!sound) fail("zip.layout", at, "no extra field but padding", std::to_string(bytes) + " other bytes");
  }

  void check_descriptor(const Header& header, size_t at) const {
    if (!has(at, kDescriptorBytes, kDescriptor)) {
      fail("zip.layout", at, "a data descriptor behind the entry", "something else");
    }
    if (number<std::uint32_t>(at + 4) != header.crc || number<std::uint32_t>(at + 8) != header.stored ||
        number<std::uint32_t>(at + 12) != header.size) {
      fail("zip.mismatch", at, "what the directory says of the entry", "another data descriptor");
    }
  }

  void refuse_repeated_names(const std::vector<ZipEntry>& entries) const {
    for (size_t i = 0; i < entries.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (entries[i].name == entries[j].name) {
          fail("zip.entry", directory_, "each name once",
               "\"" + escape_untrusted(entries[i].name) + "\" again");
        }
      }
    }
  }

  std::string_view bytes_;
  const std::string& file_;
  size_t count_ = 0, directory_ = 0, directory_end_ = 0, directory_at_ = 0;
};

}  // namespace

std::vector<ZipEntry> read_stored_zip(std::string_view bytes, const std::string& file) {
  return Reader(bytes, file).read();
}

}  // namespace safetylock
