#include "bundle/engine_mount.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace bailey::bundle {
namespace {

EngineMountOptions parse(std::vector<std::string> options) { return parse_engine_mount(options).value(); }

TEST(EngineMount, SetsAndClearsAttributesOfTheMount) {
  const auto got = parse({"ro", "nosuid", "nodev", "noexec", "nosymfollow", "noatime", "nodiratime"});
  EXPECT_EQ(got.set, static_cast<uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
                                           MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME));
  EXPECT_EQ(parse({"suid"}).clear, static_cast<uint64_t>(MOUNT_ATTR_NOSUID));
}

TEST(EngineMount, TheLaterOptionWins) {
  const auto got = parse({"ro", "rw", "noatime", "strictatime"});
  EXPECT_EQ(got.set, static_cast<uint64_t>(MOUNT_ATTR_STRICTATIME));
  EXPECT_EQ(got.clear, static_cast<uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME)) << "access times are one field";
}

TEST(EngineMount, WithAnRTheyHoldForAllMountsBelow) {
  const auto got = parse({"rbind", "rro", "rnosuid", "rrelatime"});
  EXPECT_TRUE(got.bind && got.with_submounts);
  EXPECT_EQ(got.set, 0u);
  EXPECT_EQ(got.set_below, static_cast<uint64_t>(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
  EXPECT_EQ(got.clear_below, static_cast<uint64_t>(MOUNT_ATTR__ATIME));
  EXPECT_EQ(parse({"relatime", "rw", "remount"}).set_below, 0u) << "these begin with an r, and are of the mount";
}

TEST(EngineMount, KeepsPropagationInItsOrder) {
  const auto got = parse({"rslave", "shared"});
  EXPECT_EQ(got.propagation, (std::vector<unsigned long>{MS_SLAVE | MS_REC, MS_SHARED}));
}

TEST(EngineMount, LeavesTheRestToTheFileSystem) {
  const auto got = parse({"nosuid", "size=64k", "mode=755", "newinstance", "sync", "defaults"});
  EXPECT_EQ(got.data, "size=64k,mode=755");
  EXPECT_EQ(got.file_system_flags, static_cast<unsigned long>(MS_SYNCHRONOUS));
  EXPECT_FALSE(parse_engine_mount({"size=1k,ro"})) << "one option would be two";
}

}  // namespace
}  // namespace bailey::bundle
