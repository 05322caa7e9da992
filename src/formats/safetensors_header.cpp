#include "formats/safetensors_header.h"

#include <algorithm>
#include <array>

#include "base/checked.h"
#include "base/json.h"
#include "safetylock/error.h"

namespace safetylock::safetensors {
namespace {

constexpr const char* kMetadataKey = "__metadata__";
// Every tensor takes about a dozen JSON values; more than this is no table of at most kMaxTensors.
constexpr JsonLimits kJsonLimits{.max_depth = 8, .max_nodes = 24 * kMaxTensors};

// In the order of the reference implementation's Dtype, which is by alignment.
constexpr std::array kDtypes = {
    Dtype{"BOOL", 8, true},     Dtype{"F4", 4, false},      Dtype{"F6_E2M3", 6, false},
    Dtype{"F6_E3M2", 6, false}, Dtype{"U8", 8, true},       Dtype{"I8", 8, false},
    Dtype{"F8_E5M2", 8, false}, Dtype{"F8_E4M3", 8, false}, Dtype{"F8_E8M0", 8, false},
    Dtype{"I16", 16, false},    Dtype{"U16", 16, false},    Dtype{"F16", 16, true},
    Dtype{"BF16", 16, true},    Dtype{"I32", 32, true},     Dtype{"U32", 32, false},
    Dtype{"F32", 32, true},     Dtype{"C64", 64, false},    Dtype{"F64", 64, true},
    Dtype{"I64", 64, true},     Dtype{"U64", 64, false},
};

std::string in_quotes(std::string_view text) {
  return "\"" + escape_untrusted(text) + "\"";
}

class Parser {
 public:
  Parser(const std::string& file, std::uint64_t data_bytes) : file_(file), data_bytes_(data_bytes) {}

  Header parse(std::string_view text) {
    const JsonTree tree = parse_text(text);
    const Json& root = *tree;
    if (!root.is_object()) fail("st.header_json", "header", "a JSON object", describe_json(root));
    for (const auto& [name, value] : root.items()) {
      if (name == kMetadataKey) {
        read_metadata(value);
      } else {
        read_tensor(name, value);
      }
    }
    check_tiling();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint = "") const {
    throw Error({code, file_, where, expected, found, hint});
  }

  JsonTree parse_text(std::string_view text) const {
    try {
      return parse_json(text, file_, kJsonLimits);
    } catch (const Error& e) {
      if (e.code().starts_with("limit.")) throw;
      ErrorFields fields = e.fields();
      fields.where = "header, " + fields.where;
      fields.code = e.code() == "json.duplicate_key" ? "st.duplicate" : "st.header_json";
      throw Error(std::move(fields));
    }
  }

  void read_metadata(const Json& value) {
    if (!value.is_object()) fail("st.metadata", kMetadataKey, "an object of strings", describe_json(value));
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        fail("st.metadata", std::string(kMetadataKey) + "/" + escape_untrusted(key), "a string",
             describe_json(text));
      out_.metadata.emplace(key, text.get<std::string>());
    }
  }

  void read_tensor(const std::string& name, const Json& entry) {
    if (name.empty() || name.size() > kMaxNameBytes) {
      fail("limit.name", "tensor " + in_quotes(name),
           "a name of 1 to " + std::to_string(kMaxNameBytes) + " bytes",
           std::to_string(name.size()) + " bytes");
    }
    if (out_.tensors.size() == kMaxTensors) {
      fail("limit.tensors", "header", "at most " + std::to_string(kMaxTensors) + " tensors", "more");
    }
    const std::string where = "tensor " + in_quotes(name);
    check_entry(entry, where);
    SafetensorsTensor t;
    t.name = name;
    t.dtype = entry["dtype"].get<std::string>();
    const Json& shape = entry["shape"];
    if (shape.size() > kMaxRank) {
      fail("limit.rank", where, "rank up to " + std::to_string(kMaxRank),
           "rank " + std::to_string(shape.size()));
    }
    for (const Json& n : shape) t.shape.push_back(number(n, where + " shape"));
    t.offset = number(entry["data_offsets"][0], where + " data_offsets");
    const std::uint64_t end = number(entry["data_offsets"][1], where + " data_offsets");
    if (t.offset > end || end > data_bytes_) {
      fail("st.offset", where,
           "offsets in order and within the " + std::to_string(data_bytes_) + " bytes of data",
           "[" + std::to_string(t.offset) + ", " + std::to_string(end) + "]",
           "The file is cut short or damaged");
    }
    t.bytes = end - t.offset;
    check_size(t, where);
    out_.tensors.push_back(std::move(t));
  }

  void check_entry(const Json& entry, const std::string& where) const {
    const auto has = [&](const char* key, bool (Json::*is)() const noexcept) {
      const auto it = entry.find(key);
      return it != entry.end() && ((*it).*is)();
    };
    const bool sound = entry.is_object() && entry.size() == 3 && has("dtype", &Json::is_string) &&
                       has("shape", &Json::is_array) && has("data_offsets", &Json::is_array) &&
                       entry["data_offsets"].size() == 2;
    if (!sound) {
      fail("st.entry", where, "exactly dtype (a string), shape (an array) and data_offsets (two numbers)",
           entry.is_object() ? "other fields or types" : describe_json(entry));
    }
  }

  std::uint64_t number(const Json& value, const std::string& where) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMaxNumber) {
      fail("st.number", where, "whole numbers from 0 to 2^48 - 1", describe_json(value));
    }
    return value.get<std::uint64_t>();
  }

  void check_size(const SafetensorsTensor& t, const std::string& where) const {
    const Dtype* dtype = find_dtype(t.dtype);
    if (dtype == nullptr) fail("st.dtype_unknown", where, "a dtype of the format", in_quotes(t.dtype));
    const auto count = checked::product(t.shape);
    const auto bits = count ? checked::mul(*count, dtype->bits) : std::nullopt;
    if (!bits) fail("st.overflow", where, "a size that fits 64 bits", "a larger one");
    if (*bits % 8 != 0)
      fail("st.misaligned", where, "values that end on a byte", std::to_string(*bits) + " bits");
    if (!dtype->supported) {
      fail("st.dtype_unsupported", where, "F64, F32, F16, BF16, I64, I32, U8 or BOOL", t.dtype,
           "Convert the file to one of these types");
    }
    if (*bits / 8 != t.bytes) {
      fail("st.size", where, std::to_string(*bits / 8) + " bytes, as dtype and shape say",
           std::to_string(t.bytes) + " bytes between its offsets");
    }
  }

  // Tensors fill the data section one after the other: nothing overlaps and nothing is left over.
  void check_tiling() {
    auto& tensors = out_.tensors;
    std::sort(tensors.begin(), tensors.end(), [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
      return a.offset != b.offset ? a.offset < b.offset : a.bytes < b.bytes;
    });
    std::uint64_t end = 0;
    std::string before = "the header";
    for (const SafetensorsTensor& t : tensors) {
      if (t.offset < end) {
        fail("st.overlap", "tensor " + in_quotes(t.name),
             "to start after " + before + " ends (" + std::to_string(end) + ")",
             "offset " + std::to_string(t.offset));
      }
      if (t.offset > end) {
        fail("st.hole", "tensor " + in_quotes(t.name),
             "to start where " + before + " ends (" + std::to_string(end) + ")",
             "offset " + std::to_string(t.offset));
      }
      end = t.offset + t.bytes;
      before = in_quotes(t.name);
    }
    if (end != data_bytes_) {
      fail("st.trailing", "end of file", "no bytes after the last tensor",
           std::to_string(data_bytes_ - end) + " bytes", "The file holds something its header does not name");
    }
  }

  const std::string& file_;
  std::uint64_t data_bytes_;
  Header out_;
};

std::string json_string(const std::string& text) {
  return Json(text).dump();
}

}  // namespace

const Dtype* find_dtype(std::string_view name) noexcept {
  const auto it =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const Dtype& d) { return d.name == name; });
  return it == kDtypes.end() ? nullptr : &*it;
}

Header parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& file) {
  return Parser(file, data_bytes).parse(json);
}

bool written_before(const SafetensorsTensor& a, const SafetensorsTensor& b) {
  const Dtype* da = find_dtype(a.dtype);
  const Dtype* db = find_dtype(b.dtype);
  return da != db ? da > db : a.name < b.name;
}

std::string header_text(const std::vector<SafetensorsTensor>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += json_string(kMetadataKey) + ":{";
    for (const auto& [key, value] : metadata) {
      if (text.back() != '{') text += ',';
      text += json_string(key) + ":" + json_string(value);
    }
    text += '}';
  }
  std::uint64_t offset = 0;
  for (const SafetensorsTensor& t : tensors) {
    if (text.size() > 1) text += ',';
    text += json_string(t.name) + ":{\"dtype\":" + json_string(t.dtype) + ",\"shape\":[";
    for (size_t i = 0; i < t.shape.size(); ++i) text += (i == 0 ? "" : ",") + std::to_string(t.shape[i]);
    text += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(offset + t.bytes) + "]}";
    offset += t.bytes;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace safetylock::safetensors
