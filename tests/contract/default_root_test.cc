// The default root: what it shows of the host's files outside /usr, and what it has of its own (docs/default-root.md).
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>

#include "base/files.h"
#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using DefaultRootContract = Contract;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST_F(DefaultRootContract, ShowsWhatProgramsReadOutsideUsr) {
  // Of every Debian, and with the same contents as outside.
  for (const char* path :
       {"/etc/services", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/etc/bash.bashrc", "/etc/profile", "/etc/terminfo/README",
        "/etc/debian_version", "/etc/os-release", "/etc/ssl/certs/ca-certificates.crt"}) {
    const auto outside = files::read(path, 16 << 20);
    if (!outside) continue;
    const Outcome got = run({"/bin/cat", path});
    EXPECT_EQ(got.exit_code, 0) << path << got;
    EXPECT_EQ(got.out, *outside) << path;
  }
  const Outcome got = shell("readlink -f /etc/alternatives/awk; readlink /etc/mtab; readlink /var/tmp /var/run");
  EXPECT_NE(got.out.find("/usr/bin/"), std::string::npos) << got;
  EXPECT_NE(got.out.find("/proc/self/mounts\n/tmp\n/run\n"), std::string::npos) << got;
}

TEST_F(DefaultRootContract, ShowsNothingThatIsNotEverybodysOnTheHost) {
  const std::string list = "find /etc /var /sys -xdev -type f -o -type d 2>/dev/null; find /etc /var -type f -size +0";
  const Outcome got = shell(gvisor() ? "find /etc /var -type f -o -type d; find /etc /var -type f -size +0" : list);
  int seen = 0;
  for (const std::string& path : lines_of(got.out)) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) continue;  // the sandbox's own
    ++seen;
    EXPECT_TRUE(info.st_mode & S_IROTH) << path;
    for (const char* secret : {"shadow", "/etc/ssh/", "private", ".key", "sudoers", "machine-id", "/etc/apt", "/etc/default"})
      EXPECT_EQ(path.find(secret), std::string::npos) << path;
  }
  EXPECT_GT(seen, 50) << got.out.substr(0, 1000);
  const Outcome secrets = shell(
      "cat /etc/shadow /etc/gshadow /etc/ssh/* /etc/sudoers /etc/machine-id /etc/ssl/private/* /var/lib/dpkg/status 2>/dev/null; "
      "ls /var/lib/dpkg /var/log /etc/cron.d /etc/bailey 2>/dev/null; true");
  EXPECT_EQ(secrets.out, "") << secrets;
}

TEST_F(DefaultRootContract, KeepsItsEtcWhoeverTheUserIs) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--user", "1000:1000"}, Arguments{"--writable"}}) {
    const Outcome got =
        shell(flags,
              "for f in passwd group hosts hostname resolv.conf nsswitch.conf; do [ -f /etc/$f ] && [ ! -L /etc/$f ] "
              "|| echo no $f; done; getent passwd $(id -u) | cut -d: -f3; cat /etc/services | head -c 0 && echo read");
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out, flags.size() == 2 ? "1000\nread\n" : "0\nread\n") << got;
  }
  const Outcome written = shell(
      "for f in /etc/passwd /etc/hosts /etc/services /etc/alternatives/new /var/lib/new /sys/devices/new; do "
      "(echo x >> $f) 2>/dev/null && echo WRITTEN $f; done; true");
  EXPECT_EQ(written.out, "") << written;
}

TEST_F(DefaultRootContract, TakesVolumesBelowEtcAndVarNextToTheHostsFiles) {
  const TempDir volume;
  volume.write("conf", "mine\n");
  const Outcome got =
      shell({"-v", volume.path() + ":/etc/mytool:ro", "-v", volume.path() + ":/var/lib/mydata:ro", "-e", "HOME=/var/lib/home"},
            "cat /etc/mytool/conf /var/lib/mydata/conf; head -c 0 /etc/services && getent services http/tcp | "
            "grep -c 80; readlink /var/tmp; echo x > $HOME/file && cat $HOME/file; [ -f /etc/passwd ] && echo own");
  EXPECT_EQ(got.out, "mine\nmine\n1\n/tmp\nx\nown\n") << got;
}

TEST_F(DefaultRootContract, LetsAWritableRootGrowInEtcAndVar) {
  const Outcome got =
      shell({"--writable"},
            "echo a > /etc/new && mkdir /var/lib/new && echo 192.0.2.9 there >> /etc/hosts && tail -n 1 /etc/hosts && "
            "cat /etc/new && grep -c http /etc/services > /dev/null && echo kept");
  EXPECT_EQ(got.out, "192.0.2.9 there\na\nkept\n") << got;
}

TEST_F(DefaultRootContract, HasASmallRun) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--user", "1000:1000"}}) {
    const Outcome got =
        shell(flags,
              "set -e; echo $$ > /run/tool.pid; test -s /var/run/tool.pid; mkdir -p /run/tool/sockets; echo x > "
              "/var/lock/tool.lock; echo /run/*; head -c 4194304 /dev/zero > /run/big 2>/dev/null || echo full");
    EXPECT_EQ(got.out, "/run/tool /run/tool.lock /run/tool.pid\nfull\n") << got;
  }
  EXPECT_EQ(shell("echo /run/*").out, "/run/*\n");
}

TEST_F(DefaultRootContract, SaysHowManyProcessorsThereAre) {
  const Outcome got = shell(
      "cat /sys/devices/system/cpu/online; lscpu | grep -c '^CPU(s):'; getconf _NPROCESSORS_ONLN > /dev/null && "
      "echo counted; ls /sys/class /sys/block /sys/bus /sys/firmware /sys/module 2>/dev/null | grep -c pci");
  EXPECT_NE(got.out.find("\n1\ncounted\n0\n"), std::string::npos) << got;
  if (gvisor()) return;  // runsc's own kernel's
  EXPECT_TRUE(got.out.starts_with(read_file("/sys/devices/system/cpu/online"))) << got;
  EXPECT_EQ(shell("ls /sys").out, "devices\nkernel\n");
}

TEST_F(DefaultRootContract, FollowsThePolicy) {
  const TempDir directory;
  const auto policy = [&](const std::string& rule) {
    return directory.write("policy.json", "{\"default_root\": " + rule + "}");
  };
  EXPECT_EQ(run({"--policy", policy(R"({"remove": ["/etc/services"]})")}, {"/bin/cat", "/etc/services"}).exit_code, 1);
  EXPECT_EQ(run({"/bin/cat", "/etc/services"}).exit_code, 0);
  const Outcome added = run({"--policy", policy(R"({"add": ["/etc/adduser.conf"]})")}, {"/bin/cat", "/etc/adduser.conf"});
  const auto outside = files::read("/etc/adduser.conf", 1 << 20);
  if (outside) {
    EXPECT_EQ(added.out, *outside) << added;
  }
  const Outcome refused = run({"--policy", policy(R"({"add": ["/etc/shadow"]})")}, {"/bin/true"});
  EXPECT_EQ(refused.exit_code, 125) << refused;
  EXPECT_NE(refused.err.find("/etc/shadow"), std::string::npos) << refused;
}

// The host's kCoveredFile is another one, for Bailey alone, as long as this exists.
class CoveredFile {
 public:
  explicit CoveredFile(std::string path) : path_(std::move(path)) {
    if (caller() != Caller::root) {
      EXPECT_TRUE(ask_root('c', path_)) << path_;
    }
  }
  ~CoveredFile() {
    if (caller() != Caller::root) ask_root('d', path_);
  }
  Outcome run(RunOptions wish) const {
    if (caller() == Caller::root)
      wish.before_exec = [this] {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount(path_.c_str(), kCoveredFile, nullptr, MS_BIND, nullptr) != 0)
          ::_exit(97);
      };
    return run_bailey(std::move(wish));
  }

 private:
  std::string path_;
};

TEST_F(DefaultRootContract, FollowsTheHostFromOneRunToTheNext) {
  const std::string script = "cat " + std::string(kCoveredFile) + "; cat; exit 3";
  const std::string before = read_file(kCoveredFile);
  const TempDir directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  const auto look = [&](const auto& run_it) {
    RunOptions wish = options({"-i"}, {"/bin/sh", "-c", script});
    wish.input = "and its input";
    const Outcome got = run_it(std::move(wish));
    EXPECT_EQ(got.exit_code, 3) << got;
    return got.out;
  };
  EXPECT_EQ(look([](RunOptions wish) { return run_bailey(std::move(wish)); }), before + "and its input");
  {
    const CoveredFile other(directory.write("other", "other\n"));
    EXPECT_EQ(look([&](RunOptions wish) { return other.run(std::move(wish)); }), "other\nand its input");
    ASSERT_EQ(::chmod(directory.file("other").c_str(), 0600), 0);
    EXPECT_EQ(look([&](RunOptions wish) { return other.run(std::move(wish)); }), "and its input") << "not everybody's any more";
  }
  EXPECT_EQ(look([](RunOptions wish) { return run_bailey(std::move(wish)); }), before + "and its input");
}

TEST_F(DefaultRootContract, PointsAVolumeOfEtcToThePolicy) {
  const auto refusal = [&](const std::string& path) { return run({"-v", path + ":" + path + ":ro"}, {"/bin/true"}); };
  const Outcome shown = refusal("/etc/alternatives");
  EXPECT_EQ(shown.exit_code, 125) << shown;
  EXPECT_NE(shown.err.find("the default root shows"), std::string::npos) << shown;
  const Outcome other = refusal("/etc/adduser.conf");
  EXPECT_EQ(other.exit_code, 125) << other;
  EXPECT_NE(other.err.find("\"default_root\": {\"add\": [\"/etc/adduser.conf\"]}"), std::string::npos) << other;
}

}  // namespace
}  // namespace bailey::tests
