// An engine's configuration -> Plan: what runsc honours is passed on, what it ignores is done in another way or refused by name
// (docs/gvisor.md).
#include <sys/mount.h>

#include <algorithm>
#include <array>

#include "bundle/capabilities.h"
#include "bundle/engine_mount.h"
#include "gvisor/arguments.h"
#include "gvisor/plan.h"
#include "init/encode.h"

namespace bailey::gvisor {

namespace {

using dispatcher::Spec;

// Of gVisor's own kernel, which has those of Linux 5.9.
bundle::Capabilities all_capabilities() {
  constexpr int kLast = 40;
  constexpr uint64_t kAll = (uint64_t{2} << kLast) - 1;
  return bundle::capabilities_of({kAll, kAll, kAll, 0, 0});
}

class CompleteCompiler {
 public:
  CompleteCompiler(const Spec& spec, const PlanInputs& inputs) : spec_(spec), config_(spec.config()), inputs_(inputs) {}

  Result<Plan> compile() {
    plan_.engine = TRY(engine_init(spec_.process(), config_.linux.seccomp));
    plan_.runsc_id = inputs_.runsc_id;
    plan_.independent = spec_.request().lifetime == dispatcher::Lifetime::independent;
    plan_.spare_fd = inputs_.traits->has_flag("directfs");
    plan_.channel_directory = !inputs_.traits->passes_fds();
    plan_.terminal = spec_.process().terminal;
    plan_.oom_score_adj = spec_.process().oom_score_adj;
    plan_.config.process = plan_.engine->process;
    plan_.config.process->rlimits = spec_.process().rlimits;
    compile_root();
    plan_.config.hostname = config_.hostname;
    plan_.config.domainname = config_.domainname;
    using enum bundle::NamespaceType;
    for (const auto type : {pid, mount, ipc, uts}) plan_.config.linux.namespaces.push_back({type, {}});
    const dispatcher::NetworkMode mode = compile_network();
    plan_.arguments = runsc_arguments(
        *inputs_.traits, {.platform = inputs_.platform,
                          .network = mode,
                          .directfs = dispatcher::setting_of(spec_.level().backend_settings, "directfs") != "false",
                          .console = plan_.terminal,
                          .id = plan_.runsc_id});
    return std::move(plan_);
  }

 private:
  // gVisor's own stack takes over the links that the engine has put into the namespace. Without any there is its loopback.
  dispatcher::NetworkMode compile_network() {
    const auto& list = config_.linux.namespaces;
    const auto network = std::ranges::find(list, bundle::NamespaceType::network, &bundle::Namespace::type);
    if (network == list.end()) return dispatcher::NetworkMode::host;  // guard_network has allowed it
    const auto index = static_cast<size_t>(network - list.begin());
    plan_.joins_network = spec_.namespace_fd(index) >= 0 && spec_.has_links(index);
    plan_.config.linux.namespaces.push_back({bundle::NamespaceType::network, plan_.joins_network ? "/netns" : ""});
    return plan_.joins_network ? dispatcher::NetworkMode::bridge : dispatcher::NetworkMode::none;
  }

  void compile_root() {
    plan_.root = RootKind::direct;
    plan_.config.root = bundle::Root{"/rootfs", config_.root->readonly};
    plan_.binds.push_back({Bind::From::rootfs, 0, "rootfs", config_.root->readonly});
    for (size_t i = 0; i < config_.mounts.size(); ++i) add_mount(config_.mounts[i], i);
    plan_.config.mounts.push_back(
        {kEngineInitDirectory, "bind", std::string("/") + kPrivateInitDirectory, {"rbind", "ro", "nosuid", "nodev"}, {}, {}});
  }

  void add_mount(const bundle::Mount& mount, size_t index) {
    const auto options = bundle::parse_engine_mount(mount.options).value_or(bundle::EngineMountOptions{});  // check_plan
    if (made_by_runsc(mount)) return;
    bundle::Mount out;
    out.destination = mount.destination;
    if (dispatcher::is_bind(mount)) {
      const std::string place = "volumes/" + std::to_string(index);
      const bool read_only = options.set & MOUNT_ATTR_RDONLY;
      out.type = "bind";
      out.source = "/" + place;
      out.options = {"rbind", read_only ? "ro" : "rw"};
      for (const auto& [attribute, flag] :
           {std::pair{MOUNT_ATTR_NOSUID, "nosuid"}, {MOUNT_ATTR_NODEV, "nodev"}, {MOUNT_ATTR_NOEXEC, "noexec"}})
        if (options.set & static_cast<uint64_t>(attribute)) out.options.emplace_back(flag);
      plan_.binds.push_back({Bind::From::volume, index, place, read_only});
    } else {
      out.type = out.source = mount.type;
      out.options = mount.options;
      std::erase_if(out.options, [](const std::string& option) { return option.starts_with("nr_inodes="); });
    }
    plan_.config.mounts.push_back(std::move(out));
  }

  // Of its own kernel's.
  static bool made_by_runsc(const bundle::Mount& mount) {
    return mount.destination == "/dev" || mount.destination == "/dev/pts" || mount.type == "mqueue" || mount.type == "cgroup" ||
           mount.type == "cgroup2";
  }

  const Spec& spec_;
  const bundle::Config& config_;
  const PlanInputs& inputs_;
  Plan plan_;
};

}  // namespace

// runsc gives init all that the workload has, and init becomes it in place.
Result<EngineInit> engine_init(const bundle::Process& workload, const std::optional<bundle::Seccomp>& profile) {
  EngineInit out;
  out.filter = TRY(dispatcher::compile_engine_filter(profile));
  out.process = workload;
  out.process.args = {kEngineInitPath, std::to_string(kJobFd), std::to_string(kReportFd)};
  out.process.env.clear();
  out.process.rlimits.clear();
  out.process.user.umask.reset();
  out.process.oom_score_adj.reset();
  const bundle::CapabilitySets sets = TRY(bundle::parse_engine_capabilities(workload.capabilities));
  out.process.capabilities = bundle::capabilities_of(sets);  // runsc fails of a name that it does not know
  if (out.filter.program.empty() || workload.no_new_privileges) return out;
  out.privileges = init::privileges_of(sets, false);
  out.process.user = {};
  out.process.capabilities = all_capabilities();
  return out;
}

Result<std::string> encode_job(const EngineInit& how, bundle::Process workload) {
  const auto change = how.privileges ? init::UserChange::by_init : init::UserChange::by_backend;
  return init::encode_job(workload, change, {how.filter.program, how.filter.flags}, how.privileges);
}

Result<Plan> compile_complete(const Spec& spec, const PlanInputs& inputs) { return CompleteCompiler(spec, inputs).compile(); }

}  // namespace bailey::gvisor
