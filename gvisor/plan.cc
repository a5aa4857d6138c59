#include "gvisor/plan.h"

#include <algorithm>
#include <array>

#include "bundle/writer.h"
#include "gvisor/arguments.h"
#include "init/encode.h"
#include "secrets/request.h"

namespace bailey::gvisor {

namespace {

using dispatcher::Spec;

constexpr uint64_t kSentryMemory = 64u << 20;  // docs/gvisor.md, "Limits": what sentry, gofer and stubs hold besides the workload
constexpr int64_t kPidsFactor = 4;             // host threads per guest process (systrap), measured
constexpr int64_t kPidsOfSentry = 64;

bool has_option(const bundle::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

bool is_bind(const bundle::Mount& mount) {
  return mount.type == "bind" || has_option(mount, "bind") || has_option(mount, "rbind");
}

// runsc makes /dev, /dev/pts and /sys itself, of its own kernel's, and has no message queues.
bool made_by_runsc(const bundle::Mount& mount) {
  return mount.destination == "/dev" || mount.destination == "/dev/pts" || mount.type == "mqueue";
}

// gVisor's tmpfs knows these; nr_inodes it ignores: its inodes are the sandbox's memory (docs/gvisor.md).
std::vector<std::string> tmpfs_options(const bundle::Mount& mount) {
  std::vector<std::string> kept;
  for (const std::string& option : mount.options)
    if (!option.starts_with("nr_inodes=") && !option.starts_with("nr_blocks=")) kept.push_back(option);
  return kept;
}

std::vector<std::string> bind_options(const bundle::Mount& mount) {
  std::vector<std::string> kept{"rbind", has_option(mount, "ro") || has_option(mount, "rro") ? "ro" : "rw"};
  for (const char* flag : {"nosuid", "nodev", "noexec"})
    if (has_option(mount, flag)) kept.emplace_back(flag);
  return kept;
}

void add_mount(Plan& plan, const bundle::Mount& mount, size_t index) {
  if (made_by_runsc(mount)) return;
  bundle::Mount out;
  out.destination = mount.destination;
  if (is_bind(mount)) {
    const std::string source = "volumes/" + std::to_string(index);
    out.type = "bind";
    out.source = "/" + source;
    out.options = bind_options(mount);
    plan.binds.push_back({Bind::From::volume, index, source, out.options[1] == "ro"});
  } else {
    out.type = out.source = mount.type;
    out.options = tmpfs_options(mount);
  }
  plan.config.mounts.push_back(std::move(out));
}

void add_secrets(Plan& plan, const Spec& spec) {
  if (spec.secrets().empty()) return;
  plan.binds.push_back({Bind::From::secrets, 0, "secrets", true});
  const std::vector<std::string> options{"rbind", "ro", "nosuid", "nodev", "noexec"};
  plan.config.mounts.push_back({secrets::kDirectory, "bind", "/secrets", options, {}, {}});
  for (const secrets::Request& secret : spec.secrets())
    if (!secret.destination.empty())
      plan.config.mounts.push_back({secret.destination, "bind", "/secrets/" + secret.name, options, {}, {}});
}

// Limits whose default hard value gVisor sets low: only runsc may raise them, so they stand in config.json as well. The others
// reach the workload through init and leave init itself alone (a RLIMIT_NOFILE of 3 is legal).
bool raised_by_runsc(std::string_view type) {
  constexpr std::array kRaised = {"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_SIGPENDING"};
  return std::ranges::find(kRaised, type) != kRaised.end();
}

// The pids limit as the workload meets it: gVisor enforces RLIMIT_NPROC for a user without CAP_SYS_RESOURCE, uid 0 included,
// over the whole sandbox. The host's pids cgroup counts the sentry's threads and cannot serve (docs/gvisor.md, "Limits").
std::vector<bundle::Rlimit> workload_limits(const Spec& spec) {
  std::vector<bundle::Rlimit> limits = spec.process().rlimits;
  const std::optional<int64_t> pids = spec.config().linux.resources.pids_limit;
  if (!pids || *pids <= 0) return limits;
  const uint64_t most = static_cast<uint64_t>(*pids);
  const auto asked = std::ranges::find(limits, "RLIMIT_NPROC", &bundle::Rlimit::type);
  if (asked == limits.end()) limits.push_back({"RLIMIT_NPROC", most, most});
  else *asked = {"RLIMIT_NPROC", std::min(asked->soft, most), std::min(asked->hard, most)};
  return limits;
}

bundle::Process init_process(const Spec& spec, const Plan& plan, const std::vector<bundle::Rlimit>& limits) {
  bundle::Process init;
  init.args = {kInitPath};
  if (plan.channel_directory) init.args.emplace_back(kChannelInside);
  else init.args.insert(init.args.end(), {std::to_string(kJobFd), std::to_string(kReportFd)});
  init.user = spec.process().user;
  init.user.umask.reset();  // travels with the job: old builds ignore it here
  init.terminal = plan.terminal;
  init.console_size = spec.process().console_size;
  init.no_new_privileges = true;
  std::ranges::copy_if(limits, std::back_inserter(init.rlimits), [](const auto& limit) { return raised_by_runsc(limit.type); });
  return init;
}

}  // namespace

Result<Plan> compile_plan(const Spec& spec, const PlanInputs& inputs) {
  TRY(check_plan(spec, *inputs.traits));
  Plan plan;
  plan.runsc_id = inputs.runsc_id;
  plan.terminal = spec.process().terminal;
  plan.channel_directory = !inputs.traits->passes_fds();
  plan.spare_fd = inputs.traits->has_flag("directfs");
  plan.oom_score_adj = spec.process().oom_score_adj;

  const std::vector<bundle::Rlimit> limits = workload_limits(spec);
  bundle::Process job = spec.process();
  job.rlimits = limits;
  plan.job = TRY(init::encode_job(job, init::UserChange::by_backend));

  bundle::Config& config = plan.config;
  config.process = init_process(spec, plan, limits);
  config.hostname = spec.config().hostname;
  config.domainname = spec.config().domainname;
  const bool writable = spec.request().root_writes == dispatcher::Writes::memory;
  config.root = bundle::Root{"/rootfs", !writable};
  for (const auto type : {bundle::NamespaceType::pid, bundle::NamespaceType::mount, bundle::NamespaceType::ipc,
                          bundle::NamespaceType::uts, bundle::NamespaceType::network})
    if (type != bundle::NamespaceType::network || spec.request().network != dispatcher::NetworkMode::host)
      config.linux.namespaces.push_back({type, {}});

  if (spec.host_rootfs()) {
    plan.root = RootKind::host;
    plan.entries = TRY(bundle::host_root_entries(spec.config()));
  } else {
    plan.root = RootKind::overlay;
    plan.binds.push_back({Bind::From::rootfs, 0, "lower", true});
  }
  for (size_t i = 0; i < spec.config().mounts.size(); ++i) add_mount(plan, spec.config().mounts[i], i);
  add_secrets(plan, spec);
  if (plan.channel_directory) config.mounts.push_back({kChannelInside, "bind", "/channel", {"bind", "rw", "nosuid", "nodev"}, {}, {}});

  plan.arguments = runsc_arguments(
      *inputs.traits, {.platform = inputs.platform,
                       .host_network = spec.request().network == dispatcher::NetworkMode::host,
                       .directfs = spec.level().directfs,
                       .root_in_memory = writable,
                       .root_memory_bytes = spec.limits().tmpfs_bytes,
                       .console = plan.terminal,
                       .id = plan.runsc_id});
  return plan;
}

bundle::Resources cgroup_resources(const bundle::Resources& asked) {
  bundle::Resources out = asked;
  const auto grow = [](std::optional<int64_t>& limit, int64_t by) {
    if (limit && *limit > 0 && *limit <= INT64_MAX - by) *limit += by;
  };
  grow(out.memory.limit, kSentryMemory);
  grow(out.memory.swap, kSentryMemory);  // memory plus swap
  grow(out.memory.reservation, kSentryMemory);
  if (out.pids_limit && *out.pids_limit > 0)
    out.pids_limit = *out.pids_limit > (INT64_MAX - kPidsOfSentry) / kPidsFactor ? INT64_MAX
                                                                                : *out.pids_limit * kPidsFactor + kPidsOfSentry;
  return out;
}

json::Value explain_plan(const Plan& plan) {
  json::Object out;
  json::Array arguments;
  for (const std::string& argument : plan.arguments) arguments.emplace_back(argument);
  out.set("runsc", std::move(arguments));
  out.set("config.json", bundle::encode_config(plan.config));
  json::Array binds;
  for (const Bind& bind : plan.binds) {
    json::Object entry;
    constexpr const char* kFrom[] = {"volume", "rootfs", "secrets"};
    entry.set("from", kFrom[static_cast<size_t>(bind.from)]);
    if (bind.from == Bind::From::volume) entry.set("mount", static_cast<uint64_t>(bind.mount));
    entry.set("at", "/" + bind.target);
    entry.set("read_only", bind.read_only);
    binds.emplace_back(std::move(entry));
  }
  out.set("private_root", std::move(binds));
  out.set("root", plan.root == RootKind::host ? "host" : "overlay");
  json::Array host_binds;
  for (const bundle::RootEntry& entry : plan.entries)
    if (entry.kind == bundle::RootEntry::Kind::bind_directory || entry.kind == bundle::RootEntry::Kind::bind_file)
      host_binds.emplace_back(entry.text);
  if (!host_binds.empty()) out.set("host_paths", std::move(host_binds));
  out.set("init_channel", plan.channel_directory ? "directory" : "descriptors");
  return out;
}

}  // namespace bailey::gvisor
