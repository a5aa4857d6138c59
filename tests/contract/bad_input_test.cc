// What a wrong wish gets: a message that names the flag, the value and the remedy; exit code 125; nothing on the host.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* what;
  Arguments flags;
  std::vector<std::string> says;  // each of them is in stderr
  Arguments command = {"/bin/echo", "STARTED"};
};

class BadInputContract : public Contract {
 protected:
  void expect_refused(const Case& one) {
    SCOPED_TRACE(one.what);
    RunOptions wish = options(one.flags, one.command);
    wish.record = false;
    expect_refusal(run_bailey(std::move(wish)), one.says);
  }
  static void expect_refusal(const Outcome& got, const std::vector<std::string>& says) {
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "") << got;
    EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
    for (const std::string& text : says)
      EXPECT_NE(got.err.find(text), std::string::npos) << "does not say " << text << ": " << got;
  }
};

TEST_F(BadInputContract, NamesTheFlagAndTheValue) {
  const Case cases[] = {
      {"unknown level", {"--trust", "nobody-knows"}, {"nobody-knows", "untrusted"}},
      {"unknown runtime", {"--runtime", "docker"}, {"--runtime", "docker", "gvisor"}},
      {"unknown network", {"--net", "wifi"}, {"--net", "wifi", "none"}},
      {"unknown flag", {"--no-such-flag"}, {"--no-such-flag"}},
      {"memory without a number", {"--memory", "lots"}, {"--memory", "lots"}},
      {"negative memory", {"--memory", "-5M"}, {"--memory", "-5M"}},
      {"memory that overflows", {"--memory", "99999999999999999999G"}, {"--memory"}},
      {"memory too small to start in", {"--memory", "4K"}, {"memory"}},
      {"cpus of zero", {"--cpus", "0"}, {"--cpus"}},
      {"pids of zero", {"--pids", "0"}, {"--pids"}},
      {"timeout without a unit that we know", {"--timeout", "5fortnights"}, {"--timeout", "5fortnights"}},
      {"umask that is not octal", {"--umask", "999"}, {"--umask", "999"}},
      {"user with trailing junk", {"--user", "0x"}, {"--user", "0x"}},
      {"user below zero", {"--user", "-1"}, {"--user", "-1"}},
      {"user beyond the ids", {"--user", "4294967295"}, {"--user", "4294967295"}},
      {"variable without a name", {"-e", "=x"}, {"--env", "name"}},
      {"relative directory", {"-w", "tmp"}, {"tmp"}},
      {"name with a way up", {"--name", "../../etc"}, {"../../etc"}},
      {"name that is a slash", {"--name", "a/b"}, {"a/b"}},
      {"result to a missing directory", {"--result", "/no/such/place/r.json"}, {"--result", "/no/such/place"}},
      {"result to a descriptor that is not open", {"--result", "fd:77"}, {"--result", "77"}},
      {"events to a descriptor that is not open", {"--events", "fd:78"}, {"--events", "78"}},
      {"missing environment file", {"--env-file", "/no/such/file"}, {"--env-file", "/no/such/file"}},
      {"missing policy", {"--policy", "/no/such/policy"}, {"/no/such/policy"}},
  };
  for (const Case& one : cases) expect_refused(one);
}

// '-' and an empty name mean no file.
TEST_F(BadInputContract, TakesNoDashForAFile) {
  const TempDir directory;
  const char* flags[] = {"--result", "--events", "--env-file", "--seccomp", "--policy", "--request"};
  for (const std::string flag : flags) {
    for (const std::string value : {"-", ""}) {
      RunOptions wish{.arguments = {"run", flag, value}};
      if (flag != "--request") wish = options({flag, value}, {"/bin/echo", "STARTED"});
      wish.record = false;
      wish.directory = directory.path();
      const Outcome got = run_bailey(std::move(wish));
      expect_refusal(got, {flag == "--policy" ? "policy" : flag, "\n  remedy: "});
      EXPECT_EQ(got.err.find("./-") != std::string::npos, value == "-") << got;
    }
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST_F(BadInputContract, NamesTheLineOfAnEnvironmentFile) {
  const TempDir directory;
  const std::pair<std::string, std::vector<std::string>> files[] = {
      {"A=1\n\nexport B=2\n", {":3:", "export B", "leave 'export' out"}},
      {"# c\nA B=1\n", {":2:", "A B", "blank"}},
      {"A=1\r\n=x\r\n", {":2:", "no name"}},
      {"A=1\n  BAILEY_TEST_UNSET_VARIABLE\n", {":2:", "BAILEY_TEST_UNSET_VARIABLE"}},
      {std::string("A=1\0=x\0", 7), {":2:", "no name"}},
  };
  for (const auto& [text, says] : files) {
    const std::string path = directory.write("file", text);
    std::vector<std::string> all = says;
    all.push_back("--env-file " + path);
    expect_refused({text.c_str(), {"--env-file", path}, all});
  }
}

TEST_F(BadInputContract, RefusesAVolumeThatLacksAPart) {
  const TempDir directory;
  const std::string path = directory.path();
  for (const std::string& flag : {std::string(), std::string(":"), std::string("::"), std::string(":/data"), path + ":",
                                  path + "::ro", path + ":/data:", path + ":/data:ro:", path + ":/data:ro:x"})
    expect_refused({flag.c_str(), {"-v", flag}, {"--volume " + flag + ": ", "\n  remedy: "}});
  expect_refused({"a name beyond the kernel's", {"-v", path + ":/" + std::string(300, 'x')}, {std::string(300, 'x'), "255"}});
  expect_refused({"a path beyond the kernel's", {"-v", path + ":" + std::string(4096, 'x').replace(0, 1, "/")}, {"4095"}});
  std::string deep;
  for (int i = 0; i < 2100; ++i) deep += "/x";
  expect_refused({"a deep path beyond the kernel's", {"-v", path + ":" + deep}, {"4095"}});
}

TEST_F(BadInputContract, RefusesAWrongHostNameOrDirectory) {
  for (const char* flag :
       {"--trust", "--runtime", "--net", "--rootfs", "--name", "--hostname", "--runsc", "--platform", "--seccomp"})
    expect_refused({flag, {flag, ""}, {flag, "empty", "\n  remedy: "}});
  for (const std::string& name : {std::string(65, 'x'), std::string("a b"), std::string("a\nb"), std::string("a\tb")})
    expect_refused({name.c_str(), {"--hostname", name}, {"host name", "\n  remedy: "}});
  for (const std::string& place : {std::string("tmp"), std::string(""), std::string("/tmp/.."), std::string("/proc/self")})
    expect_refused({place.c_str(), {"-w", place}, {"working directory '" + place + "'", "\n  remedy: "}});
}

TEST_F(BadInputContract, RefusesAnEmptyCommand) {
  const Outcome got = run_bailey({.arguments = {"run"}});
  expect_refusal(got, {"command"});
}

TEST_F(BadInputContract, RefusesAWrongRootFileSystem) {
  const TempDir directory;
  const std::string file = directory.write("file", "");
  expect_refused({"missing", {"--rootfs", "/no/such/root"}, {"rootfs", "/no/such/root"}});
  expect_refused({"a file", {"--rootfs", file}, {"rootfs", file}});
  expect_refused({"the host's own root", {"--rootfs", "/"}, {"/"}});
}

TEST_F(BadInputContract, RefusesAWrongPolicy) {
  const TempDir directory;
  const struct {
    const char* what;
    const char* text;
    mode_t mode;
    std::vector<std::string> says;
  } cases[] = {
      {"writable by others", "{}", 0666, {"writ"}},
      {"truncated", "{\"levels\": {", 0600, {"policy.json", "1"}},
      {"unknown key", "{\n  \"no_such_key\": 1\n}", 0600, {"policy.json:2", "no_such_key"}},
      {"duplicate key", "{\n \"levels\": {},\n \"levels\": {}\n}", 0600, {"policy.json", "levels"}},
      {"wrong type", "{\"levels\": 3}", 0600, {"$.levels"}},
      {"empty", "", 0600, {"policy.json"}},
  };
  for (const auto& one : cases) {
    const std::string path = directory.write("policy.json", one.text, one.mode);
    std::vector<std::string> says = one.says;
    says.push_back(path);
    expect_refused({one.what, {"--policy", path}, says});
    fs::remove(path);
  }
  const std::string good = directory.write("good.json", "{}", 0600);
  fs::create_symlink(good, directory.file("link.json"));
  expect_refused({"a link", {"--policy", directory.file("link.json")}, {"link"}});
  ASSERT_EQ(mkfifo(directory.file("fifo").c_str(), 0600), 0);
  expect_refused({"a FIFO", {"--policy", directory.file("fifo")}, {"fifo"}});
}

TEST_F(BadInputContract, RefusesAWrongSecret) {
  const TempDir directory;
  const std::string good = directory.write("good", "secret", 0600);
  fs::create_symlink(good, directory.file("link"));
  ASSERT_EQ(mkfifo(directory.file("fifo").c_str(), 0600), 0);
  directory.write("big", std::string((1 << 20) + 1, 'x'), 0600);
  const Case cases[] = {
      {"missing", {"--secret", "db=" + directory.file("missing")}, {directory.file("missing")}},
      {"a link", {"--secret", "db=" + directory.file("link")}, {directory.file("link")}},
      {"a FIFO", {"--secret", "db=" + directory.file("fifo")}, {directory.file("fifo"), "NAME=fd:N"}},
      {"a shell's <(COMMAND)", {"--secret", "db=/dev/fd/0"}, {"/dev/fd/0", "NAME=fd:N"}},
      {"a descriptor by another name", {"--secret", "db=/proc/self/fd/0"}, {"/proc/self/fd/0", "NAME=fd:N"}},
      {"a directory", {"--secret", "db=" + directory.path()}, {directory.path()}},
      {"too big", {"--secret", "db=" + directory.file("big")}, {directory.file("big")}},
      {"no name", {"--secret", "=" + good}, {"--secret"}},
      {"a name with a way up", {"--secret", "../x=" + good}, {"../x"}},
      {"a closed descriptor", {"--secret", "db=fd:79"}, {"79"}},
      {"the same name twice", {"--secret", "db=" + good, "--secret", "db=" + good}, {"db"}},
      {"a place over /usr", {"--secret", "db=" + good + ":/usr/bin/env"}, {"/usr/bin/env"}},
  };
  for (const Case& one : cases) expect_refused(one);
  const Outcome untrusted = run_bailey({.arguments = {"run", "--secret", "db=" + good, "--", "/bin/echo", "STARTED"}});
  expect_refusal(untrusted, {"secret", "untrusted"});
}

TEST_F(BadInputContract, RefusesAVolumeOfTheHostsOwnPlaces) {
  const TempDir directory;
  fs::create_directory_symlink("/etc", directory.file("innocent"));
  std::vector<std::string> sources = {"/",
                                      "/proc",
                                      "/sys",
                                      "/dev",
                                      "/boot",
                                      "/run",
                                      "/var/run",
                                      "/etc",
                                      "/etc/ssl",
                                      "/root",
                                      "/root/.ssh",
                                      "/usr/../etc",
                                      directory.file("innocent"),
                                      "/no/such/source",
                                      "relative"};
  for (const std::string& source : sources) {
    std::error_code closed;  // below a directory that this user may not enter
    if (source != "/no/such/source" && source != "relative" && !fs::exists(source, closed) && !closed) continue;
    expect_refused({source.c_str(), {"-v", source + ":/data"}, {source}});
  }
  for (const char* destination : {"/", "/proc", "/proc/self", "/sys", "/dev", "/dev/shm", "/etc", "/usr", "/usr/lib", "/bin",
                                  "/lib", "/lib64", "/sbin", "/run/secrets", "relative", "/data/../etc"})
    expect_refused({destination, {"-v", directory.path() + ":" + destination}, {destination}});
  expect_refused({"an unknown option", {"-v", directory.path() + ":/data:rx"}, {"rx"}});
  expect_refused({"no destination", {"-v", directory.path()}, {directory.path()}});
}

TEST_F(BadInputContract, RefusesWhatUntrustedMayNotHave) {
  const struct {
    const char* what;
    Arguments flags;
    std::vector<std::string> says;
  } cases[] = {
      {"native", {"--runtime", "native"}, {"untrusted", "native", "gvisor"}},
      {"native with one consent of two",
       {"--runtime", "native", "--unsafe-native"},
       {"untrusted", "unsafe_native_for_untrusted"}},
      {"the host's network", {"--net", "host", "--allow-host-network"}, {"untrusted", "host"}},
      {"more than its ceiling", {"--memory", "1000G"}, {"memory"}},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    RunOptions wish;
    wish.arguments = {"run"};
    wish.arguments.insert(wish.arguments.end(), one.flags.begin(), one.flags.end());
    wish.arguments.insert(wish.arguments.end(), {"--", "/bin/echo", "STARTED"});
    expect_refusal(run_bailey(std::move(wish)), one.says);
  }
}

TEST_F(BadInputContract, RefusesAWrongRequestDocument) {
  const TempDir directory;
  const struct {
    const char* what;
    const char* text;
    std::vector<std::string> says;
  } cases[] = {
      {"no JSON", "run this please", {"request.json"}},
      {"unknown key", "{\n\"trust\": \"trusted\",\n\"cheese\": 1}", {"request.json:3", "cheese"}},
      {"duplicate key", "{\"trust\": \"trusted\", \"trust\": \"untrusted\"}", {"trust"}},
      {"wrong type", "{\"trust\": 5}", {"$.trust"}},
      {"truncated", "{\"trust\": \"trus", {"request.json"}},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    const std::string path = directory.write("request.json", one.text);
    expect_refusal(run_bailey({.arguments = {"run", "--request", path}}), one.says);
  }
  expect_refusal(run_bailey({.arguments = {"run", "--request", "/no/such/request"}}), {"--request", "/no/such/request"});
}

// A runtime directory that is full or read-only: the message names it, and nothing was started.
TEST_F(BadInputContract, RefusesAFullOrReadOnlyRuntimeDirectory) {
  if (caller() != Caller::root) {
    const std::pair<std::string, const char*> places[] = {{prepared().full, "ENOSPC"}, {prepared().read_only, "EROFS"}};
    for (const auto& [place, error] : places) {
      RunOptions wish = options({}, {"/bin/echo", "STARTED"});
      wish.record = false;
      wish.environment = {"XDG_RUNTIME_DIR=" + place};
      expect_refusal(run_bailey(std::move(wish)), {place, error});
    }
    return;
  }
  fs::create_directories("/run/bailey");  // may be missing on a machine where nothing ran yet
  chmod("/run/bailey", 0700);
  for (const char* mount_options : {"full", "read-only"}) {
    SCOPED_TRACE(mount_options);
    const bool full = std::string_view(mount_options) == "full";
    RunOptions wish = options({}, {"/bin/echo", "STARTED"});
    wish.record = false;
    wish.before_exec = [full] {
      if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount("tmpfs", "/run/bailey", "tmpfs", full ? 0 : MS_RDONLY, full ? "size=4k,nr_inodes=2,mode=0700" : "mode=0700") !=
              0)
        _exit(97);
      if (!full) return;
      const int fd = open("/run/bailey/filler", O_WRONLY | O_CREAT, 0600);
      char page[4096] = {};
      if (write(fd, page, sizeof page) < 0) _exit(96);
      close(fd);
    };
    expect_refusal(run_bailey(std::move(wish)), {"/run/bailey", full ? "ENOSPC" : "EROFS"});
  }
}

// --- runsc (registered for the gvisor backend only)
// -------------------------------------------------------------------------------------------------------------

class BadRunscContract : public BadInputContract {
 protected:
  Outcome run_with(const std::string& runsc) {
    return run_bailey(
        {.arguments = {"run", "--trust", "trusted", "--runtime", "gvisor", "--runsc", runsc, "--", "/bin/echo", "STARTED"}});
  }
};

TEST_F(BadRunscContract, RefusesAndNeverFallsBack) {
  const TempDir directory;
  const auto script = [&](const char* name, const char* body, mode_t mode = 0755) {
    return directory.write(name, std::string("#!/bin/sh\n") + body + "\n", mode);
  };
  const struct {
    const char* what;
    std::string path;
  } cases[] = {
      {"missing", directory.file("missing")},
      {"not executable", script("plain", "exit 0", 0644)},
      {"writable by others", script("open", "exit 0", 0777)},
      {"a directory", directory.path()},
      {"exits with 7", script("seven", "exit 7")},
      {"prints garbage", script("garbage", "head -c 65536 /dev/urandom; exit 0")},
      {"dies", script("dies", "kill -SEGV $$")},
      {"hangs", script("hangs", "exec sleep 3600")},
      {"ignores TERM", script("deaf", "trap '' TERM; sleep 3600")},
      {"says its version and fails at run",
       script("version", "case \"$*\" in *version*) echo runsc version x; echo spec: 1.2.1;; *) exit 128;; esac")},
      {"forks and exits", script("forks", "sleep 3600 & exit 0")},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    expect_refusal(run_with(one.path), {one.path});
  }
}

TEST_F(BadRunscContract, RefusesADirectoryThatOthersMayWrite) {
  const TempDir directory;
  const std::string copy = directory.file("runsc");
  fs::copy_file(runsc_path(), copy);
  chmod(copy.c_str(), 0755);
  chmod(directory.path().c_str(), 0777);
  expect_refusal(run_with(copy), {copy});
}

// In a mount namespace of its own.
void in_own_mounts(const std::function<void()>& act) {
  if (::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) act();
}

// `ip netns exec` mounts a new /sys: in place of the old one, or over it where that cannot be unmounted.
TEST_F(BadInputContract, SaysWhereTheCgroupsAreWhenAnotherMountHidesThem) {
  for (const bool detach : {true, false}) {
    RunOptions wish = options({"--memory", "64M"}, {"/bin/echo", "STARTED"});
    wish.record = false;
    wish.before_exec = [detach] {
      in_own_mounts([&] {
        if (detach) ::umount2("/sys/fs/cgroup", MNT_DETACH), ::umount2("/sys", MNT_DETACH);
        // One of another network namespace, as there: the same one is not mounted twice at one place.
        if (::unshare(CLONE_NEWNET) < 0 || ::mount("sysfs", "/sys", "sysfs", 0, nullptr) < 0) ::_exit(99);
      });
    };
    expect_refusal(run_bailey(std::move(wish)), {"nsenter --net="});
  }
}

TEST_F(BadInputContract, TellsRootOfCgroupsThatAreMountedReadOnly) {
  RunOptions wish = options({"--memory", "64M"}, {"/bin/echo", "STARTED"});
  wish.record = false;
  wish.before_exec = [] {
    in_own_mounts([] {
      mount_attr attributes{};
      attributes.attr_set = MOUNT_ATTR_RDONLY;
      ::mount_setattr(AT_FDCWD, "/sys/fs/cgroup", AT_RECURSIVE, &attributes, sizeof attributes);
    });
  };
  const Outcome got = run_bailey(std::move(wish));
  expect_refusal(got, {"read-only"});
  EXPECT_EQ(got.err.find("run as root"), std::string::npos) << got;
}

// cron, and services with LimitNOFILE, run with less than the level's default.
TEST_F(BadInputContract, LowersTheDefaultOfOpenFilesAndNamesTheOneThatWasAskedFor) {
  const auto below = [](RunOptions wish) {
    wish.before_exec = [] {
      const rlimit few{384, 384};  // gVisor itself needs more than 256
      ::setrlimit(RLIMIT_NOFILE, &few);
    };
    return run_bailey(std::move(wish));
  };
  const Outcome unasked = below(options({}, {"/bin/sh", "-c", "ulimit -Hn"}));
  EXPECT_EQ(unasked.exit_code, 0) << unasked;
  EXPECT_EQ(unasked.out, "384\n") << unasked;
  const Outcome asked = below(options({"--open-files", "512"}, {"/bin/sh", "-c", "ulimit -Hn"}));
  expect_refusal(asked, {"RLIMIT_NOFILE to 512", "384", "--open-files"});
}

TEST_F(BadInputContract, TakesUnlimitedMemoryWithUnlimitedSwap) {
  const Outcome got = run({"--memory", "unlimited", "--swap", "unlimited"}, {"/bin/echo", "STARTED"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "STARTED\n") << got;
}

// gVisor finds out at its start. What runsc prints about it is not the command's stderr.
TEST_F(BadInputContract, NamesTheMountThatFailsAndNothingElse) {
  const TempDir outer, inner;
  inner.write("file", "");
  const auto expect_cause = [&](const Arguments& flags, const std::vector<std::string>& says) {
    RunOptions wish = options(flags, {"/bin/echo", "STARTED"});
    wish.record = false;
    const Outcome got = run_bailey(std::move(wish));
    expect_refusal(got, says);
    for (const char* noise : {"running container", "cannot create sandbox", "a limit that is too small", "JSON"})
      EXPECT_EQ(got.err.find(noise), std::string::npos) << got;
  };
  const std::string read_only = outer.path() + ":/data:ro";
  expect_cause({"-v", read_only, "-v", inner.path() + ":/data/missing"}, {"/data/missing", "ead-only"});
  expect_cause({"-v", read_only, "-v", inner.file("file") + ":/data/missing"}, {"/data/missing", "ead-only"});
  if (!gvisor()) return;
  Arguments many;
  for (int i = 0; i < 260; ++i) many.insert(many.end(), {"-v", inner.path() + ":/mnt/" + std::to_string(i)});
  if (backend() == "gvisor") expect_cause(many, {"more volumes than gVisor takes"});
}

}  // namespace
}  // namespace bailey::tests
