#include "cli/token_list.h"

#include <algorithm>

#include "base/utf8.h"
#include "cli/printable.h"
#include "cli/text_format.h"
#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

constexpr size_t kShownRole = 12;

bool in_reply(const TokenList& list, size_t position) {
  return std::binary_search(list.reply.begin(), list.reply.end(), static_cast<std::int64_t>(position));
}

std::string origin_name(const TokenList& list, int origin) {
  if (origin == RenderedPrompt::kTemplate) return "template";
  if (origin < 0 || static_cast<size_t>(origin) >= list.roles.size()) return "caller";
  return list.roles[static_cast<size_t>(origin)];
}

Json origin_json(int origin) {
  return origin >= 0 ? Json(origin) : Json(nullptr);
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += text_format("%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return out;
}

Json token_json(const TokenList& list, size_t position) {
  const TokenView& token = list.tokens[position];
  Json json = {{"position", position},
               {"id", token.id},
               {"piece", utf8::to_valid(token.bytes)},
               {"bytes", hex(token.bytes)},
               {"begin", token.begin},
               {"end", token.end},
               {"from", origin_name(list, token.origin)},
               {"message", origin_json(token.origin)},
               {"control", token.control},
               {"typed", token.typed},
               {"reply", in_reply(list, position)}};
  return json;
}

std::string marks(const TokenList& list, size_t position) {
  const TokenView& token = list.tokens[position];
  return std::string(token.control ? "C" : "") + (token.typed ? "T" : "") +
         (in_reply(list, position) ? "R" : "");
}

/// One row a token: position, id, marks, origin, piece.
std::string rows(const TokenList& list) {
  std::string out = "   pos       id  mark  from          piece\n";
  for (size_t i = 0; i < list.tokens.size(); ++i) {
    const TokenView& token = list.tokens[i];
    const std::string from = escape_untrusted(origin_name(list, token.origin), kShownRole);
    out += text_format("%6zu %8lld  %-4s  %-12s  ", i, static_cast<long long>(token.id),
                       marks(list, i).c_str(), from.c_str()) +
           quoted_piece(token.bytes) + "\n";
  }
  return out;
}

/// The text itself: control tokens in one colour, text of messages in another, the reply span underlined.
std::string coloured(const Terminal& terminal, const TokenList& list) {
  const auto styled = [&](Style style, std::string_view text) {
    return terminal.styled(Stream::out, style, text);
  };
  std::string out;
  for (size_t i = 0; i < list.tokens.size(); ++i) {
    const TokenView& token = list.tokens[i];
    const bool after_line = i > 0 && list.tokens[i - 1].bytes.ends_with('\n');
    if (i > 0 && !after_line) out += styled(Style::dim, "|");
    std::string_view bytes = token.bytes;
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      std::string piece = one_line(bytes.substr(0, end));
      if (token.control)
        piece = styled(Style::magenta, piece);
      else if (token.typed)
        piece = styled(Style::red, piece);
      else if (token.origin >= 0)
        piece = styled(Style::cyan, piece);
      if (in_reply(list, i) && !piece.empty()) piece = styled(Style::underline, piece);
      out += piece;
      if (end == std::string_view::npos) break;
      out += styled(Style::dim, "\\n") + "\n";
      bytes.remove_prefix(end + 1);
    }
  }
  if (!out.ends_with('\n')) out += '\n';
  return out;
}

}  // namespace

TokenList make_token_list(const Tokenizer& tokenizer, std::string name, std::vector<std::string> roles,
                          const ChatSequence& chat, std::vector<std::int64_t> reply) {
  TokenList list{.name = std::move(name),
                 .roles = std::move(roles),
                 .text = chat.prompt.text,
                 .tokens = {},
                 .typed = typed_control_tokens(tokenizer, chat.prompt),
                 .reply = std::move(reply)};
  list.tokens = view_tokens(tokenizer, chat, list.typed);
  return list;
}

Json to_json(const TokenList& list) {
  Json ids = Json::array(), tokens = Json::array(), typed = Json::array();
  for (size_t i = 0; i < list.tokens.size(); ++i) {
    ids.push_back(list.tokens[i].id);
    tokens.push_back(token_json(list, i));
  }
  for (const TypedControlToken& token : list.typed) {
    typed.push_back({{"id", token.id},
                     {"token", token.spelling},
                     {"begin", token.begin},
                     {"end", token.end},
                     {"from", origin_name(list, token.origin)},
                     {"message", origin_json(token.origin)}});
  }
  return {{"text", list.text},
          {"token_ids", std::move(ids)},
          {"tokens", std::move(tokens)},
          {"typed_control_tokens", std::move(typed)},
          {"reply_positions", list.reply}};
}

std::string token_text(const Session& session, const TokenList& list) {
  const Terminal& terminal = session.terminal();
  std::string title = list.name + (list.name.empty() ? "" : ": ") + std::to_string(list.tokens.size()) +
                      (list.tokens.size() == 1 ? " token" : " tokens");
  if (!list.reply.empty()) title += ", reply span " + std::to_string(list.reply.size());
  return session.heading(title) + "\n" +
         (terminal.colours(Stream::out) ? coloured(terminal, list) : rows(list));
}

void warn_of_typed(Session& session, const TokenList& list, bool trusted) {
  for (const TypedControlToken& token : list.typed) {
    std::string who = "the text";
    if (!list.name.empty())
      who = list.name + ": " +
            (token.origin < 0 ? "a role or a tool"
                              : "message " + std::to_string(token.origin) + " (" +
                                    escape_untrusted(origin_name(list, token.origin)) + ")");
    session.warn(who + " spells the control token " + one_line(token.spelling) +
                 (trusted ? ": it is one, because of --trust-special-tokens"
                          : ": it stays text; --trust-special-tokens makes it a control token"));
  }
}

}  // namespace safetylock::cli
