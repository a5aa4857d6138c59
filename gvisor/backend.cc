#include "gvisor/backend.h"

#include <sys/stat.h>

#include <memory>
#include <optional>

#include "base/log.h"
#include "gvisor/attached.h"
#include "gvisor/instance.h"
#include "gvisor/platform.h"
#include "host/oom_score.h"
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

// The runsc of this host and what it said of itself.
struct FoundRunsc {
  Binary binary;
  Traits traits;
  std::string platform;
  bool tried = true;  // a sandbox has run on it
};

class GvisorPlan final : public dispatcher::SandboxPlan {
 public:
  // `tree`: the host's files for the default root; nullptr for another.
  GvisorPlan(std::shared_ptr<const Spec> spec, std::shared_ptr<const FoundRunsc> runsc, const bundle::HostTree* tree)
      : spec_(std::move(spec)), runsc_(std::move(runsc)), tree_(tree) {}

  bundle::Resources resources() const override { return cgroup_resources(spec_->config().linux.resources, runsc_->platform); }

  Result<json::Value> explain() const override { return explain_plan(TRY(compile("bailey-ID", {}))); }

  Result<std::unique_ptr<Instance>> create(Leases& leases, Stdio stdio, Steps& steps) override {
    std::string runsc_id = TRY(draw_runsc_id());
    Plan plan = TRY(compile(std::move(runsc_id), dispatcher::network_names(leases)));
    // What `run` adds unasked is no reason to fail where we are the first to be killed already: lowering takes
    // CAP_SYS_RESOURCE.
    const auto& asked = spec_->request().config.process;
    if ((!asked || !asked->oom_score_adj) && host::own_oom_score() > plan.oom_score_adj.value_or(0)) plan.oom_score_adj.reset();

    const OutputPipes relay = plan.terminal                                   ? OutputPipes::none
                              : is_one_pipe(stdio.out.get(), stdio.err.get()) ? OutputPipes::merged
                                                                              : OutputPipes::apart;
    LaunchInputs inputs;
    inputs.plan = &plan;
    inputs.binary = &runsc_->binary;
    inputs.sources.rootfs = spec_->rootfs().fd.get();
    inputs.sources.netns =
        spec_->request().shape == dispatcher::Shape::complete ? engines_network() : leases.network.netns().fd();
    inputs.user_namespace = leases.network.netns_owner();
    for (size_t i = 0; i < spec_->config().mounts.size(); ++i) inputs.sources.volumes.push_back(spec_->source_of(i).fd.get());
    if (!spec_->secrets().empty())
      inputs.stage_secrets = [this] {
        const bundle::User& user = spec_->process().user;
        return secrets::Stage::create(spec_->secrets(), {.uid = user.uid, .gid = user.gid});
      };
    inputs.stdio = std::move(stdio);
    inputs.cgroup = leases.cgroup.empty() ? nullptr : &leases.cgroup;
    inputs.state = leases.state;
    Launched launched = TRY(launch(std::move(inputs), steps));

    return std::make_unique<SandboxInstance>(std::move(plan), relay, std::move(launched));
  }

 private:
  Result<Plan> compile(std::string runsc_id, const bundle::NetworkNames& names) const {
    return compile_plan(*spec_, {&runsc_->traits, runsc_->platform, std::move(runsc_id), names, tree_});
  }

  int engines_network() const {
    const auto& list = spec_->config().linux.namespaces;
    for (size_t i = 0; i < list.size(); ++i)
      if (list[i].type == bundle::NamespaceType::network) return spec_->namespace_fd(i);
    return -1;
  }

  std::shared_ptr<const Spec> spec_;
  std::shared_ptr<const FoundRunsc> runsc_;
  const bundle::HostTree* tree_;
};

class GvisorBackend final : public dispatcher::Backend {
 public:
  explicit GvisorBackend(BackendOptions options)
      : options_(std::move(options)), tree_({options_.root_files, options_.runtime_directory, bundle::common_files()}) {}

  dispatcher::BackendKind kind() const override { return dispatcher::BackendKind::gvisor; }

  Result<About> about() override {
    TRY(find_runsc());
    return About{"gvisor", runsc_->traits.version, runsc_->platform + (runsc_->tried ? "" : ", not tried yet")};
  }

  Result<std::unique_ptr<dispatcher::SandboxPlan>> plan(std::shared_ptr<const Spec> spec) override {
    TRY(check_memory(*spec));
    TRY(find_runsc());
    TRY(check_plan(*spec, runsc_->traits));
    const bundle::HostTree* tree = spec->host_rootfs() ? TRY(tree_.get()) : nullptr;
    return std::make_unique<GvisorPlan>(std::move(spec), runsc_, tree);
  }

  Result<std::unique_ptr<Instance>> attach(const std::string& handle, Fd pidfd, int state) override {
    return gvisor::attach(handle, std::move(pidfd), state);
  }

  std::string handle_of_begun(const std::string& held) const override { return gvisor::handle_of_begun(held); }

  Result<bool> renew() override { return tree_.renew(); }

 private:
  // Once: the binary, its answers, the platform. What it says of itself comes from the file of answers when that knows it.
  Result<> find_runsc() {
    if (runsc_) return {};
    FoundRunsc found;
    found.binary = TRY(open_runsc(options_.runsc, options_.search_path));
    const Identity& identity = found.binary.identity;
    Answers answers;
    const std::optional<Answers> kept = load_answers(options_.runtime_directory, identity);
    if (kept) answers = *kept;
    else answers.traits = TRY(ask_traits(found.binary));
    auto platform =
        choose_platform(found.binary, answers, options_.platform, options_.tries_platforms ? Trials::as_needed : Trials::none);
    if (!kept || answers != *kept) {
      const auto written = keep_answers(options_.runtime_directory, identity, answers);
      if (!written) log::debug("runsc's answers are not kept: " + written.error().message);
    }
    if (!platform) return std::unexpected(std::move(platform).error());
    found.traits = std::move(answers.traits);
    found.platform = std::move(platform->name);
    found.tried = platform->tried;
    runsc_ = std::make_shared<const FoundRunsc>(std::move(found));
    return {};
  }

  BackendOptions options_;
  bundle::KeptHostTree tree_;
  std::shared_ptr<const FoundRunsc> runsc_;
};

}  // namespace

std::unique_ptr<dispatcher::Backend> create_backend(BackendOptions options) {
  return std::make_unique<GvisorBackend>(std::move(options));
}

}  // namespace bailey::gvisor
