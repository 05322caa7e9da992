#include <atomic>
#include <condition_variable>
#include <exception>
#include <thread>

#include "remote/endpoint.h"
#include "safetylock/error.h"

namespace safetylock {
namespace {

constexpr std::chrono::milliseconds kPoll{100};

/// What the threads share; everything but `next` is guarded by `mutex`.
struct Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<size_t> next{0};
  size_t done = 0, running = 0;
  std::exception_ptr failure;
};

}  // namespace

void ask_together(Endpoint& endpoint, size_t count, size_t concurrency,
                  const std::function<void(size_t)>& task, const std::function<bool(size_t done)>& keep_on) {
  Shared shared;
  shared.running = std::min(std::max<size_t>(concurrency, 1), count);
  const auto work = [&] {
    for (size_t i = shared.next++; i < count; i = shared.next++) {
      try {
        task(i);
        const std::lock_guard hold(shared.mutex);
        ++shared.done;
      } catch (...) {
        shared.next = count;
        const std::lock_guard hold(shared.mutex);
        if (!shared.failure) {
          shared.failure = std::current_exception();
          endpoint.cancel();
        }
        break;
      }
      shared.changed.notify_one();
    }
    const std::lock_guard hold(shared.mutex);
    --shared.running;
    shared.changed.notify_one();
  };
  bool stopped = false;
  {
    std::vector<std::jthread> threads;
    const size_t wanted = shared.running;
    for (size_t i = 0; i < wanted; ++i) threads.emplace_back(work);
    std::unique_lock hold(shared.mutex);
    while (shared.running > 0) {
      shared.changed.wait_for(hold, kPoll);
      if (stopped) continue;
      const size_t done = shared.done;
      hold.unlock();
      stopped = !keep_on(done) && done < count;
      if (stopped) {
        shared.next = count;
        endpoint.cancel();
      }
      hold.lock();
    }
  }
  if (stopped) {
    throw Error({.code = "run.interrupted",
                 .where = "requests",
                 .found = std::to_string(shared.done) + " of " + std::to_string(count) + " finished"});
  }
  if (shared.failure) std::rethrow_exception(shared.failure);
}

}  // namespace safetylock
