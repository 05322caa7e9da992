#include "cli/chat/lock.h"

#include <array>
#include <charconv>

#include "safetylock/error.h"

namespace safetylock::cli {
namespace {

/// As short as it can be, but seen to be a number that may have a fraction.
std::string alpha_text(double alpha) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), alpha).ptr;
  std::string text(digits.data(), end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

ChatLock::ChatLock(const SafetyLock* lock, double alpha, bool gated) : lock_(lock), gated_(gated) {
  if (lock == nullptr) return;
  last_ = lock->default_strength();
  set(alpha);
}

std::string ChatLock::label() const {
  if (strength_.is_zero()) return "UNLOCKED";
  return (gated_ ? "gated lock " : "lock ") + alpha_text(strength_.alpha());
}

std::string ChatLock::description() const {
  if (lock_ == nullptr) return "UNLOCKED: the chat was started without --lock.";
  if (strength_.is_zero())
    return "UNLOCKED: the lock is off. /lock on puts it back at alpha " + alpha_text(last_.alpha()) + ".";
  return "The lock is on, at alpha " + alpha_text(strength_.alpha()) +
         " (its own: " + alpha_text(lock_->default_strength().alpha()) + ", at most " +
         alpha_text(lock_->alpha_max()) + ")." +
         (gated_ ? " It acts where a message opens its gate; --no-gate has it act always." : "");
}

const SafetyLock& ChatLock::lock() const {
  if (lock_ != nullptr) return *lock_;
  throw Error({.code = "arg.usage",
               .where = "lock",
               .expected = "one given by --lock when the chat was started",
               .found = "none"});
}

void ChatLock::put_on() {
  lock();
  strength_ = last_;
}

void ChatLock::take_off() {
  lock();
  strength_ = Strength();
}

void ChatLock::set(double alpha) {
  strength_ = lock().strength(alpha);
  if (!strength_.is_zero()) last_ = strength_;
}

}  // namespace safetylock::cli
