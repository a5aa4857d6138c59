#include "native/backend.h"

#include <sys/utsname.h>

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "host/oom_score.h"
#include "native/attached.h"
#include "native/instance.h"
#include "native/launch.h"
#include "native/plan.h"
#include "secrets/stage.h"

namespace bailey::native {

namespace {

using dispatcher::Spec;

std::vector<AdmittedTree> admitted_trees(const Plan& plan, const Spec& spec) {
  std::vector<AdmittedTree> targets;
  targets.reserve(plan.root.trees.size());
  for (const TreeSource& source : plan.root.trees) {
    int opened = -1;
    if (source.kind == TreeSource::Kind::volume) opened = spec.source_of(source.mount_index).fd.get();
    if (source.kind == TreeSource::Kind::rootfs) opened = spec.rootfs().fd.get();
    targets.push_back({&source, opened});
  }
  return targets;
}

std::vector<int> joined_namespaces(const Plan& plan, const Spec& spec) {
  std::vector<int> joins;
  for (const JoinedNamespace& joined : plan.joins) joins.push_back(spec.namespace_fd(joined.index));
  return joins;
}

class NativePlan final : public dispatcher::SandboxPlan {
 public:
  NativePlan(std::shared_ptr<const Spec> spec, HostTraits host, std::string runtime_directory, Plan plan)
      : spec_(std::move(spec)),
        host_(host),
        runtime_directory_(std::move(runtime_directory)),
        plan_(std::make_unique<Plan>(std::move(plan))) {}

  dispatcher::FilterAbout filter() const override { return plan_->seccomp.about; }

  bundle::Resources resources() const override {
    bundle::Resources resources = spec_->config().linux.resources;
    if (resources.pids_limit && *resources.pids_limit > 0) *resources.pids_limit += kInitProcesses;
    return resources;
  }

  Result<json::Value> explain() const override { return to_json(*plan_); }

  Result<> begin(const dispatcher::Leases& leases, dispatcher::Steps& steps) override { return begin_in(-1, leases, steps); }
  bool needs_links_at_create() const override { return false; }

  Result<std::unique_ptr<dispatcher::Instance>> create(dispatcher::Leases& leases, dispatcher::Stdio stdio,
                                                       dispatcher::Steps& steps) override {
    // Version 2 lets a process in cheaply only where it is made.
    const int cgroup = leases.cgroup.clone_into_fd();
    if (!begun_ || cgroup >= 0) TRY(begin_in(cgroup, leases, steps));
    const secrets::Stage stage = TRY(stage_secrets(steps));
    init::NamedChannel inits, ours;
    if (plan_->independent) {
      TRY(ids_.keep(runtime_directory_, spec_->id()));
      inits = TRY(init::create_named_channel(leases.state));
      ours = TRY(init::open_named_channel(leases.state));
    }
    PendingLaunch begun = std::move(*begun_);
    begun_.reset();
    FinishInputs inputs{.stdio = std::move(stdio), .cgroup = &leases.cgroup, .secrets = stage.mount_fd(), .channel = &inits};
    Launched launched = TRY(finish(std::move(begun), std::move(inputs), steps));
    return std::make_unique<NativeInstance>(std::move(plan_), std::move(launched), std::move(ids_), std::move(ours));
  }

 private:
  static constexpr int kInitProcesses = 1;  // PID 1 counts in the pids cgroup and is ours

  Result<> begin_in(int cgroup, const dispatcher::Leases& leases, dispatcher::Steps& steps) {
    const int64_t begin = clock::monotonic_ns();
    if (leases.network) *plan_ = TRY(compile(*spec_, host_, dispatcher::network_names(leases)));
    begun_.reset();
    ids_ = plan_->complete ? IdMap::of_engine(plan_->uid_mappings, plan_->gid_mappings)
                           : TRY(IdMap::create(host_.ids, runtime_directory_, plan_->user, plan_->ids));
    steps.push_back({"plan", clock::monotonic_ns() - begin});
    begun_.emplace(TRY(PendingLaunch::begin({.plan = plan_.get(),
                                             .ids = &ids_,
                                             .admitted_trees = admitted_trees(*plan_, *spec_),
                                             .has_secrets = !spec_->secrets().empty(),
                                             .cgroup = cgroup,
                                             .netns = leases.network ? &leases.network.netns() : nullptr,
                                             .joins = joined_namespaces(*plan_, *spec_)},
                                            steps)));
    return {};
  }

  Result<secrets::Stage> stage_secrets(dispatcher::Steps& steps) const {
    if (spec_->secrets().empty()) return secrets::Stage();
    const int64_t begin = clock::monotonic_ns();
    auto stage = secrets::Stage::create(spec_->secrets(), {.uid = plan_->user.uid,
                                                           .gid = plan_->user.gid,
                                                           .host_uid = [this](uint32_t id) { return ids_.host_uid(id); },
                                                           .host_gid = [this](uint32_t id) { return ids_.host_gid(id); }});
    steps.push_back({"secrets", clock::monotonic_ns() - begin});
    return stage;
  }

  std::shared_ptr<const Spec> spec_;
  HostTraits host_;
  std::string runtime_directory_;
  std::unique_ptr<Plan> plan_;
  IdMap ids_;  // of what was begun, which goes before them
  std::optional<PendingLaunch> begun_;
};

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

  Result<std::unique_ptr<dispatcher::SandboxPlan>> plan(std::shared_ptr<const Spec> spec) override {
    HostTraits host = traits_for(*spec);
    if (spec->host_rootfs()) host.tree = TRY(tree_.get());
    if (spec->request().shape == dispatcher::Shape::complete) host.cgroups = TRY(host::find_cgroups());
    Plan plan = TRY(compile(*spec, host));
    return std::make_unique<NativePlan>(std::move(spec), host, runtime_directory_, std::move(plan));
  }

  Result<std::unique_ptr<dispatcher::Instance>> attach(const std::string& handle, Fd pidfd, int state) override {
    return native::attach(handle, std::move(pidfd), state);
  }

  std::string handle_of_begun(const std::string&) const override { return kPid1Handle; }

  Result<bool> renew() override { return tree_.renew(); }

 private:
  // An ordinary user's Bailey is in a user namespace of its own with that network (network/userspace/userspace_network.h),
  // where newuidmap cannot serve: there is one id.
  HostTraits traits_for(const Spec& spec) const {
    HostTraits traits = host_;
    const bool moved = spec.request().network == dispatcher::NetworkMode::userspace && traits.ids == IdMapKind::subordinate;
    if (moved) traits.ids = IdMapKind::single;
    return traits;
  }

  std::string runtime_directory_;
  bundle::KeptHostTree tree_;
  const HostTraits host_{.ids = IdMap::kind_here(), .landlock_abi = landlock_abi(), .own_oom_score = host::own_oom_score()};
};

}  // namespace

std::unique_ptr<dispatcher::Backend> make_backend(std::string runtime_directory, bundle::HostScanInputs root_files) {
  return std::make_unique<NativeBackend>(std::move(runtime_directory), std::move(root_files));
}

}  // namespace bailey::native
