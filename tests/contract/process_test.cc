// What the command is given, and what it can see and hurt around it.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using ProcessContract = Contract;

TEST_F(ProcessContract, GetsItsArgumentsByteByByte) {
  const Arguments given = {"",
                           "with space",
                           "two\nlines",
                           "tab\there",
                           "gr\xc3\xbc\xc3\x9f",
                           "\xff\xfe not UTF-8",
                           "$HOME `id` \"quoted\" 'x' \\",
                           "-x",
                           "--",
                           "--trust",
                           std::string(100'000, 'a')};
  Arguments command = {probe("arguments")};
  command.insert(command.end(), given.begin(), given.end());
  const Outcome got = run(with_probes(), command);
  std::string expected;
  for (const std::string& one : given) expected += one + '\0';
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, expected);
}

// Nobody may lower an oom_score_adj without CAP_SYS_RESOURCE; a service manager may have set Bailey's own high.
TEST_F(ProcessContract, StartsUnderABaileyThatIsKilledFirst) {
  RunOptions wish = options({}, {"/bin/sh", "-c", "echo started"});
  wish.before_exec = [] {
    const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "900", 3) != 3) _exit(99);
    close(file);
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.out, "started\n") << got;
}

TEST_F(ProcessContract, GetsOnlyTheEnvironmentItIsMeantToHave) {
  RunOptions wish = options(with_probes({"-e", "GIVEN=a b", "-e", "EMPTY=", "-e", "LINES=1\n2"}), {probe("self")});
  wish.environment = {"CALLERS_TOKEN=hidden"};
  const Outcome got = run_bailey(std::move(wish));
  const auto parsed = json::parse(got.out, "probe_self");
  ASSERT_TRUE(parsed) << got;
  const std::vector<std::string> seen = texts_of(*parsed, "env");
  const std::set<std::string> env(seen.begin(), seen.end());
  EXPECT_TRUE(env.contains("GIVEN=a b"));
  EXPECT_TRUE(env.contains("EMPTY="));
  EXPECT_TRUE(env.contains("LINES=1\n2"));
  EXPECT_EQ(got.out.find("CALLERS_TOKEN"), std::string::npos) << got;
  for (const std::string& one : seen) {
    const std::string name = one.substr(0, one.find('='));
    EXPECT_TRUE((std::set<std::string>{"GIVEN", "EMPTY", "LINES", "PATH", "HOME", "LANG", "TERM"}).contains(name)) << one;
  }
}

TEST_F(ProcessContract, StartsInTheDirectoryAskedFor) {
  EXPECT_EQ(text_of(look_from_inside({"-w", "/usr/share"}), "cwd"), "/usr/share");
  EXPECT_EQ(text_of(look_from_inside({"-w", "/tmp"}), "cwd"), "/tmp");
  EXPECT_EQ(text_of(look_from_inside(), "cwd"), "/");
}

TEST_F(ProcessContract, RunsAsTheUserAskedFor) {
  const json::Value inside = look_from_inside({"--user", "1234:2345"});
  EXPECT_EQ(number_of(inside, "uid"), 1234);
  EXPECT_EQ(number_of(inside, "euid"), 1234);
  EXPECT_EQ(number_of(inside, "gid"), 2345);
  EXPECT_EQ(number_of(inside, "egid"), 2345);
}

TEST_F(ProcessContract, HasTheGroupsAskedFor) {
  if (differs_here()) return;
  const Outcome groups = run({"--user", "1234:2345,3000,3001"}, {"/usr/bin/id", "-G"});
  EXPECT_EQ(groups.out, "2345 3000 3001\n") << groups;
}

TEST_F(ProcessContract, HasTheUmaskAskedFor) {
  EXPECT_EQ(number_of(look_from_inside(), "umask"), 022);
  EXPECT_EQ(number_of(look_from_inside({"--umask", "077"}), "umask"), 077);
  const Outcome got = shell(with_probes({"--umask", "027"}), ": > /tmp/file; " + probe("stat") + " /tmp/file");
  EXPECT_EQ(got.out, "640 0 0 0\n") << got;
}

TEST_F(ProcessContract, HasTheLimitsAskedFor) {
  const json::Value inside = look_from_inside({"--open-files", "100"});
  EXPECT_EQ(number_of(inside, "nofile_soft"), 100);
  EXPECT_EQ(number_of(inside, "nofile_hard"), 100);
  EXPECT_EQ(number_of(inside, "core_soft"), 0);
}

TEST_F(ProcessContract, HasNoCapabilityInAnySet) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--user", "1000:1000"}}) {
    const json::Value inside = look_from_inside(flags);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd"}) EXPECT_EQ(text_of(inside, set), "0000000000000000") << set;
    // runsc of 2022 shows neither of these lines.
    if (backend() != "gvisor-2022") {
      EXPECT_EQ(text_of(inside, "CapAmb"), "0000000000000000");
      EXPECT_EQ(text_of(inside, "NoNewPrivs"), "1");
    }
    if (!gvisor()) {
      EXPECT_EQ(text_of(inside, "Seccomp"), "2");
    }  // the sentry is the filter of the other
  }
}

// The closest peer hands on what its caller left open; crun 1.8.1 even follows cwd=/proc/self/fd/3 to the host
// (CVE-2024-21626).
TEST_F(ProcessContract, HasNoDescriptorButItsStreams) {
  const TempDir directory;
  Fd host_root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)),
      secret(open(directory.write("f", "x", 0600).c_str(), O_RDONLY | O_CLOEXEC));
  RunOptions wish = options(with_probes(), {probe("self")});
  wish.pass = {{host_root.get(), 3}, {secret.get(), 7}, {secret.get(), 252}};
  const Outcome got = run_bailey(std::move(wish));
  const auto parsed = json::parse(got.out, "probe_self");
  ASSERT_TRUE(parsed) << got;
  const auto* fds = parsed->as<json::Object>()->find("fds");
  ASSERT_TRUE(fds && fds->as<json::Array>()) << got;
  for (const json::Value& fd : *fds->as<json::Array>()) EXPECT_LE(number_of(fd, "number"), 2) << text_of(fd, "target");
}

TEST_F(ProcessContract, CannotStartInACallersDirectory) {
  Fd host_root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const TempDir place;
  const std::string file = place.write("f", "of the host\n").substr(1);
  for (const char* directory : {"/proc/self/fd/3", "/proc/self/fd/3/root", "/proc/1/root", "/proc/self/fd/7/../.."}) {
    RunOptions wish = options({"-w", directory}, {"/bin/sh", "-c", "cat " + file + " ../" + file + " ../../" + file});
    wish.pass = {{host_root.get(), 3}, {host_root.get(), 7}};
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_NE(got.exit_code, 0) << directory << ": " << got;
    EXPECT_EQ(got.out.find("of the host"), std::string::npos) << got;
  }
}

// bubblewrap: PID 1 keeps the launcher's environment, readable inside.
TEST_F(ProcessContract, LearnsNothingFromItsInit) {
  const TempDir volume;
  RunOptions wish =
      options({"-v", volume.path() + ":/data:ro", "--timeout", "10m"},
              {"/bin/sh", "-c",
               "cat /proc/1/environ /proc/1/cmdline | tr '\\0' '\\n'; ls -l /proc/1/fd /proc/1/exe /proc/1/cwd /proc/1/root"});
  wish.environment = {"CALLERS_TOKEN=hidden"};
  const Outcome got = run_bailey(std::move(wish));
  const std::string all = got.out + got.err;
  EXPECT_EQ(all.find("CALLERS_TOKEN"), std::string::npos) << got;
  EXPECT_EQ(all.find("--timeout"), std::string::npos) << got;
  EXPECT_EQ(all.find(volume.path()), std::string::npos) << got;
  EXPECT_EQ(all.find("bailey-"), std::string::npos) << got;
}

TEST_F(ProcessContract, SeesOnlyItsOwnProcesses) {
  const Outcome got = shell("cd /proc; echo [0-9]*");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_LE(std::count(got.out.begin(), got.out.end(), ' ') + 1, 3) << got;
}

TEST_F(ProcessContract, HasTheHostNameAskedFor) {
  EXPECT_EQ(text_of(look_from_inside(), "hostname"), "bailey");
  EXPECT_EQ(text_of(look_from_inside({"--hostname", "keep"}), "hostname"), "keep");
  const std::string longest(64, 'h');
  EXPECT_EQ(text_of(look_from_inside({"--hostname", longest}), "hostname"), longest);
  const Outcome got = shell({"--hostname", longest + "h"}, "echo STARTED");
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.out, "");
}

// Elsewhere: `kill(0, SIGKILL)` killed the launcher and every process of the launcher's group on the host.
TEST_F(ProcessContract, CannotHurtTheProcessGroupOfItsCaller) {
  const pid_t bystander = fork();
  if (bystander == 0) {
    setpgid(0, 0);
    while (true) pause();
  }
  setpgid(bystander, bystander);
  for (const char* script :
       {"kill -KILL 0; sleep 600", "kill -KILL -1; exit 1", "kill -TERM 0; sleep 600", "setsid kill -KILL -1; kill -KILL $$"}) {
    RunOptions wish = options({}, {"/bin/sh", "-c", script});
    wish.before_exec = [bystander] { setpgid(0, bystander); };
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.signal, 0) << script << ": " << got;
    EXPECT_NE(got.exit_code, 125) << script << ": " << got;
    EXPECT_NE(got.text("verdict"), "") << script << ": " << got;
    EXPECT_EQ(waitpid(bystander, nullptr, WNOHANG), 0) << script;
  }
  kill(bystander, SIGKILL);
  waitpid(bystander, nullptr, 0);
}

TEST_F(ProcessContract, IsInASessionOfItsOwnBelowAnInit) {
  const json::Value inside = look_from_inside();
  EXPECT_NE(number_of(inside, "pid"), 1);
  EXPECT_EQ(number_of(inside, "ppid"), 1);
  EXPECT_EQ(number_of(inside, "sid"), number_of(inside, "pid"));
  EXPECT_EQ(number_of(inside, "pgid"), number_of(inside, "pid"));
}

TEST_F(ProcessContract, HasItsOrphansReaped) {
  const Outcome got = shell(
      "for i in 1 2 3 4 5; do (sleep 0.01 &) ; done; for i in $(seq 200); do grep -l '^State:.Z' /proc/[0-9]*/status >/dev/null 2>&1 || { pgrep -x sleep >/dev/null || break; }; sleep 0.05; done; grep -l '^State:.Z' /proc/[0-9]*/status; echo done");
  EXPECT_EQ(got.out, "done\n") << got;
}

}  // namespace
}  // namespace bailey::tests
