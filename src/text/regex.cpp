#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>

#include <cstdint>
#include <new>

#include "safetylock/error.h"

namespace safetylock {
namespace {

struct FreeCode {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
struct FreeContext {
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};

template <typename T>
T* checked_allocation(T* p) {
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

std::string message_of(int code) {
  std::string text(256, '\0');
  const int length = pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR8*>(text.data()), text.size());
  text.resize(length > 0 ? static_cast<size_t>(length) : 0);
  return text;
}

}  // namespace

struct Regex::Impl {
  std::unique_ptr<pcre2_code, FreeCode> code;
};

Regex::Regex(const std::string& pattern) : impl_(std::make_unique<Impl>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  impl_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
  if (!impl_->code) {
    throw Error({"bpe.regex", "", "pattern offset " + std::to_string(offset),
                 "a PCRE2 with Unicode properties, 10.40 or newer", message_of(error), ""});
  }
  // Without machine code (a host that forbids writable executable memory) the interpreter matches the same.
  pcre2_jit_compile(impl_->code.get(), PCRE2_JIT_COMPLETE);
}
Regex::~Regex() = default;

struct RegexMatcher::Impl {
  const pcre2_code* code;
  std::unique_ptr<pcre2_match_data, FreeMatch> data;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
};

RegexMatcher::RegexMatcher(const Regex& regex) : impl_(std::make_unique<Impl>()) {
  impl_->code = regex.impl_->code.get();
  impl_->data.reset(checked_allocation(pcre2_match_data_create(1, nullptr)));
  impl_->context.reset(checked_allocation(pcre2_match_context_create(nullptr)));
  // The default limit counts backtracking steps and would refuse a long run of spaces; our patterns are
  // known to backtrack over each character a constant number of times.
  pcre2_set_match_limit(impl_->context.get(), UINT32_MAX);
}
RegexMatcher::~RegexMatcher() = default;
RegexMatcher::RegexMatcher(RegexMatcher&&) noexcept = default;

std::optional<RegexMatcher::Match> RegexMatcher::find(std::string_view text, size_t from) {
  const auto* subject = reinterpret_cast<PCRE2_SPTR8>(text.data());
  // The text was validated when it came in.
  std::uint32_t options = PCRE2_NO_UTF_CHECK;
  int rc =
      pcre2_match(impl_->code, subject, text.size(), from, options, impl_->data.get(), impl_->context.get());
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
    options |= PCRE2_NO_JIT;
    rc = pcre2_match(impl_->code, subject, text.size(), from, options, impl_->data.get(),
                     impl_->context.get());
  }
  if (rc == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (rc < 0) throw Error({"bpe.regex", "", "byte " + std::to_string(from), "a match", message_of(rc), ""});
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(impl_->data.get());
  return Match{range[0], range[1]};
}

std::string with_explicit_white_space(std::string_view pattern) {
  constexpr std::string_view kList =
      "\\x{9}-\\x{D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
      "\\x{3000}";
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    if (c != '\\') {
      out += c;
      continue;
    }
    const char escaped = pattern[++i];
    if (escaped == 's') {
      out += in_class ? std::string(kList) : "[" + std::string(kList) + "]";
    } else if (escaped == 'S') {
      out += "[^" + std::string(kList) + "]";
    } else {
      out += c;
      out += escaped;
    }
  }
  return out;
}

}  // namespace safetylock
