// Which plain added tokens act as control tokens.
#pragma once

#include <string_view>

namespace safetylock {

/// Whether a token that its file does not call special is spelled like a control token: letters or digits
/// with one of < > [ ] { } |, but no HTML element. Sentencepiece vocabularies hold turn markers such as
/// <start_of_turn> as "user-defined symbols" beside runs of line breaks, <table> and <b>; a user's text may
/// become the latter, never the former.
bool is_control_marker(std::string_view content);

}  // namespace safetylock
