#include "native/backend.h"

#include <sys/utsname.h>

#include <optional>
#include <vector>

#include "base/clock.h"
#include "host/oom_score.h"
#include "init/encode.h"
#include "native/instance.h"
#include "native/launch.h"
#include "native/plan.h"
#include "secrets/stage.h"

namespace bailey::native {

namespace {

using dispatcher::Spec;

class NativeBackend final : public dispatcher::Backend {
 public:
  NativeBackend(std::string runtime_directory, bundle::HostScanInputs root_files)
      : runtime_directory_(std::move(runtime_directory)),
        tree_({std::move(root_files), runtime_directory_, bundle::common_files()}) {}

  dispatcher::BackendKind kind() const override { return dispatcher::BackendKind::native; }

  Result<dispatcher::About> about() override {
    utsname names{};
    if (::uname(&names) < 0) return sys_error("asking for the kernel's release", errno);
    return dispatcher::About{"native", names.release, ""};
  }

  Result<> check(const Spec& spec) override {
    TRY(plan_of(spec));
    return {};
  }

  dispatcher::FilterAbout filter(const Spec& spec) override {
    const auto plan = plan_of(spec);
    return plan ? (*plan)->seccomp.about : dispatcher::FilterAbout{};
  }

  bundle::Resources resources(const Spec& spec) const override {
    bundle::Resources resources = spec.config().linux.resources;
    if (resources.pids_limit && *resources.pids_limit > 0) *resources.pids_limit += kInitProcesses;
    return resources;
  }

  Result<json::Value> explain(const Spec& spec) override {
    TRY(renew());
    return to_json(*TRY(plan_of(spec)));
  }

  Result<> begin(const Spec& spec, const dispatcher::Leases& leases, dispatcher::Steps& steps) override {
    return begin_in(spec, -1, leases, steps);
  }
  bool needs_links_at_create() const override { return false; }
  Result<bool> renew() override {
    const bool renewed = TRY(tree_.renew());
    if (renewed) planned_id_.clear();
    return renewed;
  }

  Result<std::unique_ptr<dispatcher::Instance>> create(const Spec& spec, dispatcher::Leases& leases, dispatcher::Stdio stdio,
                                                       dispatcher::Steps& steps) override;

 private:
  static constexpr int kInitProcesses = 1;  // PID 1 counts in the pids cgroup and is ours
  // Compiled once for each sandbox and copy, whichever of check, explain and create comes first.
  Result<const Plan*> plan_of(const Spec& spec) {
    if (planned_id_ != spec.id()) {
      host_.tree = spec.host_rootfs() ? TRY(tree_.get()) : nullptr;
      plan_ = TRY(compile(spec, traits_for(spec)));
      planned_id_ = spec.id();
    }
    return &plan_;
  }

  // An ordinary user's Bailey is in a user namespace of its own with that network (network/userspace/userspace_network.h),
  // where newuidmap cannot serve: there is one id.
  HostTraits traits_for(const Spec& spec) const {
    HostTraits traits = host_;
    const bool moved = spec.request().network == dispatcher::NetworkMode::userspace && traits.ids == IdMapKind::subordinate;
    if (moved) traits.ids = IdMapKind::single;
    return traits;
  }
  Result<> begin_in(const Spec& spec, int cgroup, const dispatcher::Leases& leases, dispatcher::Steps& steps);

  std::string runtime_directory_;
  bundle::KeptHostTree tree_;
  std::string planned_id_;
  Plan plan_;
  HostTraits host_{.ids = IdMap::kind_here(), .landlock_abi = landlock_abi(), .own_oom_score = host::own_oom_score()};
  IdMap ids_;  // of what was begun, which goes before them
  std::optional<PendingLaunch> begun_;
};

std::vector<TreeTarget> tree_targets(const Plan& plan, const Spec& spec) {
  std::vector<TreeTarget> targets;
  targets.reserve(plan.root.trees.size());
  for (const TreeSource& source : plan.root.trees) {
    int opened = -1;
    if (source.kind == TreeSource::Kind::volume) opened = spec.source_of(source.mount_index).fd.get();
    if (source.kind == TreeSource::Kind::rootfs) opened = spec.rootfs().fd.get();
    targets.push_back({&source, opened});
  }
  return targets;
}

Result<> NativeBackend::begin_in(const Spec& spec, int cgroup, const dispatcher::Leases& leases, dispatcher::Steps& steps) {
  const int64_t begin = clock::monotonic_ns();
  const Plan& plan = *TRY(plan_of(spec));
  if (leases.network) plan_ = TRY(compile(spec, traits_for(spec), dispatcher::network_names(leases)));
  begun_.reset();
  ids_ = TRY(IdMap::create(traits_for(spec).ids, runtime_directory_, plan.user, plan.ids));
  steps.push_back({"plan", clock::monotonic_ns() - begin});
  begun_.emplace(TRY(PendingLaunch::begin({.plan = &plan,
                                           .ids = &ids_,
                                           .tree_targets = tree_targets(plan, spec),
                                           .has_secrets = !spec.secrets().empty(),
                                           .cgroup = cgroup,
                                           .netns = leases.network ? &leases.network.netns() : nullptr},
                                          steps)));
  return {};
}

Result<std::unique_ptr<dispatcher::Instance>> NativeBackend::create(const Spec& spec, dispatcher::Leases& leases,
                                                                    dispatcher::Stdio stdio, dispatcher::Steps& steps) {
  // Version 2 lets a process in cheaply only where it is made.
  const int cgroup = leases.cgroup.clone_into_fd();
  if (!begun_ || cgroup >= 0) TRY(begin_in(spec, cgroup, leases, steps));
  const Plan& plan = *TRY(plan_of(spec));
  std::string job =
      TRY(init::encode_job(spec.process(), init::UserChange::by_backend, {plan.seccomp.on_top, plan.seccomp.on_top_flags}));

  secrets::Stage stage;
  if (!spec.secrets().empty()) {
    const int64_t before = clock::monotonic_ns();
    stage = TRY(secrets::Stage::create(spec.secrets(), {.uid = plan.user.uid,
                                                        .gid = plan.user.gid,
                                                        .host_uid = [this](uint32_t id) { return ids_.host_uid(id); },
                                                        .host_gid = [this](uint32_t id) { return ids_.host_gid(id); }}));
    steps.push_back({"secrets", clock::monotonic_ns() - before});
  }
  PendingLaunch begun = std::move(*begun_);
  begun_.reset();
  Launched launched =
      TRY(finish(std::move(begun), {.stdio = std::move(stdio), .cgroup = &leases.cgroup, .secrets = stage.mount_fd()}, steps));
  return std::make_unique<NativeInstance>(plan, std::move(launched), std::move(ids_), std::move(job), spec.process());
}

}  // namespace

std::unique_ptr<dispatcher::Backend> make_backend(std::string runtime_directory, bundle::HostScanInputs root_files) {
  return std::make_unique<NativeBackend>(std::move(runtime_directory), std::move(root_files));
}

}  // namespace bailey::native
