// Events: what happens to one sandbox, while it happens, as JSON lines for a program:
//   {"event":"started","id":"ab12","monotonic_ns":123,"time":"2026-11-21T23:46:00.000000Z", ...}
// admitted, created, started, oom, output_truncated, exited, released. A reader that is gone or takes nothing
// never holds up the sandbox: the first line that was lost is said on stderr, the rest is not tried.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "dispatcher/sink.h"

namespace bailey::dispatcher {

class Events {
 public:
  Events() = default;  // nobody listens
  explicit Events(Sink sink) : sink_(std::move(sink)) {}
  explicit operator bool() const { return static_cast<bool>(sink_); }
  void emit(std::string_view event, std::string_view id, json::Object details = {});

 private:
  Sink sink_;
};

}  // namespace bailey::dispatcher
