// What one rendering may still spend, and where it is: every operation charges and reports through this.
#pragma once

#include <cstdint>
#include <string>

namespace safetylock::jinja {

inline constexpr std::uint64_t kMaxSteps =
    10'000'000;                                      ///< nodes evaluated, values made, 32-byte blocks copied
inline constexpr size_t kMaxTextBytes = 16U << 20U;  ///< of the output and of any one string
inline constexpr std::uint64_t kMaxRange = 100'000;  ///< elements of range(), as in Jinja's sandbox
inline constexpr int kMaxSyntaxDepth = 100;          ///< nesting of statements and expressions
inline constexpr int kMaxValueDepth = 100;           ///< nesting of lists and mappings
inline constexpr int kMaxEvaluationDepth = 600;      ///< nodes being evaluated at a time, macros included
inline constexpr size_t kMaxSourceBytes = 4U << 20U;

class Execution {
 public:
  explicit Execution(std::string file) : file_(std::move(file)) {}

  int line = 1;  ///< of the node being evaluated

  /// Throws limit.template_steps.
  void charge(std::uint64_t steps);
  /// Work on `bytes` bytes of text.
  void charge_bytes(std::uint64_t bytes) { charge(1 + bytes / 32); }
  /// Throws limit.template_output when a text of `bytes` may not be made.
  void check_text_size(std::uint64_t bytes) const;

  /// template.type: an operation that Jinja would refuse too.
  [[noreturn]] void fail_type(const std::string& expected, const std::string& found) const;
  /// template.unsupported: Jinja has it, this interpreter does not.
  [[noreturn]] void fail_unsupported(const std::string& what) const;
  /// limit.template_depth.
  [[noreturn]] void fail_depth(const std::string& what, int limit) const;
  /// template.error: the template called raise_exception.
  [[noreturn]] void fail_raised(const std::string& message) const;

 private:
  std::string where() const;

  std::string file_;
  std::uint64_t steps_ = 0;
};

}  // namespace safetylock::jinja
