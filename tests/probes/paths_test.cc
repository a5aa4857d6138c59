// The host's files, by every route that a name, a link, a descriptor or a handle can take.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

constexpr const char* kText = "only the host knows this";

class PathProbes : public Probes {
 protected:
  void SetUp() override {
    Probes::SetUp();
    file_ = host_.write("file", kText);
  }
  // No route of probe_paths' finds the host's file.
  void expect_not_found(const Verdicts& seen) {
    EXPECT_EQ(seen.size(), 6u) << to_text(seen);
    for (const auto& [route, answer] : seen) EXPECT_NE(answer, "found") << route;
  }

  TempDir host_;
  std::string file_;
};

TEST_F(PathProbes, FindTheHostsFileByNoRoute) {
  expect_not_found(inside("paths", {"find", file_, kText}));
  const TempDir volume;
  for (const char* mode : {"", ":ro"})
    expect_not_found(inside({"-v", volume.path() + ":/data" + mode, "-w", "/data"}, "paths", {"find", file_, kText}));
  const Verdicts control = outside("paths", {"find", file_, kText}, [] { (void)open("/", O_RDONLY | O_DIRECTORY); });
  for (const auto& [route, answer] : control) EXPECT_EQ(answer, "found") << route;
  EXPECT_EQ(control.size(), 6u);
}

// CVE-2024-21626: a directory that the caller left open, and a start in or below it.
TEST_F(PathProbes, Cve2024_21626_FindTheHostsFileByNoLeakedDescriptor) {
  Fd root(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), directory(open(host_.path().c_str(), O_PATH | O_CLOEXEC));
  RunOptions wish = options(with_probes(), {probe("paths"), "find", file_, kText});
  wish.pass = {{root.get(), 3}, {directory.get(), 4}, {root.get(), 9}, {directory.get(), 200}};
  wish.directory = host_.path();  // Bailey's own working directory is nothing of the sandbox's
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  expect_not_found(parse_verdicts(got.out));
  // The control: in an empty root of its own, with that descriptor and nothing else, the probe finds it.
  const TempDir jail;
  fs::copy_file(program_outside("paths"), jail.file("probe"));
  const std::string out = run_outside({"/probe", "find", file_, kText}, [&] {
    if (dup2(root.get(), 7) < 0 || chroot(jail.path().c_str()) != 0 || chdir("/") != 0) _exit(99);
  });
  EXPECT_EQ(verdict(parse_verdicts(out), "direct"), "ENOENT");
  EXPECT_EQ(verdict(parse_verdicts(out), "descriptors"), "found");
}

// Links that lead to the host, planted where the command can read: they are resolved inside.
TEST_F(PathProbes, FindTheHostsFileByNoPlantedLink) {
  BAILEY_REQUIRE("busybox");
  const TempDir root, volume;
  make_busybox_root(root.path());
  const std::map<std::string, std::string> links = {{"absolute", file_},
                                                    {"up", "../../../../../../../.." + file_},
                                                    {"process", "/proc/1/root" + file_},
                                                    {"own", "/proc/self/root" + file_},
                                                    {"directory", host_.path()}};
  std::string script;
  for (const std::string& place : {root.path(), volume.path()})
    for (const auto& [name, target] : links) fs::create_symlink(target, place + "/" + name);
  for (const char* place : {"", "/data"})
    for (const auto& [name, target] : links)
      script += "cat " + std::string(place) + "/" + name + (name == "directory" ? "/file; " : "; ");
  for (const char* mode : {"", ":ro"}) {
    const Outcome got = shell({"--rootfs", root.path(), "-v", volume.path() + ":/data" + mode}, script + "echo looked");
    EXPECT_EQ(got.out, "looked\n") << got;
  }
  EXPECT_EQ(read_file(volume.file("absolute")), kText);  // the control: outside each of them leads there
  EXPECT_EQ(read_file(volume.file("directory/file")), kText);
}

TEST_F(PathProbes, OpenNoFileHandle) {
  const std::string said = verdict(outside("paths", {"handle", file_}), "handle");
  const size_t space = said.find(' ');
  ASSERT_NE(space, std::string::npos) << said;
  const Arguments open_it = {"open", said.substr(0, space), said.substr(space + 1), kText};
  EXPECT_EQ(verdict(outside("paths", open_it), "opened"), "found");
  const TempDir volume;  // of the same file system: a handle needs only a descriptor of it
  const Verdicts seen = inside({"-v", volume.path() + ":/data"}, "paths", open_it);
  EXPECT_EQ(verdict(seen, "opened"), gvisor() ? "EOPNOTSUPP" : "EPERM");  // gVisor has no handles
}

// Linux 6.18 opens namespaces by handles, without any path. Root in plain namespaces of its own gets the host's that way.
TEST_F(PathProbes, OpenNoNamespaceByItsHandle) {
  std::string said = verdict(outside("paths", {"handle", "/proc/self/ns/net"}), "handle");
  // Kernels that have no handles of namespaces: a made-up one must be refused by the same two walls.
  const bool has_handles = said.find(' ') != std::string::npos;
  if (!has_handles) said = "241 00000000000000000000004000000000";
  const size_t space = said.find(' ');
  const Arguments open_it = {"nsfs", said.substr(0, space), said.substr(space + 1)};
  EXPECT_EQ(verdict(inside("paths", open_it), "nsfs"), gvisor() ? "EOPNOTSUPP" : "EPERM");
  if (!has_handles) return;
  const Verdicts control = outside("paths", open_it, [] {
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0) _exit(99);
  });
  EXPECT_EQ(verdict(control, "nsfs"), "done");
}

TEST_F(PathProbes, LinkNoFileOfTheHostIntoAVolume) {
  const TempDir volume;
  chmod(volume.path().c_str(), 0777);
  const Verdicts seen = inside({"-v", volume.path() + ":/data"}, "paths", {"link", "/usr/bin/env", "/data"});
  for (const char* way : {"link", "linkat of a descriptor"}) {
    EXPECT_NE(verdict(seen, way), "done") << way;
    EXPECT_NE(verdict(seen, way), "") << way;
  }
  const Verdicts own = inside({"-v", volume.path() + ":/data", "-v", host_.path() + ":/other"}, "paths",
                              {"link", "/other/file", "/data"});  // two volumes of one file system
  EXPECT_NE(verdict(own, "link"), "done");
  // The control: within one volume, and on the host, links are made.
  fs::copy_file(file_, volume.file("given"));
  EXPECT_EQ(verdict(inside({"-v", volume.path() + ":/data"}, "paths", {"link", "/data/given", "/data"}), "link"), "done");
  EXPECT_EQ(verdict(outside("paths", {"link", file_, volume.path()}), "link"), "done");
}

// The caller keeps results where the workload may write: what one run leaves there must not lead the next one's record to a
// file that only the caller may write.
TEST_F(PathProbes, LeadNoRecordOfTheNextRunAway) {
  const TempDir volume;
  const Arguments share = {"-v", volume.path() + ":/data"};
  const Outcome planted = shell(share, "ln -s " + file_ + " /data/result; ln -s " + file_ + " /data/events; echo planted");
  ASSERT_EQ(planted.out, "planted\n") << planted;
  ASSERT_EQ(mkfifo(volume.file("fifo").c_str(), 0666), 0);  // not by the workload: gVisor makes none in a volume
  for (const char* flag : {"--result", "--events"}) {
    for (const char* name : {"result", "events", "fifo"}) {
      RunOptions wish = options({flag, volume.file(name)}, {"/bin/true"});
      wish.record = false;
      const Outcome got = run_bailey(std::move(wish));
      EXPECT_EQ(got.exit_code, 125) << flag << " " << name << ": " << got;
      EXPECT_EQ(read_file(file_), kText) << flag << " " << name;
    }
    RunOptions wish = options({flag, volume.file(std::string("plain") + flag)}, {"/bin/true"});
    wish.record = false;
    EXPECT_EQ(run_bailey(std::move(wish)).exit_code, 0);
    EXPECT_NE(read_file(volume.file(std::string("plain") + flag)), "");  // the control: a file of its own is written
  }
}

// --- races -----------------------------------------------------------------------------------------------------------------

// Exchanges a directory and a link to a victim for as long as it lives.
class Flipper {
 public:
  Flipper(const std::string& program, const std::string& a, const std::string& b) {
    pid_ = fork();
    if (pid_ == 0) {
      execl(program.c_str(), program.c_str(), "flip", a.c_str(), b.c_str(), nullptr);
      _exit(127);
    }
  }
  ~Flipper() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_;
};

// CVE-2021-30465: the place of a mount is a directory when it is checked and a link when it is mounted.
TEST_F(PathProbes, Cve2021_30465_MountNothingBehindAFlippingLink) {
  BAILEY_REQUIRE("busybox");
  const TempDir outer, inner, victim;
  chmod(victim.path().c_str(), 0777);  // as in cve_test
  inner.write("file", "inner");
  fs::create_directory(outer.file("place"));
  fs::create_directory_symlink(victim.path(), outer.file("link"));
  const Flipper flipper(program_outside("paths"), outer.file("place"), outer.file("link"));
  // The control: a name that is walked twice does meet both.
  bool hit = false;
  for (int i = 0; i < 1'000'000 && !hit; ++i) {
    mkdir((outer.file("place") + "/control").c_str(), 0755);
    hit = fs::exists(victim.file("control"));
  }
  ASSERT_TRUE(hit);
  fs::remove(victim.file("control"));
  const std::string before = list_tree(victim.path());
  // Most starts meet the link and are refused. How many depends on the machine's load, so it goes on until one met the
  // directory.
  int started = 0;
  for (int i = 0; i < (gvisor() ? 6 : 60) || (started == 0 && i < 500); ++i) {
    const Outcome got = shell({"-v", outer.path() + ":/data", "-v", inner.path() + ":/data/place/sub"},
                              "echo started; cat /data/place/sub/file");
    started += got.out.starts_with("started\n");
    ASSERT_EQ(list_tree(victim.path()), before) << got;
  }
  EXPECT_GT(started, 0);
}

// The same with the root's own /dev and /proc, where devices, masks and the terminal go.
TEST_F(PathProbes, MountNothingBehindAFlippingRoot) {
  BAILEY_REQUIRE("busybox");
  for (const char* name : {"dev", "proc"}) {
    const TempDir root, victim;
    chmod(victim.path().c_str(), 0777);
    make_busybox_root(root.path());
    fs::create_directory_symlink(victim.path(), root.file("link"));
    const Arguments flags = {"--rootfs", root.path(), "--writable"};
    {
      const Flipper flipper(program_outside("paths"), root.file(name), root.file("link"));
      for (int i = 0; i < (gvisor() ? 4 : 40); ++i) {
        const Outcome got = shell(flags, "cat /proc/cmdline; ls /dev");
        ASSERT_TRUE(fs::is_empty(victim.path())) << got;
        EXPECT_EQ(got.out.find(read_file("/proc/cmdline")), std::string::npos) << got;
      }
    }
    fs::remove(root.file(fs::is_symlink(root.file(name)) ? name : "link"));
    fs::create_directory(root.file(name));
    EXPECT_EQ(shell(flags, "echo started").out, "started\n");  // that root is one to start in
  }
}

}  // namespace
}  // namespace bailey::tests
