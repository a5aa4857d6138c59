// Two sandboxes side by side: neither finds, signals, reads or waits for anything of the other.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/clock.h"
#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class PeerProbes : public Probes {
 protected:
  BaileyProcess start(const Arguments& flags, const Arguments& command) {
    RunOptions wish = options(with_probes(flags), command);
    wish.keep_input_open = true;
    return BaileyProcess(std::move(wish));
  }
  // Every process below `ancestor`, as the host numbers them.
  static Arguments descendants(pid_t ancestor) {
    std::multimap<pid_t, pid_t> children;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const std::string stat = read_file(entry.path() / "stat");
      const size_t close = stat.rfind(") ");
      if (close != std::string::npos) children.emplace(std::atoi(stat.c_str() + close + 4), std::atoi(name.c_str()));
    }
    Arguments found;
    std::vector<pid_t> left = {ancestor};
    while (!left.empty()) {
      const auto [begin, end] = children.equal_range(left.back());
      left.pop_back();
      for (auto child = begin; child != end; ++child) {
        found.push_back(std::to_string(child->second));
        left.push_back(child->second);
      }
    }
    return found;
  }
  const std::string name_ = "bailey-peers-" + std::to_string(getpid());
};

TEST_F(PeerProbes, FindNothingOfEachOther) {
  BaileyProcess server = start({"-i"}, {probe("peers"), "serve", name_});
  ASSERT_TRUE(server.wait_for_output("serving"));
  Arguments seek = {"seek", name_};
  for (const std::string& pid : descendants(server.pid())) seek.push_back(pid);
  ASSERT_GT(seek.size(), 2u);
  const Verdicts seen = inside("peers", seek);
  EXPECT_EQ(seen.size(), 12u) << to_text(seen);
  for (const auto& [what, answer] : seen) EXPECT_NE(answer, "done") << what;
  // The host's root finds nothing by name either.
  const Verdicts of_host = outside("peers", {"seek", name_});
  for (const char* named : {"abstract", "sysv memory", "sysv queue", "posix queue", "posix memory", "key"})
    EXPECT_NE(verdict(of_host, named), "done") << named;
  server.finish();
}

// Serves on the host until it is destroyed.
class HostServer {
 public:
  HostServer(const std::string& program, const std::string& name) {
    Pipe input = std::move(*create_pipe()), output = std::move(*create_pipe());
    pid_ = fork();
    if (pid_ == 0) {
      dup2(input.read.get(), 0);
      dup2(output.write.get(), 1);
      execl(program.c_str(), "peers", "serve", name.c_str(), nullptr);
      _exit(127);
    }
    output.write.reset();
    char line[64];
    EXPECT_GT(read(output.read.get(), line, sizeof line), 0);
    input_ = std::move(input.write);
  }
  ~HostServer() {
    input_.reset();
    waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  Fd input_;
};

// The control of the above: two processes without sandboxes find all of it.
TEST_F(PeerProbes, FindEverythingOfEachOtherOutside) {
  const HostServer server(program_outside("peers"), name_);
  const Verdicts seen = outside("peers", {"seek", name_, std::to_string(server.pid())});
  EXPECT_EQ(seen.size(), 12u) << to_text(seen);
  for (const auto& [what, answer] : seen) EXPECT_EQ(answer, "done") << what;
}

// Abstract sockets belong to a network namespace: in the host's, Landlock keeps a native workload from them (Linux 6.12).
TEST_F(PeerProbes, ReachNoAbstractSocketInTheHostsNetwork) {
  const HostServer server(program_outside("peers"), name_);
  const Verdicts seen =
      inside({"--net", "host", "--allow-host-network"}, "peers", {"seek", name_, std::to_string(server.pid())});
  // gVisor's Unix sockets are its own kernel's, whatever the network.
  EXPECT_EQ(verdict(seen, "abstract"), gvisor() ? "ECONNREFUSED" : "EPERM");
  for (const auto& [what, answer] : seen) EXPECT_NE(answer, "done") << what;
}

// The files of /usr are the host's own in the native backend, and the kernel tells everybody who watches one that it is opened:
// by a sibling, too. docs/threat-model.md says so. gVisor watches nothing but its own.
TEST_F(PeerProbes, SeeThatASharedFileIsOpenedInTheNativeBackendOnly) {
  BaileyProcess watcher = start({"-i"}, {probe("peers"), "watch", "/usr/bin/env"});
  ASSERT_TRUE(watcher.wait_for_output("ready"));
  EXPECT_EQ(run({"/usr/bin/env"}).exit_code, 0);
  watcher.close_input();
  const Outcome got = watcher.finish();
  EXPECT_EQ(verdict(parse_verdicts(got.out), "event"), gvisor() ? "none" : "seen") << got;
}

// In a root directory that two share, each has an overlay with inodes of its own.
TEST_F(PeerProbes, SeeNothingInARootDirectoryThatTheyShare) {
  BAILEY_REQUIRE("busybox");
  const TempDir root;
  make_busybox_root(root.path());
  BaileyProcess watcher = start({"-i", "--rootfs", root.path()}, {probe("peers"), "watch", "/bin/busybox"});
  ASSERT_TRUE(watcher.wait_for_output("ready"));
  EXPECT_EQ(run({"--rootfs", root.path()}, {"/bin/busybox", "true"}).exit_code, 0);
  watcher.close_input();
  const Outcome got = watcher.finish();
  EXPECT_EQ(verdict(parse_verdicts(got.out), "event"), "none") << got;
}

// A lease on a file holds up whoever else opens it: siblings in a shared volume, and the host.
TEST_F(PeerProbes, HoldUpNobodyWhoOpensAFile) {
  const TempDir volume;
  chmod(volume.path().c_str(), 01777);
  const Verdicts seen = inside({"-v", volume.path() + ":/data"}, "peers", {"lease", "/data/theirs"}),
                 control = outside("peers", {"lease", volume.file("ours")});
  EXPECT_EQ(verdict(seen, "open"), "done");
  for (const char* kind : {"read lease", "write lease"}) {
    EXPECT_EQ(verdict(seen, kind), gvisor() ? "EINVAL" : "EPERM") << kind;
    EXPECT_EQ(verdict(control, kind), "done") << kind << ": " << to_text(control);
  }
}

TEST_F(PeerProbes, SignalNobodyOutside) {
  const pid_t bystander = fork();
  if (bystander == 0)
    for (;;) pause();
  const Outcome got = shell("kill -KILL " + std::to_string(bystander) + " " + std::to_string(getpid()) + " && echo KILLED; " +
                            "kill -KILL -1; echo not reached");
  EXPECT_EQ(got.out.find("KILLED"), std::string::npos) << got;
  EXPECT_EQ(waitpid(bystander, nullptr, WNOHANG), 0);
  kill(bystander, SIGKILL);
  EXPECT_EQ(waitpid(bystander, nullptr, 0), bystander);
}

// A secret of one sandbox, searched for by another one with every way to look.
TEST_F(PeerProbes, FindNoSecretOfEachOther) {
  const TempDir directory;
  const std::string secret = "sibling-secret-" + std::to_string(getpid());
  const std::string file = directory.write("secret", secret, 0600);
  BaileyProcess owner = start({"-i", "--secret", "db=" + file, "-e", "TOKEN=" + secret},
                              {"/bin/sh", "-c", "cat /run/secrets/db > /tmp/copy; echo ready; read end"});
  ASSERT_TRUE(owner.wait_for_output("ready\n"));
  for (const char* place : {"/run/secrets/db", "/tmp/copy"}) {
    for (const auto& [route, answer] : inside("paths", {"find", place, secret}))
      EXPECT_NE(answer, "found") << place << " " << route;
    for (const std::string& pid : descendants(owner.pid())) {
      const Outcome got = shell("cat /proc/" + pid + "/root" + place + " /proc/" + pid + "/environ");
      EXPECT_EQ(got.out.find(secret), std::string::npos) << got;
      if (gvisor()) break;  // the host's numbers are nobody's there: one is as good as all
    }
  }
  // The control: inside the owner the same look finds it, and so does the host's root through /proc.
  EXPECT_EQ(verdict(inside({"--secret", "db=" + file}, "paths", {"find", "/run/secrets/db", secret}), "direct"), "found");
  bool found = false;
  for (const std::string& pid : descendants(owner.pid()))
    found = found || read_file("/proc/" + pid + "/root/run/secrets/db") == secret ||
            read_file("/proc/" + pid + "/root/secrets/db") == secret;
  EXPECT_TRUE(found);
  owner.finish();
}

}  // namespace
}  // namespace bailey::tests
