// Device nodes: only the harmless ones are there, none can be made, and none that a volume or a root brings can be opened.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <set>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class DeviceProbes : public Probes {};

TEST_F(DeviceProbes, FindOnlyHarmlessNodes) {
  const Verdicts seen = inside("devices", {"list"});
  const std::set<std::string> harmless = {"c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2"};
  // fuse and tun are gVisor's own kernel's, with no host device behind them.
  const std::set<std::string> own = {"c 10:229", "c 10:200"};
  for (const auto& [path, device] : seen) {
    const bool terminal = path.starts_with("/dev/pts/") || path == "/dev/ptmx" || path == "/dev/console";
    EXPECT_TRUE(harmless.contains(device) || terminal || (gvisor() && own.contains(device))) << path << " is " << device;
  }
  EXPECT_EQ(verdict(seen, "/dev/null"), "c 1:3") << to_text(seen);
}

TEST_F(DeviceProbes, MakeNone) {
  const TempDir volume;
  chmod(volume.path().c_str(), 0777);
  for (const char* place : {"/tmp", "/dev/shm", "/data"}) {
    const Verdicts seen = inside({"-v", volume.path() + ":/data"}, "devices", {"make", place});
    // The gVisor of 2022 makes nodes in its own memory, and knows no device behind them.
    const bool in_memory = gvisor_2022() && std::string(place) != "/data";
    for (const char* kind : {"char", "block"}) EXPECT_TRUE(in_memory || verdict(seen, kind) != "done") << place << " " << kind;
    EXPECT_NE(verdict(seen, "char opened"), "done") << place;
    EXPECT_EQ(verdict(seen, "fifo"), "done") << place;  // what is no device can be made
  }
  EXPECT_TRUE(fs::is_empty(volume.path()));
  const TempDir outside_place;
  const Verdicts control = outside("devices", {"make", outside_place.path()});
  EXPECT_EQ(verdict(control, "char"), "done");
  EXPECT_EQ(verdict(control, "char opened"), "done");
}

// zero, which everybody may read; and the kernel's log, because gVisor has a zero of its own behind nodes of that number.
TEST_F(DeviceProbes, OpenNoneThatAVolumeOrARootBrings) {
  BAILEY_REQUIRE("busybox");
  const TempDir volume, root;
  make_busybox_root(root.path());
  const std::map<std::string, dev_t> nodes = {{"/zero", makedev(1, 5)}, {"/kmsg", makedev(1, 11)}};
  for (const std::string& place : {volume.path(), root.path()}) {
    for (const auto& [name, device] : nodes) {
      ASSERT_EQ(mknod((place + name).c_str(), S_IFCHR | 0666, device), 0);
      chmod((place + name).c_str(), 0666);
    }
  }
  for (const char* mode : {"", ":ro"}) {
    const Verdicts seen = inside({"--rootfs", root.path(), "-v", volume.path() + ":/data" + mode}, "devices",
                                 {"open", "/data/kmsg", "/kmsg", "/data/zero", "/zero", "/dev/zero"});
    for (const char* path : {"/data/kmsg", "/kmsg"}) EXPECT_NE(verdict(seen, path), "done") << path << mode;
    for (const char* path : {"/data/zero", "/zero"}) EXPECT_TRUE(gvisor() || verdict(seen, path) == "EACCES") << path << mode;
    EXPECT_EQ(verdict(seen, "/dev/zero"), "done");  // the control: it can open a device that is meant to be there
  }
  for (const auto& [name, device] : nodes)
    EXPECT_EQ(verdict(outside("devices", {"open", volume.path() + name}), volume.path() + name), "done") << name;
}

// /dev is for devices: a file there would be memory that no limit on a tmpfs holds.
TEST_F(DeviceProbes, HoldNoFilesOfTheWorkloads) {
  const Outcome got = shell(
      "for d in /dev /dev/net /dev/char; do (echo x > $d/file) 2>/dev/null && echo made in $d; done\n"
      "mkdir /dev/directory 2>/dev/null && echo made\n"
      "echo lost > /dev/null && echo kept > /dev/shm/file && echo written");
  EXPECT_EQ(got.out, "written\n") << got;
}

// The nodes are the host's: their mode, owner and times must stay.
TEST_F(DeviceProbes, ChangeNothingOfTheHostsNodes) {
  const std::vector<std::string> nodes = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
  const auto look = [&] {
    std::string all;
    for (const std::string& node : nodes) {
      struct stat info{};
      stat(node.c_str(), &info);
      for (const int64_t value : {int64_t{info.st_mode}, int64_t{info.st_uid}, info.st_mtim.tv_sec, info.st_mtim.tv_nsec})
        all += std::to_string(value) + " ";
    }
    return all;
  };
  std::string script;
  for (const std::string& node : nodes)
    script += "touch -c -d '2001-01-01' " + node + "; touch -c " + node + "; chmod 600 " + node + "; chown 1 " + node +
              "; rm -f " + node + "; mv " + node + " /tmp/x; ";
  const std::string before = look();
  const Outcome got = shell(script + "touch /tmp/y && echo touched; echo lost > /dev/null && echo written");
  EXPECT_EQ(got.out, "touched\nwritten\n") << got;
  EXPECT_EQ(look(), before) << got;
}

}  // namespace
}  // namespace bailey::tests
