#include "report/read_results.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/file.h"
#include "base/sha256.h"
#include "report/fields.h"
#include "safetylock/error.h"

namespace safetylock::report {
namespace {

// A thousand prompts with long replies, in a dozen cells of a sweep, take a tenth of this.
constexpr std::uint64_t kMaxBytes = 256ULL << 20;

constexpr const char* kAccepted =
    "safetylock.extract/1 or /2, safetylock.evaluate/1 or /2, safetylock.transfer/1, safetylock.sweep/1 or "
    "/2";

// What holds the results themselves, or is read as a field of its own: not for the page's provenance.
constexpr std::array<std::string_view, 22> kResults = {
    "schema",          "runs",         "comparison", "harmful", "benign",  "unlocked", "locked",
    "cells",           "heads",        "all",        "ranking", "summary", "evidence", "seconds",
    "densities",       "causal_check", "verdict",    "reasons", "limits",  "chosen",   "apply_seconds",
    "pairs_per_second"};

[[noreturn]] void refuse_schema(const std::string& file, const std::string& found) {
  throw Error({"data.schema", file, "/schema", kAccepted, found,
               "Give files that safetylock extract, evaluate, transfer or sweep wrote with --json or -o"});
}

template <typename T>
T with_source(T result, Source source) {
  result.source = std::move(source);
  return result;
}

}  // namespace

ResultFile parse_result(const std::string& text, const std::string& file, const std::string& name) {
  const JsonTree tree = parse_json(text, file);
  if (!tree->is_object()) refuse_schema(file, describe_json(*tree));
  const JsonObject root(*tree, file);
  if (!root.has("schema")) refuse_schema(file, "no schema");
  const std::string schema = root.string("schema");
  Source source{.file = name,
                .schema = schema,
                .sha256 = sha256_hex(text),
                .fields = plain_fields(*tree, {kResults.begin(), kResults.end()})};
  if (schema == "safetylock.extract/1") return with_source(read_extraction(root, 1), std::move(source));
  if (schema == "safetylock.extract/2") return with_source(read_extraction(root, 2), std::move(source));
  if (schema == "safetylock.evaluate/1") return with_source(read_evaluation(root, 1), std::move(source));
  if (schema == "safetylock.evaluate/2") return with_source(read_evaluation(root, 2), std::move(source));
  if (schema == "safetylock.transfer/1") return with_source(read_transfer(root), std::move(source));
  if (schema == "safetylock.sweep/1") return with_source(read_sweep(root, 1), std::move(source));
  if (schema == "safetylock.sweep/2") return with_source(read_sweep(root, 2), std::move(source));
  refuse_schema(file, "\"" + escape_untrusted(schema) + "\"");
}

ResultFile read_result_file(const std::string& path) {
  return parse_result(read_file(path, kMaxBytes), escape_untrusted(path, 1000), base_name(path));
}

}  // namespace safetylock::report
