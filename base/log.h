// The diagnostics log of Bailey itself: one lazy, synchronous spdlog logger on stderr (an asynchronous one costs 2.4 ms of
// a start, measured). Nothing is set up before the first line that passes the level. Never called between clone and exec.
#pragma once

#include <string>
#include <string_view>

namespace bailey::log {

enum class Level { debug, info, warning, error, off };
enum class Format { text, json };

struct Options {
  Level level = Level::warning;
  Format format = Format::text;
};
void configure(Options options);  // once, from main
bool enabled(Level level);

void debug(std::string_view message);
void info(std::string_view message);
void warning(std::string_view message);
void error(std::string_view message);

// A process that could not be itself again (its user, its network namespace) does nothing more as somebody else: one line on
// stderr, exit 125, no destructor. What it leaves is `bailey gc`'s.
[[noreturn]] void end_process(std::string_view why);

// With control characters but the line's end as \xNN: what others named must not command the terminal it is shown on.
std::string printable(std::string_view text);

// Whether stderr takes PIPE_BUF bytes without waiting, now or within a few seconds: a full pipe that nobody reads must not hold
// up a Bailey, its deadline or its exit code. Once it has not, nothing is waited for again.
bool reader_takes_more();

}  // namespace bailey::log
