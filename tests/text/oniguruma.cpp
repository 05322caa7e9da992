#include "text/oniguruma.h"

#include <oniguruma.h>

#include <stdexcept>

namespace safetylock::test {

struct Oniguruma::Impl {
  OnigRegex regex = nullptr;
  OnigRegion* region = nullptr;
  ~Impl() {
    onig_region_free(region, 1);
    onig_free(regex);
  }
};

// As the tokenizers package compiles its patterns.
Oniguruma::Oniguruma(std::string_view pattern) : impl_(std::make_unique<Impl>()) {
  OnigEncoding encoding = ONIG_ENCODING_UTF8;
  onig_initialize(&encoding, 1);
  OnigErrorInfo info{};
  const auto* begin = reinterpret_cast<const OnigUChar*>(pattern.data());
  const int rc = onig_new(&impl_->regex, begin, begin + pattern.size(), ONIG_OPTION_NONE, encoding,
                          ONIG_SYNTAX_RUBY, &info);
  if (rc != ONIG_NORMAL) throw std::runtime_error("Oniguruma refuses a pattern");
  impl_->region = onig_region_new();
}

Oniguruma::~Oniguruma() = default;

void Oniguruma::cut(std::string_view text, size_t base, Words& out) {
  const auto* begin = reinterpret_cast<const OnigUChar*>(text.data());
  const auto* end = begin + text.size();
  for (size_t at = 0; at < text.size();) {
    const auto rc = onig_search(impl_->regex, begin, end, begin + at, end, impl_->region, ONIG_OPTION_NONE);
    if (rc < ONIG_MISMATCH) throw std::runtime_error("Oniguruma fails");
    const bool found = rc != ONIG_MISMATCH;
    const size_t from = found ? static_cast<size_t>(impl_->region->beg[0]) : text.size();
    const size_t to = found ? static_cast<size_t>(impl_->region->end[0]) : text.size();
    if (from > at) out.emplace_back(base + at, base + from);
    if (to > from) out.emplace_back(base + from, base + to);
    at = to;
  }
}

}  // namespace safetylock::test
