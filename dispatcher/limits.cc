#include "dispatcher/limits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/units.h"

namespace bailey::dispatcher {

namespace {

constexpr double kCpuScale = 1e6;               // a CPU in the table's unit
constexpr uint64_t kDefaultPeriodUs = 100'000;  // the kernel's, where a configuration gives a quota without a period
constexpr uint64_t kMaxMicroCpus = 8192ULL * 1'000'000;

// LimitValues: each member as the table's number.
template <auto Member>
std::optional<uint64_t> get(const LimitValues& values) {
  const auto& value = values.*Member;
  if (!value) return std::nullopt;
  if constexpr (std::is_same_v<decltype(value), const std::optional<double>&>)
    return static_cast<uint64_t>(std::llround(*value * kCpuScale));
  else return static_cast<uint64_t>(*value);
}

template <auto Member>
void set(LimitValues& values, std::optional<uint64_t> value) {
  auto& member = values.*Member;
  using Number = typename std::remove_reference_t<decltype(member)>::value_type;
  if (!value) member.reset();
  else if constexpr (std::is_same_v<Number, double>) member = static_cast<double>(*value) / kCpuScale;
  else member = static_cast<Number>(*value);
}

// RunLimits: members of the request itself.
template <auto Member>
std::optional<uint64_t> asked_run(const Request& request) {
  const auto& value = request.limits.*Member;
  if (!value) return std::nullopt;
  return std::cmp_less(*value, 0) ? kUnlimited : static_cast<uint64_t>(*value);
}

template <auto Member>
void ask_run(Request& request, uint64_t value) {
  auto& member = request.limits.*Member;
  member = static_cast<typename std::remove_reference_t<decltype(member)>::value_type>(value);
}

// OCI says -1 (any negative number) for unlimited.
uint64_t from_oci(int64_t value) { return value < 0 ? kUnlimited : static_cast<uint64_t>(value); }
int64_t to_oci(uint64_t value) { return value > INT64_MAX ? -1 : static_cast<int64_t>(value); }

std::optional<uint64_t> asked_memory(const Request& request) {
  if (const auto& limit = request.config.linux.resources.memory.limit) return from_oci(*limit);
  return std::nullopt;
}
void ask_memory(Request& request, uint64_t value) { request.config.linux.resources.memory.limit = to_oci(value); }

// The configuration's `swap` is memory and swap together.
std::optional<uint64_t> asked_swap(const Request& request) {
  if (request.limits.swap_bytes) return request.limits.swap_bytes;
  const auto& memory = request.config.linux.resources.memory;
  if (!memory.swap || !memory.limit) return std::nullopt;
  if (*memory.swap < 0 || *memory.limit < 0) return kUnlimited;
  return static_cast<uint64_t>(std::max<int64_t>(0, *memory.swap - *memory.limit));
}

std::optional<uint64_t> asked_cpus(const Request& request) {
  const auto& cpu = request.config.linux.resources.cpu;
  if (!cpu.quota || *cpu.quota == 0) return std::nullopt;  // engines write 0 for "not set"
  if (*cpu.quota < 0) return kUnlimited;
  const uint64_t period = cpu.period.value_or(0) ? *cpu.period : kDefaultPeriodUs;
  const double cpus = static_cast<double>(*cpu.quota) / static_cast<double>(period);
  return std::min(static_cast<uint64_t>(std::llround(std::min(cpus, 1e9) * kCpuScale)), kUnlimited - 1);
}
void ask_cpus(Request& request, uint64_t value) {
  auto& cpu = request.config.linux.resources.cpu;
  cpu.period = kDefaultPeriodUs;
  cpu.quota = value == kUnlimited ? -1 : static_cast<int64_t>(value / (1'000'000 / kDefaultPeriodUs));
}

std::optional<uint64_t> asked_pids(const Request& request) {
  const auto& pids = request.config.linux.resources.pids_limit;
  if (!pids || *pids == 0) return std::nullopt;  // engines write 0 for "not set"
  return from_oci(*pids);
}
void ask_pids(Request& request, uint64_t value) { request.config.linux.resources.pids_limit = to_oci(value); }

constexpr std::string_view kOpenFiles = "RLIMIT_NOFILE";
constexpr std::string_view kFileSize = "RLIMIT_FSIZE";

std::optional<uint64_t> asked_rlimit(const Request& request, std::string_view type) {
  if (!request.config.process) return std::nullopt;
  std::optional<uint64_t> value;
  for (const bundle::Rlimit& rlimit : request.config.process->rlimits)
    if (rlimit.type == type) value = std::max({value.value_or(0), rlimit.soft, rlimit.hard});
  return value;
}
void ask_rlimit(Request& request, std::string_view type, uint64_t value) {
  if (!request.config.process) request.config.process.emplace();
  auto& rlimits = request.config.process->rlimits;
  std::erase_if(rlimits, [&](const bundle::Rlimit& rlimit) { return rlimit.type == type; });
  rlimits.push_back({std::string(type), value, value});
}

constexpr uint64_t kMiB = 1 << 20;

constexpr std::array kLimits = {
    Limit{"memory", "--memory", "memory, page cache and tmpfs included", LimitUnit::bytes, 4 * kMiB,
          get<&LimitValues::memory_bytes>, set<&LimitValues::memory_bytes>, asked_memory, ask_memory, true,
          "linux.resources.memory.limit"},
    Limit{"swap", "--swap", "swap beyond the memory limit", LimitUnit::bytes, 0, get<&LimitValues::swap_bytes>,
          set<&LimitValues::swap_bytes>, asked_swap, ask_run<&RunLimits::swap_bytes>},
    // The kernel takes no quota below 1 ms in a period of 100 ms.
    Limit{"cpus", "--cpus", "CPU time, in CPUs", LimitUnit::cpus, 10'000, get<&LimitValues::cpus>, set<&LimitValues::cpus>,
          asked_cpus, ask_cpus, true, "linux.resources.cpu.quota"},
    Limit{"pids", "--pids", "processes and threads, the sandbox's PID 1 included", LimitUnit::count, 2, get<&LimitValues::pids>,
          set<&LimitValues::pids>, asked_pids, ask_pids, true, "linux.resources.pids.limit"},
    Limit{"timeout", "--timeout", "wall time until everything is killed", LimitUnit::milliseconds, 1,
          get<&LimitValues::wall_ms>, set<&LimitValues::wall_ms>, asked_run<&RunLimits::wall_ms>, ask_run<&RunLimits::wall_ms>},
    Limit{"output", "--output-limit", "stdout and stderr together", LimitUnit::bytes, 0, get<&LimitValues::output_bytes>,
          set<&LimitValues::output_bytes>, asked_run<&RunLimits::output_bytes>, ask_run<&RunLimits::output_bytes>},
    // mount(2) takes size=0 and nr_inodes=0 for "unlimited".
    Limit{"tmpfs", "--tmpfs-size", "each of /tmp, the home and the other in-memory file systems", LimitUnit::bytes, 4096,
          get<&LimitValues::tmpfs_bytes>, set<&LimitValues::tmpfs_bytes>, asked_run<&RunLimits::tmpfs_bytes>,
          ask_run<&RunLimits::tmpfs_bytes>},
    Limit{"tmpfs_inodes", "--tmpfs-inodes", "files and directories in each of them", LimitUnit::count, 16,
          get<&LimitValues::tmpfs_inodes>, set<&LimitValues::tmpfs_inodes>, asked_run<&RunLimits::tmpfs_inodes>,
          ask_run<&RunLimits::tmpfs_inodes>},
    Limit{"open_files", "--open-files", "open descriptors of each process", LimitUnit::count, 16, get<&LimitValues::open_files>,
          set<&LimitValues::open_files>, [](const Request& request) { return asked_rlimit(request, kOpenFiles); },
          [](Request& request, uint64_t value) { ask_rlimit(request, kOpenFiles, value); }, false,
          "process.rlimits (RLIMIT_NOFILE)"},
    Limit{"file_size", "--file-size", "any one file that is written", LimitUnit::bytes, 0, get<&LimitValues::file_bytes>,
          set<&LimitValues::file_bytes>, [](const Request& request) { return asked_rlimit(request, kFileSize); },
          [](Request& request, uint64_t value) { ask_rlimit(request, kFileSize, value); }, false,
          "process.rlimits (RLIMIT_FSIZE)"},
    // Below a full segment's worth a second nothing passes.
    Limit{"network_rate", "--network-rate", "bytes a second on the bridge, each way", LimitUnit::bytes, 64 << 10,
          get<&LimitValues::network_rate_bytes>, set<&LimitValues::network_rate_bytes>,
          asked_run<&RunLimits::network_rate_bytes>, ask_run<&RunLimits::network_rate_bytes>},
    Limit{"network_connections", "--network-connections",
          "connections beyond the bridge, or to others of a shared one, at one time", LimitUnit::count, 1,
          get<&LimitValues::network_connections>, set<&LimitValues::network_connections>,
          asked_run<&RunLimits::network_connections>, ask_run<&RunLimits::network_connections>},
};

std::string format_exact_bytes(uint64_t bytes) {
  constexpr std::string_view kPrefixes = "KMGTP";
  std::string unit;
  for (const char prefix : kPrefixes) {
    if (bytes == 0 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = prefix;
  }
  return std::to_string(bytes) + unit;
}

std::string format_exact_ms(uint64_t ms) {
  if (ms % 1000) return std::to_string(ms) + "ms";
  if (ms % 60'000 || ms == 0) return std::to_string(ms / 1000) + "s";
  if (ms % 3'600'000) return std::to_string(ms / 60'000) + "m";
  return std::to_string(ms / 3'600'000) + "h";
}

std::string format_cpus(uint64_t micro) {
  std::string text = std::to_string(micro / 1'000'000);
  if (micro % 1'000'000 == 0) return text;
  std::string fraction = std::to_string(1'000'000 + micro % 1'000'000).substr(1);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return text + "." + fraction;
}

}  // namespace

std::span<const Limit> limits() { return kLimits; }

const Limit* find_limit(std::string_view name) {
  const auto found = std::ranges::find(kLimits, name, &Limit::name);
  return found == kLimits.end() ? nullptr : &*found;
}

Result<uint64_t> parse_limit(const Limit& limit, std::string_view text) {
  if (text == "unlimited") return kUnlimited;
  switch (limit.unit) {
    case LimitUnit::bytes: return units::parse_bytes(text);
    case LimitUnit::count: {
      const uint64_t count = TRY(units::parse_unsigned(text));
      if (count > INT64_MAX)
        return fail(Fault::bad_input, "'" + std::string(text) + "' is too big a number", "write 9223372036854775807 or less");
      return count;
    }
    case LimitUnit::milliseconds: return static_cast<uint64_t>(TRY(units::parse_milliseconds(text)));
    case LimitUnit::cpus: {
      const double cpus = TRY(units::parse_cpus(text));
      return std::clamp<uint64_t>(static_cast<uint64_t>(std::llround(cpus * kCpuScale)), 1, kMaxMicroCpus);
    }
  }
  return fail(Fault::failed, "limit '" + std::string(limit.name) + "' has no unit");
}

std::string format_limit(const Limit& limit, uint64_t value) {
  if (value == kUnlimited) return "unlimited";
  switch (limit.unit) {
    case LimitUnit::bytes: return format_exact_bytes(value);
    case LimitUnit::count: return std::to_string(value);
    case LimitUnit::milliseconds: return format_exact_ms(value);
    case LimitUnit::cpus: return format_cpus(value);
  }
  return {};
}

std::optional<uint64_t> decode_limit(json::Decoder& decoder, const json::Value& value, const std::string& path,
                                     const Limit& limit) {
  std::string text;
  if (const auto* given = value.as<std::string>()) text = *given;
  else if (value.as<int64_t>() || value.as<uint64_t>() || value.as<double>()) text = json::write(value);
  else {
    decoder.add({value.line, path, std::string("expected a string or a number, found ") + value.type_name()});
    return std::nullopt;
  }
  const Result<uint64_t> number = parse_limit(limit, text);
  if (number) return *number;
  decoder.add({value.line, path, number.error().message + "; " + number.error().remedy});
  return std::nullopt;
}

json::Value encode_limit(const Limit& limit, std::optional<uint64_t> value) {
  const uint64_t number = value.value_or(kUnlimited);
  if (number == kUnlimited) return "unlimited";
  if (limit.unit == LimitUnit::count) return number;
  if (limit.unit == LimitUnit::cpus) return static_cast<double>(number) / kCpuScale;
  return format_limit(limit, number);
}

LimitValues resolve_limits(const Request& request, const Level& level) {
  LimitValues values;
  for (const Limit& limit : limits()) {
    if (request.shape == Shape::complete && !limit.for_engines) continue;
    std::optional<uint64_t> value = limit.asked(request);
    if (!value && request.shape == Shape::run) value = limit.get(level.defaults);
    if (!value) value = limit.get(level.ceilings);  // a ceiling without a default is the default
    limit.set(values, value == kUnlimited ? std::nullopt : value);
  }
  // Without a memory limit there is nothing that swap could be beyond of; asking for it is refused (guard_limits).
  if (!values.memory_bytes) values.swap_bytes.reset();
  return values;
}

}  // namespace bailey::dispatcher
