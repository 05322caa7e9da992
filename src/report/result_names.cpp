#include "report/results.h"

namespace safetylock::report {

const char* to_string(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::answered:
      return "answered";
    case Outcome::refused:
      return "refused";
    case Outcome::degenerate:
      return "degenerate";
  }
  return "";
}

const char* key_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::harmful:
      return "harmful";
    case Kind::benign:
      return "benign";
    case Kind::lookalikes:
      return "lookalikes";
  }
  return "";
}

const char* title_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::harmful:
      return "Harmful prompts";
    case Kind::benign:
      return "Benign prompts";
    case Kind::lookalikes:
      return "Harmless look-alikes";
  }
  return "";
}

}  // namespace safetylock::report
