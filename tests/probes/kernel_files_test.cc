// /proc and /sys: what can be written, what they tell of the host, what lies over them and stays there.
#include <sched.h>
#include <sys/mount.h>

#include <fstream>
#include <set>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

class KernelFileProbes : public Probes {};

// A line that is nowhere else; never empty, which would be found everywhere.
std::string line_of(const std::string& path) {
  const std::string text = read_file(path), line = text.substr(0, text.find('\n'));
  return line.size() < 8 ? path + " says too little" : line;
}

TEST_F(KernelFileProbes, OpenForWritingOnlyTheProcessesOwn) {
  for (const auto& [path, answer] : inside("kernel_files", {"writable", "/proc", "/sys"})) {
    const bool of_a_process = path.starts_with("/proc/self/") || path.starts_with("/proc/1/");
    // gVisor's settings are its own kernel's, and the sandbox's alone.
    const bool of_its_kernel =
        gvisor() && (path.starts_with("/proc/sys/") || path.starts_with("/sys/class/net/lo/") || path == "/proc/sysrq-trigger");
    EXPECT_TRUE(of_a_process || of_its_kernel) << path;
  }
  EXPECT_TRUE(outside("kernel_files", {"writable", "/proc/sys/kernel"}).contains("/proc/sys/kernel/hostname"));
}

// What one process may not do to another one, nor to itself, by writing to /proc.
TEST_F(KernelFileProbes, GainNothingByWritingToThem) {
  const std::map<std::string, std::string> wishes = {{"/proc/self/uid_map", "0 0 4294967295"},
                                                     {"/proc/1/uid_map", "0 0 1"},
                                                     {"/proc/self/gid_map", "0 0 1"},
                                                     {"/proc/sys/kernel/core_pattern", "|/tmp/x"},
                                                     {"/proc/sys/kernel/hostname", "x"},
                                                     {"/proc/sys/user/max_user_namespaces", "100"},
                                                     {"/proc/sys/vm/drop_caches", "1"},
                                                     {"/proc/sys/fs/binfmt_misc/register", ":x:M::x::/tmp/x:"},
                                                     {"/proc/1/mem", "x"},
                                                     {"/sys/kernel/uevent_helper", "/tmp/x"},
                                                     {"/proc/irq/0/smp_affinity", "1"},
                                                     {"/proc/bus/pci/00/00.0", "x"},
                                                     {"/proc/pressure/cpu", "some 150000 2000000"}};
  Arguments write = {"write"};
  for (const auto& [path, text] : wishes) write.insert(write.end(), {path, text});
  const Verdicts seen = inside("kernel_files", write);
  for (const auto& [path, text] : wishes) {
    EXPECT_NE(verdict(seen, path), "done") << path;
    EXPECT_NE(verdict(seen, path), "") << path;
  }
  const TempDir directory;
  EXPECT_EQ(verdict(outside("kernel_files", {"write", directory.file("new"), "x"}), directory.file("new")), "done");
}

TEST_F(KernelFileProbes, TellNothingOfTheHostButItsKernel) {
  const TempDir volume;  // its name is the host's, and nobody else's
  const std::string token = "token-" + std::to_string(getpid()) + "-of-the-caller";
  const std::vector<std::string> texts = {line_of("/proc/cmdline"),
                                          volume.path(),
                                          token,
                                          "bailey-",
                                          std::string(BAILEY_PROBES),
                                          line_of("/proc/sys/kernel/random/boot_id")};
  Arguments search = {probe("kernel_files"), "search", "/proc", "/sys", "--"};
  search.insert(search.end(), texts.begin(), texts.end());
  RunOptions wish = options(with_probes({"-v", volume.path() + ":/data:ro", "--timeout", "10m"}), search);
  wish.environment = {"CALLERS_TOKEN=" + token};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  const Verdicts seen = parse_verdicts(got.out);
  for (const auto& [path, answer] : seen) {
    if (path == "/proc/self/cmdline") continue;  // the probe's own arguments
    // The kernel's own words, and no way to hide them: where on its file system a volume lies, and its random name for this
    // boot. docs/threat-model.md says so.
    const bool known = !gvisor() && ((path.ends_with("/mountinfo") && (answer == "holds 1" || answer == "holds 3")) ||
                                     (path == "/proc/sys/kernel/random/boot_id" && answer == "holds 5"));
    EXPECT_TRUE(known) << path << " " << answer << " " << texts[static_cast<size_t>(std::atoi(answer.c_str() + 6))];
  }
  EXPECT_TRUE(seen.contains("/proc/self/cmdline")) << got;  // it does find what is there
  EXPECT_TRUE(
      outside("kernel_files", {"search", "/proc/sys/kernel", "--", texts[5]}).contains("/proc/sys/kernel/random/boot_id"));
}

// A lock that one sandbox holds is a line in the kernel's list, with numbers that its holder chose: a channel without an error.
TEST_F(KernelFileProbes, ShowNoLockOfAnotherSandbox) {
  if (gvisor_2022()) return;  // has no such locks
  RunOptions wish = options(with_probes({"-i"}), {probe("peers"), "lock", "/tmp/lock", "7340129", "31337"});
  wish.keep_input_open = true;
  BaileyProcess holder(std::move(wish));
  ASSERT_TRUE(holder.wait_for_output("locked"));
  const std::string range = "7340129 7371465";
  Verdicts seen = inside("kernel_files", {"search", "/proc", "--", range});
  EXPECT_EQ(seen.erase("/proc/self/cmdline"), 1u) << "it finds what is there";
  EXPECT_EQ(to_text(seen), "");
  EXPECT_EQ(read_file("/proc/locks").find(range) != std::string::npos, !gvisor()) << "control";
  holder.close_input();
  EXPECT_EQ(holder.finish().exit_code, 0);
}

// What grows with each sandbox or tells of the host's load and disks. gVisor's /proc is its kernel's.
TEST_F(KernelFileProbes, SayNothingInTheFilesThatAreAboutOthers) {
  for (const char* path :
       {"/proc/locks", "/proc/cgroups", "/proc/modules", "/proc/interrupts", "/proc/diskstats", "/proc/slabinfo"}) {
    const Outcome got = run({"/bin/cat", path});
    EXPECT_TRUE(gvisor() || got.out.empty()) << path << got;
  }
  for (const char* path : {"/proc/pressure", "/proc/irq", "/proc/fs"}) {
    const Outcome got = run({"/bin/ls", "-A", path});
    EXPECT_TRUE(gvisor() || got.out.empty()) << path << got;
  }
  EXPECT_NE(read_file("/proc/cgroups"), "") << "control";
}

TEST_F(KernelFileProbes, ReadNoLogOfTheKernel) {
  const Verdicts seen = inside("devices", {"open", "/proc/kmsg", "/dev/kmsg", "/proc/kcore", "/dev/mem", "/dev/null"});
  for (const char* path : {"/proc/kmsg", "/dev/kmsg", "/proc/kcore", "/dev/mem"})
    EXPECT_NE(verdict(seen, path), "done") << path;
  EXPECT_EQ(verdict(seen, "/dev/null"), "done");
  const Outcome log = shell("dmesg");  // gVisor's kernel has one of its own
  EXPECT_TRUE(gvisor() || log.exit_code != 0) << log;
  EXPECT_EQ(log.out.find("Command line:"), std::string::npos) << log;
  EXPECT_EQ(verdict(outside("devices", {"open", "/dev/kmsg"}), "/dev/kmsg"), "done");
}

class Lifting : public KernelFileProbes {
 protected:
  // No way to it worked, and nothing could be read there.
  void expect_kept(const std::string& path, const Verdicts& seen, const std::string& bytes) {
    for (const char* way : {"umount", "bind over", "remount", "move away", "rename", "unlink", "write"})
      EXPECT_TRUE(verdict(seen, way) != "done" && !verdict(seen, way).empty())
          << path << " " << way << ": " << verdict(seen, way);
    EXPECT_EQ(verdict(seen, "bytes"), bytes) << path;
  }
};

TEST_F(Lifting, TakesAwayNoMask) {
  // gVisor has none of these but cmdline, with a text of its own; a masked directory cannot be read as a file.
  for (const char* path : {"/proc/keys", "/proc/timer_list", "/proc/kallsyms", "/proc/locks", "/proc/acpi", "/proc/pressure"}) {
    const Verdicts plain = inside("kernel_files", {"lift", path});
    const bool empty = verdict(plain, "bytes") == "0";
    EXPECT_TRUE(empty || verdict(plain, "bytes") == "-1") << path;
    expect_kept(path, plain, verdict(plain, "bytes"));
    if (gvisor()) continue;
    EXPECT_EQ(verdict(inside("kernel_files", {"lift-own", path}), "unshare"), "EPERM");
  }
  // The control: a mask that a mount namespace of root's has, root takes away.
  const TempDir directory;
  const std::string masked = directory.write("masked", "what lies under it\n"), empty = directory.write("empty", "");
  const Verdicts control = outside("kernel_files", {"lift", masked}, [&] {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount(empty.c_str(), masked.c_str(), nullptr, MS_BIND, nullptr) != 0)
      _exit(99);
  });
  EXPECT_EQ(verdict(control, "umount"), "done");
  EXPECT_EQ(verdict(control, "bind over"), "done");
}

// A read-only volume, also with what is mounted below it, and also from namespaces that gVisor lets everybody make.
TEST_F(Lifting, MakesNoReadOnlyVolumeWritable) {
  const TempDir volume;
  const std::string given = volume.write("given", "original\n", 0666);
  for (const char* how : {"lift", "lift-own"}) {
    const Verdicts seen = inside({"-v", volume.path() + ":/data:ro"}, "kernel_files", {how, "/data/given"});
    EXPECT_NE(verdict(seen, "write"), "done") << how;
    EXPECT_NE(verdict(seen, "unlink"), "done") << how;
    const Verdicts whole = inside({"-v", volume.path() + ":/data:ro"}, "kernel_files", {how, "/data"});
    EXPECT_NE(verdict(whole, "umount"), gvisor() ? "" : "done")
        << how;  // gVisor's own namespaces may unmount: the place is empty
    const Verdicts file = inside({"-v", given + ":/given:ro"}, "kernel_files", {how, "/given"});
    EXPECT_EQ(read_file(given), "original\n") << how;
  }
  // The control: writable volumes are.
  EXPECT_EQ(
      verdict(inside({"-v", volume.path() + ":/data"}, "kernel_files", {"write", "/data/given", "changed"}), "/data/given"),
      "done");
  EXPECT_EQ(read_file(given), "changedl\n");
}

}  // namespace
}  // namespace bailey::tests
