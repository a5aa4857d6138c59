#include "base/clock.h"

#include <algorithm>
#include <chrono>
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

// By <chrono>, because gmtime_r reads /etc/localtime, seven system calls, for a time that is UTC.
std::string wall_text(int64_t wall_ns_value) {
  using namespace std::chrono;
  const sys_time<nanoseconds> point{nanoseconds(wall_ns_value)};
  const auto midnight = floor<days>(point);
  const year_month_day date(midnight);
  const hh_mm_ss time(floor<microseconds>(point - midnight));
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
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
