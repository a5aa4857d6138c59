#include "bundle/builder.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bailey::bundle {
namespace {

Config wish(std::vector<std::string> env = {}, uint32_t uid = 1000) {
  Config config;
  config.process = Process{};
  config.process->args = {"true"};
  config.process->env = std::move(env);
  config.process->user = {.uid = uid, .gid = uid, .umask = {}, .additional_gids = {}};
  return config;
}

Mount volume(std::string destination) {
  return {.destination = std::move(destination),
          .type = "bind",
          .source = "/src",
          .options = {"rbind"},
          .uid_mappings = {},
          .gid_mappings = {}};
}

std::vector<std::string> destinations(const Config& config) {
  std::vector<std::string> names;
  for (const Mount& mount : config.mounts) names.push_back(mount.destination);
  return names;
}

const Mount* find(const Config& config, std::string_view destination) {
  for (const Mount& mount : config.mounts)
    if (mount.destination == destination) return &mount;
  return nullptr;
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::ranges::find(list, text) != list.end();
}

TEST(RunDefaults, StandMountsBeforeTheCallersVolumes) {
  Config config = wish();
  config.mounts = {volume("/b"), volume("/a")};
  add_run_defaults(config, {});
  EXPECT_EQ(destinations(config), (std::vector<std::string>{"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/tmp",
                                                            "/run", "/home/user", "/b", "/a"}));
}

TEST(RunDefaults, HaveARunOfTheWorkloadsUserInTheDefaultRootAndForSecrets) {
  Config config = wish();
  add_run_defaults(config, {});
  ASSERT_TRUE(find(config, "/run"));
  EXPECT_TRUE(contains(find(config, "/run")->options, "uid=1000"));
  Config other = wish();
  other.root = Root{.path = "/srv/root", .readonly = true};
  Config with_secrets = other;
  add_run_defaults(other, {});
  EXPECT_FALSE(find(other, "/run"));
  add_run_defaults(with_secrets, {.secrets = true});
  EXPECT_TRUE(find(with_secrets, "/run"));
}

TEST(RunDefaults, ChangeNothingTheSecondTime) {
  Config once = wish({"HOME=/tmp/h"});
  once.mounts = {volume("/a")};
  const RunDefaults defaults{.tmpfs_bytes = 1 << 20, .tmpfs_inodes = 100, .host_network = false, .secrets = true};
  add_run_defaults(once, defaults);
  Config twice = once;
  add_run_defaults(twice, defaults);
  EXPECT_EQ(once, twice);
}

TEST(RunDefaults, LimitBytesAndInodesOfEveryTmpfs) {
  Config config = wish();
  add_run_defaults(config, {.tmpfs_bytes = 4096, .tmpfs_inodes = 9, .host_network = false, .secrets = true});
  for (const Mount& mount : config.mounts) {
    EXPECT_TRUE(contains(mount.options, "nosuid")) << mount.destination;
    if (mount.type != "tmpfs") continue;
    const auto limits = [](std::string_view option) { return option.starts_with("size=") || option.starts_with("nr_inodes="); };
    EXPECT_EQ(std::ranges::count_if(mount.options, limits), 2) << mount.destination;
  }
  EXPECT_TRUE(contains(find(config, "/tmp")->options, "size=4096"));
  EXPECT_TRUE(contains(find(config, "/home/user")->options, "nr_inodes=9"));
  EXPECT_TRUE(contains(find(config, "/home/user")->options, "uid=1000"));
}

TEST(RunDefaults, MountAHomeOnlyWhereOneCanBe) {
  const struct {
    const char* home;
    bool mounted;
  } kCases[] = {{"/home/me", true},      {"/root", true},     {"/tmp/me", true},    {"/work/me", false},
                {"/work", false},        {"/workshop", true}, {"/", false},         {"", false},
                {"relative", false},     {"/usr/x", false},   {"/etc", false},      {"/dev/shm", false},
                {"/home/../etc", false}, {"/tmp", false},     {"/home/me/", false}, {"/a/..", false}};
  for (const auto& c : kCases) {
    Config config = wish({std::string("HOME=") + c.home});
    config.mounts = {volume("/work")};
    add_run_defaults(config, {});
    const auto is_home = [&](const Mount& mount) {
      return mount.destination == c.home && contains(mount.options, "mode=0700");
    };
    EXPECT_EQ(std::ranges::any_of(config.mounts, is_home), c.mounted) << c.home;
  }
}

TEST(RunDefaults, GiveWayToTheCallersMounts) {
  Config config = wish();
  config.mounts = {volume("/tmp"), volume("/home/user")};
  add_run_defaults(config, {});
  EXPECT_EQ(std::ranges::count(destinations(config), "/tmp"), 1);
  EXPECT_EQ(std::ranges::count(destinations(config), "/home/user"), 1);
  EXPECT_EQ(find(config, "/tmp")->type, "bind");
}

TEST(RunDefaults, CompleteTheProcess) {
  Config config = wish({"LANG=de_DE.UTF-8", "PATHS=x"}, 0);
  add_run_defaults(config, {});
  const Process& process = *config.process;
  EXPECT_TRUE(contains(process.env, "HOME=/root"));
  EXPECT_TRUE(contains(process.env, "LANG=de_DE.UTF-8"));
  EXPECT_FALSE(contains(process.env, "LANG=C.UTF-8"));
  EXPECT_TRUE(std::ranges::any_of(process.env, [](const std::string& entry) { return entry.starts_with("PATH=/"); }));
  EXPECT_TRUE(process.no_new_privileges);
  EXPECT_EQ(process.rlimits, (std::vector<Rlimit>{{"RLIMIT_CORE", 0, 0}}));
  EXPECT_EQ(process.oom_score_adj, 500);
  EXPECT_TRUE(process.capabilities.empty());
  EXPECT_EQ(config.hostname, "bailey");
  EXPECT_TRUE(contains(config.linux.masked_paths, "/proc/kallsyms"));
  EXPECT_TRUE(contains(config.linux.readonly_paths, "/proc/sys"));
}

TEST(RunDefaults, AskForEveryNamespaceButTheNetworksWhenItIsTheHosts) {
  for (const bool host_network : {false, true}) {
    Config config = wish();
    config.linux.namespaces = {{NamespaceType::uts, ""}};
    add_run_defaults(config, {.tmpfs_bytes = 0, .tmpfs_inodes = 0, .host_network = host_network, .secrets = false});
    EXPECT_EQ(config.linux.namespaces.size(), host_network ? 6u : 7u);
    const auto is_network = [](const Namespace& space) { return space.type == NamespaceType::network; };
    EXPECT_EQ(std::ranges::any_of(config.linux.namespaces, is_network), !host_network);
  }
}

}  // namespace
}  // namespace bailey::bundle
