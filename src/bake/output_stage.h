// Where an output is put together before it appears: a hidden folder beside it, renamed at the end. A process
// that is killed leaves only that folder, which the next run with the same output removes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace safetylock {

/// A new file, written from its beginning. Errors name the file it will become.
class StagedFile {
 public:
  StagedFile(const std::string& path, std::string label);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view bytes);
  std::uint64_t size() const noexcept { return size_; }
  /// Durable and closed. Throws io.write.
  void finish();

 private:
  std::string path_, label_;
  int fd_;
  std::uint64_t size_ = 0;
};

class OutputStage {
 public:
  enum class Kind { folder, file };
  /// Called between pieces of long copies; throws to stop.
  using Check = std::function<void()>;

  /// `output` must not exist; a folder may be there if it is empty. Removes what killed runs left for the
  /// same output. Throws arg.output, io.write.
  OutputStage(const std::string& output, Kind kind);
  /// Removes everything unless it was committed.
  ~OutputStage();
  OutputStage(const OutputStage&) = delete;
  OutputStage& operator=(const OutputStage&) = delete;

  const std::string& output() const noexcept { return output_; }
  std::string path(std::string_view name) const { return join_path(stage_, name); }
  std::string label(std::string_view name) const;
  void make_folder(std::string_view name) const;
  void write(std::string_view name, std::string_view bytes);
  void copy(const InputFile& source, std::string_view name, const Check& check);

  /// Gives `name` the contents of `source` (opened from `source_path`): sharing its blocks where the file
  /// system can (reflink), else as a second name of the same file (hard link), else by copying, or always by
  /// copying. Returns how.
  std::string share(const InputFile& source, const std::string& source_path, std::string_view name,
                    bool always_copy, const Check& check);

  std::uint64_t bytes_written() const noexcept { return bytes_written_; }
  std::uint64_t bytes_shared() const noexcept { return bytes_shared_; }
  void count_written(std::uint64_t bytes) noexcept { bytes_written_ += bytes; }

  /// The output appears: the folder, or first the files named in `beside` (next to the output) and then the
  /// file `output_name`. Throws io.write.
  void commit();
  void commit_file(const std::vector<std::string>& beside);

 private:
  std::string parent_, name_, output_, stage_;
  int lock_ = -1;  // held on the stage: another run does not take it for one that was killed
  std::uint64_t bytes_written_ = 0;
  std::uint64_t bytes_shared_ = 0;
};

}  // namespace safetylock
