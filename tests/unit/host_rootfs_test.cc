#include "bundle/host_rootfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "base/files.h"
#include "bundle/builder.h"
#include "bundle/bundle_dir.h"
#include "tests/support/temp_dir.h"

namespace bailey::bundle {
namespace {

using Kind = RootEntry::Kind;

class HostRoot : public testing::Test {
 protected:
  void make_directory(const std::string& path) { ASSERT_TRUE(files::create_directories(host_.path() + path, 0755)); }
  void make_file(const std::string& path, const std::string& contents) {
    const auto fd = files::open(host_.path() + path, O_WRONLY | O_CREAT, 0644);
    ASSERT_TRUE(fd && files::write_fd(fd->get(), contents, path));
  }
  void make_link(const std::string& path, const std::string& target) {
    ASSERT_EQ(::symlink(target.c_str(), (host_.path() + path).c_str()), 0);
  }
  std::vector<RootEntry> entries(const std::string& host) {
    auto made = host_root_entries(config_, {}, host);
    EXPECT_TRUE(made) << made.error().message;
    return made.value_or(std::vector<RootEntry>{});
  }
  // The entry of that path among those made for the host below host_; an empty path when there is none.
  RootEntry entry(const std::string& path) {
    for (RootEntry& made : entries(host_.path()))
      if (made.path == path) return made;
    return {};
  }

  tests::TempDir host_;
  Config config_;
};

TEST_F(HostRoot, FollowsMergedAndSeparateUsr) {
  make_directory("/usr/lib");
  make_directory("/lib64");
  make_link("/bin", "usr/bin");
  make_directory("/etc");
  EXPECT_EQ(entry("usr"), (RootEntry{Kind::bind_directory, "usr", host_.path() + "/usr"}));
  EXPECT_EQ(entry("bin"), (RootEntry{Kind::symlink, "bin", "usr/bin"}));
  EXPECT_EQ(entry("lib64"), (RootEntry{Kind::bind_directory, "lib64", host_.path() + "/lib64"}));
  EXPECT_EQ(entry("lib32").path, "");
}

TEST_F(HostRoot, TakesFromEtcWhatProgramsNeedAndNothingElse) {
  make_directory("/usr/lib/jvm");
  make_directory("/etc/ssl/certs");
  make_directory("/etc/ssl/private");
  make_directory("/etc/java-17-openjdk");
  make_file("/etc/ssl/openssl.cnf", "conf");
  make_file("/etc/shadow", "secret");
  make_file("/etc/passwd", "host user");
  make_file("/etc/ld.so.cache", std::string(100'000, 'x'));
  make_link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin");
  make_file("/etc/elsewhere", "ID=debian\n");
  make_link("/etc/os-release", "elsewhere");
  EXPECT_EQ(entry("etc/ssl/openssl.cnf"), (RootEntry{Kind::file, "etc/ssl/openssl.cnf", "conf", 0644}));
  EXPECT_EQ(entry("etc/ssl/certs").kind, Kind::bind_directory);
  EXPECT_EQ(entry("etc/ld.so.cache"), (RootEntry{Kind::bind_file, "etc/ld.so.cache", host_.path() + "/etc/ld.so.cache"}));
  EXPECT_EQ(entry("etc/localtime"), (RootEntry{Kind::symlink, "etc/localtime", "/usr/share/zoneinfo/Europe/Berlin"}));
  EXPECT_EQ(entry("etc/os-release"), (RootEntry{Kind::file, "etc/os-release", "ID=debian\n", 0644}));
  EXPECT_EQ(entry("etc/java-17-openjdk").kind, Kind::bind_directory);
  EXPECT_EQ(entry("etc/ssl/private").path, "");
  EXPECT_EQ(entry("etc/shadow").path, "");
  EXPECT_EQ(entry("etc/passwd").text.find("host user"), std::string::npos);
}

TEST_F(HostRoot, NamesTheWorkloadsUserInPasswd) {
  config_.process = Process{};
  config_.process->env = {"HOME=/home/me"};
  config_.process->user = {.uid = 1000, .gid = 100, .umask = {}, .additional_gids = {}};
  EXPECT_NE(entry("etc/passwd").text.find("\nuser:x:1000:100::/home/me:/bin/sh\n"), std::string::npos);
  EXPECT_NE(entry("etc/group").text.find("\nuser:x:100:\n"), std::string::npos);
  config_.process->env = {"HOME=/x\nevil:x:0:0::/:/bin/sh"};
  EXPECT_EQ(entry("etc/passwd").text.find("evil"), std::string::npos);
  config_.process->user = {.uid = 0, .gid = 0, .umask = {}, .additional_gids = {}};
  config_.process->env = {"HOME=/home/me"};
  EXPECT_TRUE(entry("etc/passwd").text.starts_with("root:x:0:0:root:/home/me:/bin/sh\nnobody:"));
}

TEST_F(HostRoot, HasNoResolverWithoutTheHostsNetwork) {
  make_directory("/etc");
  make_file("/etc/resolv.conf", "nameserver 192.0.2.1\n");
  config_.hostname = "box";
  config_.linux.namespaces = {{NamespaceType::network, ""}};
  EXPECT_EQ(entry("etc/resolv.conf"), (RootEntry{Kind::file, "etc/resolv.conf", "", 0644}));
  EXPECT_NE(entry("etc/hosts").text.find("localhost box\n"), std::string::npos);
  config_.linux.namespaces.clear();
  EXPECT_EQ(entry("etc/resolv.conf").text, "nameserver 192.0.2.1\n");
}

TEST_F(HostRoot, HasTheSearchDomainsOfItsNetwork) {
  const auto conf = [&](const NetworkNames& names) { return network_entries(config_, names).at(2).text; };
  const NetworkNames plain{.address = "10.201.0.2", .address6 = {}, .resolver = "10.201.0.1", .others = {}, .search = {}};
  EXPECT_EQ(conf(plain), "nameserver 10.201.0.1\n");
  NetworkNames names = plain;
  names.search = {"corp.example", "lab.example"};
  names.ndots = 5;
  EXPECT_EQ(conf(names), "nameserver 10.201.0.1\nsearch corp.example lab.example\noptions ndots:5\n");
  names.resolver.clear();
  EXPECT_EQ(conf(names), "") << "nobody to ask";
}

TEST_F(HostRoot, MakesDirectoriesForTheMountsThatLieInItself) {
  config_.process = Process{};
  config_.process->env = {"HOME=/srv/deep/home"};
  config_.mounts = {
      {.destination = "/data/in", .type = "bind", .source = "/s", .options = {}, .uid_mappings = {}, .gid_mappings = {}}};
  add_run_defaults(config_, {});
  for (const char* path : {"proc", "dev", "tmp", "srv", "srv/deep", "srv/deep/home"})
    EXPECT_EQ(entry(path).kind, Kind::directory) << path;
  for (const char* path : {"srv/deep/home", "tmp"}) EXPECT_EQ(entry(path).path, path);
  for (const char* path : {"dev/pts", "dev/shm", "data", "data/in"}) EXPECT_EQ(entry(path).path, "") << path;
}

TEST_F(HostRoot, OfThisHostIsInTheOrderOfMaking) {
  config_.process = Process{};
  add_run_defaults(config_, {});
  const std::vector<RootEntry> made = entries("");
  std::set<std::string> seen = {""};
  for (const RootEntry& e : made) {
    EXPECT_FALSE(e.path.starts_with('/')) << e.path;
    EXPECT_TRUE(seen.insert(e.path).second) << e.path << " twice";
    const size_t slash = e.path.rfind('/');
    EXPECT_TRUE(seen.contains(slash == e.path.npos ? "" : e.path.substr(0, slash))) << e.path << " before its directory";
    struct stat status{};
    if (e.kind != Kind::bind_directory && e.kind != Kind::bind_file) continue;
    EXPECT_EQ(::stat(e.text.c_str(), &status), 0) << e.text;
    EXPECT_EQ(S_ISDIR(status.st_mode), e.kind == Kind::bind_directory) << e.text;
  }
  EXPECT_TRUE(seen.contains("usr") && seen.contains("bin") && seen.contains("etc/passwd") && seen.contains("tmp"));
}

TEST(BundleDirectory, HoldsTheConfigurationOnlyOnce) {
  const tests::TempDir directory;
  const auto dir = files::open(directory.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  Config config;
  config.root = Root{.path = "rootfs", .readonly = true};
  config.process = Process{};
  config.process->args = {"/bin/true"};
  ASSERT_TRUE(write_bundle(dir->get(), config));
  const auto again = read_bundle(dir->get(), directory.path());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, config);
  EXPECT_FALSE(write_bundle(dir->get(), config));
  struct stat status{};
  ASSERT_EQ(::fstatat(dir->get(), kConfigFile, &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(BundleDirectory, RefusesAConfigurationThatIsNoRegularFile) {
  for (const char* kind : {"missing", "link", "fifo", "directory"}) {
    const tests::TempDir directory;
    const std::string path = directory.path() + "/" + kConfigFile;
    if (kind == std::string_view("link")) {
      ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
    }
    if (kind == std::string_view("fifo")) {
      ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    }
    if (kind == std::string_view("directory")) {
      ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    }
    const auto dir = files::open(directory.path(), O_RDONLY | O_DIRECTORY);
    const auto read = read_bundle(dir->get(), directory.path());
    ASSERT_FALSE(read) << kind;
    EXPECT_NE(read.error().message.find(directory.path()), std::string::npos) << read.error().message;
  }
}

}  // namespace
}  // namespace bailey::bundle
