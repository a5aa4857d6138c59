// Progress: how far a run is, told to a process that watches it (cli/watch.h). Lies in memory that both share, so it holds
// nothing that points into one of them but string literals, which are at the same place in both: one is a fork of the other.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace bailey::dispatcher {

class Progress {
 public:
  void enter(const char* step) { step_ = step; }  // a literal
  // The time at which something else will have happened, if nothing hangs.
  void expect_by(const clock::Deadline& due) { due_ns_ = due.at_ns(); }
  void workload_started() { started_ = true; }
  void has_id(std::string_view id) { id.copy(id_.data(), id_.size() - 1); }

  // All is written, and only the process's end is left.
  void finish(int exit_code) { exit_code_ = exit_code; }

  const char* step() const { return step_; }
  int64_t due_ns() const { return due_ns_; }  // monotonic clock; INT64_MAX: never
  bool has_started() const { return started_; }
  std::optional<int> exit_code() const { return exit_code_ < 0 ? std::nullopt : std::optional<int>(exit_code_); }
  std::string id() const { return {id_.data()}; }

 private:
  static constexpr size_t kMaxId = 64;
  std::atomic<const char*> step_ = "request";
  std::atomic<int64_t> due_ns_ = INT64_MAX;
  std::atomic<bool> started_ = false;
  std::atomic<int> exit_code_ = -1;
  std::array<char, kMaxId + 1> id_{};
};

}  // namespace bailey::dispatcher
