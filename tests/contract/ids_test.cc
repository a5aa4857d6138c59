// Users and groups by number, whatever the number: platforms give each project a range of its own, such as 1000680000 and up.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class IdsContract : public Contract {
 protected:
  bool root() const { return caller() == Caller::root; }
};

constexpr const char* kUsers[] = {"65535:65535",  "65536:65536",      "1000680000:1000680000", "1000680000:0",
                                  "0:1000680000", "2147483648:70000", "4294967294:4294967294"};

TEST_F(IdsContract, RunsAsAnyUserWithAHomeThatIsItsOwn) {
  for (const std::string user : kUsers) {
    const Outcome got = shell(with_probes({"--user", user}),
                              "set -e; echo $(id -u):$(id -g); echo x > ~/file; echo y > /tmp/file; " + probe("stat") +
                                  " ~ ~/file /tmp/file | cut -d' ' -f2,3 | tr ' ' :; [ -O ~/file ]; [ -w /dev/stdout ]; "
                                  "getent passwd $(id -u) | cut -d: -f3,4");
    EXPECT_EQ(got.exit_code, 0) << user << ": " << got;
    std::string expected;
    for (int i = 0; i < 4; ++i) expected += user + "\n";
    EXPECT_EQ(got.out.substr(0, expected.size()), expected) << got;
    const bool has_line = user != "0:1000680000";  // root's line is always the same
    EXPECT_EQ(got.out.substr(std::min(expected.size(), got.out.size())), has_line ? user + "\n" : "0:0\n") << got;
  }
}

TEST_F(IdsContract, HasAnyGroups) {
  if (caller() == Caller::bare && !gvisor()) {
    const Outcome got = run({"--user", "1000680000:0,1000690000"}, {"/bin/true"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find("group"), std::string::npos) << got;
    return;
  }
  // The far ones take the last places of an ordinary user's range.
  const std::string last = root() || gvisor() ? "65533" : "65000";
  const Outcome got =
      shell({"--user", "1000680000:7," + last + ",1000680000,1000690000,4294967294"}, "id -u; id -G | tr ' ' '\n' | sort -n");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "1000680000\n7\n" + last + "\n1000680000\n1000690000\n4294967294\n") << got;
  std::string many = "7:8";
  for (int i = 0; i < 100; ++i) many += "," + std::to_string(1000680000 + i);
  if (gvisor()) return;
  const Outcome refused = run({"--user", many}, {"/bin/true"});
  EXPECT_EQ(refused.exit_code, 125) << refused;
  EXPECT_NE(refused.err.find("more than 64 different ids above 65535"), std::string::npos) << refused;
}

// What it writes belongs to that number on the host when root is the caller, and to the caller otherwise.
TEST_F(IdsContract, LeavesFilesOfThatUserInAVolume) {
  for (const uint32_t id : {70000u, 1000680000u, 4294967294u}) {
    const TempDir volume;
    const std::string user = std::to_string(id) + ":" + std::to_string(id);
    if (root()) {
      ASSERT_EQ(chown(volume.path().c_str(), id, id), 0);
    }
    const Outcome got = shell(with_probes({"-v", volume.path() + ":/data", "--user", user}),
                              "set -e; cd /data; echo x > file; mkdir directory; " + probe("stat") +
                                  " . file directory | cut -d' ' -f2,3 | tr ' ' :");
    if (!root() && gvisor()) {
      EXPECT_EQ(got.exit_code, 125) << got;
      EXPECT_NE(got.err.find(std::to_string(id)), std::string::npos) << got;
      continue;
    }
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out, user + "\n" + user + "\n" + user + "\n") << got;
    for (const char* name : {"file", "directory"}) {
      struct stat info{};
      ASSERT_EQ(stat(volume.file(name).c_str(), &info), 0) << got;
      EXPECT_EQ(info.st_uid, root() ? id : geteuid());
      EXPECT_EQ(info.st_gid, root() ? id : getegid());
    }
  }
}

TEST_F(IdsContract, ReadsASecretAsThatUser) {
  const TempDir directory;
  const std::string file = directory.write("file", "secret", 0600);
  const Outcome own = shell(with_probes({"--secret", "db=" + file, "--user", "1000680000:1000680000"}),
                            "cat /run/secrets/db; echo; " + probe("stat") + " /run/secrets/db");
  const Outcome others = shell(with_probes({"--secret", "db=" + file + ":::4294967294", "--user", "7:7"}),
                               probe("stat") + " /run/secrets/db; cat /run/secrets/db && echo READ");
  for (const Outcome* got : {&own, &others}) {
    if (root() || (!gvisor() && got == &own)) continue;
    EXPECT_EQ(got->exit_code, 125) << *got;  // an ordinary user has one id to give (docs/rootless.md)
    EXPECT_NE(got->err.find("'db'"), std::string::npos) << *got;
  }
  if (root() || !gvisor()) {
    EXPECT_EQ(own.out, "secret\n400 1000680000 1000680000 6\n") << own;
  }
  if (root()) {
    EXPECT_EQ(others.out, "400 4294967294 7 6\n") << others;
  }
}

}  // namespace
}  // namespace bailey::tests
