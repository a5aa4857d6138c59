// What the init program does in namespaces only: what its launcher did to it, the kernel's view of it, and
// terminals.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>

#include "base/files.h"
#include "init_sandbox.h"
#include "plain_channel.h"
#include "tests/support/leaks.h"
#include "tests/support/process_memory.h"
#include "tests/support/require.h"

namespace bailey::tests {

using init::ReportKind;
using init::Step;

class InitNamespaces : public testing::Test {
 protected:
  void SetUp() override { BAILEY_REQUIRE("userns"); }
};

namespace {

std::string status_of(pid_t pid, std::string_view key) {
  const std::string status = read_file("/proc/" + std::to_string(pid) + "/status");
  const size_t at = status.find("\n" + std::string(key) + ":");
  return at == std::string::npos ? "" : status.substr(at + 1, status.find('\n', at + 1) - at - 1);
}

}  // namespace

TEST_F(InitNamespaces, ClosesWhatTheLauncherLeaked) {
  Fd one = *files::open("/", O_RDONLY | O_DIRECTORY), two = *files::open("/etc/passwd", O_RDONLY);
  Fd high(::fcntl(one.get(), F_DUPFD_CLOEXEC, 700));
  const InitOutcome got =
      run_init(process_of({"ls", "/proc/self/fd"}), {.proc = true, .leak = {one.get(), two.get(), high.get()}});
  EXPECT_EQ(got.out, "0\n1\n2\n3\n") << "3 is the directory that ls reads";
}

TEST_F(InitNamespaces, GivesTheWorkloadDefaultSignals) {
  const InitOutcome got = run_init(process_of({"cat", "/proc/self/status"}), {.proc = true, .ignore_signals = true});
  EXPECT_NE(got.out.find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n"),
            std::string::npos)
      << got.out;
}

TEST_F(InitNamespaces, SeesTheEndAlthoughItsLauncherIgnoredChildren) {
  EXPECT_EQ(run_init(shell("exit 5"), {.ignore_signals = true}).exit_code, 5);
}

TEST_F(InitNamespaces, ShowsNothingOfTheWorkload) {
  InitSandbox sandbox({.proc = true});
  bundle::Process process =
      shell("cat /proc/1/comm; tr '\\0' ' ' </proc/1/cmdline; wc -c </proc/1/environ; echo ready; sleep 100000");
  process.env.push_back("TOKEN=hush");
  sandbox.send(process);
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  if (::geteuid() == 0) {
    EXPECT_EQ(memory_of(sandbox.pid()).find("TOKEN=hush"), std::string::npos) << "the job's memory was not given back";
    EXPECT_NE(memory_of(::getpid()).find("TOKEN=hush"), std::string::npos) << "this way of looking finds nothing";
  }
  EXPECT_TRUE(send_signal(sandbox.to_init(), SIGKILL));
  EXPECT_EQ(sandbox.finish().out, "init\ninit 200 0\nready\n");
}

TEST_F(InitNamespaces, IsUnreadableForItsWorkload) {
  BAILEY_REQUIRE("root");
  bundle::Process process =
      shell("for f in environ maps fd/200 mem; do cat /proc/1/$f; done; ls /proc/1/fd /proc/1/root; exit 0");
  process.user = {.uid = 1234, .gid = 1234, .umask = {}, .additional_gids = {}};
  const InitOutcome got = run_init(process, {.proc = true}, init::UserChange::by_init);
  size_t denied = 0;
  for (size_t at = 0; (at = got.out.find("Permission denied", at)) != std::string::npos; ++at) ++denied;
  EXPECT_EQ(denied, 6u) << got.out;
}

TEST_F(InitNamespaces, RefusesADirectoryOutsideItsRoot) {
  TempDir root;
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  bundle::Process process = process_of({"/prog"});
  process.cwd = ".";
  const InitOutcome got = run_init(process, {.root = root.path()});
  ASSERT_TRUE(got.find(ReportKind::failed));
  EXPECT_EQ(got.find(ReportKind::failed)->step, Step::cwd);
  EXPECT_EQ(got.find(ReportKind::failed)->value, EXDEV);
}

TEST_F(InitNamespaces, SignalsFromOutsideReachTheHandler) {
  InitSandbox sandbox;
  sandbox.send(
      shell("for s in HUP INT QUIT USR1 USR2 WINCH CONT TSTP ALRM; do trap \"echo got $s\" $s; done; trap "
            "'exit 9' TERM\n"
            "echo ready; while :; do sleep 0.05; done"));
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  const std::pair<int, const char*> signals[] = {{SIGHUP, "HUP"},     {SIGINT, "INT"},   {SIGQUIT, "QUIT"},
                                                 {SIGUSR1, "USR1"},   {SIGUSR2, "USR2"}, {SIGCONT, "CONT"},
                                                 {SIGWINCH, "WINCH"}, {SIGTSTP, "TSTP"}, {SIGALRM, "ALRM"}};
  for (const auto& [number, name] : signals) {
    ASSERT_EQ(::kill(sandbox.pid(), number), 0);
    EXPECT_TRUE(sandbox.wait_for_output(std::string("got ") + name)) << name;
  }
  ASSERT_EQ(::kill(sandbox.pid(), SIGTERM), 0);
  EXPECT_EQ(sandbox.finish().exit_code, 9);
}

TEST_F(InitNamespaces, ASignalBeforeTheJobIsKept) {
  InitSandbox sandbox;
  // It reads its job with every signal blocked; before that its launcher had them blocked.
  ASSERT_EQ(::kill(sandbox.pid(), SIGTERM), 0);
  sandbox.send(shell("while :; do sleep 1; done"));
  const InitOutcome got = sandbox.finish();
  ASSERT_TRUE(got.find(ReportKind::signaled));
  EXPECT_EQ(got.find(ReportKind::signaled)->value, SIGTERM);
}

TEST_F(InitNamespaces, LetsGoOfTheStreams) {
  InitSandbox sandbox;
  sandbox.send(shell("exec >&- 2>&-; sleep 100000"));
  EXPECT_FALSE(sandbox.wait_for_output("nothing: end of file comes while the workload runs"));
  EXPECT_TRUE(send_signal(sandbox.to_init(), SIGKILL));
  EXPECT_EQ(sandbox.finish().exit_code, 128 + SIGKILL);
}

std::string relayed(const std::string& script, bool merged) {
  std::string job = init::encode_job(shell(script), init::UserChange::by_backend).value();
  init::relay_output(job, merged);
  return job;
}

TEST_F(InitNamespaces, RelaysEveryByteOfTheOutputAndTheEnd) {
  for (const bool merged : {false, true}) {
    InitSandbox sandbox;
    sandbox.send_bytes(relayed("head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 6", merged));
    const InitOutcome got = sandbox.finish();
    EXPECT_EQ(got.out.size(), 4'000'000U);
    EXPECT_EQ(got.exit_code, 6);
  }
}

TEST_F(InitNamespaces, RelaysBothStreamsInOrderThroughOnePipe) {
  InitSandbox sandbox;
  sandbox.send_bytes(relayed("for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done", true));
  EXPECT_EQ(sandbox.finish().out, "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\no6\ne6\no7\ne7\no8\ne8\no9\ne9\n");
}

TEST_F(InitNamespaces, LetsGoOfARelayedStreamThatTheWorkloadClosed) {
  InitSandbox sandbox;
  sandbox.send_bytes(relayed("echo said; exec >&- 2>&-; sleep 100000", false));
  EXPECT_TRUE(sandbox.wait_for_output("said"));
  EXPECT_FALSE(sandbox.wait_for_output("nothing: end of file comes while the workload runs"));
  EXPECT_TRUE(send_signal(sandbox.to_init(), SIGKILL));
  EXPECT_EQ(sandbox.finish().exit_code, 128 + SIGKILL);
}

TEST_F(InitNamespaces, LeavesNoZombies) {
  InitSandbox sandbox({.proc = true});
  sandbox.send(
      shell("i=0; while [ $i -lt 500 ]; do (true &); i=$((i+1)); done\n"
            "while grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do sleep 0.05; done; echo clean"));
  EXPECT_TRUE(sandbox.wait_for_output("clean"));
  EXPECT_EQ(sandbox.finish().exit_code, 0);
}

TEST_F(InitNamespaces, SleepsWhileTheWorkloadDoes) {
  InitSandbox sandbox;
  sandbox.send_bytes(relayed("echo ready; sleep 100000", false));
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  const auto switches = [&] { return status_of(sandbox.pid(), "voluntary_ctxt_switches") + status_of(sandbox.pid(), "State"); };
  std::string before = switches(), after;
  for (int i = 0; i < 100 && before != after; ++i) {  // once nothing happens, nothing goes on happening
    ::usleep(20'000);
    before = std::move(after);
    after = switches();
  }
  EXPECT_EQ(before, after);
  EXPECT_NE(after.find("(sleeping)"), std::string::npos) << after;
  sandbox.hang_up();
  EXPECT_EQ(sandbox.finish().exit_code, init::kExitAlone);
}

TEST_F(InitNamespaces, GivesTheWorkloadItsTerminal) {
  int master = -1, slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  Fd ours(master), theirs(slave);
  InitSandbox sandbox({.terminal = slave});
  bundle::Process process =
      shell("trap 'exit 7' INT; : </dev/tty && echo has a terminal; echo ready; while :; do sleep 0.05; done");
  process.terminal = true;
  sandbox.send(process);
  ASSERT_TRUE(sandbox.wait_started());
  theirs.reset();
  std::string seen;
  char buffer[256];
  while (seen.find("ready") == std::string::npos) {
    const ssize_t got = ::read(master, buffer, sizeof buffer);
    ASSERT_GT(got, 0) << seen;
    seen.append(buffer, static_cast<size_t>(got));
  }
  EXPECT_NE(seen.find("has a terminal"), std::string::npos) << seen;
  ASSERT_EQ(::write(master, "\x03", 1), 1);  // the line discipline makes it SIGINT for the foreground group
  EXPECT_EQ(sandbox.finish().exit_code, 7);
}

TEST_F(InitNamespaces, ATerminalThatIsNoneIsAnError) {
  bundle::Process process = shell("true");
  process.terminal = true;
  const InitOutcome got = run_init(process);
  ASSERT_TRUE(got.find(ReportKind::failed));
  EXPECT_EQ(got.find(ReportKind::failed)->step, Step::terminal);
}

TEST_F(InitNamespaces, NeverDiesOfItsJob) {
  const std::string good = *init::encode_job(shell("exit 3"), init::UserChange::by_init);
  std::mt19937 random(20261122);
  for (int round = 0; round < 200; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % sizeof(init::JobHeader)] = static_cast<char>(random());
    InitSandbox sandbox;
    (void)send_job(sandbox.to_init(), bytes);
    ::shutdown(sandbox.to_init(), SHUT_WR);  // so that it does not wait for more
    const InitOutcome got = sandbox.finish();
    EXPECT_EQ(got.signal, 0) << "round " << round;
  }
}

TEST_F(InitNamespaces, LeavesNothingBehind) {
  LeakCheck leaks;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(run_init(shell("sleep 1000 & exit 0")).exit_code, 0);
}

}  // namespace bailey::tests
