#include "base/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/files.h"
#include "tests/support/temp_dir.h"

namespace bailey {
namespace {

constexpr int64_t kShortMs = 300;         // for programs that never end
constexpr int64_t kGenerousMs = 120'000;  // for those that do

Result<CommandOutcome> shell(const std::string& script, int64_t timeout_ms = kGenerousMs, size_t cap = 1 << 20) {
  return run_command({.program = "/bin/sh",
                      .arguments = {"-c", script},
                      .environment = {"PATH=/usr/bin:/bin"},
                      .timeout_ms = timeout_ms,
                      .output_cap = cap});
}

// No test may leave a child, running or unreaped.
class RunCommand : public testing::Test {
 protected:
  ~RunCommand() override {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }
};

TEST_F(RunCommand, KeepsBothStreamsAndTheExitCode) {
  const auto got = shell("echo out; echo err >&2; exit 7");
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->out, "out\n");
  EXPECT_EQ(got->err, "err\n");
  EXPECT_EQ(got->exit_code, 7);
  EXPECT_EQ(got->signal, 0);
  EXPECT_FALSE(got->timed_out);
}

TEST_F(RunCommand, TellsASignalFromAnExitCode) {
  const auto got = shell("kill -SEGV $$");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->signal, SIGSEGV);
  EXPECT_EQ(got->exit_code, -1);
}

// A program that never ends, with a time that grows until it has come to write something: the machine may be
// busy.
CommandOutcome hang(const std::string& script, size_t cap = 1 << 20) {
  for (int64_t ms = kShortMs;; ms *= 2) {
    const auto got = shell(script, ms, cap);
    EXPECT_TRUE(got) << got.error().message;
    if (!got || !got->out.empty() || ms > kGenerousMs) return got.value_or(CommandOutcome{});
  }
}

TEST_F(RunCommand, KillsWhatHangs) {
  const CommandOutcome got = hang("trap '' TERM INT; echo before; sleep 1000 & wait; sleep 1000");
  EXPECT_TRUE(got.timed_out);
  EXPECT_EQ(got.signal, SIGKILL);
  EXPECT_EQ(got.exit_code, -1);
  EXPECT_EQ(got.out, "before\n");
}

TEST_F(RunCommand, KillsWhatFloodsAndNeverEnds) {
  const CommandOutcome got = hang("yes", 1000);
  EXPECT_TRUE(got.timed_out);
  EXPECT_EQ(got.out.size(), 1000u);
}

TEST_F(RunCommand, KeepsOutputUpToTheCapAndReadsTheRest) {
  const auto got = shell("head -c 10000000 /dev/zero; head -c 10000000 /dev/zero >&2; exit 3", kGenerousMs, 12345);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->out.size(), 12345u);
  EXPECT_EQ(got->err.size(), 12345u);
  EXPECT_EQ(got->exit_code, 3);
}

TEST_F(RunCommand, KeepsEveryByteOfALongOutput) {
  const auto got = shell("head -c 10000000 /dev/zero", kGenerousMs, 20'000'000);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->out.size(), 10'000'000u);
}

TEST_F(RunCommand, PassesGarbageThrough) {
  const auto got = shell("printf '\\000\\377\\n\\033[31m'");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->out, std::string("\0\377\n\033[31m", 8));
}

TEST_F(RunCommand, GoesOnAfterStdoutIsClosed) {
  const auto got = shell("exec >&-; echo later >&2; exit 4");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->out, "");
  EXPECT_EQ(got->err, "later\n");
  EXPECT_EQ(got->exit_code, 4);
}

TEST_F(RunCommand, DoesNotWaitForAGrandchildThatHoldsThePipes) {
  // In the program's group: killed with it. In a session of its own: left alone, but not waited for.
  for (const char* script : {"sleep 1000 & echo $!; exit 5", "setsid sleep 1000 & echo $!; exit 5"}) {
    const auto got = shell(script);
    ASSERT_TRUE(got);
    EXPECT_FALSE(got->timed_out) << script;
    EXPECT_EQ(got->exit_code, 5);
    ::kill(std::stoi(got->out), SIGKILL);
  }
}

TEST_F(RunCommand, GivesAnEmptyStdin) {
  const auto got = shell("cat; readlink /proc/self/fd/0");
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->out.starts_with("pipe:")) << got->out;
}

TEST_F(RunCommand, PassesNoDescriptorButThePipes) {
  const int leak = ::open("/dev/null", O_RDONLY);  // not O_CLOEXEC: as a careless caller leaves one
  const int high = ::dup2(leak, 200);
  const auto got = run_command({.program = "/bin/ls", .arguments = {"/proc/self/fd"}, .environment = {}});
  ::close(leak);
  ::close(high);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->out, "0\n1\n2\n3\n");  // 3: ls's own, on the directory
}

TEST_F(RunCommand, InheritsNoEnvironmentAndNoSignalState) {
  ::setenv("BAILEY_UNIT_TEST", "leaks", 1);
  sigset_t usr1, before;
  ::sigemptyset(&usr1);
  ::sigaddset(&usr1, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &usr1, &before);
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  const auto environment = run_command({.program = "/usr/bin/env", .arguments = {}, .environment = {"A=1", "B=x=y", "EMPTY="}});
  const auto status = run_command({.program = "/bin/cat", .arguments = {"/proc/self/status"}, .environment = {}});
  ::signal(SIGPIPE, old);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(environment && status);
  EXPECT_EQ(environment->out, "A=1\nB=x=y\nEMPTY=\n");
  for (const char* line : {"\nSigBlk:\t0000000000000000\n", "\nSigIgn:\t0000000000000000\n"})
    EXPECT_NE(status->out.find(line), std::string::npos) << status->out;
}

TEST_F(RunCommand, KeepsArgumentsAsTheyAre) {
  const auto got = run_command(
      {.program = "/usr/bin/printf", .arguments = {"[%s]", "", "a b", "*", "\n", "\xc3\xa4\xff"}, .environment = {}});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->out, "[][a b][*][\n][\xc3\xa4\xff]");
}

TEST_F(RunCommand, RunsAProgramByDescriptor) {
  const auto fd = files::open("/bin/echo", O_PATH);
  ASSERT_TRUE(fd);
  const auto got =
      run_command({.program = "/proc/self/fd/" + std::to_string(fd->get()), .arguments = {"hi"}, .environment = {}});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->out, "hi\n");
}

TEST_F(RunCommand, SaysWhyAProgramCouldNotBeStarted) {
  const tests::TempDir directory;
  const std::string text = directory.path() + "/text";
  const std::string garbage = directory.path() + "/garbage";
  const auto make = [](const std::string& path, mode_t mode) {
    const auto fd = files::open(path, O_WRONLY | O_CREAT, mode);
    ASSERT_TRUE(fd && files::write_fd(fd->get(), "not a program", path));
  };
  make(text, 0644);
  make(garbage, 0755);
  const struct {
    std::string program;
    int sys;
  } kCases[] = {{directory.path() + "/missing", ENOENT},
                {text, EACCES},
                {garbage, ENOEXEC},
                {directory.path(), EACCES},
                {"", 0},
                {"true", 0}};
  for (const auto& c : kCases) {
    const auto got = run_command({.program = c.program, .arguments = {}, .environment = {}});
    ASSERT_FALSE(got) << c.program;
    EXPECT_EQ(got.error().sys, c.sys) << c.program;
    EXPECT_NE(got.error().message.find(c.program), std::string::npos);
  }
}

TEST_F(RunCommand, LeavesNoDescriptorBehind) {
  const auto count = [] {
    const auto dir = files::open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    return files::list(dir->get())->size();
  };
  const size_t before = count();
  for (int i = 0; i < 20; ++i) {
    (void)shell("exit 0");
    (void)run_command({.program = "/missing", .arguments = {}, .environment = {}});
  }
  EXPECT_EQ(count(), before);
}

}  // namespace
}  // namespace bailey
