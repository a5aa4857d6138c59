#include "host/cgroup/settings.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace bailey::host {

namespace {

using Check = CgroupSetting::Check;

constexpr uint64_t kMinShares = 2, kMaxShares = 262144;
constexpr size_t kMaxCpus = 8192;
constexpr const char* kUnlimitedV1 = "4611686018427387904";  // 2^62: v1 shows the largest page count, 2^63 less one page

class Compiler {
 public:
  explicit Compiler(const CgroupMounts& mounts) : mounts_(mounts) {}

  void memory(const bundle::MemoryResources& m);
  void cpu(const bundle::CpuResources& c);
  void cpuset(const bundle::CpuResources& c);
  void block_io(const bundle::BlockIoResources& b);
  void others(const bundle::Resources& r);
  void unified(const std::map<std::string, std::string>& files);
  Result<std::vector<CgroupSetting>> finish();

 private:
  // The hierarchy's version, when there is such a controller; otherwise the limit joins the missing ones.
  const CgroupMounts::Controller* need(const std::string& controller, const char* limit);
  void add(const CgroupMounts::Controller& where, const char* limit, std::string file, std::string value,
           Check check = Check::equal, std::string expected = {});
  void refuse(const char* limit, const std::string& why) { missing_.push_back(std::string(limit) + " (" + why + ")"); }
  void bad(std::string message) { bad_.push_back(std::move(message)); }
  void memory_v1(const CgroupMounts::Controller& where, const bundle::MemoryResources& m);
  void memory_v2(const CgroupMounts::Controller& where, const bundle::MemoryResources& m);
  void cpu_v1(const CgroupMounts::Controller& where, const bundle::CpuResources& c);
  void cpu_v2(const CgroupMounts::Controller& where, const bundle::CpuResources& c);
  void block_io_v1(const CgroupMounts::Controller& where, const bundle::BlockIoResources& b);
  void block_io_v2(const CgroupMounts::Controller& where, const bundle::BlockIoResources& b);

  const CgroupMounts& mounts_;
  std::vector<CgroupSetting> settings_;
  std::vector<std::string> missing_, bad_;
};

const CgroupMounts::Controller* Compiler::need(const std::string& controller, const char* limit) {
  const auto* where = mounts_.find(controller);
  if (!where) refuse(limit, "no " + controller + " controller");
  return where;
}

void Compiler::add(const CgroupMounts::Controller& where, const char* limit, std::string file, std::string value, Check check,
                   std::string expected) {
  if (expected.empty()) expected = value;
  settings_.push_back({limit, where.name, where.v2, std::move(file), std::move(value), check, std::move(expected)});
}

// Absent, unlimited from the start, or a number of bytes.
bool is_set(std::optional<int64_t> value) { return value && *value != 0; }
bool is_limit(std::optional<int64_t> value) { return value && *value > 0; }

void Compiler::memory(const bundle::MemoryResources& m) {
  for (const auto& value : {m.limit, m.reservation, m.swap, m.kernel, m.kernel_tcp})
    if (value && *value < -1) bad("memory " + std::to_string(*value) + ": below -1");
  if (is_limit(m.swap) && !is_limit(m.limit)) bad("a memory and swap limit needs a memory limit");
  if (is_limit(m.swap) && is_limit(m.limit) && *m.swap < *m.limit)
    bad("memory and swap together (" + std::to_string(*m.swap) + ") below memory (" + std::to_string(*m.limit) + ")");
  const bool any = is_set(m.limit) || is_set(m.reservation) || is_set(m.swap) || is_limit(m.kernel) || is_limit(m.kernel_tcp) ||
                   m.swappiness || m.disable_oom_killer.value_or(false) || !m.use_hierarchy.value_or(true);
  if (!any) return;
  const auto* where = need("memory", "memory limit");
  if (!where) return;
  where->v2 ? memory_v2(*where, m) : memory_v1(*where, m);
}

void Compiler::memory_v1(const CgroupMounts::Controller& where, const bundle::MemoryResources& m) {
  auto bytes = [&](std::optional<int64_t> value, const char* limit, const char* file) {
    if (!is_set(value)) return;
    if (*value < 0) add(where, limit, file, "-1", Check::at_least, kUnlimitedV1);
    else add(where, limit, file, std::to_string(*value), Check::pages);
  };
  bytes(m.limit, "memory limit", "memory.limit_in_bytes");
  bytes(m.swap, "swap limit", "memory.memsw.limit_in_bytes");
  if (is_set(m.swap)) settings_.back().swap_only = true;
  bytes(m.reservation, "memory reservation", "memory.soft_limit_in_bytes");
  if (is_limit(m.kernel)) bytes(m.kernel, "kernel memory limit", "memory.kmem.limit_in_bytes");
  // Socket buffers of IP are a count of their own there, with a file that is only named after TCP, and until that file is
  // written they are counted nowhere. cgroup v2 has them in memory.max.
  bytes(is_limit(m.kernel_tcp) ? m.kernel_tcp : m.limit, "limit of socket memory", "memory.kmem.tcp.limit_in_bytes");
  if (m.swappiness) add(where, "swappiness", "memory.swappiness", std::to_string(*m.swappiness));
  if (m.disable_oom_killer.value_or(false))
    add(where, "disabled OOM killer", "memory.oom_control", "1", Check::line, "oom_kill_disable 1");
  if (!m.use_hierarchy.value_or(true)) add(where, "memory without hierarchy", "memory.use_hierarchy", "0");
}

void Compiler::memory_v2(const CgroupMounts::Controller& where, const bundle::MemoryResources& m) {
  auto bytes = [&](int64_t value, const char* limit, const char* file) {
    if (value < 0) add(where, limit, file, "max");
    else add(where, limit, file, std::to_string(value), Check::pages);
  };
  if (is_set(m.limit)) bytes(*m.limit, "memory limit", "memory.max");
  if (is_set(m.swap)) {
    bytes(*m.swap < 0 || !is_limit(m.limit) ? -1 : *m.swap - *m.limit, "swap limit", "memory.swap.max");
    settings_.back().swap_only = true;
  }
  if (is_limit(m.reservation)) bytes(*m.reservation, "memory reservation", "memory.low");
  if (is_limit(m.kernel)) refuse("kernel memory limit", "cgroup v2 has none");
  if (is_limit(m.kernel_tcp)) refuse("TCP memory limit", "cgroup v2 has none");
  if (m.swappiness) refuse("swappiness", "cgroup v2 has none");
  if (m.disable_oom_killer.value_or(false)) refuse("disabled OOM killer", "cgroup v2 has none");
  if (!m.use_hierarchy.value_or(true)) refuse("memory without hierarchy", "cgroup v2 has none");
}

void Compiler::cpu(const bundle::CpuResources& c) {
  if (c.quota && *c.quota < -1) bad("CPU quota " + std::to_string(*c.quota) + ": below -1");
  const bool any = c.shares.value_or(0) || is_set(c.quota) || c.period.value_or(0) || c.burst.value_or(0) ||
                   is_set(c.realtime_runtime) || c.realtime_period.value_or(0) || c.idle.value_or(0);
  if (!any) return;
  const auto* where = need("cpu", "CPU limit");
  if (!where) return;
  where->v2 ? cpu_v2(*where, c) : cpu_v1(*where, c);
}

void Compiler::cpu_v1(const CgroupMounts::Controller& where, const bundle::CpuResources& c) {
  if (c.shares.value_or(0))
    add(where, "CPU shares", "cpu.shares", std::to_string(*c.shares), Check::equal,
        std::to_string(std::clamp(*c.shares, kMinShares, kMaxShares)));
  if (c.period.value_or(0)) add(where, "CPU period", "cpu.cfs_period_us", std::to_string(*c.period));
  if (is_set(c.quota)) add(where, "CPU quota", "cpu.cfs_quota_us", std::to_string(*c.quota));
  if (c.burst.value_or(0)) add(where, "CPU burst", "cpu.cfs_burst_us", std::to_string(*c.burst));
  if (c.realtime_period.value_or(0)) add(where, "real-time period", "cpu.rt_period_us", std::to_string(*c.realtime_period));
  if (is_set(c.realtime_runtime)) add(where, "real-time runtime", "cpu.rt_runtime_us", std::to_string(*c.realtime_runtime));
  if (c.idle.value_or(0)) add(where, "CPU idle", "cpu.idle", std::to_string(*c.idle));
}

void Compiler::cpu_v2(const CgroupMounts::Controller& where, const bundle::CpuResources& c) {
  if (c.shares.value_or(0)) add(where, "CPU shares", "cpu.weight", std::to_string(weight_of_shares(*c.shares)));
  const bool period = c.period.value_or(0) != 0;
  // One number alone keeps the period (Documentation/admin-guide/cgroup-v2.rst); a period alone would lift
  // the quota.
  if (is_set(c.quota) || period) {
    if (!is_set(c.quota)) return bad("on cgroup v2 a CPU period needs a quota");
    std::string value = *c.quota < 0 ? "max" : std::to_string(*c.quota);
    if (period) value += " " + std::to_string(*c.period);
    add(where, "CPU quota", "cpu.max", value, Check::line, value);
  }
  if (c.burst.value_or(0)) add(where, "CPU burst", "cpu.max.burst", std::to_string(*c.burst));
  if (is_set(c.realtime_runtime) || c.realtime_period.value_or(0)) refuse("real-time CPU limit", "cgroup v2 has none");
  if (c.idle.value_or(0)) add(where, "CPU idle", "cpu.idle", std::to_string(*c.idle));
}

void Compiler::cpuset(const bundle::CpuResources& c) {
  if (c.cpus.empty() && c.mems.empty()) return;
  const auto* where = need("cpuset", "CPU set");
  if (!where) return;
  auto list = [&](const std::string& value, const char* limit, const char* file) {
    if (value.empty()) return;
    if (parse_cpu_list(value).empty()) return bad(std::string(limit) + " '" + value + "' is not a list such as 0-2,7");
    add(*where, limit, file, value, Check::cpu_list);
    // v2 takes any list and quietly uses what of it exists; the second setting is only read.
    if (where->v2) add(*where, limit, std::string(file) + ".effective", "", Check::cpu_list, value);
  };
  list(c.cpus, "CPU set", "cpuset.cpus");
  list(c.mems, "memory node set", "cpuset.mems");
}

std::string device(int64_t major, int64_t minor) { return std::to_string(major) + ":" + std::to_string(minor); }

void Compiler::block_io(const bundle::BlockIoResources& b) {
  const bool any = b.weight.value_or(0) || b.leaf_weight.value_or(0) || !b.weight_device.empty() || !b.read_bps.empty() ||
                   !b.write_bps.empty() || !b.read_iops.empty() || !b.write_iops.empty();
  if (!any) return;
  if (mounts_.find("io")) return block_io_v2(*mounts_.find("io"), b);
  if (const auto* where = need("blkio", "block I/O limit")) block_io_v1(*where, b);
}

void Compiler::block_io_v1(const CgroupMounts::Controller& where, const bundle::BlockIoResources& b) {
  // BFQ is the scheduler that honours weights since CFQ went away (Linux 5.0), and with it blkio.weight and
  // leaf weights.
  if (b.leaf_weight.value_or(0)) refuse("block I/O leaf weight", "gone since Linux 5.0");
  if (b.weight.value_or(0)) add(where, "block I/O weight", "blkio.bfq.weight", std::to_string(*b.weight));
  for (const auto& w : b.weight_device) {
    if (w.leaf_weight.value_or(0)) refuse("block I/O leaf weight", "gone since Linux 5.0");
    const std::string value = device(w.major, w.minor) + " " + std::to_string(w.weight.value_or(0));
    if (w.weight.value_or(0)) add(where, "block I/O device weight", "blkio.bfq.weight_device", value, Check::line, value);
  }
  auto throttle = [&](const std::vector<bundle::BlockIoThrottle>& rules, const char* file) {
    for (const auto& rule : rules) {
      const std::string value = device(rule.major, rule.minor) + " " + std::to_string(rule.rate);
      add(where, "block I/O rate", file, value, rule.rate ? Check::line : Check::none, value);
    }
  };
  throttle(b.read_bps, "blkio.throttle.read_bps_device");
  throttle(b.write_bps, "blkio.throttle.write_bps_device");
  throttle(b.read_iops, "blkio.throttle.read_iops_device");
  throttle(b.write_iops, "blkio.throttle.write_iops_device");
}

void Compiler::block_io_v2(const CgroupMounts::Controller& where, const bundle::BlockIoResources& b) {
  if (b.leaf_weight.value_or(0)) refuse("block I/O leaf weight", "cgroup v2 has none");
  // BFQ's own file keeps OCI's scale (10..1000 of v1, 1..1000 here).
  if (b.weight.value_or(0)) {
    const std::string value = "default " + std::to_string(*b.weight);
    add(where, "block I/O weight", "io.bfq.weight", std::to_string(*b.weight), Check::line, value);
  }
  for (const auto& w : b.weight_device) {
    if (w.leaf_weight.value_or(0)) refuse("block I/O leaf weight", "cgroup v2 has none");
    const std::string value = device(w.major, w.minor) + " " + std::to_string(w.weight.value_or(0));
    if (w.weight.value_or(0)) add(where, "block I/O device weight", "io.bfq.weight", value, Check::line, value);
  }
  auto throttle = [&](const std::vector<bundle::BlockIoThrottle>& rules, const char* key) {
    for (const auto& rule : rules) {
      const std::string value =
          device(rule.major, rule.minor) + " " + key + "=" + (rule.rate ? std::to_string(rule.rate) : "max");
      add(where, "block I/O rate", "io.max", value, rule.rate ? Check::line : Check::none, value);
    }
  };
  throttle(b.read_bps, "rbps");
  throttle(b.write_bps, "wbps");
  throttle(b.read_iops, "riops");
  throttle(b.write_iops, "wiops");
}

void Compiler::others(const bundle::Resources& r) {
  if (r.pids_limit && *r.pids_limit != 0) {
    // Every negative number means unlimited to OCI clients, which is what a new cgroup has.
    const std::string value = *r.pids_limit < 0 ? "max" : std::to_string(*r.pids_limit);
    const auto* where = *r.pids_limit < 0 ? mounts_.find("pids") : need("pids", "process limit");
    if (where) add(*where, "process limit", "pids.max", value);
  }
  for (const auto& h : r.hugepage_limits) {
    if (h.page_size.empty() || h.page_size.find_first_not_of("0123456789KMGB") != std::string::npos) {
      bad("huge page size '" + h.page_size + "' is not one such as 2MB");
      continue;
    }
    if (const auto* where = need("hugetlb", "huge page limit"))
      add(*where, "huge page limit", "hugetlb." + h.page_size + (where->v2 ? ".max" : ".limit_in_bytes"),
          std::to_string(h.limit), Check::pages);
  }
  if (r.network.class_id.value_or(0)) {
    if (const auto* where = need("net_cls", "network class"))
      add(*where, "network class", "net_cls.classid", std::to_string(*r.network.class_id));
  }
  for (const auto& p : r.network.priorities) {
    const std::string value = p.name + " " + std::to_string(p.priority);
    if (const auto* where = need("net_prio", "network priority"))
      add(*where, "network priority", "net_prio.ifpriomap", value, Check::line, value);
  }
  for (const auto& [name, limit] : r.rdma) {
    std::string value = name;
    if (limit.hca_handles) value += " hca_handle=" + std::to_string(*limit.hca_handles);
    if (limit.hca_objects) value += " hca_object=" + std::to_string(*limit.hca_objects);
    if (const auto* where = need("rdma", "RDMA limit")) add(*where, "RDMA limit", "rdma.max", value, Check::line, value);
  }
}

void Compiler::unified(const std::map<std::string, std::string>& files) {
  for (const auto& [file, value] : files) {
    const std::string controller = file.substr(0, file.find('.'));
    // cgroup.* moves, kills and delegates: no limit, and not the caller's.
    if (file.find('/') != std::string::npos || controller == file || controller == "cgroup" || controller.empty()) {
      bad("unified resource '" + file + "' is not the file of a controller");
      continue;
    }
    const auto* where = mounts_.find(controller);
    if (!where || !where->v2) refuse(file.c_str(), "no " + controller + " controller on cgroup v2");
    else add(*where, file.c_str(), file, value, Check::none);
  }
}

Result<std::vector<CgroupSetting>> Compiler::finish() {
  auto join = [](const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text.append(text.empty() ? "" : "; ").append(part);
    return text;
  };
  if (!bad_.empty()) return fail(Fault::bad_input, join(bad_));
  if (!missing_.empty())
    return fail(Fault::unavailable, "this host cannot enforce: " + join(missing_),
                mounts_.missing_remedy.empty() ? std::string("mount or enable the controller (cgroup layout here: ") +
                                                     to_text(mounts_.layout) + "), or run without that limit"
                                               : mounts_.missing_remedy);
  return std::move(settings_);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text;
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool line_holds(std::string_view expected, std::string_view read_back) {
  const auto wanted = split(expected, ' ');
  for (std::string_view line : split(read_back, '\n')) {
    const auto words = split(line, ' ');
    if (words.empty() || words.front() != wanted.front()) continue;
    if (std::ranges::all_of(wanted, [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); }))
      return true;
  }
  return false;
}

}  // namespace

std::vector<bool> parse_cpu_list(std::string_view text) {
  std::vector<bool> set;
  for (std::string_view range : split(trimmed(text), ',')) {
    const size_t dash = range.find('-');
    const auto first = number(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(range.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= kMaxCpus) return {};
    if (set.size() <= *last) set.resize(*last + 1);
    std::fill(set.begin() + static_cast<long>(*first), set.begin() + static_cast<long>(*last) + 1, true);
  }
  return set;
}

uint64_t weight_of_shares(uint64_t shares) {
  // The parabola through (2, 1), (1024, 100), (262144, 10000) on logarithmic axes: least, ordinary and most
  // on both scales.
  const double x = std::log2(static_cast<double>(std::clamp(shares, kMinShares, kMaxShares)));
  const double y = (x - 1) * (2.0 / 9 + (x - 10) * ((2.0 / 8 - 2.0 / 9) / 17));
  return static_cast<uint64_t>(std::lround(std::pow(10.0, y)));
}

bool holds(const CgroupSetting& setting, std::string_view read_back) {
  const std::string_view text = trimmed(read_back);
  switch (setting.check) {
    case Check::none: return true;
    case Check::equal: return text == setting.expected;
    case Check::cpu_list: return parse_cpu_list(text) == parse_cpu_list(setting.expected);
    case Check::line: return line_holds(setting.expected, text);
    case Check::pages:
    case Check::at_least: break;
  }
  const auto wanted = number(setting.expected), found = number(text);
  if (!wanted || !found) return false;
  if (setting.check == Check::at_least) return *found >= *wanted;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return *found == *wanted / page * page;
}

Result<std::vector<CgroupSetting>> compile_cgroup_settings(const CgroupMounts& mounts, const bundle::Resources& resources) {
  Compiler compiler(mounts);
  compiler.memory(resources.memory);
  compiler.others(resources);
  compiler.cpu(resources.cpu);
  compiler.cpuset(resources.cpu);
  compiler.block_io(resources.block_io);
  compiler.unified(resources.unified);
  return compiler.finish();
}

}  // namespace bailey::host
