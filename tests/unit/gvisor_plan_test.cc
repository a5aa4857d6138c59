#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "gvisor/arguments.h"
#include "gvisor/plan.h"
#include "init/encode.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gvisor_specs.h"

namespace bailey::gvisor {
namespace {

using Strings = std::vector<std::string>;

Result<Plan> compile(const dispatcher::Spec& spec, const Traits& traits) {
  return compile_plan(spec, {&traits, "systrap", "bailey-ID"});
}

// A wish with one of everything that travels, on a directory of the test's own.
dispatcher::Request full_wish(const tests::TempDir& directory) {
  dispatcher::Request request = wish({"/bin/sh", "-c", "exit 0"});
  request.config.root = bundle::Root{directory.path(), true};
  request.config.mounts = {{"/work", "bind", directory.path(), {"rbind", "rw", "noexec"}, {}, {}},
                           {"/data", "bind", directory.path(), {"bind", "ro"}, {}, {}}};
  bundle::Process& process = *request.config.process;
  process.env = {"HOME=/home/user", "TOKEN=hidden"};
  process.cwd = "/work";
  process.user = {1000, 1001, 077, {5, 6}};
  process.rlimits = {{"RLIMIT_NOFILE", 64, 128}, {"RLIMIT_MEMLOCK", 1 << 20, 1 << 20}};
  request.config.linux.resources.pids_limit = 20;
  request.config.linux.resources.memory.limit = 64 << 20;
  return request;
}

std::string read_golden(const std::string& name) {
  std::ifstream file(std::string(BAILEY_TEST_DATA) + "/gvisor/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// To write the files anew: BAILEY_WRITE_GOLDEN=1, then read the difference.
void expect_golden(const Plan& plan, const std::string& name) {
  const std::string text = json::write(explain_plan(plan), json::Layout::indented) + "\n";
  if (std::getenv("BAILEY_WRITE_GOLDEN")) std::ofstream(std::string(BAILEY_TEST_DATA) + "/gvisor/" + name) << text;
  EXPECT_EQ(text, read_golden(name)) << name;
}

TEST(Plan, IsTheGoldenOneForTheReferenceBuild) {
  const tests::TempDir directory;
  const auto spec = admit(full_wish(directory));
  ASSERT_TRUE(spec);
  const auto plan = compile(*spec, reference_traits());
  ASSERT_TRUE(plan) << plan.error().message;
  expect_golden(*plan, "plan-reference.json");
}

TEST(Plan, IsTheGoldenOneForABuildOf2022) {
  const tests::TempDir directory;
  const auto spec = admit(full_wish(directory));
  ASSERT_TRUE(spec);
  const auto plan = compile(*spec, old_traits());
  ASSERT_TRUE(plan) << plan.error().message;
  expect_golden(*plan, "plan-2022.json");
}

TEST(Plan, PutsNothingOfTheWorkloadButItsUserIntoConfigJson) {
  const tests::TempDir directory;
  const auto spec = admit(full_wish(directory));
  ASSERT_TRUE(spec);
  const auto plan = compile(*spec, reference_traits());
  ASSERT_TRUE(plan) << plan.error().message;
  const std::string text = json::write(explain_plan(*plan));
  EXPECT_EQ(text.find("hidden"), std::string::npos);          // runsc keeps config.json in its state
  EXPECT_EQ(text.find(directory.path()), std::string::npos);  // nor resolves a caller's path again
  EXPECT_TRUE(plan->config.annotations.empty());
  EXPECT_TRUE(plan->config.process->env.empty());
}

TEST(Plan, LimitsTheWorkloadsProcessesByRlimit) {
  dispatcher::Request request = wish();
  request.config.linux.resources.pids_limit = 20;
  request.config.process->rlimits = {{"RLIMIT_NPROC", 10, 4000}};
  const auto decision = decide(std::move(request));
  ASSERT_TRUE(decision.job);
  const auto plan = compile(*decision.spec, reference_traits());
  ASSERT_TRUE(plan) << plan.error().message;
  bundle::Process expected = decision.job->process();
  std::ranges::find(expected.rlimits, "RLIMIT_NPROC", &bundle::Rlimit::type)->hard = 20;
  EXPECT_EQ(encode_job(*plan, decision.job->process()), *init::encode_job(expected, init::UserChange::by_init));
}

TEST(Plan, MountsSecretsReadOnlyWhereTheyWereAskedFor) {
  dispatcher::Request request = wish();
  secrets::Request here, elsewhere;
  here.name = "db";
  here.file = elsewhere.file = "/dev/null";
  elsewhere.name = "key";
  elsewhere.destination = "/tmp/key.pem";
  request.secrets = {here, elsewhere};
  const auto spec = admit(std::move(request));
  ASSERT_TRUE(spec);
  const auto plan = compile(*spec, reference_traits());
  ASSERT_TRUE(plan) << plan.error().message;
  const auto& mounts = plan->config.mounts;
  const auto at = [&](const char* path) { return std::ranges::find(mounts, path, &bundle::Mount::destination); };
  ASSERT_NE(at("/run/secrets"), mounts.end());
  EXPECT_EQ(at("/run/secrets")->source, "/secrets");
  ASSERT_NE(at("/tmp/key.pem"), mounts.end());
  EXPECT_EQ(at("/tmp/key.pem")->source, "/secrets/key");
  for (const char* path : {"/run/secrets", "/tmp/key.pem"})
    EXPECT_NE(std::ranges::find(at(path)->options, "ro"), at(path)->options.end()) << path;
  EXPECT_LT(at("/run"), at("/run/secrets"));  // or the tmpfs would cover them
}

TEST(Arguments, KeepWritesInMemoryUnderACapWhereTheBuildTakesOne) {
  RunscOptions options;
  options.platform = "systrap";
  options.root_in_memory = true;
  options.root_memory_bytes = 4096;
  options.id = "x";
  const auto has = [](const Strings& list, std::string_view text) { return std::ranges::find(list, text) != list.end(); };
  EXPECT_TRUE(has(runsc_arguments(reference_traits(), options), "--overlay2=root:memory,size=4096"));
  EXPECT_TRUE(has(runsc_arguments(old_traits(), options), "--overlay2=root:memory"));
  Traits of_2024 = reference_traits();  // knows directfs, and no size
  of_2024.caps_overlay = false;
  EXPECT_TRUE(has(runsc_arguments(of_2024, options), "--overlay2=root:memory"));
  options.root_in_memory = false;
  EXPECT_TRUE(has(runsc_arguments(reference_traits(), options), "--overlay2=none"));
}

TEST(Arguments, NameNoFlagThatTheBuildDoesNotList) {
  RunscOptions options;
  options.platform = "ptrace";
  options.directfs = false;
  options.id = "x";
  for (const std::string& argument : runsc_arguments(old_traits(), options)) {
    if (!argument.starts_with("--")) continue;
    const std::string name = argument.substr(2, argument.find('=') - 2);
    EXPECT_TRUE(old_traits().has_flag(name) || old_traits().has_run_flag(name)) << argument;
  }
}

TEST(Resources, LeaveTheSentryRoomBesidesTheLimitsAskedFor) {
  bundle::Resources asked;
  EXPECT_EQ(cgroup_resources(asked, "systrap"), asked);
  asked.memory.limit = 64 << 20;
  asked.memory.swap = -1;
  asked.pids_limit = 100;
  asked.cpu.quota = 50000;
  const bundle::Resources got = cgroup_resources(asked, "systrap");
  EXPECT_EQ(got.memory.limit, 96 << 20);
  EXPECT_EQ(got.memory.swap, -1);
  EXPECT_EQ(got.pids_limit, 664);
  EXPECT_EQ(got.cpu.quota, 50000);
  EXPECT_EQ(cgroup_resources(asked, "ptrace").pids_limit, 1264);
  asked.pids_limit = INT64_MAX;
  asked.memory.limit = INT64_MAX;
  EXPECT_EQ(cgroup_resources(asked, "systrap").pids_limit, INT64_MAX);
  EXPECT_EQ(cgroup_resources(asked, "systrap").memory.limit, INT64_MAX);
}

TEST(Check, NeedsMemoryForGvisorsOwnKernel) {
  for (const uint64_t memory : {16ULL << 20, (32ULL << 20) - 1, 32ULL << 20}) {
    dispatcher::Request request = wish();
    dispatcher::find_limit("memory")->ask(request, memory);
    const auto checked = check_memory(*admit(std::move(request)));
    EXPECT_EQ(checked.has_value(), memory == 32ULL << 20);
    if (!checked) {
      EXPECT_NE(checked.error().remedy.find("--memory 32M"), std::string::npos) << checked.error().remedy;
    }
  }
}

TEST(Check, RefusesAnInodeLimitOnlyWhenItWasAskedFor) {
  const auto by_default = admit(wish());
  ASSERT_TRUE(by_default);
  EXPECT_TRUE(check_plan(*by_default, reference_traits()));  // the level's own
  dispatcher::Request request = wish();
  request.limits.tmpfs_inodes = 1000;
  const auto asked = admit(std::move(request));
  ASSERT_TRUE(asked);
  EXPECT_FALSE(check_plan(*asked, reference_traits()));
}

// One wish per field that gVisor would silently drop.
TEST(Check, RefusesWhatGvisorWouldDrop) {
  struct Case {
    const char* named;
    void (*change)(bundle::Config&);
  };
  const Case cases[] = {
      {"a seccomp profile", [](bundle::Config& c) { c.linux.seccomp.emplace().default_action = "SCMP_ACT_ALLOW"; }},
      {"sysctl", [](bundle::Config& c) { c.linux.sysctl["kernel.shmmax"] = "1"; }},
      {"time offsets", [](bundle::Config& c) { c.linux.time_offsets["boottime"] = {1, 0}; }},
      {"a personality", [](bundle::Config& c) { c.linux.personality.emplace().domain = "LINUX32"; }},
      {"time namespace", [](bundle::Config& c) { c.linux.namespaces.push_back({bundle::NamespaceType::time, ""}); }},
      {"rootfsPropagation", [](bundle::Config& c) { c.linux.rootfs_propagation = "rshared"; }},
      {"/etc/hidden", [](bundle::Config& c) { c.linux.masked_paths = {"/etc/hidden"}; }},
      {"/usr/fixed", [](bundle::Config& c) { c.linux.readonly_paths = {"/usr/fixed"}; }},
      {"/proc/../etc", [](bundle::Config& c) { c.linux.masked_paths = {"/proc/../etc"}; }},
  };
  for (const Case& c : cases) {
    dispatcher::Request request = wish();
    c.change(request.config);
    auto facts = dispatcher::gather_host_facts(request);
    ASSERT_TRUE(facts);
    auto decision = dispatcher::Admission(dispatcher::builtin_policy(true)).judge(std::move(request), std::move(*facts));
    ASSERT_TRUE(decision);
    if (!decision->spec) continue;  // a guard was faster
    const auto checked = check_plan(*decision->spec, reference_traits());
    ASSERT_FALSE(checked) << c.named;
    EXPECT_EQ(checked.error().fault, Fault::refused);
    EXPECT_NE(checked.error().message.find(c.named), std::string::npos) << checked.error().message;
  }
}

}  // namespace
}  // namespace bailey::gvisor
