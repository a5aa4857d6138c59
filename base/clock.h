// Time: CLOCK_MONOTONIC for every deadline, CLOCK_REALTIME only for what people read. Async-signal-safe but for wall_text.
#pragma once

#include <cstdint>
#include <string>

namespace bailey::clock {

int64_t monotonic_ns();
int64_t wall_ns();                             // since 1970-01-01T00:00:00Z
std::string wall_text(int64_t wall_ns_value);  // RFC 3339, UTC, microseconds: 2026-11-21T23:46:00.000000Z

// A point on the monotonic clock. The default never comes.
class Deadline {
 public:
  Deadline() = default;
  static Deadline in_ms(int64_t ms);
  bool passed() const;
  int poll_ms() const;  // for poll(2): -1 never, 0 passed, else rounded up and capped at INT_MAX
  bool never() const { return at_ns_ == INT64_MAX; }
  int64_t at_ns() const { return at_ns_; }

 private:
  int64_t at_ns_ = INT64_MAX;
};

}  // namespace bailey::clock
