// Volumes: the guard on paths that need not exist, and gather_host_facts on a real file system.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dispatcher/guards/paths.h"
#include "dispatcher/mount_table.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"
#include "tests/unit/dispatcher_wishes.h"

namespace bailey::dispatcher {
namespace {

using tests::TempDir;

Level trusted() { return builtin_policy(true).levels.at("trusted"); }
Level untrusted() { return builtin_policy(true).levels.at("untrusted"); }

TEST(GuardMounts, RefusesEveryForbiddenSourceAtEveryLevel) {
  for (const char* path : {"/", "/proc", "/proc/1/root", "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm", "/boot", "/boot/grub",
                           "/run", "/run/docker.sock", "/run/user/1000", "/var/run", "/var/run/docker.sock", "/etc", "/etc/ssl",
                           "/etc/passwd", "/root", "/root/project", "/root/.ssh",
                           // homes, whole, and what lies in their dot directories
                           "/home", "/home/ann", "/home/bob", "/home/unlisted", "/srv/homes/carl", "/srv/homes", "/srv",
                           "/home/ann/.ssh", "/home/ann/.aws", "/home/ann/.gnupg/private-keys-v1.d", "/home/ann/.kube/config",
                           "/home/ann/.docker", "/home/ann/.bash_history", "/home/unlisted/.ssh", "/srv/homes/carl/.config/x",
                           // container engines
                           "/var/lib/docker", "/var/lib/docker/volumes/x/_data", "/var/lib/containerd",
                           "/var/lib/containers/storage", "/var/lib/kubelet/pods", "/var/lib/rancher/k3s", "/var/lib/lxc/a",
                           "/var/lib/machines", "/data/docker/overlay2", "/data/docker",
                           // what contains one of these
                           "/var", "/var/lib", "/data", "/srv/jail", "/srv/jail/proc", "/srv/jail/proc/1", "/var/spool",
                           "/var/spool/cron/crontabs"}) {
    for (const Level& level : {trusted(), untrusted()}) {
      const Verdict verdict = judge_volume(path, level);
      EXPECT_FALSE(verdict.allowed) << path;
      EXPECT_NE(verdict.reason.find(path), std::string::npos) << verdict.reason;
      EXPECT_FALSE(verdict.remedy.empty());
    }
  }
}

TEST(GuardMounts, AllowsPlainDirectoriesAndFiles) {
  for (const char* path : {"/home/ann/project", "/home/ann/project/.git", "/home/unlisted/x", "/srv/homes/carl/x", "/srv/data",
                           "/work", "/tmp/x", "/procedure", "/etcetera", "/home/anna/x", "/devel", "/usr/share/dict",
                           "/opt/tool", "/rooted", "/var/lib/postgresql/backup", "/var/lib/dockerized", "/var/www"}) {
    EXPECT_TRUE(judge_volume(path, trusted()).allowed) << judge_volume(path, trusted()).reason;
    EXPECT_TRUE(judge_volume(path, untrusted(), S_IFREG | 0644).allowed) << path;
  }
}

TEST(GuardMounts, LetsOrdinaryUsersNameTheirOwnHomeOnly) {
  EXPECT_TRUE(judge_volume("/home/ann/project", trusted(), S_IFDIR | 0755, 1000).allowed);
  EXPECT_FALSE(judge_volume("/home/bob/project", trusted(), S_IFDIR | 0755, 1000).allowed);
  EXPECT_FALSE(judge_volume("/home/ann", trusted(), S_IFDIR | 0755, 1000).allowed);
  EXPECT_FALSE(judge_volume("/home/ann/.ssh", trusted(), S_IFDIR | 0755, 1000).allowed);
}

TEST(GuardMounts, RefusesEveryTypeButFilesAndDirectories) {
  for (const mode_t type : {S_IFSOCK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFLNK})
    EXPECT_FALSE(judge_volume("/srv/data/thing", trusted(), type | 0644).allowed) << type;
}

// Bits that a write through a shared mapping would leave on other contents.
TEST(GuardMounts, LetsNobodyWriteASetIdFile) {
  for (const mode_t bits : {S_ISUID, S_ISGID}) {
    const mode_t mode = S_IFREG | bits | 0755;
    const Verdict verdict = judge_volume("/srv/data/x", trusted(), mode, 0, volume("x", "/work", {"rbind"}));
    EXPECT_FALSE(verdict.allowed);
    EXPECT_NE(verdict.reason.find("set-user-id"), std::string::npos) << verdict.reason;
    EXPECT_TRUE(judge_volume("/srv/data/x", trusted(), mode, 0, volume("x", "/work", {"rbind", "ro"})).allowed);
  }
  EXPECT_TRUE(judge_volume("/srv/data", trusted(), S_IFDIR | S_ISGID | 0755, 0, volume("x", "/work", {"rbind"})).allowed);
}

TEST(GuardMounts, LetsNobodyWriteTheHostsPrograms) {
  for (const char* path : {"/usr", "/usr/local/bin", "/opt/tool", "/lib64"}) {
    EXPECT_FALSE(judge_volume(path, trusted(), S_IFDIR | 0755, 0, volume("x", "/work", {"rbind"})).allowed) << path;
    EXPECT_TRUE(judge_volume(path, trusted(), S_IFDIR | 0755, 0, volume("x", "/work", {"rbind", "ro"})).allowed) << path;
  }
}

TEST(GuardMounts, RefusesDestinationsThatCoverTheSandbox) {
  for (const char* path : {"",
                           "work",
                           "/",
                           "//",
                           "/work/",
                           "/work//x",
                           "/work/./x",
                           "/work/..",
                           "/../work",
                           "/proc",
                           "/proc/sys",
                           "/sys/x",
                           "/dev",
                           "/dev/shm",
                           "/etc",
                           "/usr",
                           "/usr/lib/x",
                           "/bin",
                           "/sbin/x",
                           "/lib",
                           "/lib64",
                           "/lib32/x",
                           "/run",
                           "/run/secrets",
                           "/run/secrets/x",
                           "/.bailey",
                           "/.bailey/init",
                           "/.bailey-empty"}) {
    const Verdict verdict = judge_volume("/srv/data", trusted(), S_IFDIR | 0755, 0, volume("/srv/data", path));
    EXPECT_FALSE(verdict.allowed) << path;
  }
  for (const char* path :
       {"/work", "/tmp", "/tmp/x", "/etc/app.conf", "/home/user", "/run/app", "/data/..x", "/library", "/procedure"})
    EXPECT_TRUE(judge_volume("/srv/data", trusted(), S_IFDIR | 0755, 0, volume("/srv/data", path)).allowed) << path;
}

TEST(GuardMounts, TakesOnlyOptionsThatItKnows) {
  for (const char* option :
       {"dev", "suid", "shared", "rshared", "slave", "rslave", "size=1", "remount", "idmap", "x", "", "norelatime"})
    EXPECT_FALSE(judge_volume("/srv/data", trusted(), S_IFDIR | 0755, 0, volume("x", "/work", {"rbind", option})).allowed)
        << option;
  EXPECT_FALSE(judge_volume("/srv/data", trusted(), S_IFDIR | 0755, 0, volume("x", "/work", {"ro", "rw"})).allowed);
  bundle::Mount overlay = volume("overlay", "/work", {"lowerdir=/etc"});
  overlay.type = "overlay";
  EXPECT_FALSE(judge_volume("/srv/data", trusted(), S_IFDIR | 0755, 0, overlay).allowed);
  bundle::Mount proc = volume("proc", "/work", {});
  proc.type = "proc";
  EXPECT_FALSE(judge_volume("/srv/data", trusted(), S_IFDIR | 0755, 0, proc).allowed);
}

TEST(GuardMounts, HoldsTheLevelsRules) {
  Level level = trusted();
  level.volumes = VolumeRule::none;
  EXPECT_FALSE(judge_volume("/srv/data", level).allowed);
  level.volumes = VolumeRule::read_only;
  EXPECT_TRUE(judge_volume("/srv/data", level).allowed);
  EXPECT_FALSE(judge_volume("/srv/data", level, S_IFDIR | 0755, 0, volume("x", "/work", {"rbind"})).allowed);
  level.volume_roots = {"/srv/data", "/work"};
  EXPECT_TRUE(judge_volume("/srv/data/x", level).allowed);
  EXPECT_FALSE(judge_volume("/srv/database", level).allowed);
}

TEST(GuardMounts, RefusesTwoVolumesAtOnePlaceAndAVolumeThatWasNotOpened) {
  Request request = wish("trusted");
  request.config.mounts = {volume("/srv/a", "/work"), volume("/srv/b", "/work")};
  HostFacts facts = host();
  facts.volumes.push_back(opened("/srv/a"));
  EXPECT_FALSE(guard_mounts(request, builtin_policy(true), facts).allowed);
  facts.volumes.push_back(opened("/srv/b"));
  EXPECT_FALSE(guard_mounts(request, builtin_policy(true), facts).allowed);
  request.config.mounts[1].destination = "/more";
  EXPECT_TRUE(guard_mounts(request, builtin_policy(true), facts).allowed);
}

TEST(GuardMounts, KeepsTheHostOutOfTheRootFileSystem) {
  const auto judge = [](const char* path, mode_t mode, std::vector<std::string> roots = {}) {
    Request request = wish();
    request.config.root = bundle::Root{path, true};
    HostFacts facts = host();
    facts.rootfs = opened(path, mode);
    Policy policy = builtin_policy(true);
    policy.levels.at("untrusted").volume_roots = std::move(roots);
    return guard_mounts(request, policy, facts).allowed;
  };
  for (const char* path : {"/", "/etc", "/var", "/proc/1/root", "/root", "/home/ann", "/root/.cache/x",
                           "/var/lib/docker/overlay2/x/merged", "/run/x"})
    EXPECT_FALSE(judge(path, S_IFDIR)) << path;
  for (const char* path : {"/root/rootfs", "/home/ann/rootfs", "/srv/rootfs", "/tmp/r"})
    EXPECT_TRUE(judge(path, S_IFDIR)) << path;
  EXPECT_FALSE(judge("/srv/rootfs", S_IFREG));
  EXPECT_FALSE(judge("/srv/rootfs", S_IFDIR, {"/srv/other"}));
  EXPECT_TRUE(judge("/srv/rootfs", S_IFDIR, {"/srv"}));
}

// From here on: real files.

Result<HostFacts> gather(const std::string& source) {
  Request request = wish("trusted");
  request.config.mounts = {volume(source, "/work")};
  return gather_host_facts(request);
}

bool allowed(const std::string& source) {
  Request request = wish("trusted");
  request.config.mounts = {volume(source, "/work")};
  Result<HostFacts> facts = gather_host_facts(request);
  EXPECT_TRUE(facts) << facts.error().message;
  return facts && guard_mounts(request, builtin_policy(true), *facts).allowed;
}

TEST(HostFacts, SeesThroughLinks) {
  const TempDir dir;
  ASSERT_EQ(::mkdir(dir.file("plain").c_str(), 0755), 0);
  for (const auto& [name, target] : {std::pair{"to_etc", "/etc"},
                                     {"to_file", "/etc/passwd"},
                                     {"to_root", "/"},
                                     {"to_proc", "/proc/self"},
                                     {"to_fd", "/proc/self/fd"},
                                     {"to_link", "to_etc"},
                                     {"to_plain", "plain"}})
    ASSERT_EQ(::symlink(target, dir.file(name).c_str()), 0);
  EXPECT_TRUE(allowed(dir.file("plain")));
  EXPECT_TRUE(allowed(dir.file("to_plain")));
  EXPECT_TRUE(allowed(dir.file("plain/../plain")));
  for (const char* name :
       {"to_etc", "to_file", "to_root", "to_proc", "to_fd", "to_link", "to_etc/ssl", "../../etc", "plain/../../.."})
    EXPECT_FALSE(allowed(dir.file(name))) << name;
}

TEST(HostFacts, NamesTheSourceAsTheKernelDoes) {
  const TempDir dir;
  const std::string file = dir.write("file", "x");
  ASSERT_EQ(::symlink("file", dir.file("link").c_str()), 0);
  const Result<HostFacts> facts = gather(dir.file("link"));
  ASSERT_TRUE(facts) << facts.error().message;
  ASSERT_EQ(facts->volumes.size(), 1u);
  EXPECT_EQ(facts->volumes[0].given, dir.file("link"));
  EXPECT_EQ(facts->volumes[0].real_path, file);
  EXPECT_FALSE(facts->volumes[0].directory());
  struct stat status{};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(facts->volumes[0].inode, status.st_ino);
  EXPECT_FALSE(facts->homes.empty());
}

TEST(HostFacts, RefusesSocketsFifosAndDevices) {
  const TempDir dir;
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0644), 0);
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dir.file("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::symlink("/dev/null", dir.file("null").c_str()), 0);
  for (const char* name : {"fifo", "socket", "null"}) EXPECT_FALSE(allowed(dir.file(name))) << name;
}

TEST(HostFacts, NamesAMissingSource) {
  const Result<HostFacts> facts = gather("/nowhere/at/all");
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().fault, Fault::bad_input);
  EXPECT_NE(facts.error().message.find("/nowhere/at/all:/work"), std::string::npos) << facts.error().message;
  EXPECT_FALSE(gather(""));
  Request request = wish();
  request.config.root = bundle::Root{"/nowhere", true};
  const Result<HostFacts> rootfs = gather_host_facts(request);
  ASSERT_FALSE(rootfs);
  EXPECT_NE(rootfs.error().message.find("rootfs /nowhere"), std::string::npos);
}

TEST(HostFacts, NamesASourceThatTheCallerMayNotRead) {
  BAILEY_REQUIRE("root");
  const TempDir dir;
  ASSERT_EQ(::mkdir(dir.file("closed").c_str(), 0700), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setresgid(12345, 12345, 12345) != 0 || ::setresuid(12345, 12345, 12345) != 0) ::_exit(1);
    const Result<HostFacts> facts = gather(dir.file("closed"));
    ::_exit(!facts && facts.error().sys == EACCES && facts.error().message.find(dir.file("closed")) != std::string::npos ? 0
                                                                                                                         : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(HostFacts, LooksAtNothingWhenNothingIsNamed) {
  const Result<HostFacts> facts = gather_host_facts(wish());
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->homes.empty());
  EXPECT_TRUE(facts->volumes.empty());
}

constexpr std::string_view kMountinfo =
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "23 22 0:21 / /proc rw - proc proc rw\n"
    "24 22 8:1 /etc /srv/conf rw - ext4 /dev/sda1 rw\n"
    "25 22 8:1 /home/ann/.ssh /srv/with\\040blank/keys rw shared:1 - ext4 /dev/sda1 rw\n"
    "26 22 8:1 / /run/host rw - ext4 /dev/sda1 rw\n"
    "27 22 8:2 /work /work rw - ext4 /dev/sdb1 rw\n"
    "nonsense\n"
    "28 22 0:30 / /srv/empty rw - tmpfs tmpfs rw\n";

std::vector<std::string> names_of(std::string_view path) {
  std::vector<std::string> names;
  for (const OtherName& name : other_names(path, parse_mount_table(kMountinfo))) names.push_back(name.path);
  return names;
}

TEST(MountTable, TellsTheOtherNamesOfAFile) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(parse_mount_table(kMountinfo).size(), 7u);
  EXPECT_EQ(names_of("/srv/conf"), (Names{"/etc", "/run/host/etc"}));
  EXPECT_EQ(names_of("/srv/conf/ssl"), (Names{"/etc/ssl", "/run/host/etc/ssl"}));
  EXPECT_EQ(names_of("/srv/with blank"), (Names{"/run/host/srv/with blank", "/home/ann/.ssh", "/run/host/home/ann/.ssh"}));
  EXPECT_EQ(names_of("/work/x"), Names{});
  EXPECT_EQ(names_of("/srv/empty"), Names{});
  EXPECT_EQ(parse_mount_table("").size(), 0u);
  EXPECT_EQ(other_names("/x", {}), std::vector<OtherName>{});
}

TEST(GuardMounts, JudgesASourceByEachOfItsNames) {
  const auto judge = [](std::string path) {
    HostFacts facts = host();
    OpenedSource source = opened(std::move(path));
    source.other_names = other_names(source.real_path, parse_mount_table(kMountinfo));
    return forbidden_source(source, facts);
  };
  for (const char* path : {"/srv/conf", "/srv/conf/ssl", "/srv/with blank", "/srv/with blank/keys"})
    EXPECT_NE(judge(path), "") << path;
  EXPECT_NE(judge("/srv/conf").find("shows /etc"), std::string::npos) << judge("/srv/conf");
  // Everything is below /run/host too; that alone makes nothing part of /run.
  for (const char* path : {"/srv/data", "/work/x", "/home/ann/x", "/srv/empty"}) EXPECT_EQ(judge(path), "") << path;
}

TEST(HostFacts, SeesThroughBindMounts) {
  BAILEY_REQUIRE("root");
  const TempDir dir;
  for (const char* name : {"conf", "parent", "parent/conf", "plain", "data"})
    ASSERT_EQ(::mkdir(dir.file(name).c_str(), 0755), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // in a mount namespace of its own, so that the host sees nothing of it
    const bool mounted = ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                         ::mount("/etc", dir.file("conf").c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                         ::mount("/etc/ssl", dir.file("parent/conf").c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                         ::mount(dir.file("data").c_str(), dir.file("plain").c_str(), nullptr, MS_BIND, nullptr) == 0;
    int wrong = mounted ? 0 : 1;
    if (allowed(dir.file("conf"))) wrong |= 2;
    if (allowed(dir.file("conf/ssl"))) wrong |= 4;
    if (allowed(dir.file("parent"))) wrong |= 8;
    if (!allowed(dir.file("plain"))) wrong |= 16;
    ::_exit(wrong);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0)
      << "bits: 1 not mounted, 2 /etc, 4 /etc/ssl, 8 its parent were allowed, 16 plain was refused";
}

}  // namespace
}  // namespace bailey::dispatcher
