// Times parts of the library. A child process that keeps its model: one JSON request a line on standard
// input, one JSON answer a line on standard output, so that scripts/bench.py can take turns between this and
// other programs.
//
//   safetylock_bench MODEL DTYPE THREADS [LOCK]
//
//   {"do": "decode", "batch": B, "tokens": n, "lock": "none"|"one"|"each"}
//       seconds of n greedy steps behind 32 prompt tokens a sequence; one strength for all, or one each
//   {"do": "count", "what": "step"|"prompt"|"read", "batch": B, "lock": ...}
//       under callgrind with --instr-atstart=no, collects the instructions of 8 decoding steps, or of the
//       pass over prompts of 32 tokens ("read": and of a gate of the lock's heads that stays closed)
//   {"do": "prefill", "tokens": n}: seconds of the last token's logits
//   {"do": "sequences", "pairs": FILE, "first": n, "system": TEXT}: token ids, and places of the kept rows
//   {"do": "extract", ..., "save": FILE}: seconds of the forward passes; float32 rows [N, L, H, D] to FILE
//   {"do": "probes", "heads": n}: seconds of one probe for each of the first n heads (or all) on the rows of
//   the last
//       "extract"
//   {"do": "apply"}: seconds of applying the lock, and of its parts by themselves: checks, and W_o d
//   {"do": "products", "tokens": n}: seconds of all layers' matrix products of n rows by libtorch and no more
//       (the quicker of weights as they are and packed before, and both)
//   {"do": "floors", "dtype": DTYPE}: read bandwidth and largest rate of libtorch's matrix product
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif

#include <chrono>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "engine/token_generator.h"
#include "model/causal_lm_impl.h"
#include "model/device_dtype.h"
#include "model/kernels/cpu_clones.h"
#include "model/steering.h"
#include "pipeline/lock_biases.h"
#include "pipeline/reply_sequences.h"
#include "safetylock/apply.h"
#include "safetylock/probes.h"
#include "safetylock/prompt_data.h"

namespace safetylock {
namespace {

using nlohmann::json;

/// The sum of n floats, n a multiple of 128: enough sums side by side that reading is what it waits for.
SAFETYLOCK_FOR_EACH_CPU float sum_of(const float* values, std::int64_t n) {
  float sums[128] = {};
  for (std::int64_t k = 0; k < n; k += 128) {
#pragma omp simd
    for (std::int64_t lane = 0; lane < 128; ++lane) sums[lane] += values[k + lane];
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

template <typename F>
double seconds_of(const F& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

constexpr std::int64_t kPromptTokens = 32;

void start_counting() {
#ifdef CALLGRIND_START_INSTRUMENTATION
  CALLGRIND_START_INSTRUMENTATION;
#else
  throw std::runtime_error("built without valgrind's headers");
#endif
}

void stop_counting() {
#ifdef CALLGRIND_STOP_INSTRUMENTATION
  CALLGRIND_STOP_INSTRUMENTATION;
#endif
}

class Bench {
 public:
  Bench(const std::string& model, const std::string& dtype, const std::string& lock)
      : model_(CausalLM::from_pretrained(model, {.device = "cpu", .dtype = dtype})) {
    if (!lock.empty()) lock_ = SafetyLock::load(lock);
  }

  json answer(const json& request) {
    const std::string what = request.at("do");
    if (what == "decode") return decode(request);
    if (what == "count") return count(request);
    if (what == "prefill") return prefill(request.at("tokens"));
    if (what == "sequences") return sequences(request);
    if (what == "extract") return extract(request);
    if (what == "probes") return probes(request);
    if (what == "apply") return apply();
    if (what == "products") return products(request.at("tokens"));
    if (what == "floors") return floors(parse_dtype(request.at("dtype"), at::kCPU));
    throw std::invalid_argument("unknown request " + what);
  }

  json model() const {
    const ModelConfig& c = model_.config();
    const std::int64_t per_layer_end =
        c.hidden_size * c.num_attention_heads * c.head_dim + 3 * c.hidden_size * c.intermediate_size;
    std::int64_t body = 0;
    const auto layers = model_.impl().decoder.weights->read_layers();
    for (std::int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      const LayerWeights& l = layers->next();
      body += l.qkv.numel() + l.o_proj.numel() + l.gate_up.numel() + l.down.numel();
    }
    const std::int64_t head = c.vocab_size * c.hidden_size;
    return {{"weight_bytes", model_.weight_bytes()},
            {"bytes_per_step", (body + head) * static_cast<std::int64_t>(c10::elementSize(model_.dtype()))},
            {"multiplied", body},
            {"multiplied_in_extraction", body - per_layer_end},
            {"layers", c.num_hidden_layers},
            {"heads", c.num_attention_heads},
            {"head_dim", c.head_dim}};
  }

 private:
  /// Tokens of no meaning: speed does not depend on them.
  std::vector<TokenId> prompt(std::int64_t tokens, std::int64_t salt) const {
    const std::int64_t kinds = std::min<std::int64_t>(model_.config().vocab_size, 5000) - 1;
    std::vector<TokenId> ids;
    for (std::int64_t i = 0; i < tokens; ++i)
      ids.push_back(static_cast<TokenId>(1 + (salt * 37 + i * 11) % kinds));
    return ids;
  }

  std::vector<TokenRequest> requests(std::int64_t batch, const std::string& lock) const {
    std::vector<TokenRequest> requests(static_cast<size_t>(batch));
    for (std::int64_t b = 0; b < batch; ++b) {
      TokenRequest& request = requests[static_cast<size_t>(b)];
      request.prompt_ids = prompt(kPromptTokens, b);
      request.places = {.message = {kPromptTokens / 4, kPromptTokens - 5}, .length = kPromptTokens};
      if (lock == "one") request.strength = Strength(6);
      if (lock == "each") request.strength = Strength(6 + 0.1 * static_cast<double>(b));
    }
    return requests;
  }

  double generate(std::int64_t batch, std::int64_t tokens, const std::string& lock,
                  TokenGeneratorOptions options = {}, bool gated = false) {
    std::vector<TokenRequest> asked = requests(batch, lock);
    for (TokenRequest& request : asked) request.gated = gated;
    std::map<std::int64_t, at::Tensor> biases;
    if (lock != "none") biases = lock_biases(model_, lock_.value().heads());
    options.max_new_tokens = tokens;
    options.batch_size = batch;
    options.logprobs = 0;
    return seconds_of([&] { TokenGenerator(model_.impl(), biases, asked, options).run(); });
  }

  json decode(const json& request) {
    const std::int64_t batch = request.at("batch"), tokens = request.at("tokens");
    const std::string lock = request.value("lock", "none");
    const double prompts = generate(batch, 1, lock);
    return {{"seconds", generate(batch, tokens + 1, lock) - prompts}, {"tokens", batch * tokens}};
  }

  /// A gate that reads half of the lock's heads at either of the positions that extract tries.
  std::shared_ptr<const GateProbe> gate() const {
    Gate gate;
    for (const HeadDirection& head : lock_.value().heads()) {
      const bool even = gate.heads.size() % 2 == 0;
      gate.heads.push_back({.id = head.id,
                            .position = even ? GatePosition::message : GatePosition::message_end,
                            .weights = head.direction});
    }
    return std::make_shared<const GateProbe>(gate, model_.device());
  }

  json count(const json& request) {
    constexpr std::int64_t kSteps = 8;
    const std::string what = request.at("what"), lock = request.value("lock", "none");
    const std::int64_t batch = request.at("batch");
    TokenGeneratorOptions options;
    if (what == "step") {
      std::int64_t tokens = 0;  // of the first request
      options.on_token = [&tokens](size_t index, TokenId) {
        if (index == 0 && ++tokens == 1) start_counting();
        if (index == 0 && tokens == 1 + kSteps) stop_counting();
        return true;
      };
      generate(batch, 2 + kSteps, lock, options);
      return {{"steps", kSteps}};
    }
    const bool reads = what == "read";
    if (reads) {
      options.gate = gate();
      options.rule.threshold = 1 - 1e-12;
    }
    generate(batch, 1, lock, options, reads);  // libraries choose their kernels in the first pass
    start_counting();
    generate(batch, 1, lock, options, reads);
    stop_counting();
    return {{"steps", 1}};
  }

  json prefill(std::int64_t tokens) {
    return {{"seconds", seconds_of([&] { model_.logits({prompt(tokens, 0)}, LogitsOf::last_token); })},
            {"tokens", tokens}};
  }

  std::vector<PromptPair> pairs(const json& request) const {
    std::vector<PromptPair> all = load_prompt_pairs(request.at("pairs"));
    const size_t first = request.at("first");
    if (all.size() > first) all.resize(first);
    return all;
  }

  json sequences(const json& request) const {
    json out = json::array();
    const std::vector<PromptPair> all = pairs(request);
    for (size_t i = 0; i < all.size(); ++i) {
      for (const bool safe : {true, false}) {
        const KeptSequence s = encode_reply(model_, all[i], safe, i, {.system = request.value("system", "")});
        out.push_back({{"ids", s.ids}, {"kept", s.kept}});
      }
    }
    return {{"sequences", out}};
  }

  json extract(const json& request) {
    activations_ = collect_head_activations(model_, pairs(request), {.system = request.value("system", "")});
    if (request.contains("save")) {
      std::ofstream file(request.at("save").get<std::string>(), std::ios::binary);
      file.write(reinterpret_cast<const char*>(activations_->values.const_data_ptr<float>()),
                 static_cast<std::streamsize>(activations_->values.nbytes()));
    }
    return {{"seconds", activations_->seconds},
            {"tokens", activations_->tokens},
            {"rows", activations_->values.size(0)}};
  }

  json probes(const json& request) const {
    const HeadActivations& a = activations_.value();
    const at::Tensor all = a.values.flatten(1, 2);
    const at::Tensor rows = all.narrow(1, 0, request.value("heads", all.size(1)));
    std::vector<Probe> fitted;
    const double seconds = seconds_of([&] { fitted = train_probes(rows, a.rows.labels); });
    json objectives = json::array(), iterations = json::array();
    for (const Probe& p : fitted) {
      objectives.push_back(p.objective);
      iterations.push_back(p.iterations);
    }
    const auto* labels = a.rows.labels.const_data_ptr<std::int64_t>();
    return {{"seconds", seconds},
            {"objectives", objectives},
            {"iterations", iterations},
            {"labels", std::vector<std::int64_t>(labels, labels + a.rows.labels.numel())}};
  }

  json apply() const {
    if (!lock_) throw std::invalid_argument("no lock was given");
    const double seconds = apply_lock(model_, *lock_).seconds();
    Interventions made;
    const double products = seconds_of([&] { made.biases = lock_biases(model_, lock_->heads()); });
    const ModelConfig& c = model_.config();
    const double checks = seconds_of([&] {
      lock_->check_fits(c);
      check_interventions(made, c.num_hidden_layers, c.hidden_size, model_.device());
    });
    return {{"seconds", seconds}, {"checks", checks}, {"products", products}};
  }

  /// A layer's weights [out, in], and packed by oneDNN.
  struct PackedWeights {
    std::vector<at::Tensor> plain, packed;
  };

  json products(std::int64_t tokens) {
    if (packed_.empty()) {
      const auto pack = operation("mkldnn::_reorder_linear_weight");
      const auto layers = model_.impl().decoder.weights->read_layers();
      for (std::int64_t layer = 0; layer < model_.config().num_hidden_layers; ++layer) {
        const LayerWeights& l = layers->next();
        PackedWeights& w =
            packed_.emplace_back(PackedWeights{.plain = {l.qkv, l.o_proj, l.gate_up, l.down}, .packed = {}});
        try {
          for (const at::Tensor& plain : w.plain) {
            torch::jit::Stack stack{plain, tokens};
            pack.callBoxed(&stack);
            w.packed.push_back(stack.front().toTensor());
          }
        } catch (const c10::Error&) {
          w.packed.clear();  // oneDNN packs no bfloat16 for a processor without AVX-512
        }
      }
    }
    std::map<std::int64_t, at::Tensor> rows;  // by width
    for (const at::Tensor& w : packed_.front().plain)
      rows.emplace(w.size(1), at::randn({tokens, w.size(1)}).to(model_.dtype()));
    const auto linear = operation("mkldnn::_linear_pointwise");
    const auto all = [&](const auto& multiply) {
      return seconds_of([&] {
        for (const PackedWeights& w : packed_)
          for (size_t i = 0; i < w.plain.size(); ++i) multiply(rows.at(w.plain[i].size(1)), w, i);
      });
    };
    const double plain =
        all([](const at::Tensor& x, const PackedWeights& w, size_t i) { at::mm(x, w.plain[i].t()); });
    if (packed_.front().packed.empty()) return {{"plain", plain}, {"seconds", plain}};
    const double packed = all([&](const at::Tensor& x, const PackedWeights& w, size_t i) {
      torch::jit::Stack stack{
          x, w.packed[i], c10::IValue(), "none", c10::List<std::optional<at::Scalar>>(), c10::IValue()};
      linear.callBoxed(&stack);
    });
    return {{"plain", plain}, {"packed", packed}, {"seconds", std::min(plain, packed)}};
  }

  static c10::OperatorHandle operation(const char* name) {
    return c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  }

  static json floors(at::ScalarType dtype) {
    static const at::Tensor memory =
        at::ones({std::int64_t{1} << 28}, at::kFloat);  // 1 GiB, beyond every cache
    const float* values = memory.const_data_ptr<float>();
    double read = 1e9, product = 1e9;
    for (int i = 0; i < 3; ++i) {
      read = std::min(read, seconds_of([&] {
                        constexpr std::int64_t kPiece = 1 << 16;
                        const double total = at::parallel_reduce(
                            0, memory.numel() / kPiece, 1, 0.0,
                            [&](std::int64_t begin, std::int64_t end, double sum) {
                              for (std::int64_t p = begin; p < end; ++p) {
                                sum += sum_of(values + p * kPiece, kPiece);
                              }
                              return sum;
                            },
                            std::plus<>());
                        if (total != static_cast<double>(memory.numel())) throw std::logic_error("read");
                      }));
    }
    const at::Tensor a = at::randn({2048, 2048}).to(dtype), b = at::randn({2048, 2048}).to(dtype);
    for (int i = 0; i < 10; ++i) product = std::min(product, seconds_of([&] { at::mm(a, b.t()); }));
    return {{"bytes_per_second", static_cast<double>(memory.nbytes()) / read},
            {"flop_per_second", 2.0 * 2048 * 2048 * 2048 / product}};
  }

  CausalLM model_;
  std::optional<SafetyLock> lock_;
  std::optional<HeadActivations> activations_;
  std::vector<PackedWeights> packed_;
};

}  // namespace
}  // namespace safetylock

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: safetylock_bench MODEL DTYPE THREADS [LOCK]\n";
    return 2;
  }
  try {
    at::set_num_threads(std::stoi(argv[3]));
    safetylock::Bench bench(argv[1], argv[2], argc > 4 ? argv[4] : "");
    std::cout << bench.model() << std::endl;
    for (std::string line; std::getline(std::cin, line);)
      std::cout << bench.answer(nlohmann::json::parse(line)) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "safetylock_bench: " << error.what() << '\n';
    return 1;
  }
}
