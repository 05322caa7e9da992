// The section about the lock in a baked model's README.md.
#include "bake/bake_job.h"
#include "bake/short_number.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

// A name from a file, as one line of Markdown text.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : escape_untrusted(text, 200)) {
    if (std::string_view("`*_[]<>|#").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string BakeJob::card(const std::string& existing) const {
  std::string text =
      existing.empty() ? "---\nlibrary_name: transformers\ntags:\n- safetylock\n---\n" : existing;
  if (!text.ends_with('\n')) text += '\n';
  text += "\n## Locked with SafetyLock\n\n";
  text += "A SafetyLock (arXiv 2410.10343) is written into the `o_proj` biases of this model: " +
          std::to_string(lock.heads().size()) + " attention heads in " +
          std::to_string(report.layers.size()) + " layers, strength " + short_number(alpha) +
          ". Nothing else about the weights was changed.\n\n";
  if (!lock.identity().base_model.empty())
    text += "- Lock made for: " + plain(lock.identity().base_model) + "\n";
  text += "- Lock digest: `" + lock.content_digest() + "`\n";
  text +=
      "- Class: " + report.architecture +
      (report.architecture == report.base_architecture ? "" : " (before: " + report.base_architecture + ")") +
      "\n\n| Engine | Lock | Why |\n|---|---|---|\n";
  for (const EngineVerdict& v : report.engines)
    text += "| " + v.engine + " | " + to_string(v.support) + " | " + v.why + " |\n";
  text += "\n";
  for (const std::string& note : report.notes) text += "- " + note + "\n";
  text +=
      "- Check the weights with `safetylock verify PATH --lock LOCK`, and a served model against its "
      "verify.json: an engine that drops biases gives no error.\n";
  return text;
}

}  // namespace safetylock
