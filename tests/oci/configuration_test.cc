// The container has what its configuration says.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/oci/container.h"

namespace bailey::tests {
namespace {

class OciConfiguration : public OciContainer {
 protected:
  // The output of the container's script, which has to end well.
  std::string says(const std::string& script) {
    const int ended = run_through(script);
    EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << ended << output();
    return output();
  }
  std::string refusal() {
    EXPECT_NE(create().exit_code, 0);
    return read_file(directory_.file("log"));
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, OciConfiguration, testing::Values("native", "gvisor"), name_of_backend);

TEST_P(OciConfiguration, TheCommandIsPid1WithItsEnvironmentAlone) {
  config_.process->env = {"PATH=/bin", "ONLY=this"};
  EXPECT_EQ(says("echo $$ $ONLY ${HOME-none} ${LANG-none}"), "1 this none none\n");
}

TEST_P(OciConfiguration, UserGroupsAndUmask) {
  config_.process->user = {.uid = 1000, .gid = 1001, .umask = 027, .additional_gids = {7, 8}};
  EXPECT_EQ(says("id -u; id -g; id -G; umask"), "1000\n1001\n1001 7 8\n0027\n");
}

TEST_P(OciConfiguration, AUmaskThatNobodyNamesIsTheUsualOne) { EXPECT_EQ(says("umask"), "0022\n"); }

TEST_P(OciConfiguration, WorkingDirectory) {
  config_.process->cwd = "/made/for/it";
  EXPECT_EQ(says("echo $PWD"), "/made/for/it\n") << "one that is missing is made";
}

TEST_P(OciConfiguration, Rlimits) {
  config_.process->rlimits = {{"RLIMIT_NOFILE", 100, 200}, {"RLIMIT_FSIZE", 4096, 8192}};
  EXPECT_EQ(says("ulimit -Sn; ulimit -Hn"), "100\n200\n");
}

TEST_P(OciConfiguration, HostName) {
  config_.hostname = "box";
  EXPECT_EQ(says("hostname"), "box\n");
}

TEST_P(OciConfiguration, WhatIsWrittenStaysInTheRoot) {
  says("echo kept > /etc/file");
  EXPECT_EQ(read_file(root() + "/etc/file"), "kept\n");
  EXPECT_NE(::access((root() + "/dev/.bailey").c_str(), F_OK), 0) << "and nothing else";
}

TEST_P(OciConfiguration, AReadOnlyRootIsRefusedToWrites) {
  config_.root->readonly = true;
  EXPECT_EQ(says("touch /etc/file 2>/dev/null || echo refused"), "refused\n");
}

TEST_P(OciConfiguration, VolumesReadOnlyAndNot) {
  const std::string volume = directory_.file("volume");
  ASSERT_EQ(::mkdir(volume.c_str(), 0755), 0);
  directory_.write("volume/file", "of the host\n");
  config_.mounts.push_back({"/in", "bind", volume, {"rbind", "rw"}, {}, {}});
  config_.mounts.push_back({"/ro", "bind", volume, {"rbind", "ro"}, {}, {}});
  EXPECT_EQ(says("cat /ro/file; echo new > /in/new; touch /ro/other 2>/dev/null || echo refused"), "of the host\nrefused\n");
  EXPECT_EQ(read_file(volume + "/new"), "new\n");
}

TEST_P(OciConfiguration, ATmpfsOfASize) {
  config_.mounts.push_back({"/small", "tmpfs", "tmpfs", {"nosuid", "nodev", "noexec", "size=64k", "mode=0700"}, {}, {}});
  EXPECT_EQ(says("stat -c %a /small; busybox dd if=/dev/zero of=/small/f bs=1k count=100 2>/dev/null || echo full"),
            "700\nfull\n");
}

TEST_P(OciConfiguration, MaskedAndReadOnlyPaths) {
  config_.linux.masked_paths = {"/proc/kcore", "/proc/not-there"};
  config_.linux.readonly_paths = {"/proc/sys"};
  EXPECT_EQ(says("echo x 2>/dev/null > /proc/sys/kernel/hostname || echo refused; [ -s /proc/kcore ] || echo empty"),
            "refused\nempty\n");
}

TEST_P(OciConfiguration, CapabilitiesOfTheCommand) {
  const std::string got = says("grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status");
  EXPECT_EQ(got, "CapPrm:\t0000000000000420\nCapEff:\t0000000000000420\nCapBnd:\t0000000000000420\n");
}

TEST_P(OciConfiguration, AnUnknownCapabilityIsNoneToGive) {
  for (auto* set : {&config_.process->capabilities.bounding, &config_.process->capabilities.permitted})
    set->push_back("CAP_OF_TOMORROW");
  EXPECT_NE(says("grep CapBnd /proc/self/status").find("0000000000000420"), std::string::npos);
}

TEST_P(OciConfiguration, NoNewPrivileges) {
  config_.process->no_new_privileges = true;
  EXPECT_EQ(says("grep NoNewPrivs /proc/self/status"), "NoNewPrivs:\t1\n");
}

TEST_P(OciConfiguration, SeccompWithItsErrno) {
  for (const bool no_new_privileges : {false, true}) {
    config_.process->no_new_privileges = no_new_privileges;
    bundle::Seccomp& filter = config_.linux.seccomp.emplace();
    filter.default_action = "SCMP_ACT_ALLOW";
    filter.syscalls = {{{"mkdir", "mkdirat"}, "SCMP_ACT_ERRNO", 28, {}}};  // ENOSPC
    const std::string got = says("mkdir /tmp/x 2>&1 || true; [ -d /tmp/x ] || echo none");
    EXPECT_NE(got.find("No space left"), std::string::npos) << got;
    EXPECT_NE(got.find("none"), std::string::npos) << got;
    EXPECT_EQ(oci({"delete", id_}).exit_code, 0);
    ::unlink(directory_.file("output").c_str());
  }
}

TEST_P(OciConfiguration, TheDefaultDevices) {
  EXPECT_EQ(says("for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done; echo x > /dev/null; "
                 "ls -l /dev/fd | grep -o -- '-> .*'"),
            "-> /proc/self/fd\n");
}

TEST_P(OciConfiguration, ACommandThatIsNotThereIsToldAtCreate) {
  config_.process->args = {"no-such-program"};
  const std::string log = refusal();
  EXPECT_NE(log.find("executable file not found in $PATH"), std::string::npos) << log;
  EXPECT_NE(log.find("\"level\":\"error\""), std::string::npos) << log;
  EXPECT_EQ(read_file(directory_.file("pid")), "");
}

TEST_P(OciConfiguration, ALevelThatThePolicyDoesNotKnowIsRefused) {
  config_.annotations["dev.bailey.trust"] = "boundless";
  EXPECT_NE(refusal().find("'boundless' is not for containers of an engine"), std::string::npos);
}

TEST_P(OciConfiguration, WhatNobodyEnforcesIsRefusedByName) {
  config_.linux.intel_rdt.emplace();
  config_.linux.intel_rdt->clos_id = "x";
  EXPECT_NE(refusal().find("ntelRdt"), std::string::npos);
}

TEST_P(OciConfiguration, UntrustedCodeGetsNoDirectoryOfTheHostsThatIsAPower) {
  config_.annotations["dev.bailey.trust"] = "untrusted";
  config_.mounts.push_back({"/in", "bind", "/etc", {"rbind", "ro"}, {}, {}});
  EXPECT_NE(refusal().find("the host's configuration"), std::string::npos);
}

TEST_P(OciConfiguration, WhatOneBackendDoesNotEnforceItRefusesByName) {
  if (!gvisor()) config_.hooks.prestart.push_back({.path = "/bin/true"});
  else config_.linux.uid_mappings = config_.linux.gid_mappings = {{0, 100000, 65536}};
  EXPECT_NE(refusal().find(gvisor() ? "id mappings" : "hooks"), std::string::npos);
}

TEST_P(OciConfiguration, AFlagThatWouldChangeNothingIsRefused) {
  for (const char* flag : {"--systemd-cgroup", "--preserve-fds=1", "--cgroup-manager=disabled", "--pidfd-socket=/nowhere"}) {
    EXPECT_NE(create({flag}).exit_code, 0) << flag;
    EXPECT_NE(read_file(directory_.file("log")).find("not there yet"), std::string::npos) << flag;
    ::unlink(directory_.file("log").c_str());
  }
}

// Of a level for code that nobody trusts, whatever the engine says.
TEST_P(OciConfiguration, TheHostsNetworkIsNotForUntrustedCode) {
  std::erase_if(config_.linux.namespaces, [](const auto& one) { return one.type == bundle::NamespaceType::network; });
  config_.annotations["dev.bailey.trust"] = "untrusted";
  EXPECT_NE(refusal().find("never gets the host's network"), std::string::npos);
}

TEST_P(OciConfiguration, ItsMemoryIsLimited) {
  config_.linux.resources.memory.limit = 64 << 20;
  config_.linux.cgroups_path = "/bailey-oci-test-" + std::to_string(::getpid());
  run("sleep 100");
  ASSERT_EQ(create().exit_code, 0) << output();
  const std::string directory = "/sys/fs/cgroup/memory" + config_.linux.cgroups_path;
  if (::access(directory.c_str(), F_OK) == 0) {
    EXPECT_GE(std::stoull(read_file(directory + "/memory.limit_in_bytes")), 64u << 20);
  }
  EXPECT_NE(files::read("/proc/" + std::to_string(pid()) + "/cgroup", 4096).value().find(config_.linux.cgroups_path),
            std::string::npos);
  EXPECT_EQ(oci({"delete", "--force", id_}).exit_code, 0);
  EXPECT_NE(::access(directory.c_str(), F_OK), 0) << "the engine's cgroup goes with the container";
  wait_for_end();
}

}  // namespace
}  // namespace bailey::tests
