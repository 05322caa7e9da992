// Values as text: Python's str(), repr() and json.dumps().
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/utf8.h"
#include "safetylock/chat_template.h"
#include "text/templates/value.h"

namespace safetylock::jinja {
namespace {

std::string hex(char32_t point, int digits) {
  std::array<char, 16> buffer{};
  const int n = std::snprintf(buffer.data(), buffer.size(), "%0*x", digits, static_cast<unsigned>(point));
  return std::string(buffer.data(), static_cast<size_t>(n));
}

// Collects text whose bytes all get one origin, which is known at the end.
class Printer {
 public:
  explicit Printer(Execution& run) : run_(run) {}

  void put(std::string_view bytes) {
    run_.charge_bytes(bytes.size());
    run_.check_text_size(out_.size() + bytes.size());
    out_ += bytes;
  }
  void saw(int origin) { origin_ = combine_origins(origin_, origin); }
  Execution& run() { return run_; }
  MarkedText take() { return MarkedText(std::move(out_), origin_); }

 private:
  Execution& run_;
  std::string out_;
  int origin_ = RenderedPrompt::kTemplate;
};

std::string repr_of_text(std::string_view text) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const auto point = utf8::decode(text.substr(at));
    const char32_t c = point.code_point;
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\\' || c == static_cast<char32_t>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (is_printable(c)) {
      out += text.substr(at, point.length);
    } else if (c < 0x100) {
      out += "\\x" + hex(c, 2);
    } else {
      out += c < 0x10000 ? "\\u" + hex(c, 4) : "\\U" + hex(c, 8);
    }
    at += point.length;
  }
  return out + quote;
}

void print_repr(Printer& printer, const Value& value, int depth);

template <typename Items, typename Print>
void print_sequence(Printer& printer, std::string_view open, const Items& items, std::string_view close,
                    Print&& print) {
  printer.put(open);
  bool first = true;
  for (const auto& item : items) {
    if (!first) printer.put(", ");
    first = false;
    print(item);
  }
  printer.put(close);
}

void print_map(Printer& printer, const Map& map, int depth) {
  print_sequence(printer, "{", map.entries(), "}", [&](const Map::Entry& entry) {
    print_repr(printer, entry.first, depth);
    printer.put(": ");
    print_repr(printer, entry.second, depth);
  });
}

void print_repr(Printer& printer, const Value& value, int depth) {
  // Only namespaces, which may hold themselves, get this deep.
  if (depth > 2 * kMaxValueDepth) printer.run().fail_depth("values to print", 2 * kMaxValueDepth);
  const auto print_item = [&](const Value& item) { print_repr(printer, item, depth + 1); };
  if (const MarkedText* s = as_text(value)) {
    printer.saw(s->coarse_origin());
    printer.put(repr_of_text(s->bytes()));
  } else if (is_undefined(value)) {
    printer.put("Undefined");
  } else if (const List* list = as_list(value)) {
    const bool single = list->tuple && list->items.size() == 1;
    print_sequence(printer, list->tuple ? "(" : "[", list->items, list->tuple ? (single ? ",)" : ")") : "]",
                   print_item);
  } else if (const Map* map = as_map(value)) {
    print_map(printer, *map, depth + 1);
  } else if (const auto* view = std::get_if<ViewPtr>(&value)) {
    printer.put(type_name(value));
    print_sequence(printer, "([", elements(printer.run(), *view), "])", print_item);
  } else if (const auto* space = std::get_if<NamespacePtr>(&value)) {
    printer.put("<Namespace ");
    print_map(printer, (*space)->attributes, depth + 1);
    printer.put(">");
  } else if (const auto* range = std::get_if<Range>(&value)) {
    std::string text = "range(" + std::to_string(range->start) + ", " + std::to_string(range->stop);
    if (range->step != 1) text += ", " + std::to_string(range->step);
    printer.put(text + ")");
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    printer.put(*flag ? "True" : "False");
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    printer.put(std::to_string(*integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    printer.put(float_repr(*number));
  } else if (is_none(value)) {
    printer.put("None");
  } else {
    // Python prints an address, or "Markup(...)".
    printer.run().fail_unsupported("printing a " + type_name(value));
  }
}

std::string json_text(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const auto point = utf8::decode(text.substr(at));
    const char32_t c = point.code_point;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000)) {
          out += "\\u" + hex(c, 4);
        } else if (ensure_ascii && c >= 0x10000) {
          out += "\\u" + hex(0xD800 + ((c - 0x10000) >> 10U), 4) + "\\u" +
                 hex(0xDC00 + ((c - 0x10000) & 0x3FFU), 4);
        } else {
          out += text.substr(at, point.length);
        }
    }
    at += point.length;
  }
  return out + "\"";
}

class JsonPrinter {
 public:
  JsonPrinter(Execution& run, const JsonStyle& style) : printer_(run), style_(style) {}

  void print(const Value& value, int level) {
    if (const MarkedText* s = as_any_text(value)) {
      printer_.saw(s->coarse_origin());
      printer_.put(json_text(s->bytes(), style_.ensure_ascii));
    } else if (const List* list = as_list(value)) {
      print_items('[', list->items, ']', level, [&](const Value& item) { print(item, level + 1); });
    } else if (const Map* map = as_map(value)) {
      print_map(*map, level);
    } else {
      printer_.put(scalar(value));
    }
  }
  MarkedText take() { return printer_.take(); }

 private:
  std::string scalar(const Value& value) {
    if (is_none(value)) return "null";
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
    if (const auto* number = std::get_if<double>(&value)) {
      if (std::isnan(*number)) return "NaN";
      if (std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
      return float_repr(*number);
    }
    printer_.run().fail_type("a value that JSON has", describe(value));
  }

  std::string key_text(const Value& key) {
    if (const MarkedText* s = as_text(key)) {
      printer_.saw(s->coarse_origin());
      return s->bytes();
    }
    return scalar(key);
  }

  void print_map(const Map& map, int level) {
    std::vector<const Map::Entry*> entries;
    for (const Map::Entry& entry : map.entries()) entries.push_back(&entry);
    if (style_.sort_keys) sort(entries);
    print_items('{', entries, '}', level, [&](const Map::Entry* entry) {
      printer_.put(json_text(key_text(entry->first), style_.ensure_ascii));
      printer_.put(style_.key_separator);
      print(entry->second, level + 1);
    });
  }

  void sort(std::vector<const Map::Entry*>& entries) {
    for (const Map::Entry* entry : entries) {
      if (as_text(entry->first) == nullptr)
        printer_.run().fail_unsupported("sorting keys that are not strings");
    }
    // Bytes of UTF-8 sort as the code points they stand for.
    std::stable_sort(entries.begin(), entries.end(), [](const Map::Entry* a, const Map::Entry* b) {
      return as_text(a->first)->bytes() < as_text(b->first)->bytes();
    });
  }

  template <typename Items, typename Print>
  void print_items(char open, const Items& items, char close, int level, Print&& print_item) {
    printer_.put(std::string(1, open));
    bool first = true;
    for (const auto& item : items) {
      if (!first) printer_.put(style_.item_separator);
      first = false;
      new_line(level + 1);
      print_item(item);
    }
    if (!items.empty()) new_line(level);
    printer_.put(std::string(1, close));
  }

  void new_line(int level) {
    if (!style_.indent) return;
    printer_.put("\n");
    for (int i = 0; i < level; ++i) printer_.put(*style_.indent);
  }

  Printer printer_;
  const JsonStyle& style_;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  // The shortest digits that read back as the same number; Python chooses the notation by the exponent.
  std::array<char, 64> buffer{};
  const auto shortest =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view scientific(buffer.data(), static_cast<size_t>(shortest.ptr - buffer.data()));
  const size_t e = scientific.find('e');
  int exponent = 0;
  const size_t digits_at = scientific[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(scientific.data() + digits_at, scientific.data() + scientific.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const auto fixed =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  std::string text(buffer.data(), static_cast<size_t>(fixed.ptr - buffer.data()));
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

MarkedText to_text(Execution& run, const Value& value) {
  if (const MarkedText* s = as_any_text(value)) return *s;
  if (is_undefined(value)) return {};
  Printer printer(run);
  print_repr(printer, value, 0);
  return printer.take();
}

MarkedText to_json(Execution& run, const Value& value, const JsonStyle& style) {
  JsonPrinter printer(run, style);
  printer.print(value, 0);
  return printer.take();
}

}  // namespace safetylock::jinja
