#include "bake/gguf_layout.h"

#include <array>

#include "formats/byte_cursor.h"
#include "safetylock/error.h"

namespace safetylock::gguf {
namespace {

constexpr std::uint32_t kUint32 = 4, kBoolean = 7, kString = 8, kArray = 9, kFloat64 = 12;
// Bytes of a value of each type; 0 where the value says so itself.
constexpr std::array<std::uint64_t, 13> kValueBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_text(std::string& out, const std::string& text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

class LayoutReader {
 public:
  explicit LayoutReader(const InputFile& file) : cursor_(file), file_(file) {}

  Layout read() {
    take(4);  // magic
    Layout layout;
    layout.version = cursor_.number<std::uint32_t>();
    const auto tensors = cursor_.number<std::uint64_t>();
    const auto entries = cursor_.number<std::uint64_t>();
    for (std::uint64_t i = 0; i < entries; ++i) {
      std::string key = text();
      layout.metadata.push_back({std::move(key), value()});
    }
    for (std::uint64_t i = 0; i < tensors; ++i) layout.tensors.push_back(tensor());
    layout.header_bytes = cursor_.offset();
    file_.check_unchanged();
    return layout;
  }

 private:
  std::string take(std::uint64_t count) {
    if (count > cursor_.left()) {  // proved before; a file that changed since then ends here
      throw Error({"io.changed", file_.path(), "", "the file that was opened", "another", ""});
    }
    std::string bytes(count, '\0');
    cursor_.bytes(std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
    return bytes;
  }
  std::string text() { return take(cursor_.number<std::uint64_t>()); }

  std::string value() {
    const auto type = cursor_.number<std::uint32_t>();
    std::string out;
    append(out, type);
    append_value(out, type);
    return out;
  }

  void append_value(std::string& out, std::uint32_t type) {
    if (type == kString) return append_text(out, text());
    if (type != kArray) {
      out += take(kValueBytes.at(type));
      return;
    }
    const auto element = cursor_.number<std::uint32_t>();
    const auto count = cursor_.number<std::uint64_t>();
    append(out, element);
    append(out, count);
    if (element == kString) {
      for (std::uint64_t i = 0; i < count; ++i) append_text(out, text());
    } else {
      out += take(kValueBytes.at(element) * count);
    }
  }

  RawTensor tensor() {
    RawTensor t;
    t.name = text();
    t.extents.resize(cursor_.number<std::uint32_t>());
    for (std::uint64_t& extent : t.extents) extent = cursor_.number<std::uint64_t>();
    t.type = cursor_.number<std::uint32_t>();
    t.offset = cursor_.number<std::uint64_t>();
    return t;
  }

  ByteCursor cursor_;
  const InputFile& file_;
};

}  // namespace

Layout read_layout(const InputFile& file) {
  return LayoutReader(file).read();
}

std::string string_value(const std::string& text) {
  std::string out;
  append(out, kString);
  append_text(out, text);
  return out;
}

std::string number_value(double value) {
  std::string out;
  append(out, kFloat64);
  append(out, value);
  return out;
}

std::string count_value(std::uint32_t value) {
  std::string out;
  append(out, kUint32);
  append(out, value);
  return out;
}

std::string boolean_value(bool value) {
  std::string out;
  append(out, kBoolean);
  append(out, static_cast<std::uint8_t>(value ? 1 : 0));
  return out;
}

std::string header_bytes(const Layout& layout, std::uint64_t alignment) {
  std::string out = "GGUF";
  append(out, layout.version);
  append(out, static_cast<std::uint64_t>(layout.tensors.size()));
  append(out, static_cast<std::uint64_t>(layout.metadata.size()));
  for (const RawEntry& entry : layout.metadata) {
    append_text(out, entry.key);
    out += entry.value;
  }
  for (const RawTensor& t : layout.tensors) {
    append_text(out, t.name);
    append(out, static_cast<std::uint32_t>(t.extents.size()));
    for (const std::uint64_t extent : t.extents) append(out, extent);
    append(out, t.type);
    append(out, t.offset);
  }
  out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
  return out;
}

}  // namespace safetylock::gguf
