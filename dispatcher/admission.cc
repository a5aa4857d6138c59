#include "dispatcher/admission.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <numeric>

#include "bundle/builder.h"
#include "dispatcher/guards/paths.h"
#include "dispatcher/limits.h"

namespace bailey::dispatcher {

namespace {

constexpr int64_t kCpuPeriodUs = 100'000;

Result<std::string> draw_id() {
  std::array<unsigned char, 16> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return sys_error("getrandom", errno);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id;
  for (const unsigned char byte : bytes) id.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return id;
}

void add_option(bundle::Mount& mount, std::string option) {
  if (std::ranges::find(mount.options, option) == mount.options.end()) mount.options.push_back(std::move(option));
}

// A volume as both backends are to understand it: `ro` means the mounts below it as well (a plain `ro` bind leaves them
// writable), and nothing in it is set-uid or a device.
void complete_volume(bundle::Mount& mount, const OpenedSource& source, const LimitValues& limits) {
  add_option(mount, "nosuid");
  add_option(mount, "nodev");
  if (!is_bind(mount)) {
    if (limits.tmpfs_bytes) add_option(mount, "size=" + std::to_string(*limits.tmpfs_bytes));
    if (limits.tmpfs_inodes) add_option(mount, "nr_inodes=" + std::to_string(*limits.tmpfs_inodes));
    return;
  }
  const auto has = [&](std::string_view option) { return std::ranges::find(mount.options, option) != mount.options.end(); };
  mount.type = "bind";
  mount.source = source.real_path;
  if (!has("bind")) add_option(mount, "rbind");
  if (has("ro") || has("rro")) add_option(mount, "ro"), add_option(mount, "rro");
  if (!has("private")) add_option(mount, "rprivate");
}

// Of an engine's tmpfs that says no size of its own.
void apply_ceilings(bundle::Mount& mount, const LimitValues& limits) {
  const auto says = [&](std::string_view name) {
    return std::ranges::any_of(mount.options, [&](const std::string& option) { return option.starts_with(name); });
  };
  if (limits.tmpfs_bytes && !says("size=")) add_option(mount, "size=" + std::to_string(*limits.tmpfs_bytes));
  if (limits.tmpfs_inodes && !says("nr_inodes=")) add_option(mount, "nr_inodes=" + std::to_string(*limits.tmpfs_inodes));
}

void set_rlimit(bundle::Process& process, const char* type, const std::optional<uint64_t>& value) {
  const bool given = std::ranges::any_of(process.rlimits, [&](const auto& rlimit) { return rlimit.type == type; });
  if (value && !given) process.rlimits.push_back({type, *value, *value});
}

void write_limits(bundle::Config& config, const LimitValues& limits) {
  bundle::Resources& resources = config.linux.resources;
  resources.memory.limit.reset();
  resources.memory.swap.reset();
  if (limits.memory_bytes) {
    resources.memory.limit = static_cast<int64_t>(*limits.memory_bytes);
    if (limits.swap_bytes)
      resources.memory.swap = static_cast<int64_t>(std::min<uint64_t>(*limits.memory_bytes + *limits.swap_bytes, INT64_MAX));
  }
  if (!limits.cpus) {
    resources.cpu.quota.reset();
    resources.cpu.period.reset();
  } else if (resources.cpu.quota.value_or(0) <= 0) {  // one that was asked for keeps its period
    resources.cpu.period = kCpuPeriodUs;
    resources.cpu.quota = std::llround(*limits.cpus * static_cast<double>(kCpuPeriodUs));
  }
  resources.pids_limit.reset();
  if (limits.pids) resources.pids_limit = static_cast<int64_t>(*limits.pids);
  set_rlimit(*config.process, "RLIMIT_NOFILE", limits.open_files);
  set_rlimit(*config.process, "RLIMIT_FSIZE", limits.file_bytes);
}

// Of an engine's configuration: where it says nothing, the ceiling is the limit (guard_limits has refused what is above it).
void write_ceilings(bundle::Resources& resources, const LimitValues& limits) {
  if (limits.memory_bytes && resources.memory.limit.value_or(0) == 0)
    resources.memory.limit = static_cast<int64_t>(*limits.memory_bytes);
  if (limits.pids && resources.pids_limit.value_or(0) == 0) resources.pids_limit = static_cast<int64_t>(*limits.pids);
  if (limits.cpus && resources.cpu.quota.value_or(0) == 0) {
    resources.cpu.period = kCpuPeriodUs;
    resources.cpu.quota = std::llround(*limits.cpus * static_cast<double>(kCpuPeriodUs));
  }
}

// "/in/" is /in, as for other engines. Whatever else is not normalised the guards refuse.
void drop_last_slash(std::string& path) {
  for (const char* part : {"//", "/./", "/../"})
    if (path.ends_with(part)) return;
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
}

// Links of the root that is made of the host's /usr (bundle/host_rootfs.cc). A place has one name, by which the guards judge
// it: /var/run/secrets is where the secrets are.
void follow_links_of_default_root(std::string& path) {
  constexpr std::pair<std::string_view, std::string_view> kLinks[] = {
      {"/var/run", "/run"}, {"/var/lock", "/run"}, {"/var/tmp", "/tmp"}, {"/etc/mtab", "/proc/self/mounts"}};
  for (const auto& [link, target] : kLinks)
    if (is_at_or_below(path, link)) path.replace(0, link.size(), target);
}

// The order in which volumes are mounted: one on a directory before those below it, which it would hide. Otherwise the
// caller's, and always an engine's.
std::vector<size_t> mount_order(const Request& request) {
  const std::vector<bundle::Mount>& mounts = request.config.mounts;
  std::vector<size_t> order(mounts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (request.shape == Shape::complete) return order;
  std::ranges::stable_sort(order, {}, [&](size_t i) { return std::ranges::count(mounts[i].destination, '/'); });
  return order;
}

// What nobody asked for is no reason to fail: only a privileged process may set a limit above the hard one that it runs under
// itself (cron, a service's LimitNOFILE). Asked for, it fails at the start with the numbers (init/encode.cc).
void lower_to_hard_limits(LimitValues& values, const Request& request, const HostFacts& facts) {
  const auto lower = [&](std::string_view name, const std::optional<uint64_t>& hard) {
    const Limit& limit = *find_limit(name);
    const std::optional<uint64_t> value = limit.get(values);
    if (hard && value && *value > *hard && !limit.asked(request)) limit.set(values, hard);
  };
  lower("open_files", facts.hard_open_files);
  lower("file_size", facts.hard_file_bytes);
}

// The whole configuration: the caller's wish, what `run` always has, and the limits in force. An engine's is its own, with the
// limits in force.
bundle::Config complete(const Request& request, const HostFacts& facts, const LimitValues& limits,
                        const std::vector<size_t>& order) {
  bundle::Config config = request.config;
  if (request.shape == Shape::complete) {
    for (size_t i = 0; i < config.mounts.size(); ++i)
      if (is_bind(config.mounts[i])) config.mounts[i].source = facts.volumes[i].real_path;
      else if (config.mounts[i].type == "tmpfs") apply_ceilings(config.mounts[i], limits);
    write_ceilings(config.linux.resources, limits);
    return config;
  }
  if (config.root) config.root->readonly = request.root_writes == Writes::refuse;
  for (size_t i = 0; i < order.size(); ++i) {
    config.mounts[i] = request.config.mounts[order[i]];
    complete_volume(config.mounts[i], facts.volumes[order[i]], limits);
  }
  bundle::add_run_defaults(config, {.tmpfs_bytes = limits.tmpfs_bytes.value_or(0),
                                    .tmpfs_inodes = limits.tmpfs_inodes.value_or(0),
                                    .host_network = request.network == NetworkMode::host,
                                    .secrets = !all_secrets(request, facts).empty()});
  write_limits(config, limits);
  return config;
}

// The guards judged the wish; this looks at what came of it, so that a slip in what is added cannot open an untrusted sandbox.
Verdict check_untrusted(const bundle::Config& config, Shape shape, BackendKind backend) {
  // runsc makes namespaces of its own, and what privileges there are its own kernel gives.
  if (shape == Shape::complete && backend == BackendKind::gvisor) {
    if (config.linux.devices.empty()) return {"invariants", true, "gVisor's own namespaces, no device", {}};
    return {"invariants", false, "the untrusted sandbox would have devices", "leave them out, or a level that you trust"};
  }
  using enum bundle::NamespaceType;
  std::string missing;
  for (const auto& [type, name] : {std::pair{pid, "pid"},
                                   {network, "network"},
                                   {mount, "mount"},
                                   {ipc, "ipc"},
                                   {uts, "uts"},
                                   {user, "user"},
                                   {cgroup, "cgroup"}}) {
    const auto is_new = [type = type](const bundle::Namespace& space) { return space.type == type && space.path.empty(); };
    if (std::ranges::none_of(config.linux.namespaces, is_new)) missing.append(missing.empty() ? "" : ", ").append(name);
  }
  // Bailey adds all of it to a request of `run`.
  const std::string remedy = shape == Shape::run
                                 ? "report this as a bug"
                                 : "an engine's configuration with a new namespace of every type, noNewPrivileges "
                                   "and no capabilities, or a level for code that you trust";
  if (!missing.empty())
    return {"invariants", false, "the untrusted sandbox would share namespaces with the host: " + missing, remedy};
  if (!config.process->no_new_privileges || !config.process->capabilities.empty() || !config.hooks.empty() ||
      !config.linux.devices.empty())
    return {"invariants", false, "the untrusted sandbox would have privileges, hooks or devices", remedy};
  return {"invariants", true, "every namespace is new, no privilege, hook or device", {}};
}

// The sandbox's request as it would be with this command.
Request with_job(const Spec& spec, const JobRequest& wish) {
  Request request = spec.request();
  request.runtime = spec.backend();
  request.awaits_job = false;
  if (!request.config.process) request.config.process.emplace();
  bundle::Process& process = *request.config.process;
  process.args = wish.args;
  for (const std::string& variable : wish.env) {
    const std::string_view name = std::string_view(variable).substr(0, variable.find('=') + 1);
    std::erase_if(process.env, [&](const std::string& old) { return old.starts_with(name); });
    process.env.push_back(variable);
  }
  if (wish.cwd) process.cwd = *wish.cwd;
  if (wish.umask) process.user.umask = wish.umask;
  for (const bundle::Rlimit& limit : wish.rlimits) {
    std::erase_if(process.rlimits, [&](const bundle::Rlimit& old) { return old.type == limit.type; });
    process.rlimits.push_back(limit);
  }
  if (wish.wall_ms) request.limits.wall_ms = wish.wall_ms;
  if (wish.output_bytes) request.limits.output_bytes = wish.output_bytes;
  return request;
}

// A default of the policy that has risen since is none of this sandbox's.
void lower_to_sandbox(std::vector<bundle::Rlimit>& rlimits, const std::vector<bundle::Rlimit>& own) {
  for (bundle::Rlimit& limit : rlimits) {
    const auto found = std::ranges::find(own, limit.type, &bundle::Rlimit::type);
    if (found == own.end()) continue;
    limit.hard = std::min(limit.hard, found->hard);
    limit.soft = std::min(limit.soft, limit.hard);
  }
}

// Rule: the rlimits of a job are not above those of its sandbox, whatever the policy allows by now. Its time and its output are
// its own, within the policy.
Verdict check_within_sandbox(const Spec& spec, const JobRequest& wish) {
  for (const bundle::Rlimit& limit : wish.rlimits) {
    const auto& own = spec.process().rlimits;
    const auto found = std::ranges::find(own, limit.type, &bundle::Rlimit::type);
    if (found != own.end() && limit.hard > found->hard)
      return {"sandbox", false,
              limit.type + " " + std::to_string(limit.hard) + " is above " + std::to_string(found->hard) +
                  ", which its sandbox was made with",
              "ask for no more than that, or make the sandbox with a higher one"};
  }
  return {"sandbox", true, "within the rlimits of " + spec.id(), {}};
}

}  // namespace

Result<Admission::Decision> Admission::judge(Request request, HostFacts facts) const {
  if (facts.volumes.size() != request.config.mounts.size())
    return fail(Fault::failed, "these host facts are not this request's");
  const auto name_once = [&](std::string& place) {
    drop_last_slash(place);
    if (!request.config.root) follow_links_of_default_root(place);
  };
  for (bundle::Mount& mount : request.config.mounts) name_once(mount.destination);
  for (secrets::Request& secret : request.secrets) name_once(secret.destination);
  for (secrets::Request& secret : facts.secret_files) name_once(secret.destination);
  if (request.awaits_job && !request.config.process) request.config.process.emplace();
  Decision decision;
  if (request.id.empty()) request.id = TRY_WITH(draw_id(), "drawing an id");
  decision.id = request.id;
  bool refused = false;
  for (const NamedGuard& guard : guards()) {
    decision.verdicts.push_back(guard.judge(request, policy_, facts));
    refused |= !decision.verdicts.back().allowed;
  }
  const Level* level = find_level(policy_, request.trust);
  const Result<BackendKind> backend = choose_backend(request, policy_);
  if (refused || !level || !backend) return decision;

  Spec spec;
  spec.level_ = *level;
  spec.backend_ = *backend;
  spec.why_backend_ = std::ranges::find(decision.verdicts, "trust", &Verdict::guard)->reason;
  spec.limits_ = resolve_limits(request, *level);
  lower_to_hard_limits(spec.limits_, request, facts);
  spec.bridge_ = policy_.bridge;
  spec.uplink_ = policy_.uplink;
  if (is_filtered(request.network)) {
    const auto egress = resolve_egress(request, *level);
    spec.egress_.assign(egress.begin(), egress.end());
  }
  const std::vector<size_t> order = mount_order(request);
  spec.secrets_ = all_secrets(request, facts);
  spec.config_ = complete(request, facts, spec.limits_, order);
  if (level->untrusted) decision.verdicts.push_back(check_untrusted(spec.config_, request.shape, *backend));
  if (!decision.verdicts.back().allowed) return decision;
  if (!spec.config_.process->args.empty()) decision.job = make_job(*spec.config_.process, spec.limits_, request);
  spec.config_.process->args.clear();
  // The caller's mounts are the last ones (bundle/builder.h).
  spec.source_index_.assign(spec.config_.mounts.size() - order.size(), -1);
  for (const size_t i : order) spec.source_index_.push_back(facts.volumes[i].fd ? static_cast<int>(i) : -1);
  spec.request_ = std::move(request);
  spec.facts_ = std::move(facts);
  spec.verdicts_ = decision.verdicts;
  decision.spec = std::make_shared<const Spec>(std::move(spec));
  return decision;
}

Job Admission::make_job(bundle::Process process, LimitValues limits, const Request& request) {
  Job job(std::move(process), limits);
  job.as_pid_1_ = request.as_pid_1;
  job.wants_unlimited_output_ = request.limits.output_bytes == kUnlimited;
  return job;
}

Admission::JobDecision Admission::judge(const Spec& spec, const JobRequest& wish) const {
  const Request request = with_job(spec, wish);
  JobDecision decision;
  for (const NamedGuard& guard : guards()) decision.verdicts.push_back(guard.judge(request, policy_, spec.facts_));
  decision.verdicts.push_back(check_within_sandbox(spec, wish));
  if (!std::ranges::all_of(decision.verdicts, &Verdict::allowed)) return decision;
  LimitValues limits = resolve_limits(request, *find_level(policy_, request.trust));
  lower_to_hard_limits(limits, request, spec.facts_);
  bundle::Config config = complete(request, spec.facts_, limits, mount_order(request));
  lower_to_sandbox(config.process->rlimits, spec.process().rlimits);
  if (find_level(policy_, request.trust)->untrusted) {
    decision.verdicts.push_back(check_untrusted(config, request.shape, spec.backend()));
    if (!decision.verdicts.back().allowed) return decision;
  }
  decision.job = make_job(std::move(*config.process), limits, request);
  return decision;
}

Error refusal(const std::vector<Verdict>& verdicts) {
  Error error{.message = {}, .remedy = {}, .fault = Fault::refused, .sys = 0, .step = {}};
  for (const Verdict& verdict : verdicts) {
    if (verdict.allowed) continue;
    error.message.append(error.message.empty() ? "refused: " : "; ").append(verdict.reason);
    if (verdict.remedy.empty() || error.remedy.find(verdict.remedy) != std::string::npos) continue;
    error.remedy.append(error.remedy.empty() ? "" : "; ").append(verdict.remedy);
  }
  return error;
}

}  // namespace bailey::dispatcher
