// The native plan: compiled from admitted requests without privileges and without touching the host.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <map>

#include "dispatcher/admission.h"
#include "native/plan.h"
#include "native/root/mount_options.h"

namespace bailey::native {
namespace {

using Kind = RootOperation::Kind;

constexpr HostTraits kHost{.ids = IdMapKind::own_range, .landlock_abi = 7};

dispatcher::Request trusted_request() {
  dispatcher::Request request;
  request.trust = "trusted";
  request.runtime = dispatcher::BackendKind::native;
  request.config.process = bundle::Process{};
  request.config.process->args = {"/bin/true"};
  return request;
}

std::shared_ptr<const dispatcher::Spec> admit(dispatcher::Request request) {
  const dispatcher::Policy policy = dispatcher::builtin_policy();
  auto facts = dispatcher::gather_host_facts(request);
  EXPECT_TRUE(facts) << facts.error().message;
  auto decision = dispatcher::Admission(policy).judge(std::move(request), std::move(*facts));
  EXPECT_TRUE(decision) << decision.error().message;
  EXPECT_TRUE(decision->spec) << dispatcher::refusal(decision->verdicts).message;
  return decision->spec;
}

const RootOperation* find(const Plan& plan, Kind kind, const std::string& path) {
  const auto found =
      std::ranges::find_if(plan.root.operations, [&](const RootOperation& op) { return op.kind == kind && op.path == path; });
  return found == plan.root.operations.end() ? nullptr : &*found;
}

TEST(NativePlan, UnsharesEveryNamespace) {
  const Plan plan = *compile(*admit(trusted_request()), kHost);
  for (const uint64_t flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS})
    EXPECT_TRUE(plan.clone_flags & flag) << std::hex << flag;
  EXPECT_TRUE(plan.new_cgroup_namespace);
  EXPECT_TRUE(plan.loopback_up);
}

TEST(NativePlan, KeepsTheHostNetworkOnlyWhenItWasAdmitted) {
  dispatcher::Request request = trusted_request();
  request.network = dispatcher::NetworkMode::host;
  request.unsafe_opt_ins.host_network = true;
  const Plan plan = *compile(*admit(std::move(request)), kHost);
  EXPECT_FALSE(plan.clone_flags & CLONE_NEWNET);
  EXPECT_FALSE(plan.loopback_up);
  EXPECT_TRUE(plan.clone_flags & CLONE_NEWUSER);
}

TEST(NativePlan, MountsTheHostsUsrReadOnlyWithoutSetIdAndDevices) {
  const Plan plan = *compile(*admit(trusted_request()), kHost);
  const RootOperation* usr = find(plan, Kind::attach_tree, "/usr");
  ASSERT_NE(usr, nullptr);
  const uint64_t wanted = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  EXPECT_EQ(plan.root.trees[usr->tree].attributes & wanted, wanted);
  EXPECT_TRUE(plan.root.trees[usr->tree].recursive);
  EXPECT_TRUE(plan.root.read_only);
}

TEST(NativePlan, MasksKernelFilesAndSealsDev) {
  const Plan plan = *compile(*admit(trusted_request()), kHost);
  for (const char* path : {"/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/timer_list"})
    EXPECT_NE(find(plan, Kind::mask, path), nullptr) << path;
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/bus"})
    EXPECT_NE(find(plan, Kind::read_only, path), nullptr) << path;
  EXPECT_NE(find(plan, Kind::seal, "/dev"), nullptr);
  EXPECT_EQ(find(plan, Kind::file_system, "/sys"), nullptr);
}

// A plain call relative to a descriptor is for places that hold nothing but our own; what may lie behind a link or in a volume
// is walked to, component by component.
TEST(NativePlan, WalksToEveryPlaceThatIsNotItsOwn) {
  using Within = RootOperation::Within;
  dispatcher::Request request = trusted_request();
  request.config.root = bundle::Root{"/usr/share", true};
  const Plan directory = *compile(*admit(std::move(request)), kHost);
  for (const RootOperation& op : directory.root.operations) {
    EXPECT_NE(op.within, Within::own_root) << op.path;
    if (op.within != Within::own_proc) continue;
    EXPECT_EQ(op.path.rfind('/'), sizeof "/proc" - 1) << op.path;
  }
  EXPECT_EQ(find(directory, Kind::file_system, "/proc")->within, Within::foreign);
  EXPECT_EQ(find(directory, Kind::file_system, "/tmp")->within, Within::foreign);
  EXPECT_EQ(find(directory, Kind::mask, "/proc/kcore")->within, Within::own_proc);

  const Plan host = *compile(*admit(trusted_request()), kHost);
  EXPECT_EQ(find(host, Kind::file_system, "/proc")->within, Within::own_root);
  EXPECT_STREQ(find(host, Kind::file_system, "/proc")->name(), "proc");
  EXPECT_STREQ(find(host, Kind::file, "/etc/passwd")->name(), "etc/passwd");
  EXPECT_STREQ(find(host, Kind::mask, "/proc/kcore")->name(), "kcore");
  EXPECT_STREQ(find(host, Kind::symlink, "/dev/ptmx")->name(), "ptmx");
}

TEST(NativePlan, ChecksEachDeviceAgainstItsNumbers) {
  const Plan plan = *compile(*admit(trusted_request()), kHost);
  int devices = 0;
  for (const TreeSource& tree : plan.root.trees) {
    if (tree.kind != TreeSource::Kind::device) continue;
    ++devices;
    EXPECT_NE(tree.device_major, 0u) << tree.path;
    EXPECT_FALSE(tree.attributes & MOUNT_ATTR_NODEV) << tree.path;
  }
  EXPECT_EQ(devices, 6);
}

// The rules of /proc and /dev let nobody make or remove anything there; a second one for a mount that is writable would.
TEST(NativePlan, HasOneLandlockRuleForEachPlace) {
  dispatcher::Request request = trusted_request();
  const Plan plan = *compile(*admit(std::move(request)), kHost);
  std::map<std::string, uint64_t> rights;
  for (const LandlockRule& rule : plan.landlock.rules) EXPECT_TRUE(rights.emplace(rule.path, rule.rights).second) << rule.path;
  const std::vector<LandlockPlace> narrow = {{"/dev", LandlockAccess::devices}, {"/proc", LandlockAccess::kernel}};
  for (const LandlockRule& rule : compile_landlock(7, narrow).rules) EXPECT_EQ(rights.at(rule.path), rule.rights) << rule.path;
  constexpr uint64_t kMakeDirectory = 1 << 7;  // LANDLOCK_ACCESS_FS_MAKE_DIR
  EXPECT_FALSE(rights.contains("/dev/pts"));
  for (const char* path : {"/dev/shm", "/dev/mqueue", "/tmp"}) EXPECT_TRUE(rights.at(path) & kMakeDirectory) << path;
}

// An oom_score_adj below one's own takes CAP_SYS_RESOURCE: Bailey itself may run under a high one.
TEST(NativePlan, KeepsAnOomScoreAboveTheDefaultUnlessItWasAskedFor) {
  HostTraits host = kHost;
  host.own_oom_score = 800;
  EXPECT_EQ(compile(*admit(trusted_request()), host)->oom_score_adj, 800);
  EXPECT_LT(compile(*admit(trusted_request()), kHost)->oom_score_adj, 800);
  dispatcher::Request request = trusted_request();
  request.config.process->oom_score_adj = 300;
  EXPECT_EQ(compile(*admit(std::move(request)), host)->oom_score_adj, 300);
}

// Without a range setgroups(2) is closed: the groups would be missing without a word.
TEST(NativePlan, RefusesGroupsThatNobodyCanMap) {
  dispatcher::Request request = trusted_request();
  request.config.process->user = {.uid = 5, .gid = 6, .additional_gids = {7}};
  HostTraits host = kHost;
  host.ids = IdMapKind::subordinate;
  EXPECT_TRUE(compile(*admit(request), host));
  host.ids = IdMapKind::single;
  const auto refused = compile(*admit(request), host);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::refused);
  EXPECT_NE(refused.error().message.find("group"), std::string::npos) << refused.error().message;
}

// The workload is the caller, whatever its number inside; nobody is mapped twice, and nobody beyond the range.
TEST(IdMap, PutsTheCallerInThePlaceOfTheWorkload) {
  using Map = std::vector<bundle::IdMapping>;
  EXPECT_EQ(IdMap::around(0, 1000, 100'000, 65'535), (Map{{0, 1000, 1}, {1, 100'000, 65'535}}));
  EXPECT_EQ(IdMap::around(33, 1000, 100'000, 65'535), (Map{{0, 100'000, 33}, {33, 1000, 1}, {34, 100'033, 65'502}}));
  EXPECT_EQ(IdMap::around(65'535, 1000, 100'000, 65'535), (Map{{0, 100'000, 65'535}, {65'535, 1000, 1}}));
  EXPECT_EQ(IdMap::around(500, 1000, 100'000, 100), (Map{{0, 100'000, 100}, {500, 1000, 1}}));
  EXPECT_EQ(IdMap::around(100, 1000, 100'000, 100), (Map{{0, 100'000, 100}, {100, 1000, 1}}));
  EXPECT_EQ(IdMap::around(7, 1000, 100'000, 0), (Map{{7, 1000, 1}}));
  EXPECT_EQ(IdMap::around(70'000, 1000, 100'000, 65'535), (Map{{0, 100'000, 65'535}, {70'000, 1000, 1}}));
  EXPECT_EQ(IdMap::around(0, 1000, 100'000, 10, {70'000}), (Map{{70'000, 100'009, 1}, {0, 1000, 1}, {1, 100'000, 9}}));
}

// Ids above the range take the places of others that nobody asked for: the highest below nobody's.
TEST(IdMap, PutsIdsAboveTheRangeIntoIt) {
  using Map = std::vector<bundle::IdMapping>;
  EXPECT_EQ(IdMap::whole(1'000'000, {0, 65'535}), (Map{{0, 1'000'000, 65'536}}));
  EXPECT_EQ(IdMap::whole(1'000'000, {70'000}), (Map{{0, 1'000'000, 65'533}, {65'534, 1'065'534, 2}, {70'000, 1'065'533, 1}}));
  EXPECT_EQ(IdMap::whole(1'000'000, {4'294'967'294, 65'533, 70'000, 7, 70'000}),
            (Map{{0, 1'000'000, 65'531}, {65'533, 1'065'533, 3}, {70'000, 1'065'531, 1}, {4'294'967'294, 1'065'532, 1}}));
}

TEST(NativePlan, GivesNoCapability) {
  const Plan plan = *compile(*admit(trusted_request()), kHost);
  EXPECT_EQ(plan.caps, CapsPlan{});
}

TEST(NativePlan, RefusesWhatItCouldNotEnforce) {
  struct Case {
    const char* named;
    void (*change)(bundle::Config&);
  };
  const Case cases[] = {
      {"linux.sysctl", [](bundle::Config& c) { c.linux.sysctl["kernel.shmmax"] = "1"; }},
      {"linux.personality", [](bundle::Config& c) { c.linux.personality = bundle::Personality{"LINUX32", {}}; }},
      {"linux.intelRdt", [](bundle::Config& c) { c.linux.intel_rdt = bundle::IntelRdt{}; }},
      {"linux.mountLabel", [](bundle::Config& c) { c.linux.mount_label = "x"; }},
      {"process.apparmorProfile", [](bundle::Config& c) { c.process->apparmor_profile = "x"; }},
      {"process.selinuxLabel", [](bundle::Config& c) { c.process->selinux_label = "x"; }},
      {"more than 64 different ids above 65535",
       [](bundle::Config& c) {
         for (uint32_t gid = 70000; gid < 70065; ++gid) c.process->user.additional_gids.push_back(gid);
       }},
      {"/elsewhere: a proc that is not at /proc",
       [](bundle::Config& c) { c.mounts.push_back({"/elsewhere", "proc", "proc", {}, {}, {}}); }},
  };
  for (const Case& c : cases) {
    dispatcher::Request request = trusted_request();
    c.change(request.config);
    const dispatcher::Policy policy = dispatcher::builtin_policy();
    auto decision = dispatcher::Admission(policy).judge(request, *dispatcher::gather_host_facts(request));
    ASSERT_TRUE(decision) << c.named;
    if (!decision->spec) continue;  // a guard was quicker: refused all the same
    const auto plan = compile(*decision->spec, kHost);
    ASSERT_FALSE(plan) << c.named;
    EXPECT_NE(plan.error().message.find(c.named), std::string::npos) << plan.error().message;
    EXPECT_EQ(plan.error().fault, Fault::refused);
  }
}

TEST(NativePlan, LayersOnlyMemoryOverARootFileSystem) {
  dispatcher::Request request = trusted_request();
  request.config.root = bundle::Root{"/usr/share", true};
  const dispatcher::Policy policy = dispatcher::builtin_policy();
  auto decision = dispatcher::Admission(policy).judge(request, *dispatcher::gather_host_facts(request));
  if (!decision->spec)
    GTEST_SKIP() << "the policy refuses /usr/share as a root: " << dispatcher::refusal(decision->verdicts).message;
  const Plan plan = *compile(*decision->spec, kHost);
  ASSERT_GE(plan.root.tree, 0);
  EXPECT_TRUE(plan.root.overlay);
  EXPECT_TRUE(plan.root.trees[static_cast<size_t>(plan.root.tree)].attributes & MOUNT_ATTR_RDONLY);
}

TEST(MountOptions, LaterOptionsWin) {
  EXPECT_TRUE(parse_mount_options({"rw", "ro"})->set & MOUNT_ATTR_RDONLY);
  EXPECT_FALSE(parse_mount_options({"ro", "rw"})->set & MOUNT_ATTR_RDONLY);
}

TEST(MountOptions, TakesTheRecursiveOnes) {
  const MountOptions parsed = *parse_mount_options({"rbind", "rro", "nosuid"});
  EXPECT_TRUE(parsed.bind);
  EXPECT_EQ(parsed.set, static_cast<uint64_t>(MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY));
}

// mount_setattr(2) takes no access time but where the whole field is cleared (EINVAL).
TEST(MountOptions, ClearsTheAccessTimesAsOneField) {
  for (const char* option : {"noatime", "strictatime", "relatime", "atime", "rnoatime"})
    EXPECT_EQ(parse_mount_options({option})->clear, static_cast<uint64_t>(MOUNT_ATTR__ATIME)) << option;
  const MountOptions last = *parse_mount_options({"noatime", "strictatime", "nodiratime"});
  EXPECT_EQ(last.set, static_cast<uint64_t>(MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_NODIRATIME));
}

TEST(MountOptions, HandsFileSystemOptionsOn) {
  const MountOptions parsed = *parse_mount_options({"size=64k", "mode=1777"});
  ASSERT_EQ(parsed.file_system.size(), 2u);
  EXPECT_EQ(parsed.file_system[0].first, "size");
  EXPECT_EQ(parsed.file_system[0].second, "64k");
}

TEST(MountOptions, RefusesWhatItDoesNotKnow) {
  for (const char* option : {"shared", "rshared", "lowerdir=/etc", "size", "context=x", "sizes=1", "size=1,context=x", ""})
    EXPECT_FALSE(parse_mount_options({option})) << option;
}

}  // namespace
}  // namespace bailey::native
