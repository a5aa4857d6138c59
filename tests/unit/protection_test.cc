// Who else could change a file: each weakness of it and of the directories above it.
#include "base/protection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "tests/support/require.h"
#include "tests/support/temp_dir.h"

namespace bailey {
namespace {

class Protection : public testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root");
    ASSERT_EQ(::mkdir(above_.c_str(), 0755), 0);
    ASSERT_EQ(::mkdir(near_.c_str(), 0755), 0);
  }
  std::string of_itself(uid_t uid, gid_t gid, mode_t mode) const {
    struct stat info{};
    info.st_uid = uid;
    info.st_gid = gid;
    info.st_mode = S_IFREG | mode;
    const auto weakness = weakness_of(info, "it");
    return weakness ? weakness->why : "";
  }
  // Of a directory above a file, with these; each directory in its turn.
  std::string from_above(const std::string& directory, uid_t uid, gid_t gid, mode_t mode) const {
    const std::string file = near_ + "/file";
    const Fd opened(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(::chown(directory.c_str(), uid, gid), 0);
    EXPECT_EQ(::chmod(directory.c_str(), mode), 0);
    const auto weakness = weakness_above(opened.get());
    EXPECT_EQ(::chown(directory.c_str(), 0, 0), 0);
    EXPECT_EQ(::chmod(directory.c_str(), 0755), 0);
    EXPECT_TRUE(weakness) << weakness.error().message;
    if (!weakness || !*weakness) return "";
    EXPECT_EQ((*weakness)->path, directory);
    EXPECT_NE((*weakness)->remedy.find(directory), std::string::npos);
    return (*weakness)->why;
  }

  tests::TempDir top_;
  const std::string above_ = top_.file("above"), near_ = above_ + "/near";
};

TEST_F(Protection, OfAFileIsLostByItsOwnerGroupAndMode) {
  EXPECT_EQ(of_itself(0, 0, 0755), "");
  EXPECT_EQ(of_itself(0, 4242, 0755), "");
  EXPECT_EQ(of_itself(4242, 0, 0755), "belongs to uid 4242");
  EXPECT_EQ(of_itself(65534, 0, 0755), "belongs to uid 65534");
  EXPECT_EQ(of_itself(0, 4242, 0775), "is writable by group 4242");
  EXPECT_EQ(of_itself(0, 0, 0775), "is writable by group 0");
  EXPECT_EQ(of_itself(0, 0, 0757), "is writable by everybody");
  EXPECT_EQ(of_itself(0, 0, 01777), "is writable by everybody") << "sticky means something for a directory above alone";
}

TEST_F(Protection, IsLostByEachDirectoryAbove) {
  for (const std::string& directory : {near_, above_}) {
    EXPECT_EQ(from_above(directory, 0, 0, 0755), "");
    EXPECT_EQ(from_above(directory, 0, 0, 01777), "");
    EXPECT_EQ(from_above(directory, 0, 4242, 01775), "");
    EXPECT_EQ(from_above(directory, 0, 0, 0777), "is writable by everybody");
    EXPECT_EQ(from_above(directory, 0, 0, 0775), "is writable by group 0");
    EXPECT_EQ(from_above(directory, 4242, 0, 0755), "belongs to uid 4242");
    EXPECT_EQ(from_above(directory, 4242, 0, 01777), "belongs to uid 4242");
    EXPECT_EQ(from_above(directory, 65534, 0, 0755), "belongs to uid 65534") << "root is mapped here";
  }
}

TEST_F(Protection, CannotBeJudgedOfAFileWhosePathIsGone) {
  const std::string file = near_ + "/file";
  const Fd opened(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::rename(above_.c_str(), top_.file("moved").c_str()), 0);
  EXPECT_FALSE(*weakness_above(opened.get())) << "the kernel knows the new path";
  ASSERT_EQ(::unlink((top_.file("moved") + "/near/file").c_str()), 0);
  ASSERT_EQ(::rmdir((top_.file("moved") + "/near").c_str()), 0);
  EXPECT_FALSE(weakness_above(opened.get()));
}

// In a child, as `uid`, in a user namespace with that one line of uid_map; 'r' refused, '-' nothing found, '?' could not be
// tried.
char seen_from_namespace(int fd, uid_t uid, const char* map, Unmapped unmapped) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(uid, uid, uid) != 0 || ::prctl(PR_SET_DUMPABLE, 1) != 0 || ::unshare(CLONE_NEWUSER) != 0) ::_exit('?');
    const Fd file(::open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), map, std::strlen(map)) < 0) ::_exit('?');
    const auto weakness = weakness_above(fd, unmapped);
    ::_exit(!weakness ? '?' : *weakness ? 'r' : '-');
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return static_cast<char>(WEXITSTATUS(status));
}

TEST_F(Protection, TakesTheOverflowUserForRootOnlyOnRequestAndWhereRootIsNotMapped) {
  BAILEY_REQUIRE("userns");
  const Fd opened(::open(near_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(seen_from_namespace(opened.get(), 4242, "0 4242 1", Unmapped::refused), 'r');
  EXPECT_EQ(seen_from_namespace(opened.get(), 4242, "0 4242 1", Unmapped::taken_for_root), '-');
  ASSERT_EQ(::chown(above_.c_str(), 4243, 0), 0);
  EXPECT_EQ(seen_from_namespace(opened.get(), 0, "0 0 1", Unmapped::taken_for_root), 'r') << "root is mapped, 4243 is not";
}

}  // namespace
}  // namespace bailey
