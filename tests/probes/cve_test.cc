// Past holes of container runtimes, each by what it did. The others of docs/threat-model.md's table: 2022-29162 in
// privileges_test, 2021-30465 and the first half of 2024-21626 in paths_test, the terminals' three in calls_test.
#include <fcntl.h>
#include <pty.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

// A hostile root directory, and a directory of the host that it leads to.
class CveProbes : public Probes {
 protected:
  void SetUp() override {
    Probes::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BAILEY_REQUIRE("busybox");
    make_busybox_root(root_.path());
    for (const char* name : {"file", "null", "console", "ptmx", "resolv.conf", "hosts", "hostname", "init", "db", "0"})
      victim_.write(name, "of the host\n", 0666);
    chmod(victim_.path().c_str(), 0777);  // whoever gets there may write: no second wall shall hide a hole in the first
    before_ = list_tree(victim_.path());
  }
  // Puts a link in the place of whatever the root has there.
  void plant(const std::string& name, const std::string& target) {
    fs::remove_all(root_.file(name));
    fs::create_directories(fs::path(root_.file(name)).parent_path());
    fs::create_symlink(target, root_.file(name));
  }
  void plant_directory(const std::string& name) {
    fs::remove_all(root_.file(name));
    fs::create_directories(root_.file(name));
  }
  // The command sees nothing of the host, and the host nothing of the command. Refusing such a root is as good.
  void expect_unharmed(const Outcome& got) {
    EXPECT_EQ(list_tree(victim_.path()), before_) << got;
    EXPECT_EQ(got.out.find("of the host"), std::string::npos) << got;
    EXPECT_TRUE(got.text("verdict") == "exited" || got.exit_code == 125 || got.exit_code == 127) << got;
  }
  // Where a link can lead: straight there, up and down again, through /proc.
  std::vector<std::string> ways() const {
    return {victim_.path(), "../../../../../../../.." + victim_.path(), "/proc/self/root" + victim_.path(),
            "/proc/1/root" + victim_.path(), "/proc/1/cwd/../../../../.." + victim_.path()};
  }

  TempDir root_, victim_;
  std::string before_;
};

// runc was overwritten through /proc/self/exe, from a command that was a link to it or a script with it as interpreter.
TEST_F(CveProbes, Cve2019_5736_OverwritesNoProgramOfOurs) {
  plant("link", "/proc/self/exe");
  std::ofstream(root_.file("script")) << "#!/proc/self/exe\n";
  chmod(root_.file("script").c_str(), 0755);
  const std::string runtime_path = gvisor_2022() ? runsc_2022_path() : gvisor() ? runsc_path() : bailey_binary();
  const std::string bailey = read_file(bailey_binary()), runtime = read_file(runtime_path);
  ASSERT_GT(runtime.size(), 1'000'000u);
  for (const char* command : {"/link", "/script"})
    EXPECT_NE(run({"--rootfs", root_.path()}, {command}).exit_code, 0) << command;
  const Verdicts seen = inside({"--writable"}, "paths", {"own", "/tmp/file-of-ones-own"});
  for (const char* program : {"pid 1", "this program", "memory of pid 1", "truncating pid 1"})
    EXPECT_NE(verdict(seen, program), "done") << program;
  EXPECT_TRUE(read_file(bailey_binary()) == bailey);
  EXPECT_TRUE(read_file(runtime_path) == runtime);
  // The control: what nobody protects can be opened for writing by the same way.
  const TempDir mine;
  const Verdicts control = outside("paths", {"own", mine.write("file", "")});
  EXPECT_EQ(verdict(control, "a file of one's own"), "done");
}

// A /proc that is a link, or a volume: masks and labels went where it led.
TEST_F(CveProbes, Cve2019_19921_Cve2023_27561_Cve2023_28642_MasksTheRealProc) {
  for (const char* name : {"proc", "sys"}) {
    for (const std::string& way : ways()) {
      plant(name, way);
      expect_unharmed(shell({"--rootfs", root_.path()}, "cat /proc/file /sys/file; echo x > /proc/new; echo x > /sys/new"));
    }
    plant_directory(name);
  }
  // Led around by links that change their meaning as mounts are made: no second /proc without masks.
  plant("proc", "/dev/shm/../../p");
  plant_directory("p");
  plant_directory("dev/shm");
  const Outcome got = shell({"--rootfs", root_.path()},
                            "for p in /proc /p /dev/p; do cat $p/kallsyms $p/keys $p/timer_list | head -c 400; done");
  EXPECT_EQ(got.out, "") << got;
  plant_directory("proc");
  for (const char* place : {"/proc", "/proc/sys", "/proc/self/attr", "/sys", "/dev"}) {
    const Outcome volume =
        shell({"--rootfs", root_.path(), "-v", victim_.path() + ":" + place}, "echo x > /proc/file; echo started");
    EXPECT_EQ(volume.exit_code, 125) << place << ": " << volume;
  }
  // The control: this root is one to start in.
  EXPECT_EQ(shell({"--rootfs", root_.path()}, "cat /proc/self/comm").out, "cat\n");
}

// A cgroup file system that the workload could write.
TEST_F(CveProbes, Cve2023_25809_HasNoCgroupToWrite) {
  const Outcome got = shell(
      "cut -d' ' -f3 /proc/mounts | grep cgroup; ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/new && echo MADE; "
      "for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/release_agent; do echo 0 > $f && echo WRITTEN; done; cat /proc/self/cgroup");
  EXPECT_EQ(got.out.find("cgroup\n"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("MADE"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("WRITTEN"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("bailey-"), std::string::npos) << "its own path on the host: " << got;
  EXPECT_NE(read_file("/proc/self/mounts").find("cgroup"), std::string::npos);  // the same look finds one outside
}

// A descriptor of the host that was left open, met again as directory, as command, or behind a link of the root.
TEST_F(CveProbes, Cve2024_21626_FollowsNoDescriptorOfOurs) {
  Fd leaked(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int fd = 3; fd < 14; ++fd) {
    plant("work", "/proc/self/fd/" + std::to_string(fd));
    for (const std::string& directory :
         {std::string("/work"), "/work" + victim_.path(), "/proc/self/fd/" + std::to_string(fd)}) {
      RunOptions wish =
          options({"--rootfs", root_.path(), "-w", directory},
                  {"/bin/sh", "-c", "pwd; cat file ." + victim_.file("file") + " ../../../.." + victim_.file("file")});
      wish.pass = {{leaked.get(), fd}};
      const Outcome got = run_bailey(std::move(wish));
      expect_unharmed(got);
      EXPECT_NE(got.exit_code, 0) << got;
    }
    if (gvisor() && fd > 5) break;  // its descriptors are numbers of its own kernel's
  }
  RunOptions wish = options({"--rootfs", root_.path()}, {"/proc/self/fd/9/bin/sh", "-c", "cat " + victim_.file("file")});
  wish.pass = {{leaked.get(), 9}};
  expect_unharmed(run_bailey(std::move(wish)));
}

// The place of a volume was made by mkdir through a link of the root.
TEST_F(CveProbes, Cve2024_45310_MakesNoMountPointOutside) {
  const TempDir volume;
  volume.write("given", "volume\n");
  for (const std::string& way : ways()) {
    plant("link", way);
    for (const char* place : {"/link/new", "/link/new/deeper/still", "/link/../link/new"})
      expect_unharmed(shell({"--rootfs", root_.path(), "--writable", "-v", volume.path() + ":" + place},
                            "cat " + std::string(place) + "/given"));
    expect_unharmed(shell({"--rootfs", root_.path(), "-v", volume.file("given") + ":/link/new-file"}, "cat /link/new-file"));
    if (gvisor()) break;  // the way a link leads is nothing to gVisor's overlay: one is as good as five
  }
  const Outcome got = shell({"--rootfs", root_.path(), "-v", volume.path() + ":/opt/new/deeper"}, "cat /opt/new/deeper/given");
  EXPECT_EQ(got.out, "volume\n") << got;  // the control: a place that has to be made is made
}

// A mask was a bind of the root's own /dev/null, and that was a link: to the host's core_pattern, for instance.
TEST_F(CveProbes, Cve2025_31133_MasksWithItsOwnFiles) {
  for (const std::string& target :
       {victim_.file("null"), std::string("/proc/sys/kernel/core_pattern"), std::string("/proc/sysrq-trigger")}) {
    const std::string pattern = read_file("/proc/sys/kernel/core_pattern");
    for (const char* device : {"null", "zero", "full", "random", "urandom", "tty", "ptmx"})
      plant(std::string("dev/") + device, target);
    const Outcome got =
        shell({"--rootfs", root_.path()},
              "cat /proc/keys /proc/timer_list | head -c 400; echo evil > /dev/null; echo evil > /dev/zero; echo started");
    expect_unharmed(got);
    EXPECT_EQ(got.out, "started\n") << target;
    EXPECT_EQ(read_file("/proc/sys/kernel/core_pattern"), pattern) << target;
  }
}

// /dev/console and /dev/pts/0 of the root were links when the terminal was put there.
TEST_F(CveProbes, Cve2025_52565_PutsTheTerminalBehindNoLink) {
  for (const char* name : {"dev/console", "dev/pts/0", "dev/ptmx", "dev/tty"})
    plant(name, victim_.file(fs::path(name).filename().string()));
  fs::remove_all(root_.file("dev/pts"));
  for (const char* pts : {"a directory", "a link"}) {
    if (std::string(pts) == "a link") plant("dev/pts", victim_.path());
    else plant("dev/pts/0", victim_.file("0"));
    int master = -1, slave = -1;
    ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    const Fd screen(master), other(slave);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    RunOptions wish = options({"-i", "-t", "--rootfs", root_.path()},
                              {"/bin/sh", "-c", "echo started; echo x > /dev/console; echo x > /dev/tty"});
    wish.terminal = slave;
    BaileyProcess process(std::move(wish));
    std::string seen;
    char buffer[4096];
    fcntl(master, F_SETFL, O_NONBLOCK);
    const auto deadline = clock::Deadline::in_ms(120'000);
    while (!process.ended() && !deadline.passed()) {
      const ssize_t n = read(master, buffer, sizeof buffer);
      if (n > 0) seen.append(buffer, static_cast<size_t>(n));
      else usleep(2000);
    }
    for (ssize_t n; (n = read(master, buffer, sizeof buffer)) > 0;) seen.append(buffer, static_cast<size_t>(n));
    const Outcome got = process.finish();
    EXPECT_EQ(list_tree(victim_.path()), before_) << pts << ": " << got << seen;
    EXPECT_TRUE(seen.find("started") != std::string::npos || got.exit_code == 125) << pts << ": " << got << seen;
  }
}

// What the runtime writes to /proc went to files that the root or a mount had put in their place.
TEST_F(CveProbes, Cve2025_52881_WritesToNoProcOfTheRoot) {
  for (const char* name : {"proc/self", "proc/thread-self", "proc/1", "proc/self/attr"}) {
    plant_directory("proc");
    plant(name, victim_.path());
    for (const char* file : {"uid_map", "gid_map", "setgroups", "oom_score_adj"}) {
      std::ofstream(victim_.file(file)) << "planted";
      before_ = list_tree(victim_.path());
    }
    const Outcome got = shell({"--rootfs", root_.path()}, "cat /proc/self/uid_map; id -u");
    expect_unharmed(got);
    EXPECT_EQ(got.out.find("planted"), std::string::npos) << name << ": " << got;
    EXPECT_TRUE(got.out.ends_with("\n0\n")) << name << ": " << got;  // the map was written where it counts
  }
}

// Devices, links and terminals were made in a host directory because the root's /dev was a link there.
TEST_F(CveProbes, Cve2026_41579_Cve2026_47766_FillsNoDevBehindALink) {
  for (const std::string& way : ways()) {
    plant("dev", way);
    expect_unharmed(shell({"--rootfs", root_.path()}, "cat /dev/file; ls /dev/"));
    expect_unharmed(shell({"--rootfs", root_.path(), "--writable"}, "echo x > /dev/new; cat /dev/file"));
  }
  plant("dev", "real-dev");
  plant("real-dev", victim_.path());
  expect_unharmed(shell({"--rootfs", root_.path()}, "cat /dev/file"));
}

// "-u 1000junk" ran as another user.
TEST_F(CveProbes, Cve2026_30892_TakesNoUserThatIsNoNumber) {
  for (const char* user : {"1000junk", "-1", "4294967295", "4294967296", "99999999999999999999", "0x0", " 0", "0 ", "+0", "1e3",
                           "", "1000:", ":0", "1000:-1", "1000:0x0", "1000:1000,junk", "1000:1000,-1", "0\n0"}) {
    const Outcome got = shell({"--user", user}, "echo ran");
    EXPECT_EQ(got.exit_code, 125) << "'" << user << "': " << got;
    EXPECT_EQ(got.out, "") << "'" << user << "'";
  }
  EXPECT_EQ(shell({"--user", "1000:1000"}, "id -u").out, "1000\n");
}

// A file of the runtime's own was written through a link of the root.
TEST_F(CveProbes, Cve2025_24965_WritesNoFileOfItsOwnThroughALink) {
  const TempDir secrets;
  const std::string secret = secrets.write("db", "secret", 0600);
  for (const char* name : {".bailey", ".bailey-empty", "run", "run/secrets", "etc", "etc/resolv.conf", "etc/hosts",
                           "etc/hostname", "root", "tmp", "home", "lost"}) {
    const TempDir fresh;
    make_busybox_root(fresh.path());
    fs::remove_all(fresh.file(name));
    fs::create_directories(fs::path(fresh.file(name)).parent_path());
    fs::create_symlink(name == std::string("etc/hosts") ? victim_.file("hosts") : victim_.path(), fresh.file(name));
    const Outcome got = shell({"--rootfs", fresh.path(), "--writable", "--secret", "db=" + secret, "--hostname", "evil"},
                              "cat /run/secrets/db");
    expect_unharmed(got);
    EXPECT_TRUE(got.exit_code == 125 || got.out == "secret") << name << ": " << got;
  }
}

}  // namespace
}  // namespace bailey::tests
