// How a run ends: exit code, signal, timeout, memory, processes, output; and what cannot be started.
#include <fcntl.h>

#include <filesystem>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using ExitContract = Contract;

TEST_F(ExitContract, PassesOnTheExitCodeOfTheCommand) {
  // 124 to 128 and 137 are Bailey's own words too: the record tells them apart.
  for (int code : {0, 1, 7, 42, 124, 125, 126, 127, 128, 137, 255}) {
    const Outcome got = shell("exit " + std::to_string(code));
    EXPECT_EQ(got.exit_code, code) << got;
    EXPECT_EQ(got.text("verdict"), "exited") << got;
    EXPECT_EQ(got.number("exit_code"), code) << got;
  }
}

// Elsewhere: a PID 1 that dies of its own signal reports 0, because PID 1 ignores it and nothing acts as init.
TEST_F(ExitContract, ReportsTheSignalThatEndedTheCommand) {
  const struct {
    const char* name;
    int number;
  } signals[] = {{"KILL", 9}, {"SEGV", 11}, {"TERM", 15}, {"ABRT", 6}, {"HUP", 1}};
  for (const auto& signal : signals) {
    const Outcome got = shell("kill -" + std::string(signal.name) + " $$; sleep 600");
    EXPECT_EQ(got.exit_code, 128 + signal.number) << signal.name << ": " << got;
    EXPECT_EQ(got.text("verdict"), "signaled") << got;
    EXPECT_EQ(got.number("signal"), signal.number) << got;
  }
}

// Elsewhere: command not found gave rc 159 and no message.
TEST_F(ExitContract, SaysThatTheCommandIsNotFound) {
  for (const char* command : {"/no/such/program", "no-such-program"}) {
    const Outcome got = run({command});
    EXPECT_EQ(got.exit_code, 127) << got;
    EXPECT_NE(got.err.find(command), std::string::npos) << got;
    EXPECT_EQ(got.out, "") << got;
  }
}

TEST_F(ExitContract, SaysThatTheCommandCannotBeExecuted) {
  const TempDir volume;
  volume.write("text", "no program\n", 0644);
  for (const char* command : {"/data/text", "/tmp"}) {
    const Outcome got = run({"-v", volume.path() + ":/data:ro"}, {command});
    EXPECT_EQ(got.exit_code, 126) << got;
    EXPECT_NE(got.err.find(command), std::string::npos) << got;
  }
}

TEST_F(ExitContract, FindsTheCommandInThePathOfTheSandbox) {
  const TempDir volume;
  volume.write("hello-from-path", "#!/bin/sh\necho found\n", 0755);
  const Outcome got = run({"-v", volume.path() + ":/data:ro", "-e", "PATH=/data:/usr/bin:/bin"}, {"hello-from-path"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "found\n");
}

TEST_F(ExitContract, EndsEverythingAtTheTimeout) {
  // Children that ignore TERM and a detached session: a deadline has no exceptions.
  const Outcome got = shell({"--timeout", "1s"},
                            "trap '' TERM; (trap '' TERM; sleep 600) & setsid sleep 600 & echo begun; sleep 600; sleep 600");
  EXPECT_EQ(got.exit_code, 124) << got;
  EXPECT_EQ(got.text("verdict"), "timed_out") << got;
  EXPECT_EQ(got.out, "begun\n");
}

TEST_F(ExitContract, EndsWithItsCommandAndNotWithWhatThatLeft) {
  const Outcome got = shell("setsid sleep 600 & echo gone; exit 5");
  EXPECT_EQ(got.exit_code, 5) << got;
  EXPECT_EQ(got.out, "gone\n");
}

// Elsewhere: a memory limit that could not be applied was dropped with a warning.
TEST_F(ExitContract, EndsACommandThatTakesMoreMemoryThanItMay) {
  if (differs_here()) return;
  const Outcome got = run(with_probes({"--memory", "128M"}), {probe("memory"), "600"});
  EXPECT_EQ(got.exit_code, 137) << got;
  EXPECT_EQ(got.text("verdict"), "out_of_memory") << got;
  EXPECT_GE(got.number("oom_kills").value_or(0), 1) << got;
  EXPECT_EQ(got.out.find("all"), std::string::npos) << got;
}

TEST_F(ExitContract, CountsTheMemoryOfTmpfs) {
  if (differs_here()) return;
  const Outcome got = run(with_probes({"--memory", "128M", "--tmpfs-size", "2G"}), {probe("memory"), "600", "/tmp/file"});
  EXPECT_EQ(got.exit_code, 137) << got;
  EXPECT_EQ(got.text("verdict"), "out_of_memory") << got;
}

TEST_F(ExitContract, LetsACommandUseTheMemoryItMayUse) {
  if (differs_here()) return;
  const Outcome got = run(with_probes({"--memory", "256M"}), {probe("memory"), "64"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.text("verdict"), "exited") << got;
  EXPECT_GE(got.number("peak_memory_bytes").value_or(0), 64 << 20) << got;
}

TEST_F(ExitContract, LimitsTheSizeAndTheFilesOfTmp) {
  const Outcome size = run(with_probes({"--tmpfs-size", "16M"}), {probe("memory"), "64", "/tmp/file"});
  EXPECT_EQ(size.exit_code, 1) << size;
  EXPECT_NE(size.out.find("No space left"), std::string::npos) << size;
}

// Elsewhere: `--pids 20` killed the sentry. The limit that the guest sees is the one asked for.
TEST_F(ExitContract, LimitsTheNumberOfProcesses) {
  if (differs_here()) return;
  const Outcome got = run(with_probes({"--pids", "20"}), {probe("processes"), "200"});
  EXPECT_EQ(got.exit_code, 0) << got;
  const int children = std::atoi(got.out.c_str());
  EXPECT_GE(children, 10) << got;
  EXPECT_LT(children, 20) << got;
  EXPECT_NE(got.out.find("Resource temporarily unavailable"), std::string::npos) << got;
}

TEST_F(ExitContract, HoldsAManyProcessCommandWithinItsLimit) {
  if (differs_here()) return;
  const Outcome got = run(with_probes({"--pids", "128"}), {probe("processes"), "100"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "100 all\n");
}

TEST_F(ExitContract, EndsACommandThatWritesMoreThanItMay) {
  const Outcome got = shell({"--output-limit", "1M"}, "head -c 20M /dev/zero; head -c 20M /dev/zero >&2; sleep 600");
  EXPECT_EQ(got.exit_code, 137) << got;
  EXPECT_EQ(got.text("verdict"), "output_limit") << got;
  EXPECT_EQ(got.out.size() + static_cast<size_t>(got.number("stderr_bytes").value_or(0)), 1u << 20) << got.out.size();
}

// What streams costs no memory: a trusted level has no limit for it. What --json captures does.
TEST_F(ExitContract, StreamsWithoutALimitAndCapturesWithOne) {
  Fd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
  const Arguments much = {"/bin/sh", "-c", "head -c 70M /dev/zero | tr '\\0' x"};
  RunOptions streamed = options({}, much);
  streamed.pass = {{null.get(), 1}};
  const Outcome all = run_bailey(std::move(streamed));
  EXPECT_EQ(all.exit_code, 0) << all;
  EXPECT_EQ(all.number("stdout_bytes"), 70 << 20) << all;
  EXPECT_FALSE(all.number("limits.output_bytes")) << all;
  RunOptions captured = options({"--json"}, much);
  captured.pass = {{null.get(), 1}};
  captured.record = false;  // it would be hundreds of megabytes; a unit test looks at it
  const Outcome some = run_bailey(std::move(captured));
  EXPECT_EQ(some.exit_code, 137) << some;
  EXPECT_NE(some.err.find("64"), std::string::npos) << some;
}

TEST_F(ExitContract, PassesOutputUpToTheLimit) {
  const Outcome got = shell({"--output-limit", "1M"}, "head -c 1048576 /dev/zero");
  EXPECT_EQ(got.exit_code, 0) << got.text("verdict");
  EXPECT_EQ(got.out.size(), 1u << 20);
}

TEST_F(ExitContract, LimitsTheSizeOfAFile) {
  const Outcome got = shell({"--file-size", "1M"}, "head -c 3M /dev/zero > /tmp/file; wc -c < /tmp/file");
  EXPECT_EQ(got.out, "1048576\n") << got;
}

}  // namespace
}  // namespace bailey::tests
