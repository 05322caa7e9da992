#include "lock/lock_file.h"

#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "base/out_of_memory.h"
#include "base/sha256.h"
#include "lock/gate_fields.h"
#include "lock/lock_fields.h"
#include "lock/lock_format.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

template <typename Get>
std::vector<float> column(std::span<const HeadDirection> heads, Get get) {
  std::vector<float> out;
  for (const HeadDirection& head : heads) out.push_back(get(head));
  return out;
}

void update_number(Sha256& digest, std::uint64_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  digest.update(std::string_view(bytes, sizeof value));
}

void update_text(Sha256& digest, std::string_view text) {
  update_number(digest, text.size());
  digest.update(text);
}

bool is_one_of(const auto& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Everything below reads.
class LockReader {
 public:
  LockReader(std::string_view bytes, const std::string& file)
      : file_(file), safetensors_(parse(bytes, file)), fields_(safetensors_, file_) {}
  LockReader(const LockReader&) = delete;
  LockReader& operator=(const LockReader&) = delete;

  SafetyLock read() const {
    check_format();
    check_metadata_keys();
    check_tensors();
    check_digest();
    return {identity(),
            heads(),
            fields_.number("alpha", "lock.alpha_range"),
            fields_.number("alpha_max", "lock.alpha_range"),
            read_gate(fields_, lock_format::kGatePrefix),
            read_gate(fields_, lock_format::kReplyGatePrefix)};
  }

 private:
  static SafetensorsFile parse(std::string_view bytes, const std::string& file) {
    try {
      return SafetensorsFile::from_bytes(
          std::string(bytes), file, {.header_bytes = lock_format::kMaxHeaderBytes, .canonical_only = true});
    } catch (const Error& error) {
      const std::string& code = error.code();
      if (code != "st.header_small" && code != "st.header_length" && code != "st.offset") throw;
      const ErrorFields& f = error.fields();
      throw Error({"lock.truncated", file, f.where, f.expected, f.found,
                   "The file was not written to its end; fetch it again"});
    }
  }

  void check_format() const {
    const auto& metadata = safetensors_.metadata();
    const auto format = metadata.find("format");
    if (format == metadata.end() || format->second != lock_format::kFormat) {
      fields_.fail(
          "io.wrong_format", "metadata key \"format\"", "\"safetylock\"",
          format == metadata.end() ? "no such key" : "\"" + escape_untrusted(format->second, 40) + "\"",
          "This is a safetensors file, but not a SafetyLock");
    }
    const auto version = metadata.find("version");
    if (version == metadata.end() || version->second != lock_format::kVersion) {
      fields_.fail(
          "lock.version", "metadata key \"version\"", "version 1",
          version == metadata.end() ? "no such key" : "\"" + escape_untrusted(version->second, 40) + "\"",
          "A newer library may read it");
    }
  }

  void check_metadata_keys() const {
    const auto& metadata = safetensors_.metadata();
    for (const std::string_view key : lock_format::kMetadataKeys) {
      if (metadata.contains(std::string(key))) continue;
      fields_.fail(key.starts_with("alpha") ? "lock.alpha_range" : "lock.metadata",
                   "metadata key \"" + std::string(key) + "\"", "to be there", "no such key");
    }
    for (const auto& [key, value] : metadata) {
      if (!is_one_of(lock_format::kMetadataKeys, key) && !is_of_gate(key, lock_format::kGateKeys)) {
        fields_.fail("lock.metadata", "metadata key \"" + escape_untrusted(key, 60) + "\"",
                     "only the keys of version 1", "an unknown key");
      }
    }
  }

  void check_tensors() const {
    const std::uint64_t k = fields_.tensor("layers").count();
    const std::uint64_t dim =
        fields_.tensor("directions").shape.size() == 2 ? fields_.tensor("directions").shape[1] : 0;
    fields_.check_tensor("layers", "lock.head", "I64", {k});
    fields_.check_tensor("heads", "lock.head", "I64", {k});
    fields_.check_tensor("directions", "lock.vector", "F32", {k, dim});
    fields_.check_tensor("sigmas", "lock.scale", "F32", {k});
    fields_.check_tensor("gaps", "lock.scale", "F32", {k});
    fields_.check_tensor("scores", "lock.score", "F32", {k});
    fields_.check_tensor("sketch", "lock.tensor", "F32", {0});
    for (const SafetensorsTensor& t : safetensors_.tensors()) {
      if (!is_one_of(lock_format::kTensors, t.name) && !is_of_gate(t.name, lock_format::kGateTensors)) {
        fields_.fail("lock.tensor", "tensor \"" + escape_untrusted(t.name, 60) + "\"",
                     "only the tensors of version 1", "an unknown tensor");
      }
    }
  }

  void check_digest() const {
    LockContent content;
    content.metadata = safetensors_.metadata();
    content.metadata.erase("content_digest");
    for (const SafetensorsTensor& t : safetensors_.tensors()) {
      SafetensorsEntry entry{t.name, t.dtype, t.shape, std::string(t.bytes, '\0')};
      safetensors_.read_bytes(t, 0,
                              std::as_writable_bytes(std::span(entry.bytes.data(), entry.bytes.size())));
      content.tensors.push_back(std::move(entry));
    }
    const std::string digest = content_digest(content);
    if (digest == fields_.text("content_digest")) return;
    fields_.fail("lock.digest", "metadata key \"content_digest\"", digest,
                 "\"" + escape_untrusted(fields_.text("content_digest"), 64) + "\"",
                 "The file is damaged, or was changed after it was written");
  }

  LockIdentity identity() const {
    LockIdentity id;
    id.architecture = fields_.text("architecture");
    id.num_hidden_layers = fields_.integer("layers");
    id.num_attention_heads = fields_.integer("heads");
    id.num_key_value_heads = fields_.integer("kv_heads");
    id.head_dim = fields_.integer("head_dim");
    id.hidden_size = fields_.integer("hidden_size");
    id.base_model = fields_.text("base_model");
    id.config_digest = fields_.text("config_digest");
    id.tokenizer_digest = fields_.text("tokenizer_digest");
    id.template_digest = fields_.text("template_digest");
    id.weights_digest = fields_.text("weights_digest");
    id.pairs_digest = fields_.text("pairs_digest");
    id.protocol = fields_.text("protocol");
    id.tokens_per_reply = fields_.integer("tokens_per_reply");
    id.seed = fields_.integer("seed");
    id.revision = fields_.integer("revision");
    id.library_version = fields_.text("library_version");
    return id;
  }

  std::vector<HeadDirection> heads() const {
    const std::vector<std::int64_t> layers = fields_.integers("layers");
    const std::vector<std::int64_t> head_numbers = fields_.integers("heads");
    const std::vector<float> directions = fields_.floats("directions"), sigmas = fields_.floats("sigmas"),
                             gaps = fields_.floats("gaps"), scores = fields_.floats("scores");
    const size_t dim = fields_.tensor("directions").shape[1];
    std::vector<HeadDirection> out(layers.size());
    for (size_t k = 0; k < out.size(); ++k) {
      const auto row = directions.begin() + static_cast<std::ptrdiff_t>(k * dim);
      out[k] = {.id = {layers[k], head_numbers[k]},
                .direction = {row, row + static_cast<std::ptrdiff_t>(dim)},
                .sigma = sigmas[k],
                .score = scores[k],
                .gap = gaps[k]};
    }
    return out;
  }

  std::string file_;
  SafetensorsFile safetensors_;
  LockFields fields_;
};

}  // namespace

LockContent lock_content(const LockIdentity& id, std::span<const HeadDirection> heads, double default_alpha,
                         double alpha_max, const std::optional<Gate>& gate,
                         const std::optional<Gate>& reply_gate) {
  const std::uint64_t k = heads.size();
  std::vector<std::int64_t> layers, head_numbers;
  std::vector<float> directions;
  for (const HeadDirection& head : heads) {
    layers.push_back(head.id.layer);
    head_numbers.push_back(head.id.head);
    directions.insert(directions.end(), head.direction.begin(), head.direction.end());
  }
  LockContent content;
  content.tensors = {
      SafetensorsEntry::i64("layers", {k}, layers),
      SafetensorsEntry::i64("heads", {k}, head_numbers),
      SafetensorsEntry::f32("directions", {k, static_cast<std::uint64_t>(id.head_dim)}, directions),
      SafetensorsEntry::f32("sigmas", {k}, column(heads, [](const HeadDirection& h) { return h.sigma; })),
      SafetensorsEntry::f32("gaps", {k}, column(heads, [](const HeadDirection& h) { return h.gap; })),
      SafetensorsEntry::f32("scores", {k}, column(heads, [](const HeadDirection& h) { return h.score; })),
      SafetensorsEntry::f32("sketch", {0}, {}),
  };
  content.metadata = {
      {"format", std::string(lock_format::kFormat)},
      {"version", std::string(lock_format::kVersion)},
      {"architecture", id.architecture},
      {"layers", std::to_string(id.num_hidden_layers)},
      {"heads", std::to_string(id.num_attention_heads)},
      {"kv_heads", std::to_string(id.num_key_value_heads)},
      {"head_dim", std::to_string(id.head_dim)},
      {"hidden_size", std::to_string(id.hidden_size)},
      {"base_model", id.base_model},
      {"config_digest", id.config_digest},
      {"tokenizer_digest", id.tokenizer_digest},
      {"template_digest", id.template_digest},
      {"weights_digest", id.weights_digest},
      {"pairs_digest", id.pairs_digest},
      {"protocol", id.protocol},
      {"tokens_per_reply", std::to_string(id.tokens_per_reply)},
      {"seed", std::to_string(id.seed)},
      {"alpha", number_text(default_alpha)},
      {"alpha_max", number_text(alpha_max)},
      {"revision", std::to_string(id.revision)},
      {"library_version", id.library_version},
  };
  if (gate) add_gate(content, *gate, lock_format::kGatePrefix, id.head_dim);
  if (reply_gate) add_gate(content, *reply_gate, lock_format::kReplyGatePrefix, id.head_dim);
  return content;
}

std::string content_digest(const LockContent& content) {
  Sha256 digest;
  digest.update(lock_format::kDigestPrefix);
  update_number(digest, content.metadata.size());
  for (const auto& [key, value] : content.metadata) {
    update_text(digest, key);
    update_text(digest, value);
  }
  std::map<std::string_view, const SafetensorsEntry*> by_name;
  for (const SafetensorsEntry& tensor : content.tensors) by_name.emplace(tensor.name, &tensor);
  update_number(digest, by_name.size());
  for (const auto& [name, tensor] : by_name) {
    update_text(digest, name);
    update_text(digest, tensor->dtype);
    update_number(digest, tensor->shape.size());
    for (const std::uint64_t extent : tensor->shape) update_number(digest, extent);
    update_text(digest, tensor->bytes);
  }
  return digest.hex();
}

SafetyLock SafetyLock::from_bytes(std::string_view bytes, const std::string& file) {
  return naming_memory_errors(file, [&] {
    const LockReader reader(bytes, file);
    try {
      return reader.read();
    } catch (const Error& error) {
      ErrorFields fields = error.fields();
      fields.file = file;
      throw Error(std::move(fields));
    }
  });
}

SafetyLock SafetyLock::load(const std::string& path) {
  return naming_memory_errors(path, [&] {
    return from_bytes(read_file(path, lock_format::kMaxFileBytes), escape_untrusted(path, 1000));
  });
}

std::string SafetyLock::to_bytes() const {
  LockContent content = lock_content(identity_, heads_, default_alpha_, alpha_max_, gate_, reply_gate_);
  content.metadata.emplace("content_digest", content_digest_);
  return safetensors_to_bytes(content.tensors, content.metadata);
}

void SafetyLock::save(const std::string& path) const {
  naming_memory_errors(path, [&] { write_file_atomically(path, to_bytes()); });
}

}  // namespace safetylock
