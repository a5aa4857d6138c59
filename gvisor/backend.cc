#include "gvisor/backend.h"

#include <sys/stat.h>

#include <optional>

#include "base/log.h"
#include "gvisor/instance.h"
#include "gvisor/platform.h"
#include "host/oom_score.h"
#include "init/encode.h"
#include "secrets/stage.h"

namespace bailey::gvisor {

namespace {

using dispatcher::About;
using dispatcher::Instance;
using dispatcher::Leases;
using dispatcher::Spec;
using dispatcher::Stdio;
using dispatcher::Steps;

bool is_one_pipe(int a, int b) {
  struct stat first{}, second{};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

class GvisorBackend final : public dispatcher::Backend {
 public:
  explicit GvisorBackend(BackendOptions options)
      : options_(std::move(options)), tree_({options_.root_files, options_.runtime_directory, bundle::common_files()}) {}

  dispatcher::BackendKind kind() const override { return dispatcher::BackendKind::gvisor; }

  Result<About> about() override {
    TRY(find_runsc());
    About about;
    about.name = "gvisor";
    about.version = traits_.version;
    about.platform = platform_ + (tried_ ? "" : ", not tried yet");
    return about;
  }

  Result<> check(const Spec& spec) override {
    TRY(find_runsc());
    return check_plan(spec, traits_);
  }

  bundle::Resources resources(const Spec& spec) const override {
    return cgroup_resources(spec.config().linux.resources, platform_);
  }

  Result<json::Value> explain(const Spec& spec) override {
    TRY(find_runsc());
    TRY(renew());
    const bundle::HostTree* tree = TRY(tree_for(spec));
    const Plan plan = TRY(compile_plan(spec, {&traits_, platform_, "bailey-ID", {}, tree}));
    return explain_plan(plan);
  }

  Result<bool> renew() override { return tree_.renew(); }

  Result<std::unique_ptr<Instance>> create(const Spec& spec, Leases& leases, Stdio stdio, Steps& steps) override {
    TRY(find_runsc());
    const std::string runsc_id = TRY(draw_runsc_id());
    const bundle::HostTree* tree = TRY(tree_for(spec));
    Plan plan = TRY(compile_plan(spec, {&traits_, platform_, runsc_id, dispatcher::network_names(leases), tree}));
    // What `run` adds unasked is no reason to fail where we are the first to be killed already: lowering takes
    // CAP_SYS_RESOURCE.
    const auto& asked = spec.request().config.process;
    if ((!asked || !asked->oom_score_adj) && host::own_oom_score() > plan.oom_score_adj.value_or(0)) plan.oom_score_adj.reset();

    if (!plan.terminal) init::relay_output(plan.job, is_one_pipe(stdio.out.get(), stdio.err.get()));

    LaunchInputs inputs;
    inputs.plan = &plan;
    inputs.binary = &*binary_;
    inputs.sources.rootfs = spec.rootfs().fd.get();
    inputs.sources.netns = leases.network.netns().fd();
    inputs.user_namespace = leases.network.netns_owner();
    for (size_t i = 0; i < spec.config().mounts.size(); ++i) inputs.sources.volumes.push_back(spec.source_of(i).fd.get());
    if (!spec.secrets().empty())
      inputs.stage_secrets = [&spec] {
        const bundle::User& user = spec.process().user;
        return secrets::Stage::create(spec.secrets(), {.uid = user.uid, .gid = user.gid});
      };
    inputs.stdio = std::move(stdio);
    inputs.cgroup = leases.cgroup.empty() ? nullptr : &leases.cgroup;
    Launched launched = TRY(launch(std::move(inputs), steps));

    return std::make_unique<SandboxInstance>(std::move(plan), spec.process(), std::move(launched));
  }

 private:
  // The host's files for the default root; nothing for another.
  Result<const bundle::HostTree*> tree_for(const Spec& spec) {
    return spec.host_rootfs() ? tree_.get() : Result<const bundle::HostTree*>(nullptr);
  }

  // Once: the binary, its answers, the platform. What it says of itself comes from the file of answers when that knows it.
  Result<> find_runsc() {
    if (binary_) return {};
    Binary binary = TRY(open_runsc(options_.runsc, options_.search_path));
    Answers answers;
    const std::optional<Answers> kept = load_answers(options_.runtime_directory, binary.identity);
    if (kept) answers = *kept;
    else answers.traits = TRY(ask_traits(binary));
    auto platform =
        choose_platform(binary, answers, options_.platform, options_.tries_platforms ? Trials::as_needed : Trials::none);
    if (!kept || answers != *kept) {
      const auto written = keep_answers(options_.runtime_directory, binary.identity, answers);
      if (!written) log::debug("runsc's answers are not kept: " + written.error().message);
    }
    if (!platform) return std::unexpected(std::move(platform).error());
    traits_ = std::move(answers.traits);
    platform_ = std::move(platform->name);
    tried_ = platform->tried;
    binary_ = std::move(binary);
    return {};
  }

  BackendOptions options_;
  bundle::KeptHostTree tree_;
  std::optional<Binary> binary_;
  Traits traits_;
  std::string platform_;
  bool tried_ = true;  // a sandbox has run on it
};

}  // namespace

std::unique_ptr<dispatcher::Backend> create_backend(BackendOptions options) {
  return std::make_unique<GvisorBackend>(std::move(options));
}

}  // namespace bailey::gvisor
