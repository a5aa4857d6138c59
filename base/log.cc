#include "base/log.h"

#include <poll.h>
#include <unistd.h>

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
  if (!enabled(level) || !reader_takes_more()) return;
  try {
    if (g_options.format == Format::json) {
      json::Object line;
      line.set("level", name);
      line.set("msg", message);
      line.set("time", clock::wall_text(clock::wall_ns()));
      logger().log(as, "{}", json::write(std::move(line)));
    } else {
      logger().log(as, "{}", printable(message));
    }
  } catch (const std::exception&) {
    // A closed stderr must not end a sandbox; there is nowhere left to say it.
  }
}

}  // namespace

std::string printable(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  const auto escape = [&](unsigned char byte) {
    out.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7f) {
      escape(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {  // U+0080 to U+009F: terminals obey these too
      escape(byte);
      escape(next);
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

bool reader_takes_more() {
  constexpr int kPatienceMs = 2'000;
  static int patience_ms = kPatienceMs;
  pollfd writable{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&writable, 1, patience_ms) != 0) return true;  // an error too: the write says which
  patience_ms = 0;
  return false;
}

void configure(Options options) { g_options = options; }
bool enabled(Level level) { return level >= g_options.level && g_options.level != Level::off; }
void debug(std::string_view message) { write(Level::debug, spdlog::level::debug, "debug", message); }
void info(std::string_view message) { write(Level::info, spdlog::level::info, "info", message); }
void warning(std::string_view message) { write(Level::warning, spdlog::level::warn, "warning", message); }
void error(std::string_view message) { write(Level::error, spdlog::level::err, "error", message); }

void end_process(std::string_view why) {
  const std::string line = "bailey: " + std::string(why) + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(125);
}

}  // namespace bailey::log
