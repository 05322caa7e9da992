// A GGUF model in several files, as llama-gguf-split and llama.cpp's converter write it:
// NAME-00001-of-00003.gguf to NAME-00003-of-00003.gguf. The first holds the metadata, each its tensors and
//   split.no             its number, from 0
//   split.count          how many files there are
//   split.tensors.count  the tensors of all together
#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "formats/gguf_parser.h"

namespace safetylock::gguf {

/// `files` and `parsed` hold the file at `path`. When it is the first of several, adds the others to `files`,
/// held on demand, and their tensors to `parsed`; when it is no part of anything, does nothing.
/// Throws Error gguf.split (not the first part, a part missing or of another model, counts that disagree),
/// gguf.duplicate (a tensor in two parts), limit.shards, io.link.
void add_other_parts(const std::string& path, std::vector<InputFile>& files, Parsed& parsed);

}  // namespace safetylock::gguf
