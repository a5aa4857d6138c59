// Progress: how far a run is, told to a process that watches it (cli/watch.h). Lies in memory that both share, so it holds
// nothing that points into one of them but string literals, which are at the same place in both: one is a fork of the other.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bailey::dispatcher {

class Progress {
 public:
  void enter(const char* step) { step_ = step; }  // a literal
  // The time by which the next step should have happened: later means that the run hangs.
  void expect_by(const clock::Deadline& due) { due_ns_ = due.at_ns(); }
  void workload_started() { started_ = true; }
  void know_first_process(int first_pid) { first_pid_ = first_pid; }  // its PID 1, as this host numbers it
  void limited_to(std::optional<int64_t> wall_ms) { wall_ms_ = wall_ms.value_or(0); }
  void has_id(std::string_view id) { id.copy(id_.data(), id_.size() - 1); }

  // All is written, and only the process's end is left: it is due now.
  void finish(int exit_code) {
    exit_code_ = exit_code;
    expect_by(clock::Deadline::in_ms(0));
  }

  const char* step() const { return step_; }
  int64_t due_ns() const { return due_ns_; }    // monotonic clock; INT64_MAX: never
  int first_pid() const { return first_pid_; }  // 0: there is none yet
  std::optional<int64_t> wall_ms() const { return wall_ms_ == 0 ? std::nullopt : std::optional<int64_t>(wall_ms_); }
  bool has_started() const { return started_; }
  std::optional<int> exit_code() const { return exit_code_ < 0 ? std::nullopt : std::optional<int>(exit_code_); }
  std::string id() const { return {id_.data()}; }

 private:
  static constexpr size_t kMaxId = 64;
  std::atomic<const char*> step_ = "request";
  std::atomic<int64_t> due_ns_ = INT64_MAX;
  std::atomic<bool> started_ = false;
  std::atomic<int> exit_code_ = -1, first_pid_ = 0;
  std::atomic<int64_t> wall_ms_ = 0;
  std::array<char, kMaxId + 1> id_{};
};

}  // namespace bailey::dispatcher
