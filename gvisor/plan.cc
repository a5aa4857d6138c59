#include "gvisor/plan.h"

#include <sys/mount.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "bundle/writer.h"
#include "gvisor/arguments.h"
#include "init/encode.h"
#include "secrets/request.h"

namespace bailey::gvisor {

namespace {

using dispatcher::Spec;

constexpr int64_t kSentryMemory = 32 << 20;  // docs/gvisor.md, "Limits": what sentry, gofer and stubs hold besides the workload
// Threads of the host for one process, with systrap. A process uses 4 at most, and the threads of one that has ended stay for a
// while: a fork bomb has up to 5.3 for each process that it may have. The sentry panics when it gets no more.
constexpr int64_t kThreadsPerProcess = 6;
constexpr int64_t kThreadsPerTracedProcess = 12;  // with ptrace
constexpr int64_t kThreadsOfSentry = 64;
constexpr uint32_t kInitUser = 65534;

bool has_option(const bundle::Mount& mount, std::string_view option) {
  return std::ranges::find(mount.options, option) != mount.options.end();
}

// runsc makes /dev, /dev/pts and /sys itself, of its own kernel's, and has no message queues. It takes no size for /dev, which
// would be memory up to the sandbox's limit; "ro" it takes, but then devices of the build of 2022 cannot be written to either,
// so that there init takes the directory (init/main.cc).
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
  const uint64_t set = bundle::attributes_of(mount.options).set;
  std::vector<std::string> kept{"rbind", set & MOUNT_ATTR_RDONLY ? "ro" : "rw"};
  for (const auto& [attribute, flag] :
       {std::pair{MOUNT_ATTR_NOSUID, "nosuid"}, {MOUNT_ATTR_NODEV, "nodev"}, {MOUNT_ATTR_NOEXEC, "noexec"}})
    if (set & static_cast<uint64_t>(attribute)) kept.emplace_back(flag);
  return kept;
}

// Options that the sentry leaves to the host: the host's kernel keeps the access times of the files that it reads.
bundle::MountAttributes host_attributes(const bundle::Mount& mount) {
  std::vector<std::string> host;
  for (const std::string& name : mount.options)
    if (const bundle::MountOption* option = bundle::find_mount_option(name); option && !option->sentry) host.push_back(name);
  return bundle::attributes_of(host);
}

void add_mount(Plan& plan, const bundle::Mount& mount, size_t index) {
  if (mount.destination == "/dev" && mount.type == "tmpfs" && !plan.channel_directory)
    plan.config.mounts.push_back({"/dev", "tmpfs", "tmpfs", {"ro", "nosuid", "noexec", "mode=0755"}, {}, {}});
  if (made_by_runsc(mount)) return;
  bundle::Mount out;
  out.destination = mount.destination;
  if (is_bind(mount)) {
    const std::string source = "volumes/" + std::to_string(index);
    out.type = "bind";
    out.source = "/" + source;
    out.options = bind_options(mount);
    plan.binds.push_back({Bind::From::volume, index, source, out.options[1] == "ro", host_attributes(mount)});
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
void limit_processes(std::vector<bundle::Rlimit>& limits, uint64_t most) {
  const auto asked = std::ranges::find(limits, "RLIMIT_NPROC", &bundle::Rlimit::type);
  if (asked == limits.end()) limits.push_back({"RLIMIT_NPROC", most, most});
  else *asked = {"RLIMIT_NPROC", std::min(asked->soft, most), std::min(asked->hard, most)};
}

// gVisor's kernel lets a process stop, kill and trace PID 1 when both have one user. So init becomes another user than the
// workload's before it makes anything, and keeps what it needs to start, signal and end it (init/job.h, "as="). A build without
// ambient capabilities gives some only to uid 0. The workload gets none.
uint32_t user_of_init(const bundle::Process& workload) { return workload.user.uid == kInitUser ? kInitUser - 1 : kInitUser; }

void protect_init(bundle::Process& init, const bundle::Process& workload, bool ambient) {
  init.args.push_back("as=" + std::to_string(user_of_init(workload)));
  if (!ambient) init.user = {};
  const std::vector<std::string> kept{"CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"};
  init.capabilities = {kept, kept, {}, kept, {}};
  if (ambient) init.capabilities.inheritable = init.capabilities.ambient = kept;
}

bundle::Process init_process(const bundle::Process& workload, bool channel_directory) {
  bundle::Process init;
  init.args = {kInitPath};
  if (channel_directory) init.args.emplace_back(kChannelInside);
  else init.args.insert(init.args.end(), {std::to_string(kJobFd), std::to_string(kReportFd)});
  init.user = workload.user;
  init.user.umask.reset();  // travels with the job: old builds ignore it here
  init.terminal = workload.terminal;
  init.console_size = workload.console_size;
  init.no_new_privileges = true;
  protect_init(init, workload, !channel_directory);
  std::ranges::copy_if(workload.rlimits, std::back_inserter(init.rlimits),
                       [](const auto& limit) { return raised_by_runsc(limit.type); });
  return init;
}

// What every sandbox has, whatever runs in it.
Plan begin_plan(const PlanInputs& inputs, const bundle::Process& workload, dispatcher::NetworkMode network_mode,
                bool writable) {
  Plan plan;
  plan.runsc_id = inputs.runsc_id;
  plan.terminal = workload.terminal;
  plan.channel_directory = !inputs.traits->passes_fds();
  plan.init_user = user_of_init(workload);
  plan.spare_fd = inputs.traits->has_flag("directfs");
  plan.oom_score_adj = workload.oom_score_adj;
  plan.config.process = init_process(workload, plan.channel_directory);
  plan.config.root = bundle::Root{"/rootfs", !writable};
  using enum bundle::NamespaceType;
  for (const auto type : {pid, mount, ipc, uts}) plan.config.linux.namespaces.push_back({type, {}});
  plan.joins_network = dispatcher::is_filtered(network_mode);
  if (network_mode != dispatcher::NetworkMode::host)
    plan.config.linux.namespaces.push_back({network, plan.joins_network ? "/netns" : ""});
  return plan;
}

void add_channel(Plan& plan) {
  if (plan.channel_directory)
    plan.config.mounts.push_back({kChannelInside, "bind", "/channel", {"bind", "rw", "nosuid", "nodev"}, {}, {}});
}

}  // namespace

bool is_bind(const bundle::Mount& mount) {
  return mount.type == "bind" || has_option(mount, "bind") || has_option(mount, "rbind");
}

Result<Plan> compile_plan(const Spec& spec, const PlanInputs& inputs) {
  if (spec.request().shape == dispatcher::Shape::complete) return compile_complete(spec, inputs);
  TRY(check_plan(spec, *inputs.traits));
  const dispatcher::NetworkMode network = spec.request().network;
  const bool writable = spec.request().root_writes == dispatcher::Writes::memory;
  Plan plan = begin_plan(inputs, spec.process(), network, writable);
  plan.independent = spec.request().lifetime == dispatcher::Lifetime::independent;
  const std::optional<int64_t> pids = spec.config().linux.resources.pids_limit;
  if (pids && *pids > 0) plan.most_processes = static_cast<uint64_t>(*pids);
  plan.config.hostname = spec.config().hostname;
  plan.config.domainname = spec.config().domainname;

  if (spec.host_rootfs()) {
    bundle::HostRootOptions root{.tree = inputs.tree, .writable = writable};
    for (const secrets::Request& secret : spec.secrets()) root.places.push_back(secret.destination);
    plan.entries = TRY(bundle::host_root_entries(spec.config(), inputs.names, root));
  } else {
    plan.root = RootKind::overlay;
    plan.binds.push_back({Bind::From::rootfs, 0, "lower", true});
    if (plan.joins_network) plan.entries = bundle::network_entries(spec.config(), inputs.names);
  }
  for (size_t i = 0; i < spec.config().mounts.size(); ++i) add_mount(plan, spec.config().mounts[i], i);
  add_secrets(plan, spec);
  add_channel(plan);

  plan.arguments =
      runsc_arguments(*inputs.traits, {.platform = inputs.platform,
                                       .network = network,
                                       .directfs = dispatcher::setting_of(spec.level().backend_settings, "directfs") != "false",
                                       .root_in_memory = writable,
                                       .root_memory_bytes = spec.limits().tmpfs_bytes,
                                       .console = plan.terminal,
                                       .id = plan.runsc_id});
  return plan;
}

bundle::Process trial_process() {
  bundle::Process process;
  process.args = {kInitPath};
  return process;
}

Result<Plan> compile_trial(const PlanInputs& inputs) {
  Plan plan = begin_plan(inputs, trial_process(), dispatcher::NetworkMode::none, false);
  plan.config.mounts.push_back({"/proc", "proc", "proc", {}, {}, {}});
  add_channel(plan);
  RunscOptions options;
  options.platform = inputs.platform;
  options.id = plan.runsc_id;
  plan.arguments = runsc_arguments(*inputs.traits, options);
  return plan;
}

Result<std::string> encode_job(const Plan& plan, bundle::Process process) {
  if (plan.engine) {
    process.rlimits.clear();  // of config.json
    return encode_job(*plan.engine, std::move(process));
  }
  if (plan.most_processes) limit_processes(process.rlimits, *plan.most_processes);
  return init::encode_job(process, init::UserChange::by_init);
}

Result<std::string> draw_runsc_id() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return sys_error("getrandom", errno);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id = "bailey-";
  for (const unsigned char byte : bytes) {
    id += kDigits[byte >> 4];
    id += kDigits[byte & 15];
  }
  return id;
}

bundle::Resources cgroup_resources(const bundle::Resources& asked, std::string_view platform) {
  bundle::Resources out = asked;
  const auto grow = [](std::optional<int64_t>& limit, int64_t by) {
    if (limit && *limit > 0 && *limit <= INT64_MAX - by) *limit += by;
  };
  grow(out.memory.limit, kSentryMemory);
  grow(out.memory.swap, kSentryMemory);  // memory plus swap
  grow(out.memory.reservation, kSentryMemory);
  if (out.pids_limit && *out.pids_limit > 0) {
    const int64_t factor = platform == "ptrace" ? kThreadsPerTracedProcess : kThreadsPerProcess;
    const bool fits = *out.pids_limit <= (INT64_MAX - kThreadsOfSentry) / factor;
    out.pids_limit = fits ? *out.pids_limit * factor + kThreadsOfSentry : INT64_MAX;
  }
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
  constexpr const char* kRoots[] = {"host", "overlay", "direct"};
  out.set("root", kRoots[static_cast<size_t>(plan.root)]);
  json::Array host_binds;
  for (const bundle::RootEntry& entry : plan.entries)
    if (entry.kind == bundle::RootEntry::Kind::bind_directory || entry.kind == bundle::RootEntry::Kind::bind_file)
      host_binds.emplace_back(entry.text);
  if (!host_binds.empty()) out.set("host_paths", std::move(host_binds));
  out.set("init_channel", plan.channel_directory ? "directory" : "descriptors");
  return out;
}

}  // namespace bailey::gvisor
