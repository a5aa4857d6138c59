#include "base/log.h"

#define SPDLOG_HEADER_ONLY
#define FMT_HEADER_ONLY
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/json.h"

namespace bailey::log {

namespace {

Options g_options;

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
    auto made = std::make_shared<spdlog::logger>("bailey", std::move(sink));
    made->set_pattern(g_options.format == Format::json ? "%v" : "bailey: %l: %v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

void write(Level level, spdlog::level::level_enum as, const char* name, std::string_view message) {
  if (!enabled(level)) return;
  try {
    if (g_options.format == Format::json) {
      json::Object line;
      line.set("level", name);
      line.set("msg", message);
      line.set("time", clock::wall_text(clock::wall_ns()));
      logger().log(as, "{}", json::write(std::move(line)));
    } else {
      logger().log(as, "{}", message);
    }
  } catch (const std::exception&) {
    // A closed stderr must not end a sandbox; there is nowhere left to say it.
  }
}

}  // namespace

void configure(Options options) { g_options = options; }
bool enabled(Level level) { return level >= g_options.level && g_options.level != Level::off; }
void debug(std::string_view message) { write(Level::debug, spdlog::level::debug, "debug", message); }
void info(std::string_view message) { write(Level::info, spdlog::level::info, "info", message); }
void warning(std::string_view message) { write(Level::warning, spdlog::level::warn, "warning", message); }
void error(std::string_view message) { write(Level::error, spdlog::level::err, "error", message); }

}  // namespace bailey::log
