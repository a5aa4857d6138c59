#include "base/clock.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <ctime>

namespace bailey::clock {

namespace {
constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kNsPerMs = 1'000'000;

int64_t now(clockid_t id) {
  timespec ts{};
  ::clock_gettime(id, &ts);
  return ts.tv_sec * kNsPerSecond + ts.tv_nsec;
}
}  // namespace

int64_t monotonic_ns() { return now(CLOCK_MONOTONIC); }
int64_t wall_ns() { return now(CLOCK_REALTIME); }

std::string wall_text(int64_t wall_ns_value) {
  const time_t seconds = wall_ns_value / kNsPerSecond;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  const size_t length = ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%06dZ", static_cast<int>(wall_ns_value % kNsPerSecond / 1000));
  return text;
}

Deadline Deadline::in_ms(int64_t ms) {
  Deadline d;
  const int64_t start = monotonic_ns();
  d.at_ns_ = ms >= (INT64_MAX - start) / kNsPerMs ? INT64_MAX : start + ms * kNsPerMs;
  return d;
}

bool Deadline::passed() const { return !never() && monotonic_ns() >= at_ns_; }

int Deadline::poll_ms() const {
  if (never()) return -1;
  const int64_t left = at_ns_ - monotonic_ns();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((left + kNsPerMs - 1) / kNsPerMs, INT_MAX));
}

}  // namespace bailey::clock
