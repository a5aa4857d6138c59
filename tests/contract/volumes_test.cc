// Volumes on file systems of several kinds: what the workload writes there is the caller's, or the volume is refused.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/contract/contract.h"
#include "tests/contract/file_systems.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class VolumesContract : public Contract {
 protected:
  void SetUp() override {
    Contract::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    BAILEY_REQUIRE("mkfs.ext4", "mount");
    file_systems_.emplace();
    ASSERT_TRUE(file_systems_->ready());
  }
  void TearDown() override {
    file_systems_.reset();
    Contract::TearDown();
  }
  // Root's native sandbox has ids of its own and needs the volume's to be mapped to them; the kernel's overlay cannot.
  bool cannot_map(const std::string& name) const { return caller() == Caller::root && !gvisor() && name == "overlay"; }
  static void expect_refusal_of(const std::string& name, const std::string& path, const Outcome& got) {
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "") << got;
    for (const std::string& text : {name, path, std::string("id-mapped"), std::string("remedy: ")})
      EXPECT_NE(got.err.find(text), std::string::npos) << "does not say " << text << ": " << got;
    EXPECT_TRUE(fs::is_empty(path));
  }

  std::optional<FileSystems> file_systems_;
};

TEST_F(VolumesContract, BelongToTheCallerOnEveryFileSystemOrAreRefused) {
  for (const std::string name : FileSystems::kNames) {
    SCOPED_TRACE(name);
    const std::string path = file_systems_->path(name);
    const Outcome got = shell(with_probes({"-v", path + ":/data", "-w", "/data"}),
                              "set -e; umask 022; echo x > file; mkdir dir; echo y > dir/file; ln -s file link; ln file hard; "
                              "mv dir moved; " +
                                  probe("stat") + " file moved/file");
    if (cannot_map(name)) {
      expect_refusal_of(name, path, got);
      continue;
    }
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out, "644 0 0 2\n644 0 0 2\n") << got;
    int seen = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      struct stat info{};
      ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
      EXPECT_EQ(info.st_uid, geteuid()) << entry;
      EXPECT_EQ(info.st_gid, getegid()) << entry;
      ++seen;
    }
    EXPECT_EQ(seen, 5) << got;
  }
}

TEST_F(VolumesContract, HoldNoSetIdFileOrDeviceOnAnyFileSystem) {
  for (const std::string name : FileSystems::kNames) {
    SCOPED_TRACE(name);
    const std::string path = file_systems_->path(name);
    const Outcome got = run(with_probes({"-v", path + ":/data"}), {probe("setid"), "/data"});
    if (cannot_map(name)) {
      expect_refusal_of(name, path, got);
      continue;
    }
    EXPECT_EQ(got.exit_code, 0) << got;
    int seen = 0;
    for (const auto& entry : fs::directory_iterator(path)) {
      struct stat info{};
      ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
      EXPECT_EQ(info.st_mode & 06000, 0u) << entry << ": " << got;
      EXPECT_FALSE(S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) << entry << ": " << got;
      ++seen;
    }
    EXPECT_GT(seen, 1) << got;
  }
}

// The files that were there keep their owners, and are the workload's own to change when they are the caller's.
TEST_F(VolumesContract, LeaveEarlierFilesToTheirOwners) {
  for (const std::string name : FileSystems::kNames) {
    SCOPED_TRACE(name);
    const std::string path = file_systems_->path(name), file = path + "/given";
    if (cannot_map(name)) continue;  // refused above
    std::ofstream(file) << "earlier\n";
    chmod(file.c_str(), 0600);
    const Outcome got = shell({"-v", path + ":/data"}, "cat /data/given; echo later >> /data/given; chmod 640 /data/given");
    EXPECT_EQ(got.out, "earlier\n") << got;
    EXPECT_EQ(read_file(file), "earlier\nlater\n") << got;
    struct stat info{};
    ASSERT_EQ(stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, geteuid());
    EXPECT_EQ(info.st_gid, getegid());
    EXPECT_EQ(info.st_mode & 07777, 0640u);
  }
}

}  // namespace
}  // namespace bailey::tests
