// StepTimer: where the time of a set-up went. Laps follow each other without a gap, so that the steps add up
// to the whole.
#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "dispatcher/backend.h"

namespace bailey::dispatcher {

class StepTimer {
 public:
  explicit StepTimer(int64_t began_ns) : began_ns_(began_ns), last_ns_(began_ns) {}

  // Everything since the last lap was `name`.
  void lap(std::string name) {
    const int64_t now = clock::monotonic_ns();
    steps_.push_back({std::move(name), now - last_ns_});
    last_ns_ = now;
  }
  // The same, where a backend has timed parts of it: its steps are taken over and what they do not cover
  // becomes `rest`.
  void lap(const Steps& parts, std::string rest) {
    int64_t covered = 0;
    for (const StepTime& part : parts) {
      covered += part.ns;
      steps_.push_back(part);
    }
    // Parts that two processes timed may overlap by some microseconds: the last one pays.
    if (const int64_t over = last_ns_ + covered - clock::monotonic_ns(); over > 0 && !parts.empty()) {
      steps_.back().ns -= over;
      covered -= over;
    }
    last_ns_ += covered;
    lap(std::move(rest));
  }
  // Everything since the last lap is no part of the set-up.
  void skip() {
    const int64_t now = clock::monotonic_ns();
    began_ns_ += now - last_ns_;
    last_ns_ = now;
  }
  const Steps& steps() const { return steps_; }
  int64_t total_ns() const { return last_ns_ - began_ns_; }

 private:
  int64_t began_ns_, last_ns_;
  Steps steps_;
};

}  // namespace bailey::dispatcher
