// What the init program does with a job: the part that holds in every kind of sandbox. Each test runs in
// namespaces and, where there is a runsc, under gVisor.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>

#include "init_sandbox.h"
#include "plain_channel.h"
#include "tests/support/require.h"

namespace bailey::tests {

using init::ReportKind;
using init::Step;

namespace {

struct Kind {
  std::string name;
  Transport transport;
  std::string runsc;  // "", "runsc" or "runsc-2022"
  std::string platform;
};
void PrintTo(const Kind& kind, std::ostream* stream) { *stream << kind.name; }

}  // namespace

class InitProcess : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam().runsc.empty()) {
      BAILEY_REQUIRE("userns");
    } else {
      BAILEY_REQUIRE("root", GetParam().runsc);
    }
  }
  static InitOptions options() {
    const Kind& kind = GetParam();
    InitOptions result;
    result.transport = kind.transport;
    if (kind.runsc == "runsc") result.runsc = runsc_path();
    if (kind.runsc == "runsc-2022") result.runsc = runsc_2022_path();
    result.platform = kind.platform;
    return result;
  }
  static InitOutcome run(const bundle::Process& process, init::UserChange change = init::UserChange::by_backend) {
    return run_init(process, options(), change);
  }
  // errno of a start that failed in `step`; -1: it did not, or elsewhere.
  static int failure(const bundle::Process& process, Step step) {
    const InitOutcome got = run(process);
    const auto report = got.find(ReportKind::failed);
    EXPECT_EQ(got.reports.size(), 1u) << got.out;
    EXPECT_EQ(got.exit_code, init::kExitFailed) << got.out;
    return report && report->step == step ? report->value : -1;
  }
};

// Those with a channel that stays open: orders, and the end of file when the dispatcher dies.
class InitChannel : public InitProcess {};

const Kind kNamespacesSocket{"NamespacesSocket", Transport::socket, "", ""};
const Kind kNamespacesPipes{"NamespacesPipes", Transport::pipes, "", ""};
const Kind kNamespacesDirectory{"NamespacesDirectory", Transport::directory, "", ""};
const Kind kRunsc{"Runsc", Transport::pipes, "runsc", ""};
const Kind kRunscPtrace{"RunscPtrace", Transport::pipes, "runsc", "ptrace"};
const Kind kRunsc2022{"Runsc2022", Transport::directory, "runsc-2022", "ptrace"};

std::string name_of(const testing::TestParamInfo<Kind>& kind) { return kind.param.name; }
INSTANTIATE_TEST_SUITE_P(Kinds, InitProcess,
                         testing::Values(kNamespacesSocket, kNamespacesPipes, kNamespacesDirectory, kRunsc, kRunsc2022),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Kinds, InitChannel, testing::Values(kNamespacesSocket, kNamespacesPipes, kRunsc, kRunscPtrace),
                         name_of);

TEST_P(InitProcess, AccountsForTheWorkload) {
  const InitOutcome got = run(shell("(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done); sleep 2"));
  ASSERT_EQ(got.reports.size(), 2u) << got.out;
  const init::Report end = got.reports[1];
  EXPECT_GE(end.wall_us, 1'900'000u);
  EXPECT_GT(end.user_us + end.system_us, 0u);
  EXPECT_LT(end.user_us + end.system_us, end.wall_us);
  EXPECT_LT(end.own_cpu_us, end.wall_us);
  EXPECT_GE(end.own_cpu_us, got.reports[0].own_cpu_us);
  EXPECT_GT(end.max_rss_bytes, 64u << 10);
  EXPECT_LT(end.max_rss_bytes, 256u << 20);
}

TEST_P(InitProcess, PassesTheExitCodeOn) {
  for (int code : {0, 7, 125, 255}) {
    const InitOutcome got = run(shell("exit " + std::to_string(code)));
    EXPECT_TRUE(got.was_ready);
    ASSERT_EQ(got.reports.size(), 2u) << got.out;
    EXPECT_EQ(got.reports[0].kind, ReportKind::started);
    EXPECT_EQ(got.reports[1].kind, ReportKind::exited);
    EXPECT_EQ(got.reports[1].value, code);
    EXPECT_EQ(got.exit_code, code);
  }
}

TEST_P(InitProcess, ReportsTheSignalThatEndedTheWorkload) {
  for (int number : {SIGKILL, SIGTERM, SIGSEGV}) {
    const InitOutcome got = run(shell("kill -" + std::to_string(number) + " $$"));
    ASSERT_TRUE(got.find(ReportKind::signaled)) << got.out;
    EXPECT_EQ(got.find(ReportKind::signaled)->value, number);
    EXPECT_EQ(got.exit_code, 128 + number);
  }
}

TEST_P(InitProcess, KeepsEveryByteOfArgumentsAndEnvironment) {
  bundle::Process process = process_of({"/bin/sh", "-c", "printf '%s|' \"$@\" \"$VALUE\" \"$EMPTY\"", "sh", "", "a b",
                                        "line\nline", "\xc3\xa9\xe2\x82\xac", "\x01\xff", ""});
  process.env.insert(process.env.end(), {"VALUE=x=\ty\n", "EMPTY="});
  EXPECT_EQ(run(process).out, "|a b|line\nline|\xc3\xa9\xe2\x82\xac|\x01\xff||x=\ty\n||");
}

TEST_P(InitProcess, TakesNearlyTwoMebibytesOfArguments) {
  bundle::Process process = shell("printf '%s %s' $# ${#BIG}; for a; do printf ' %s' ${#a}; done");
  process.args.push_back("sh");
  std::string expected = "14 100000";
  for (int i = 0; i < 14; ++i) {
    process.args.push_back(std::string(130'000, 'a'));
    expected += " 130000";
  }
  process.env.push_back("BIG=" + std::string(100'000, 'b'));
  EXPECT_EQ(run(process).out, expected);
}

TEST_P(InitProcess, SearchesThePathAsExecvpDoes) {
  TempDir files;
  ASSERT_EQ(::chmod(files.path().c_str(), 0755), 0);
  for (const char* name : {"/denied", "/good"}) ASSERT_EQ(::mkdir((files.path() + name).c_str(), 0755), 0);
  files.write("denied/prog", "#!/bin/sh\necho wrong\n", 0644);
  files.write("good/prog", "#!/bin/sh\necho right\n", 0755);
  files.write("good/text", "echo no program\n", 0755);
  files.write("good/script", "#!/no/such/interpreter\n", 0755);

  bundle::Process process = process_of({"prog"});
  process.env = {"PATH=/nonexistent:" + files.file("good/text") + ":" + files.file("denied") + ":" + files.file("good")};
  EXPECT_EQ(run(process).out, "right\n") << "a denied, a missing and a non-directory element are passed over";
  process.env = {"PATH=" + files.file("denied") + ":/nonexistent"};
  EXPECT_EQ(failure(process, Step::exec), EACCES);
  process.env = {"PATH=" + files.file("good")};
  process.args = {"text"};
  EXPECT_EQ(failure(process, Step::exec), ENOEXEC);
  process.args = {"script"};
  EXPECT_EQ(failure(process, Step::interpreter), ENOENT);
  process.args = {"no-such-program"};
  EXPECT_EQ(failure(process, Step::exec), ENOENT);
  process.args = {""};
  EXPECT_EQ(failure(process, Step::exec), ENOENT);
  process.args = {std::string(300, 'n')};
  EXPECT_EQ(failure(process, Step::exec), ENAMETOOLONG);

  process.args = {"prog"};
  process.cwd = files.file("good");
  process.env = {"PATH="};
  EXPECT_EQ(run(process).out, "right\n") << "an empty element is the working directory";
  process.env = {};
  EXPECT_EQ(failure(process, Step::exec), ENOENT) << "but no PATH at all is /bin:/usr/bin";
  process.args = {"true"};
  EXPECT_EQ(run(process).exit_code, 0);
}

TEST_P(InitProcess, DoesNotSearchForANameWithASlash) {
  TempDir files;
  files.write("prog", "#!/bin/sh\necho ran\n", 0755);
  files.write("plain", "#!/bin/sh\n", 0644);
  bundle::Process process = process_of({"./prog"});
  process.cwd = files.path();
  EXPECT_EQ(run(process).out, "ran\n");
  for (const auto& [command, error] : {std::pair<std::string, int>{"/no/such/program", ENOENT},
                                       {files.file("plain/x"), ENOTDIR},
                                       {files.file("plain"), EACCES},
                                       {files.path(), EISDIR},
                                       {"./missing", ENOENT}}) {
    process.args = {command};
    EXPECT_EQ(failure(process, Step::exec), error) << command;
  }
}

TEST_P(InitProcess, AppliesUmaskLimitsAndDirectory) {
  bundle::Process process = shell("umask; pwd; ulimit -Sn; ulimit -Hn; ulimit -c");
  process.user.umask = 027;
  process.cwd = "/usr";
  process.rlimits = {{"RLIMIT_NOFILE", 33, 44}, {"RLIMIT_CORE", 0, 0}};
  EXPECT_EQ(run(process).out, "0027\n/usr\n33\n44\n0\n");
  process.cwd = "/no/such/directory";
  EXPECT_EQ(failure(process, Step::cwd), ENOENT);
  process.cwd = "/usr/bin/env";
  EXPECT_EQ(failure(process, Step::cwd), ENOTDIR);
}

TEST_P(InitProcess, SaysWhichLimitItCouldNotSet) {
  bundle::Process process = shell("true");
  process.rlimits = {{"RLIMIT_CORE", 0, 0}, {"RLIMIT_NOFILE", 50, 40}};
  const InitOutcome got = run(process);
  ASSERT_TRUE(got.find(ReportKind::failed)) << got.out;
  EXPECT_EQ(got.find(ReportKind::failed)->step, Step::rlimit);
  EXPECT_EQ(got.find(ReportKind::failed)->value, EINVAL);
  EXPECT_NE(init::start_error(*got.find(ReportKind::failed), process).message.find("RLIMIT_NOFILE"), std::string::npos);
}

TEST_P(InitProcess, ChangesUserAndGroups) {
  BAILEY_REQUIRE("root");
  bundle::Process process = shell("id -u; id -g; id -G; cat /proc/1/environ || true");
  process.user = {.uid = 1234, .gid = 2345, .umask = {}, .additional_gids = {3456, 4567}};
  const InitOutcome got = run(process, init::UserChange::by_init);
  EXPECT_TRUE(got.out.starts_with("1234\n2345\n2345 3456 4567\n")) << got.out;
}

TEST_P(InitProcess, EndsWithItsWorkloadAndTakesDaemonsAlong) {
  // The daemons hold the output open: this test ends only when they are gone.
  const InitOutcome got =
      run(shell("(sleep 100000 &) ; setsid sleep 100000 & nohup sh -c 'trap \"\" TERM HUP; sleep 100000' & exit 3"));
  ASSERT_TRUE(got.find(ReportKind::exited)) << got.out;
  EXPECT_EQ(got.exit_code, 3);
}

TEST_P(InitProcess, ReapsOrphans) {
  // 500 orphans that end at once and in a storm; then no process but init, this shell and what it just starts
  // is left.
  const InitOutcome got =
      run(shell("i=0; while [ $i -lt 500 ]; do (true & (true &) &) ; i=$((i+1)); done; (sleep 0.2 &); wait; exit 4"));
  EXPECT_EQ(got.exit_code, 4) << got.out;
}

TEST_P(InitProcess, SurvivesAWorkloadThatKillsItsGroup) {
  const InitOutcome got = run(shell("kill -9 0"));
  ASSERT_TRUE(got.find(ReportKind::signaled));
  EXPECT_EQ(got.find(ReportKind::signaled)->value, SIGKILL);
}

TEST_P(InitProcess, SurvivesAWorkloadThatSignalsEverybody) {
  // gVisor's PID 1 can be killed from inside, the kernel's cannot: there its own survival is tried as well.
  const std::string kill_init = GetParam().runsc.empty() ? "kill -9 1; kill -SEGV 1; " : "";
  const InitOutcome got = run(shell("trap 'exit 6' TERM; kill -TERM -1; " + kill_init + "kill -TERM $$; sleep 100000"));
  ASSERT_TRUE(got.find(ReportKind::exited)) << got.out;
  EXPECT_EQ(got.exit_code, 6);
}

TEST_P(InitChannel, OrdersReachTheHandler) {
  InitSandbox sandbox(options());
  sandbox.send(
      shell("for s in HUP INT QUIT USR1 USR2 PIPE WINCH; do trap \"echo got $s\" $s; done; trap 'exit 9' TERM\n"
            "echo ready; while :; do sleep 0.05; done"));
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  const std::pair<int, const char*> signals[] = {{SIGHUP, "HUP"},   {SIGINT, "INT"},   {SIGQUIT, "QUIT"},  {SIGUSR1, "USR1"},
                                                 {SIGUSR2, "USR2"}, {SIGPIPE, "PIPE"}, {SIGWINCH, "WINCH"}};
  for (const auto& [number, name] : signals) {
    EXPECT_TRUE(send_signal(sandbox.to_init(), number));
    EXPECT_TRUE(sandbox.wait_for_output(std::string("got ") + name)) << name;
  }
  EXPECT_TRUE(send_signal(sandbox.to_init(), SIGTERM));
  EXPECT_EQ(sandbox.finish().exit_code, 9);
}

TEST_P(InitChannel, AnOrderBeforeTheJobIsKept) {
  InitSandbox sandbox(options());
  ASSERT_TRUE(send_signal(sandbox.to_init(), SIGTERM));
  sandbox.send(shell("while :; do sleep 1; done"));
  const InitOutcome got = sandbox.finish();
  ASSERT_TRUE(got.find(ReportKind::signaled)) << got.out;
  EXPECT_EQ(got.find(ReportKind::signaled)->value, SIGTERM);
}

TEST_P(InitChannel, StopAndContinueReachTheWorkload) {
  InitSandbox sandbox(options());
  sandbox.send(shell("trap 'exit 8' TERM; echo ready; while :; do sleep 0.05; done"));
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  for (int number : {SIGSTOP, SIGTERM, SIGCONT}) EXPECT_TRUE(send_signal(sandbox.to_init(), number));
  EXPECT_EQ(sandbox.finish().exit_code, 8);
}

TEST_P(InitChannel, EndsAllWhenTheDispatcherDies) {
  InitSandbox sandbox(options());
  sandbox.send(shell("(trap '' TERM HUP; sleep 100000) & echo ready; sleep 100000"));
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  sandbox.hang_up();
  EXPECT_EQ(sandbox.finish().exit_code, init::kExitAlone);
}

TEST_P(InitChannel, EndsWhenTheDispatcherDiesBeforeTheJob) {
  InitSandbox sandbox(options());
  sandbox.hang_up();
  EXPECT_EQ(sandbox.finish().exit_code, init::kExitFailed);
}

TEST_P(InitChannel, AnUnreadableOrderEndsAll) {
  InitSandbox sandbox(options());
  sandbox.send(shell("echo ready; sleep 100000"));
  ASSERT_TRUE(sandbox.wait_for_output("ready"));
  sandbox.send_bytes("garbage!");
  EXPECT_EQ(sandbox.finish().exit_code, init::kExitAlone);
}

TEST_P(InitProcess, RefusesAMalformedJob) {
  const std::string good = *init::encode_job(shell("true"), init::UserChange::by_backend);
  for (const std::string& bytes :
       {std::string("short"), std::string(64, '\0'), std::string(64, '\xff'), "BYJ1" + std::string(60, '\xff'),
        good.substr(0, 8) + std::string("\xff\xff\xff\xff", 4) + good.substr(12), good.substr(0, 20) + good}) {
    InitSandbox sandbox(options());
    sandbox.send_bytes(bytes);
    if (options().transport != Transport::directory && bytes.size() < 64)
      sandbox.hang_up();  // otherwise init waits for the rest of it
    const InitOutcome got = sandbox.finish();
    EXPECT_EQ(got.exit_code, init::kExitFailed) << got.out;
  }
}

}  // namespace bailey::tests
