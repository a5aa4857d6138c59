#include "dispatcher/events.h"

#include <cerrno>

#include "base/clock.h"
#include "base/log.h"

namespace bailey::dispatcher {

void Events::emit(std::string_view event, std::string_view id, const json::Object& details) {
  if (!sink_) return;
  json::Object line;
  line.set("event", event);
  line.set("id", id);
  line.set("monotonic_ns", clock::monotonic_ns());
  line.set("time", clock::wall_text(clock::wall_ns()));
  for (const auto& [key, value] : details) line.set(key, value);
  if (auto written = sink_.write(json::write(line), 0); !written) {
    Error error = std::move(written).error().with("--events").in_step("events");
    error.message += "; the event '" + std::string(event) + "' and those after it are lost";
    sink_ = Sink();
    if (error.sys == EPIPE) return log::warning(error.message);
    error.remedy = "name a file that takes all of them, or read the descriptor while bailey runs";
    failure_ = std::move(error);
  }
}

}  // namespace bailey::dispatcher
