// What `inspect` says about each kind of thing: as JSON, from which the text is made too.
#pragma once

#include <string>

#include "base/json.h"

namespace safetylock::cli {

/// A GGUF file or a Hugging Face folder: architecture, sizes, storage types, tokenizer and template.
Json inspect_model(const std::string& path);
/// A folder with a PEFT LoRA adapter.
Json inspect_adapter(const std::string& path);
/// A lock file.
Json inspect_lock(const std::string& path);

}  // namespace safetylock::cli
