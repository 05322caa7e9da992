// Whether, and how strongly, the replies of a chat are locked.
#pragma once

#include <string>

#include "safetylock/lock.h"

namespace safetylock::cli {

class ChatLock {
 public:
  /// `lock` may be null: then the chat is unlocked and stays so. Otherwise it must outlive this, and `alpha`
  /// is the strength at the beginning. `gated`: its gate is asked about each message.
  ChatLock(const SafetyLock* lock, double alpha, bool gated = false);

  /// Of the next reply.
  Strength strength() const noexcept { return strength_; }
  /// "lock 6.0", "gated lock 6.0" or "UNLOCKED".
  std::string label() const;
  /// The same in a sentence, with what can be done about it.
  std::string description() const;

  /// Back at the strength that it had last.
  void put_on();
  void take_off();
  /// 0: as take_off. Throws Error arg.alpha where SafetyLock::strength does; like put_on and take_off,
  /// arg.usage without a lock. After an error all is as before.
  void set(double alpha);

 private:
  const SafetyLock& lock() const;

  const SafetyLock* lock_;
  bool gated_;
  Strength strength_;
  Strength last_;  // above zero where there is a lock
};

}  // namespace safetylock::cli
