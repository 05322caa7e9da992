#include <unordered_set>

#include "safetylock/error.h"
#include "text/tokenizer_json_stages.h"

namespace safetylock::tokenizer_json {
namespace {

// Refuses the parts of a BPE model that are not built.
void check_model_flags(const JsonObject& model, BpeAlphabet alphabet) {
  only_keys(model, {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                    "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"});
  // The first versions of the format wrote no type.
  if (model.has("type") && !is_text(model.at("type"), "BPE"))
    fail("bpe.unsupported", model, "type", "\"BPE\"", model.at("type"));
  if (model.has("dropout") && model.number("dropout") != 0)
    fail("bpe.dropout", model, "dropout", "none: it makes encoding random", model.at("dropout"));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.string_or(key, "").empty()) fail("bpe.unsupported", model, key, "none", model.at(key));
  }
  const bool characters = alphabet == BpeAlphabet::characters;
  if (model.boolean_or("byte_fallback", false) != characters) {
    fail("bpe.unsupported", model, "byte_fallback",
         characters ? "true: without, some prompts could not be encoded" : "false: byte-level BPE",
         model.has("byte_fallback") ? model.at("byte_fallback") : Json());
  }
  model.boolean_or("fuse_unk", false);  // without effect: see check_unknown_token
}

// The vocabulary's keys by id. Ids must be 0 to n - 1, each once.
std::vector<const std::string*> spellings_by_id(const JsonObject& vocab) {
  const Json& value = vocab.value();
  std::vector<const std::string*> spellings(value.size(), nullptr);
  for (auto it = value.begin(); it != value.end(); ++it) {
    const Json& id = it.value();
    const bool fits = id.is_number_integer() && id >= 0 && id < value.size();
    if (!fits) {
      throw Error({"bpe.vocab_id", vocab.file(), vocab.pointer_to(escape_untrusted(it.key())),
                   "an id from 0 to " + std::to_string(value.size()) + " - 1 without gaps", describe_json(id),
                   ""});
    }
    const std::string*& slot = spellings[id.get<size_t>()];
    if (slot != nullptr) {
      throw Error({"bpe.vocab_id", vocab.file(), vocab.pointer_to(escape_untrusted(it.key())), "each id once",
                   describe_json(id) + ", also of \"" + escape_untrusted(*slot) + "\"", ""});
    }
    slot = &it.key();
  }
  return spellings;
}

void read_merges(const Json& merges, const std::string& file, BpeBuilder& builder) {
  const bool pairs = !merges.empty() && merges.front().is_array();
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Json& merge = merges[rank];
    if (pairs) {
      const bool sound =
          merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
      if (!sound) {
        throw Error({"bpe.merge_syntax", file, "/model/merges, rank " + std::to_string(rank),
                     "two strings, as in the first merge", describe_json(merge), ""});
      }
      builder.add_merge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
    } else if (merge.is_string()) {
      builder.add_merge(merge.get_ref<const std::string&>());
    } else {
      throw Error({"bpe.merge_syntax", file, "/model/merges, rank " + std::to_string(rank),
                   "a string \"left right\", as in the first merge", describe_json(merge), ""});
    }
  }
}

// An unknown token stands for symbols without a token; where every byte of text has one it has no effect.
void check_unknown_token(const JsonObject& model, const BpeModel& bpe) {
  const std::string unknown = model.string_or("unk_token", "");
  if (unknown.empty()) return;
  if (!bpe.vocabulary().find(unknown))
    fail("bpe.unk", model, "unk_token", "a token of the vocabulary", model.at("unk_token"));
  if (bpe.alphabet() == BpeAlphabet::characters) return;  // the builder has seen to it
  for (unsigned b = 0; b < 0xF5; ++b) {
    const bool in_utf8 = b != 0xC0 && b != 0xC1;
    if (in_utf8 && !bpe.byte_token(static_cast<unsigned char>(b))) {
      fail("bpe.unk", model, "unk_token", "none where the vocabulary lacks bytes that text can hold",
           model.at("unk_token"));
    }
  }
}

}  // namespace

BpeModel read_model(const JsonObject& model, BpeAlphabet alphabet, bool ignore_merges,
                    const std::vector<AddedToken>& added) {
  check_model_flags(model, alphabet);
  const JsonObject vocab = model.object("vocab");
  const Json& merges = model.at("merges");
  if (!merges.is_array())
    throw Error(
        {"cfg.type", model.file(), model.pointer_to("merges"), "an array", describe_json(merges), ""});
  BpeBuilder builder(alphabet, model.file(), "/model/vocab", "/model/merges");
  builder.reserve(vocab.value().size(), merges.size());
  std::unordered_set<std::string_view> added_contents;
  for (const AddedToken& t : added) added_contents.insert(t.content);
  for (const std::string* spelling : spellings_by_id(vocab)) {
    if (added_contents.contains(*spelling)) {
      builder.add_added_token(*spelling);
    } else {
      builder.add_token(*spelling);
    }
  }
  builder.finish_vocabulary(ignore_merges, added);
  read_merges(merges, model.file(), builder);
  BpeModel bpe = builder.take();
  check_unknown_token(model, bpe);
  return bpe;
}

}  // namespace safetylock::tokenizer_json
