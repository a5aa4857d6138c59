// The root file system, volumes, temporary directories and devices.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;
using FilesContract = Contract;

TEST_F(FilesContract, RefusesToWriteTheRoot) {
  for (const char* place : {"/", "/usr", "/usr/bin", "/bin", "/lib", "/etc", "/etc/passwd.d", "/opt"}) {
    const Outcome got = shell("touch " + std::string(place) + "/bailey-was-here && echo WRITTEN");
    EXPECT_EQ(got.out, "") << place << ": " << got;
    EXPECT_FALSE(fs::exists(std::string(place) + "/bailey-was-here"));
  }
  const Outcome got =
      shell("echo x >> /etc/passwd && echo WRITTEN; : > /usr/bin/env && echo WRITTEN; chmod 777 /usr/bin/env && echo WRITTEN");
  EXPECT_EQ(got.out, "") << got;
}

TEST_F(FilesContract, GivesAWritableTmpAndHomeOfItsOwn) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--user", "1000:1000"}}) {
    const Outcome got = shell(
        flags,
        "set -e; for d in /tmp \"$HOME\" /dev/shm; do echo data > $d/file; cat $d/file; mkdir $d/sub; rm -r $d/sub; done; "
        "printf '#!/bin/sh\\necho ran\\n' > /tmp/x; chmod +x /tmp/x; /tmp/x");
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out, "data\ndata\ndata\nran\n") << got;
    const Outcome again = shell(flags, "ls -A /tmp \"$HOME\" /dev/shm | grep file");
    EXPECT_EQ(again.out, "") << again;
  }
}

TEST_F(FilesContract, ShowsNothingOfTheHostsOwnDirectories) {
  const TempDir host;  // in the host's /tmp
  host.write("host-file", "of the host\n");
  const Outcome got = shell(
      "ls -A /root /home /var /srv /mnt /media /boot /sys /tmp /run /opt 2>/dev/null | grep -v : | grep .; cat /etc/shadow; cat " +
      host.file("host-file"));
  EXPECT_EQ(got.out.find("bailey-test"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("of the host"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("root:"), std::string::npos) << got;
}

TEST_F(FilesContract, GivesAnEtcOfItsOwn) {
  const Outcome got =
      shell("cat /etc/passwd; getent passwd 0; getent hosts localhost; cat /etc/hostname; [ -d /etc/ssl/certs ] && echo certs");
  EXPECT_NE(got.out.find("root:"), std::string::npos) << got;
  EXPECT_NE(got.out.find("localhost"), std::string::npos) << got;
  EXPECT_NE(got.out.find("certs"), std::string::npos) << got;
}

// Elsewhere: git and perl failed because /dev/null was EACCES (a nodev tmpfs) or missing (user namespace).
TEST_F(FilesContract, GivesProperDevices) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--user", "1000:1000"}}) {
    const Outcome got = shell(
        flags,
        "set -e; echo lost > /dev/null; wc -c < /dev/null; head -c 5 /dev/zero | wc -c; head -c 6 /dev/random | wc -c; head -c 7 /dev/urandom | wc -c;"
        "echo x 2>/dev/null > /dev/full && echo not-full; for f in fd ptmx pts shm stderr stdin stdout; do [ -e /dev/$f ] && echo $f; done; echo through | cat /dev/stdin; echo ok");
    EXPECT_EQ(got.out, "0\n5\n6\n7\nfd\nptmx\npts\nshm\nstderr\nstdin\nstdout\nthrough\nok\n") << got;
  }
}

TEST_F(FilesContract, GivesNoDeviceOfTheHost) {
  // Under gVisor /dev/fuse and /dev/net/tun are the sentry's own, with no host device behind them.
  const std::string hosts = gvisor() ? "" : "/dev/fuse /dev/net ";
  const Outcome got = shell(
      "for d in " + hosts +
      "/dev/mem /dev/kmsg /dev/vda /dev/sda /dev/kvm /dev/vsock /dev/console; do [ -e $d ] && echo $d; done; "
      "mknod /tmp/memory c 1 1; head -c 1 /tmp/memory && echo READ; mknod /tmp/disk b 254 0; head -c 1 /tmp/disk && echo READ");
  EXPECT_EQ(got.out, "") << got;
}

TEST_F(FilesContract, MasksWhatProcTellsOfTheHost) {
  const Outcome got = shell(
      "cat /proc/kcore /proc/kallsyms /proc/sched_debug /proc/keys /proc/timer_list /proc/config.gz 2>/dev/null | head -c 1; echo 1 > /proc/sys/kernel/hostname && echo WRITTEN; echo h > /proc/sysrq-trigger && echo WRITTEN; true");
  EXPECT_EQ(got.out, "") << got;
}

// --- volumes -----------------------------------------------------------------------------------------------------------

TEST_F(FilesContract, ShowsAReadOnlyVolumeAndRefusesWrites) {
  const TempDir volume;
  volume.write("given", "from the host\n");
  fs::create_directory(volume.file("sub"));
  const std::string before = list_tree(volume.path());
  const Outcome got = shell(
      {"-v", volume.path() + ":/data:ro"},
      "cat /data/given; for f in /data/new /data/sub/new; do touch $f && echo WRITTEN; done; echo x > /data/given && echo WRITTEN; "
      "rm /data/given && echo WRITTEN; chmod 777 /data/given && echo WRITTEN; mv /data/given /data/g && echo WRITTEN; true");
  EXPECT_EQ(got.out, "from the host\n") << got;
  EXPECT_EQ(list_tree(volume.path()), before);
}

TEST_F(FilesContract, WritesThroughAReadWriteVolume) {
  const TempDir volume;
  volume.write("given", "from the host\n");
  const Outcome got = shell(
      {"-v", volume.path() + ":/data", "-w", "/data"},
      "set -e; cat given; echo changed > given; echo made > new; mkdir sub; echo deep > sub/file; ln -s new link; mv new moved");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(read_file(volume.file("given")), "changed\n");
  EXPECT_EQ(read_file(volume.file("moved")), "made\n");
  EXPECT_EQ(read_file(volume.file("sub/file")), "deep\n");
}

// What a workload leaves in a volume belongs to the caller, not to an id of a range that nobody knows. Root may be everybody:
// what its --user writes is that user's.
void expect_owner(const std::string& directory, uid_t uid, gid_t gid, int count) {
  int seen = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat info{};
    ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, uid) << entry;
    EXPECT_EQ(info.st_gid, gid) << entry;
    ++seen;
  }
  EXPECT_EQ(seen, count);
}
constexpr const char* kMakesAllKinds =
    "set -e; cd /data; echo x > file; mkdir dir; echo y > dir/file; ln -s file link; mkfifo fifo; ln file hard";

TEST_F(FilesContract, LeavesFilesOfTheCaller) {
  const TempDir volume;
  const Outcome got = shell({"-v", volume.path() + ":/data"}, kMakesAllKinds);
  EXPECT_EQ(got.exit_code, 0) << got;
  expect_owner(volume.path(), geteuid(), getegid(), gvisor() ? 5 : 6);  // a FIFO of gVisor's is known to its own kernel only
}

TEST_F(FilesContract, LeavesFilesOfTheCallerAsAnotherUserInside) {
  if (differs_here()) return;
  const TempDir volume;
  const bool root = caller() == Caller::root;
  if (root) {
    ASSERT_EQ(chown(volume.path().c_str(), 4321, 4322), 0);
  }
  const Outcome got = shell({"-v", volume.path() + ":/data", "--user", "4321:4322"}, kMakesAllKinds);
  EXPECT_EQ(got.exit_code, 0) << got;
  expect_owner(volume.path(), root ? 4321 : geteuid(), root ? 4322 : getegid(), gvisor() ? 5 : 6);
}

// An earlier set-id file must not stay one with other contents.
TEST_F(FilesContract, TakesTheSetIdBitsOfAFileThatItChanges) {
  const TempDir volume;
  for (const char* name : {"written", "appended", "truncated"}) volume.write(name, "earlier\n", 06755);
  const Outcome got = shell({"-v", volume.path() + ":/data"},
                            "cd /data; echo x > written; echo x >> appended; : > truncated; cat written appended truncated");
  EXPECT_EQ(got.out, "x\nearlier\nx\n") << got;
  for (const char* name : {"written", "appended", "truncated"}) {
    // The gofer of 2022 truncates with CAP_FSETID. What is left is a part of the earlier contents; a write takes the bits there
    // too.
    if (backend() == "gvisor-2022" && name == std::string_view("truncated")) continue;
    struct stat info{};
    ASSERT_EQ(stat(volume.file(name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0755u) << name << ": " << got;
  }
}

// Elsewhere: a read-only volume with a submount wrote to the host. Ours is read-only all the way down.
TEST_F(FilesContract, RefusesWritesBelowAReadOnlyVolumeToo) {
  const TempDir own;
  const std::string volume = caller() == Caller::root ? own.path() : prepared().submount, sub = volume + "/sub";
  if (caller() == Caller::root) {
    fs::create_directory(sub);
    ASSERT_EQ(mount("tmpfs", sub.c_str(), "tmpfs", 0, "size=1m"), 0);
  }
  const std::string script = "touch /data/sub/new && echo WRITTEN; touch /data/new && echo WRITTEN; true";
  const Outcome got = shell({"-v", volume + ":/data:ro"}, script);
  EXPECT_EQ(got.out, "") << got;
  EXPECT_FALSE(fs::exists(sub + "/new"));
  EXPECT_EQ(shell({"-v", volume + ":/data"}, script).out, "WRITTEN\nWRITTEN\n") << "it could not be written to at all";
  fs::remove(sub + "/new");
  fs::remove(volume + "/new");
  if (caller() == Caller::root) umount2(sub.c_str(), MNT_DETACH);
}

TEST_F(FilesContract, TakesASingleFileAsVolume) {
  const TempDir volume;
  const std::string file = volume.write("settings", "one file\n");
  const Outcome got = shell({"-v", file + ":/data/settings:ro"},
                            "cat /data/settings; cd /data; echo *; echo x > /data/settings && echo WRITTEN; true");
  EXPECT_EQ(got.out, "one file\nsettings\n") << got;
}

TEST_F(FilesContract, KeepsTheOrderOfNestedVolumes) {
  const TempDir outer, inner;
  outer.write("name", "outer\n");
  inner.write("name", "inner\n");
  fs::create_directory(outer.file("sub"));
  const Outcome got =
      shell({"-v", outer.path() + ":/data:ro", "-v", inner.path() + ":/data/sub"},
            "cat /data/name /data/sub/name; echo x > /data/sub/new; touch /data/new 2>/dev/null && echo WRITTEN; true");
  EXPECT_EQ(got.out, "outer\ninner\n") << got;
  EXPECT_EQ(read_file(inner.file("new")), "x\n");
}

// Security fact: uid 0 without a mapping leaves root-owned setuid files in read-write volumes.
TEST_F(FilesContract, LeavesNoSetuidProgramOfRootThatRuns) {
  if (differs_here()) return;
  const TempDir volume;
  ASSERT_EQ(chmod(volume.path().c_str(), 0777), 0);
  const Outcome got =
      shell({"-v", volume.path() + ":/data", "--user", "1000:1000"},
            "cp /bin/sh /data/sh; chmod 4755 /data/sh; cp /data/sh /tmp/sh; chmod 4755 /tmp/sh; /tmp/sh -c id; true");
  struct stat info{};
  ASSERT_EQ(stat(volume.file("sh").c_str(), &info), 0) << got;
  EXPECT_EQ(info.st_mode & 06000, 0u) << got;
  EXPECT_EQ(got.out.find("euid=0"), std::string::npos) << got;
}

// --- another root ------------------------------------------------------------------------------------------------------

// One that has every mount point, one that lacks some, and one that has nothing but its programs.
TEST_F(FilesContract, RunsInAnotherRootAndLeavesItAsItWas) {
  BAILEY_REQUIRE("busybox");
  const TempDir root;
  make_busybox_root(root.path());
  for (const Arguments& removed : {Arguments{}, Arguments{"root", "tmp"}, Arguments{"proc", "dev", "run", "sys"}}) {
    for (const std::string& name : removed) fs::remove(root.file(name));
    const std::string before = list_tree(root.path());
    const Outcome got = shell({"--rootfs", root.path()},
                              "ls /; touch /new && echo WRITTEN; touch /etc/new && echo WRITTEN; echo ok > /tmp/file && cat "
                              "/tmp/file; cat /etc/passwd; stat -c 'mode %a' /; cat /proc/self/comm");
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out.find("WRITTEN"), std::string::npos) << got;
    EXPECT_NE(got.out.find("ok\n"), std::string::npos) << got;
    EXPECT_NE(got.out.find("root:x:0:0:root:/root:/bin/sh"), std::string::npos) << got;
    EXPECT_NE(got.out.find("mode 755\n"), std::string::npos) << got;
    EXPECT_NE(got.out.find("cat\n"), std::string::npos) << got;
    EXPECT_EQ(list_tree(root.path()), before);
  }
}

TEST_F(FilesContract, KeepsTheWritesToAWritableRootInMemory) {
  BAILEY_REQUIRE("busybox");
  const TempDir root;
  make_busybox_root(root.path());
  const std::string before = list_tree(root.path());
  const Outcome got = shell(
      {"--rootfs", root.path(), "--writable"},
      "set -e; echo new > /new; echo more >> /etc/passwd; mkdir /opt; rm /bin/wc; cat /new /etc/passwd; ls /bin/wc || echo gone");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_NE(got.out.find("new\n"), std::string::npos) << got;
  EXPECT_NE(got.out.find("more\n"), std::string::npos) << got;
  EXPECT_NE(got.out.find("gone\n"), std::string::npos) << got;
  EXPECT_EQ(list_tree(root.path()), before);
}

// Elsewhere: setgid was killed by the filter, so a static busybox as another user failed.
TEST_F(FilesContract, RunsInAnotherRootAsAnotherUser) {
  BAILEY_REQUIRE("busybox");
  const TempDir root;
  make_busybox_root(root.path());
  const Outcome got = run({"--rootfs", root.path(), "--user", "1234:1235"}, {"/bin/id"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out.substr(0, 17), "uid=1234 gid=1235") << got;
}

// CVE-2026-41579 and its like: the runtime followed links of a hostile root file system to the host. (crun 1.8.1 and runc 1.1.5
// still put device links into a host directory.) Refusing such a root is as good as running in it.
TEST_F(FilesContract, FollowsNoLinkOfAHostileRootToTheHost) {
  BAILEY_REQUIRE("busybox");
  for (const char* name : {"dev", "proc", "tmp", "etc", "run", "root"}) {
    const TempDir root, victim;
    victim.write("file", "of the host\n");
    make_busybox_root(root.path());
    fs::remove_all(root.file(name));
    fs::create_directory_symlink(victim.path(), root.file(name));
    const std::string before = list_tree(victim.path());
    const Outcome got = shell({"--rootfs", root.path(), "--secret", "db=" + victim.file("file")},
                              "cat " + victim.file("file") + "; echo x > /" + name + "/new");
    EXPECT_EQ(list_tree(victim.path()), before) << name << ": " << got;
    EXPECT_EQ(got.out.find("of the host"), std::string::npos) << name << ": " << got;
  }
}

TEST_F(FilesContract, FollowsNoLinkAtTheDestinationOfAVolume) {
  BAILEY_REQUIRE("busybox");
  const TempDir root, victim, volume;
  make_busybox_root(root.path());
  volume.write("file", "volume\n");
  fs::create_directory_symlink(victim.path(), root.file("data"));
  fs::create_directory_symlink("../../../../../../../../" + victim.path(), root.file("up"));
  const std::string before = list_tree(victim.path());
  for (const char* name : {"/data/sub", "/up/sub", "/data", "/up"}) {
    const Outcome got = shell({"--rootfs", root.path(), "--writable", "-v", volume.path() + ":" + name}, "true");
    EXPECT_EQ(list_tree(victim.path()), before) << name << ": " << got;
  }
}

// CVE-2023-27561 and its like: a /proc that is a link leads to one place while it is mounted (the root's /dev/shm is still a
// link,
// ".." goes up from there) and to another when it is masked (/dev/shm is a mount), and the /proc at the first one has no masks.
TEST_F(FilesContract, MasksTheProcOfAHostileRootOrHasNone) {
  BAILEY_REQUIRE("busybox");
  const TempDir root;
  make_busybox_root(root.path());
  for (const char* name : {"proc", "dev"}) fs::remove_all(root.file(name));
  for (const char* name : {"dev", "p", "deep/p", "deep/a/b"}) fs::create_directories(root.file(name));
  fs::create_directory_symlink("/deep/a/b", root.file("dev/shm"));
  fs::create_directory_symlink("/dev/shm/../../p", root.file("proc"));
  const Outcome got =
      shell({"--rootfs", root.path()}, "for p in /proc /p /deep/p; do cat $p/cmdline $p/kallsyms | head -c 500; done");
  EXPECT_EQ(got.out.find(read_file("/proc/cmdline")), std::string::npos) << got;
  EXPECT_EQ(got.out.find(" T _text"), std::string::npos) << got;
}

// A root that leads a volume's destination to where gVisor's init lies would have the volume's program run in its place.
TEST_F(FilesContract, RunsNoInitOfAVolume) {
  BAILEY_REQUIRE("busybox");
  const TempDir root, volume;
  make_busybox_root(root.path());
  fs::create_directory_symlink("/.bailey", root.file("data"));
  volume.write("init", "#!/bin/sh\necho REPLACED\n", 0755);
  const Outcome got = shell({"--rootfs", root.path(), "-v", volume.path() + ":/data:ro"}, "echo started");
  EXPECT_EQ(got.out.find("REPLACED"), std::string::npos) << got;
  EXPECT_TRUE(got.out == "started\n" || (got.exit_code == 125 && got.err.find("/data") != std::string::npos)) << got;
}

// A set-id file or a device in a volume outlives the sandbox, and nosuid of our mount does not hold for the host's users.
void expect_no_set_id_or_device(const std::string& directory, const Outcome& got) {
  int seen = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    struct stat info{};
    ASSERT_EQ(lstat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 06000, 0u) << entry.path() << ": " << got;
    EXPECT_FALSE(S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) << entry.path() << ": " << got;
    ++seen;
  }
  EXPECT_GT(seen, 1) << got;  // it could make what is harmless
}

TEST_F(FilesContract, LeavesNoSetIdFileOrDeviceInAVolume) {
  const TempDir volume;
  const Outcome got = run(with_probes({"-v", volume.path() + ":/data"}), {probe("setid"), "/data"});
  EXPECT_EQ(got.exit_code, 0) << got;
  expect_no_set_id_or_device(volume.path(), got);
}

TEST_F(FilesContract, LeavesNoSetIdFileOrDeviceInAVolumeAsAnotherUser) {
  if (differs_here()) return;
  const TempDir volume;
  ASSERT_EQ(chmod(volume.path().c_str(), 0777), 0);
  const Outcome got = run(with_probes({"-v", volume.path() + ":/data", "--user", "1000:1000"}), {probe("setid"), "/data"});
  EXPECT_EQ(got.exit_code, 0) << got;
  expect_no_set_id_or_device(volume.path(), got);
}

// --- everyday programs in the default root -----------------------------------------------------------------------------

TEST_F(FilesContract, RunsPythonAndACompiledProgram) {
  BAILEY_REQUIRE("python3", "gcc");
  const Outcome python = run({"/usr/bin/python3", "-c", "print(6*7)"});
  EXPECT_EQ(python.exit_code, 0) << python;
  EXPECT_EQ(python.out, "42\n");
  const Outcome compiled = shell(
      "cd /tmp && echo 'int puts(const char*); int main(void) { puts(\"compiled\"); return 3; }' > a.c && gcc -o a a.c && ./a");
  EXPECT_EQ(compiled.exit_code, 3) << compiled;
  EXPECT_EQ(compiled.out, "compiled\n");
}

}  // namespace
}  // namespace bailey::tests
