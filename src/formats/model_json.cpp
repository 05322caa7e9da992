#include "formats/model_json.h"

#include <string_view>

#include "formats/model_folder.h"
#include "formats/sniff.h"
#include "safetylock/error.h"

namespace safetylock {

std::string model_file_label(const std::string& folder, const std::string& name) {
  return escape_untrusted(join_path(folder, name), 1000);
}

JsonTree read_model_json(const std::string& folder, const std::string& name, std::uint64_t max_bytes) {
  const std::string text = read_model_file(folder, name, max_bytes);
  const std::string label = model_file_label(folder, name);
  try {
    return parse_json(text, label);
  } catch (const Error&) {
    refuse_other_format(std::string_view(text).substr(0, kSniffBytes), label, "JSON");
    throw;
  }
}

}  // namespace safetylock
