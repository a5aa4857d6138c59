#include "oci/signals.h"

#include <signal.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>

#include "base/units.h"

namespace bailey::oci {

namespace {

constexpr int kLastSignal = 64;

std::optional<int> real_time(std::string_view name) {
  const bool from_least = name.starts_with("RTMIN"), from_most = name.starts_with("RTMAX");
  if (!from_least && !from_most) return std::nullopt;
  const int base = from_least ? SIGRTMIN : SIGRTMAX;
  name.remove_prefix(5);
  if (name.empty()) return base;
  const auto distance = units::parse_unsigned(name.substr(1));
  if (name[0] != (from_least ? '+' : '-') || !distance || *distance > 30) return std::nullopt;
  return from_least ? base + static_cast<int>(*distance) : base - static_cast<int>(*distance);
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  const auto unknown = fail(Fault::bad_input, "unknown signal \"" + std::string(text) + "\"",
                            "a number from 1 to 64, or a name such as TERM or SIGTERM");
  if (const auto number = units::parse_unsigned(text)) {
    if (*number == 0 || *number > kLastSignal) return unknown;
    return static_cast<int>(*number);
  }
  std::string name(text);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (name.starts_with("SIG")) name.erase(0, 3);
  if (const auto found = real_time(name)) return *found;
  for (int number = 1; number < SIGRTMIN; ++number)
    if (const char* known = ::sigabbrev_np(number); known && name == known) return number;
  constexpr std::pair<std::string_view, int> kOtherNames[] = {{"IOT", SIGABRT}, {"CLD", SIGCHLD}, {"POLL", SIGIO}};
  for (const auto& [other, number] : kOtherNames)
    if (other == name) return number;
  return unknown;
}

}  // namespace bailey::oci
