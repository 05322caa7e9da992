// Zip archives whose entries are stored and fill the file, as torch.save writes them. Everything the format
// allows beyond that (compression, gaps, comments, links, encryption) is refused: what two readers could
// understand differently is not read at all.
// Format: PKWARE's APPNOTE.TXT.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace safetylock {

struct ZipEntry {
  std::string_view name;
  std::string_view data;
};

/// The entries of `bytes`, in order; views into it. `file` labels errors. Throws Error zip.structure (the end
/// records), zip.layout (bytes that belong to no entry, entries that overlap), zip.mismatch (the two headers
/// of an entry disagree), zip.method, zip.flags, zip.crc, zip.entry (a name twice), zip.range.
std::vector<ZipEntry> read_stored_zip(std::string_view bytes, const std::string& file);

}  // namespace safetylock
