#include "formats/adapted_model.h"

#include <algorithm>

#include "formats/checkpoint_tensors.h"
#include "formats/config_limits.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

class Builder {
 public:
  Builder(const LoraAdapter& adapter, const Checkpoint& base) : adapter_(adapter), base_(base) {}

  AdaptedModel build() {
    check_lora_fits(adapter_, base_.tensors());
    model_.config = base_.config();
    for (const CheckpointTensor& tensor : base_.tensors()) {
      add({tensor, &tensor, adapter_.find_replacement(tensor.name), adapter_.find(tensor.name)});
    }
    if (model_.config.tie_word_embeddings) separate_tied();
    check_vocabulary();
    return std::move(model_);
  }

 private:
  [[noreturn]] void fail(const std::string& code, const std::string& where, const std::string& expected,
                         const std::string& found, const std::string& hint) const {
    throw Error({code, adapter_.path, where, expected, found, hint});
  }

  void add(AdaptedTensor t) {
    if (t.replacement != nullptr) {
      t.tensor.shape = t.replacement->shape;
      t.tensor.storage = "F32";
    }
    model_.tensors.push_back(std::move(t));
  }

  // A tied model has one tensor for embedding and head. The adapter can write that one (saved under either
  // name), give one of the two a copy of its own, or add to the head alone.
  void separate_tied() {
    const LoraReplacement* shared = written_to_shared();
    const LoraReplacement* embedding_after = own_copy_or(kEmbedding, shared);
    const LoraReplacement* head_after = own_copy_or(kHead, shared);
    if (adapter_.ensure_weight_tying) {
      refuse_tied_lora();
      head_after = own_copy_or(kHead, embedding_after);
    }
    AdaptedTensor tied = *model_.find(kEmbedding);
    std::erase_if(model_.tensors, [](const AdaptedTensor& t) { return t.tensor.name == kEmbedding; });
    tied.tensor = *tied.base;
    tied.replacement = embedding_after;
    add(tied);
    const LoraModule* change = adapter_.find(kHead);
    if (change == nullptr && same(embedding_after, head_after)) return;
    model_.config.tie_word_embeddings = false;
    tied.tensor.name = kHead;
    tied.replacement = head_after;
    tied.module = change;
    add(tied);
  }

  const LoraReplacement* own_copy_or(const char* tensor, const LoraReplacement* otherwise) const {
    const LoraReplacement* own_copy = adapter_.find_replacement(tensor, true);
    return own_copy != nullptr ? own_copy : otherwise;
  }

  const LoraReplacement* written_to_shared() const {
    const LoraReplacement* embedding = adapter_.find_replacement(kEmbedding, false);
    const LoraReplacement* head = adapter_.find_replacement(kHead, false);
    if (embedding == nullptr || head == nullptr) return embedding != nullptr ? embedding : head;
    if (same(embedding, head)) return embedding;
    fail("lora.unsupported", kHead, "the values of " + std::string(kEmbedding) + ", as the base ties the two",
         "other values", "Save the adapter again, or merge it with PEFT first");
  }

  void refuse_tied_lora() const {
    if (adapter_.find(kHead) == nullptr) return;
    fail("lora.unsupported", "ensure_weight_tying", "false", "true, with LoRA on the output head",
         "Merge the adapter with PEFT first");
  }

  static bool same(const LoraReplacement* a, const LoraReplacement* b) {
    if (a == nullptr || b == nullptr) return a == b;
    return a == b || (a->shape == b->shape && a->values == b->values);
  }

  void check_vocabulary() {
    const AdaptedTensor* embedding = model_.find(kEmbedding);
    const AdaptedTensor* head = model_.find(kHead);
    const std::uint64_t rows = embedding->tensor.shape.front();
    if (head != nullptr && head->tensor.shape.front() != rows) {
      fail("lora.shape", kHead, std::to_string(rows) + " rows, as the embedding has",
           shape_text(head->tensor.shape),
           "The vocabulary was resized and only one of the two was saved with the adapter");
    }
    if (rows == static_cast<std::uint64_t>(model_.config.vocab_size)) return;
    if (rows > static_cast<std::uint64_t>(limits::kExtent)) {
      fail("cfg.range", kEmbedding, "at most " + std::to_string(limits::kExtent) + " rows",
           std::to_string(rows), "");
    }
    model_.config.vocab_size = static_cast<std::int64_t>(rows);
    validate(model_.config, adapter_.path);
  }

  const LoraAdapter& adapter_;
  const Checkpoint& base_;
  AdaptedModel model_;
};

}  // namespace

const AdaptedTensor* AdaptedModel::find(std::string_view name) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(),
                               [&](const AdaptedTensor& t) { return t.tensor.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

AdaptedModel adapted_model(const LoraAdapter& adapter, const Checkpoint& base) {
  return Builder(adapter, base).build();
}

}  // namespace safetylock
