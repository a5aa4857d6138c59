// Mounts between the sandbox and the host: what one of them mounts must not appear in the other.
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

bool mounted_on_the_host(const std::string& place) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);)
    if (line.find(" " + place + " ") != std::string::npos) return true;
  return false;
}

// A mount of the test's own that is shared, as every mount of a host with systemd is.
class SharedMount {
 public:
  SharedMount() {
    EXPECT_EQ(mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "mode=0777"), 0);
    EXPECT_EQ(mount(nullptr, directory_.path().c_str(), nullptr, MS_SHARED, nullptr), 0);
    for (const char* name : {"sub", "late"}) fs::create_directory(file(name));
  }
  ~SharedMount() {
    while (umount2(file("late").c_str(), MNT_DETACH) == 0) {}
    while (umount2(file("sub").c_str(), MNT_DETACH) == 0) {}
    umount2(directory_.path().c_str(), MNT_DETACH);
  }
  const std::string& path() const { return directory_.path(); }
  std::string file(const std::string& name) const { return directory_.file(name); }

 private:
  TempDir directory_;
};

class MountProbes : public Probes {};

// The mount points of /data and below, as the sandbox's own table names them.
const char* const kOwnMounts =
    "while read -r _ _ _ _ at _; do case $at in /data*) echo $at;; esac; done < /proc/self/mountinfo";

TEST_F(MountProbes, PassBetweenTheHostAndASharedVolumeInNeitherDirection) {
  const SharedMount volume;
  const TempDir inner;
  RunOptions wish = options({"-i", "-v", volume.path() + ":/data", "-v", inner.path() + ":/data/sub"},
                            {"/bin/sh", "-c", std::string("echo ready; read go; ") + kOwnMounts + "; touch /data/late/new"});
  wish.keep_input_open = true;
  BaileyProcess process(std::move(wish));
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  EXPECT_FALSE(mounted_on_the_host(volume.file("sub"))) << "the sandbox's volume appeared on the host";
  ASSERT_EQ(mount("tmpfs", volume.file("late").c_str(), "tmpfs", 0, "mode=0777"), 0);
  ASSERT_TRUE(mounted_on_the_host(volume.file("late")));
  process.send("go\n");
  const Outcome got = process.finish();
  EXPECT_EQ(got.out.find("/data/late"), std::string::npos) << "the host's mount appeared in the sandbox: " << got;
  // The control: the table was read, and the volumes are in it. gVisor's table is its own kernel's, with the same places.
  EXPECT_NE(got.out.find("/data/sub\n"), std::string::npos) << got;
  EXPECT_FALSE(fs::exists(volume.file("late/new"))) << got;
  EXPECT_FALSE(mounted_on_the_host(volume.file("sub")));
}

}  // namespace
}  // namespace bailey::tests
