#include "base/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace bailey::units {

namespace {

constexpr size_t kMaxNameLength = 64;
constexpr double kMaxCpus = 8192;
constexpr double kMaxSeconds = 10.0 * 365 * 24 * 3600;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::unexpected<Error> bad(std::string_view text, std::string_view wanted, std::string_view example) {
  return fail(Fault::bad_input, "'" + std::string(text) + "' is not " + std::string(wanted), "write " + std::string(example));
}

// Splits "1.5GiB" into 1.5 and "gib". No sign, no exponent, no hex: from_chars fixed and a leading digit see to that.
bool split(std::string_view text, double& number, std::string& unit) {
  if (text.empty() || !is_digit(text.front())) return false;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(number)) return false;
  unit.assign(rest, text.data() + text.size());
  std::ranges::transform(unit, unit.begin(), lower);
  return true;
}

}  // namespace

Result<uint64_t> parse_unsigned(std::string_view text) {
  uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || rest != text.data() + text.size()) return bad(text, "a number", "decimal digits");
  return value;
}

Result<uint64_t> parse_bytes(std::string_view text) {
  constexpr std::string_view kWanted = "a size", kExample = "one such as 4096, 64K, 256M or 1G";
  double number = 0;
  std::string unit;
  if (!split(text, number, unit)) return bad(text, kWanted, kExample);
  if (unit.ends_with("ib")) unit.resize(unit.size() - 2);
  else if (unit.ends_with('b')) unit.pop_back();
  constexpr std::string_view kPrefixes = "kmgtp";
  double scale = 1;
  if (!unit.empty()) {
    const size_t power = kPrefixes.find(unit.front());
    if (unit.size() != 1 || power == std::string_view::npos) return bad(text, kWanted, kExample);
    scale = std::pow(1024.0, static_cast<double>(power + 1));
  }
  const double bytes = number * scale;
  if (bytes >= 9.2e18) return bad(text, "a size below 8 EiB", kExample);
  return static_cast<uint64_t>(bytes);
}

Result<int64_t> parse_milliseconds(std::string_view text) {
  constexpr std::string_view kWanted = "a time", kExample = "one such as 10, 0.5, 500ms, 10s, 2m or 1h";
  double number = 0;
  std::string unit;
  if (!split(text, number, unit)) return bad(text, kWanted, kExample);
  double seconds = 0;
  if (unit == "ms") seconds = number / 1000;
  else if (unit.empty() || unit == "s") seconds = number;
  else if (unit == "m") seconds = number * 60;
  else if (unit == "h") seconds = number * 3600;
  else return bad(text, kWanted, kExample);
  if (seconds > kMaxSeconds) return bad(text, "a time below ten years", kExample);
  const auto ms = static_cast<int64_t>(std::llround(seconds * 1000));
  if (ms <= 0) return bad(text, "more than zero", kExample);
  return ms;
}

Result<double> parse_cpus(std::string_view text) {
  double number = 0;
  std::string unit;
  if (!split(text, number, unit) || !unit.empty() || number <= 0 || number > kMaxCpus)
    return bad(text, "a number of CPUs", "one such as 0.5 or 2");
  return number;
}

std::string format_bytes(uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) value /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, value == std::floor(value) ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string format_milliseconds(int64_t ms) {
  if (ms % 1000 != 0 || ms == 0) return std::to_string(ms) + "ms";
  const int64_t seconds = ms / 1000;
  if (seconds < 60) return std::to_string(seconds) + "s";
  std::string text = std::to_string(seconds / 60) + "m";
  if (seconds % 60) text += std::to_string(seconds % 60) + "s";
  return text;
}

Result<> check_name(std::string_view what, std::string_view name) {
  const auto allowed = [](char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || c == '.' || c == '+' || c == '-';
  };
  const bool good_start = !name.empty() && name.front() != '.' && name.front() != '+' && name.front() != '-';
  if (good_start && name.size() <= kMaxNameLength && std::ranges::all_of(name, allowed)) return {};
  return fail(Fault::bad_input, std::string(what) + " '" + std::string(name.substr(0, 80)) + "' is not a name",
              "use 1 to 64 of a-z A-Z 0-9 _ . + -, the first a letter, a digit or _");
}

}  // namespace bailey::units
