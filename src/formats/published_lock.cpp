#include "formats/published_lock.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <set>

#include "base/file.h"
#include "formats/ggml_types.h"
#include "formats/pickle.h"
#include "formats/sniff.h"
#include "formats/stored_zip.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

using Kind = PickleValue::Kind;

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{4} << 20;
constexpr std::int64_t kMaxIndex = (1 << 20) - 1;
constexpr std::string_view kKeyBegin = "model.layers.", kKeyEnd = ".self_attn.head_out";

[[noreturn]] void fail(const char* code, const std::string& file, const std::string& where,
                       const std::string& expected, const std::string& found) {
  throw Error({code, file, where, expected, found, ""});
}

/// The archive's entries by name, without the folder that they share.
class Archive {
 public:
  Archive(std::string_view bytes, const std::string& file)
      : file_(file), entries_(read_stored_zip(bytes, file)) {
    const std::string_view first = entries_.front().name;
    const std::string_view folder = first.substr(0, first.find('/') + 1);
    for (ZipEntry& entry : entries_) {
      const bool inside = !folder.empty() && entry.name.starts_with(folder);
      if (inside) entry.name.remove_prefix(folder.size());
      if (!inside || std::find(kNames.begin(), kNames.end(), entry.name) == kNames.end()) {
        fail("zip.entry", file_, "directory",
             "a folder with data.pkl, version and torch's notes, nothing else",
             "\"" + escape_untrusted(entry.name) + "\"");
      }
    }
    if (text("version") != "3" || (find("byteorder") != nullptr && text("byteorder") != "little")) {
      fail("zip.version", file_, "version, byteorder", "version 3, little-endian", "another");
    }
  }

  std::string_view pickle() const { return at("data.pkl").data; }

 private:
  static constexpr std::array<std::string_view, 6> kNames = {
      "data.pkl", "version", "byteorder", ".data/serialization_id", ".format_version", ".storage_alignment"};

  const ZipEntry* find(std::string_view name) const {
    const auto it =
        std::find_if(entries_.begin(), entries_.end(), [&](const ZipEntry& e) { return e.name == name; });
    return it == entries_.end() ? nullptr : &*it;
  }
  const ZipEntry& at(std::string_view name) const {
    const ZipEntry* entry = find(name);
    if (entry == nullptr) fail("zip.entry", file_, "directory", std::string(name), "no such entry");
    return *entry;
  }
  std::string_view text(std::string_view name) const {
    const std::string_view data = at(name).data;
    return data.ends_with('\n') ? data.substr(0, data.size() - 1) : data;
  }

  const std::string& file_;
  std::vector<ZipEntry> entries_;
};

template <typename T>
T number_at(const std::string& bytes, size_t index) {
  T value{};
  std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
  return value;
}

/// The values of an array or scalar as float32.
std::vector<float> floats(const PickleValue& value) {
  const std::string& bytes = *value.bytes;
  if (value.dtype == NumpyType::f2) {
    std::vector<float> out(bytes.size() / 2);
    ggml_dequantize(GgmlType::F16, std::as_bytes(std::span(bytes)), out);
    return out;
  }
  const bool wide = value.dtype == NumpyType::f8;
  std::vector<float> out(bytes.size() / (wide ? 8 : 4));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = wide ? static_cast<float>(number_at<double>(bytes, i)) : number_at<float>(bytes, i);
  }
  return out;
}

bool is_floats(const PickleValue& value, Kind kind) {
  return value.kind == kind && value.bytes != nullptr && value.dtype != NumpyType::i8;
}

/// N of "model.layers.N.self_attn.head_out", spelled in the one way that numbers are.
std::int64_t layer_of(std::string_view key, const std::string& file) {
  std::int64_t layer = -1;
  if (key.starts_with(kKeyBegin) && key.ends_with(kKeyEnd) &&
      key.size() > kKeyBegin.size() + kKeyEnd.size()) {
    const std::string_view digits =
        key.substr(kKeyBegin.size(), key.size() - kKeyBegin.size() - kKeyEnd.size());
    const char* end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, layer).ptr != end || std::to_string(layer) != digits) layer = -1;
  }
  if (layer < 0 || layer > kMaxIndex) {
    fail("pkl.key", file, "data.pkl", "model.layers.N.self_attn.head_out",
         "\"" + escape_untrusted(key) + "\"");
  }
  return layer;
}

PublishedHead head_of(const PickleValue& row, std::int64_t layer, const std::string& file) {
  const std::string where = "layer " + std::to_string(layer);
  const auto& items = row.items;
  const bool sound = row.kind == Kind::tuple && items.size() == 3 && items[0].kind == Kind::scalar &&
                     items[0].dtype == NumpyType::i8 && is_floats(items[1], Kind::array) &&
                     is_floats(items[2], Kind::scalar);
  if (!sound) {
    fail("pkl.shape", file, where, "(head, direction, standard deviation) in numpy's numbers",
         "another value");
  }
  const auto head = number_at<std::int64_t>(*items[0].bytes, 0);
  if (head < 0 || head > kMaxIndex) {
    fail("lock.head", file, where, "heads from 0 to " + std::to_string(kMaxIndex), std::to_string(head));
  }
  return {.layer = layer, .head = head, .direction = floats(items[1]), .sigma = floats(items[2]).front()};
}

}  // namespace

std::vector<PublishedHead> published_lock_from_bytes(std::string_view bytes, const std::string& file) {
  if (!bytes.starts_with("PK")) refuse_other_format(bytes.substr(0, kSniffBytes), file, ".safelock");
  const Archive archive(bytes, file);
  const PickleValue root = read_numpy_pickle(archive.pickle(), file);
  if (root.kind != Kind::dict || root.items.empty()) {
    fail("pkl.shape", file, "data.pkl", "a dictionary from layers to heads",
         root.kind == Kind::dict ? "an empty one" : "another value");
  }
  std::vector<PublishedHead> heads;
  std::set<std::int64_t> layers;
  for (size_t i = 0; i < root.items.size(); i += 2) {
    const std::int64_t layer = layer_of(root.items[i].text, file);
    const PickleValue& rows = root.items[i + 1];
    if (!layers.insert(layer).second) {
      fail("pkl.key", file, "data.pkl", "each layer once", "layer " + std::to_string(layer) + " again");
    }
    if (rows.kind != Kind::list || rows.items.empty()) {
      fail("pkl.shape", file, "layer " + std::to_string(layer), "a list of heads",
           "another value or an empty one");
    }
    for (const PickleValue& row : rows.items) heads.push_back(head_of(row, layer, file));
  }
  return heads;
}

std::vector<PublishedHead> read_published_lock(const std::string& path) {
  const InputFile file(path);
  const std::string bytes = read_file(file, kMaxFileBytes);
  return published_lock_from_bytes(bytes, file.path());
}

}  // namespace safetylock
