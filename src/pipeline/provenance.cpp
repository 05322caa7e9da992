#include "pipeline/provenance.h"

#include "base/sha256.h"
#include "formats/model_folder.h"
#include "model/causal_lm_impl.h"
#include "safetylock/version.h"

namespace safetylock {

LockIdentity provenance_of(const CausalLM& model, const std::vector<PromptPair>& pairs,
                           const CollectOptions& options) {
  LockIdentity id = identity_of(model.config());
  id.base_model = model_name(model.path());
  id.tokenizer_digest = model.tokenizer().digest();
  id.template_digest = sha256_hex(model.chat_template().source());
  id.weights_digest = model.impl().weights_digest();
  id.pairs_digest = digest_of(pairs);
  id.tokens_per_reply = options.tokens_per_reply;
  id.library_version = SAFETYLOCK_VERSION;
  return id;
}

}  // namespace safetylock
