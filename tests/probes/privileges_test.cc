// What an ordinary program gains by executing: nothing.
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

// Copies of probe_self that would give more than the caller has: owned by root with set-id bits, or with file capabilities.
class PrivilegeProbes : public Probes {
 protected:
  void put_programs(const std::string& directory) {
    chmod(directory.c_str(), 0755);
    for (const char* name : {"plain", "setuid", "setgid", "caps"}) {
      fs::copy_file(program_outside("self"), directory + "/" + name);
      chmod((directory + "/" + name).c_str(), 0755);
    }
    chmod((directory + "/setuid").c_str(), 04755);
    chmod((directory + "/setgid").c_str(), 02755);
    const uint32_t all[5] = {VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE, 0xffff, 0, 0, 0};
    ASSERT_EQ(setxattr((directory + "/caps").c_str(), "security.capability", all, sizeof all, 0), 0);
  }
  static json::Value parse(const std::string& text) {
    auto parsed = json::parse(text, "probe_self");
    EXPECT_TRUE(parsed) << text;
    return parsed ? std::move(*parsed) : json::Value();
  }
  static void become_somebody() {
    if (setgid(1000) != 0 || setuid(1000) != 0) _exit(99);
  }
};

TEST_F(PrivilegeProbes, GainNothingByProgramsWithSetIdBitsOrCapabilities) {
  BAILEY_REQUIRE("busybox");
  const TempDir volume, root;
  make_busybox_root(root.path());
  put_programs(volume.path());
  fs::create_directory(root.file("programs"));
  put_programs(root.file("programs"));
  for (const char* place : {"/data", "/programs"}) {
    for (const char* name : {"plain", "setuid", "setgid", "caps"}) {
      const Outcome got = run({"--rootfs", root.path(), "-v", volume.path() + ":/data", "--user", "1000:1000"},
                              {std::string(place) + "/" + name});
      EXPECT_EQ(got.exit_code, 0) << place << name << got;
      const json::Value self = parse(got.out);
      EXPECT_EQ(number_of(self, "euid"), 1000) << place << name;
      EXPECT_EQ(number_of(self, "egid"), 1000) << place << name;
      for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd"})
        EXPECT_EQ(text_of(self, set), "0000000000000000") << place << name << " " << set;
    }
  }
  // The control: on the host each of them gives what it says.
  const auto outside_self = [&](const char* name) { return parse(run_outside({volume.file(name)}, become_somebody)); };
  EXPECT_EQ(number_of(outside_self("setuid"), "euid"), 0);
  EXPECT_EQ(number_of(outside_self("setgid"), "egid"), 0);
  EXPECT_NE(text_of(outside_self("caps"), "CapEff"), "0000000000000000");
  EXPECT_EQ(text_of(outside_self("plain"), "CapEff"), "0000000000000000");
}

// CVE-2022-29162, and CVE-2022-27650 of crun: inheritable capabilities were left, which file capabilities make permitted ones.
TEST_F(PrivilegeProbes, Cve2022_29162_HaveNoneWhateverTheCallerHas) {
  for (const Arguments& user : {Arguments{}, Arguments{"--user", "1000:1000"}}) {
    RunOptions wish = options(with_probes(user), {probe("self")});
    wish.before_exec = [] {  // a caller with inheritable capabilities
      __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct sets[2] = {};
      if (syscall(SYS_capget, &header, sets) != 0) _exit(99);
      for (auto& set : sets) set.inheritable = set.permitted;
      if (syscall(SYS_capset, &header, sets) != 0) _exit(99);
      for (int cap = 0; cap < 41; ++cap) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
    };
    const Outcome got = run_bailey(std::move(wish));
    const json::Value self = parse(got.out);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd"}) EXPECT_EQ(text_of(self, set), "0000000000000000") << set;
    if (gvisor_2022()) continue;  // shows no such line
    EXPECT_EQ(text_of(self, "CapAmb"), "0000000000000000");
  }
  EXPECT_NE(text_of(parse(run_outside({program_outside("self")})), "CapEff"), "0000000000000000");  // root outside has some
}

}  // namespace
}  // namespace bailey::tests
