#include "bake/gguf_layout.h"

#include <span>

namespace safetylock::gguf {
namespace {

constexpr std::uint32_t kUint32 = 4, kBoolean = 7, kString = 8, kFloat64 = 12;

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void append_text(std::string& out, const std::string& text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

}  // namespace

Layout layout_of(const GgufFile& file) {
  Layout layout;
  layout.version = file.version();
  const InputFile& input = file.file_of(file.tensors().front());
  for (const GgufEntry& entry : file.entries()) {
    std::string value(entry.bytes, '\0');
    input.read_at(entry.offset, std::as_writable_bytes(std::span(value.data(), value.size())));
    layout.metadata.push_back({entry.key, std::move(value)});
  }
  for (const GgufTensor& t : file.tensors()) {
    layout.tensors.push_back({.name = t.name,
                              .extents = {t.shape.rbegin(), t.shape.rend()},
                              .type = static_cast<std::uint32_t>(t.type),
                              .offset = t.offset - file.data_begin()});
  }
  input.check_unchanged();
  return layout;
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
