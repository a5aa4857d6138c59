// Events: what happens to one sandbox, while it happens, as JSON lines for a program:
//   {"event":"started","id":"ab12","monotonic_ns":123,"time":"2026-11-21T23:46:00.000000Z", ...}
// admitted, created, ready (of one that waits for its job), started, oom, output_truncated, exited, released. A reader that is
// gone or takes nothing never holds up the sandbox: after the first write that failed nothing more is written. The record has
// that as an error; a reader that has closed the pipe wanted no more, and is only mentioned on stderr.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "dispatcher/sink.h"

namespace bailey::dispatcher {

class Events {
 public:
  Events() = default;  // nobody listens
  explicit Events(Sink sink) : sink_(std::move(sink)) {}
  explicit operator bool() const { return static_cast<bool>(sink_); }
  void emit(std::string_view event, std::string_view id, const json::Object& details = {});
  std::optional<Error> take_failure() { return std::exchange(failure_, std::nullopt); }

 private:
  Sink sink_;
  std::optional<Error> failure_;
};

}  // namespace bailey::dispatcher
