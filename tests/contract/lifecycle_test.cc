// Signals, many runs, and the death of the launcher.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/clock.h"
#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using LifecycleContract = Contract;

// Elsewhere: TERM reached runsc and not the guest's handler.
TEST_F(LifecycleContract, BringsTermAndIntToTheHandlerOnce) {
  const struct {
    int number;
    const char* line;
  } cases[] = {{SIGTERM, "TERM 1\n"}, {SIGINT, "INT 1\n"}};
  for (const auto& one : cases) {
    BaileyProcess process(options(with_probes(), {probe("signals"), "handle"}));
    ASSERT_TRUE(process.wait_for_output("ready\n"));
    process.signal(one.number);
    const Outcome got = process.finish();
    EXPECT_EQ(got.exit_code, 3) << got;
    EXPECT_EQ(got.out, std::string("ready\n") + one.line) << got;
    EXPECT_EQ(got.text("verdict"), "exited") << got;
  }
}

TEST_F(LifecycleContract, EndsACommandWithoutAHandlerByTerm) {
  BaileyProcess process(options({}, {"/bin/sh", "-c", "echo ready; exec sleep 600"}));
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  process.signal(SIGTERM);
  const Outcome got = process.finish();
  EXPECT_EQ(got.exit_code, 143) << got;
  EXPECT_EQ(got.text("verdict"), "signaled") << got;
}

TEST_F(LifecycleContract, KillsAtTheSecondTerm) {
  BaileyProcess process(options(with_probes(), {probe("signals"), "ignore"}));
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  process.signal(SIGTERM);
  ASSERT_TRUE(process.wait_for_output("ignored TERM\n"));
  process.signal(SIGTERM);
  const Outcome got = process.finish();
  EXPECT_EQ(got.exit_code, 137) << got;
  EXPECT_EQ(got.text("verdict"), "signaled") << got;
}

// Whether the process has a handler of its own by now (proc_pid_status(5), SigCgt); true when it has ended.
bool catches(pid_t pid, int number) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (number - 1)) & 1;
  return true;
}

// What runsc can do here is found out by a sandbox of its own before the first one is made.
TEST_F(LifecycleContract, EndsByATermDuringTheFirstTrialOfGvisors) {
  std::filesystem::remove_all("/run/bailey/.runsc");  // what earlier runs have found out
  BaileyProcess process(options({}, {"/bin/sleep", "60"}));
  const std::string pid = std::to_string(process.pid());
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (read_file("/proc/" + pid + "/task/" + pid + "/children").empty() && !process.ended() && !deadline.passed())
    usleep(500);
  ASSERT_FALSE(process.ended()) << process.finish();
  process.signal(SIGTERM);
  const Outcome got = process.finish();
  EXPECT_EQ(got.exit_code, 128 + SIGTERM) << got;
  EXPECT_EQ(got.text("verdict"), "signaled") << got;
  EXPECT_EQ(got.number("signal"), SIGTERM) << got;
  EXPECT_EQ(run({"/bin/true"}).exit_code, 0);
}

// nohup, and `trap '' INT` in a shell: a program that is run with a signal ignored leaves it so, and its children with it.
TEST_F(LifecycleContract, LeavesASignalAloneThatItsCallerIgnores) {
  RunOptions wish = options({}, {"/bin/sh", "-c", "echo up; sleep 1; echo done"});
  wish.before_exec = [] {
    for (const int number : {SIGHUP, SIGINT, SIGTERM}) signal(number, SIG_IGN);
  };
  BaileyProcess process(std::move(wish));
  ASSERT_TRUE(process.wait_for_output("up\n"));
  for (int i = 0; i < 2; ++i)
    for (const int number : {SIGHUP, SIGINT, SIGTERM}) process.signal(number);
  const Outcome got = process.finish();
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "up\ndone\n") << got;
}

TEST_F(LifecycleContract, SurvivesSignalsDuringTheStart) {
  for (int number : {SIGCHLD, SIGWINCH, SIGPIPE}) {
    BaileyProcess process(options({}, {"/bin/sh", "-c", "exit 11"}));
    // Before main the kernel's default action holds, which for SIGPIPE is the end.
    while (number == SIGPIPE && !process.ended() && !catches(process.pid(), number)) usleep(100);
    while (!process.ended()) {
      process.signal(number);
      usleep(500);
    }
    EXPECT_EQ(process.finish().exit_code, 11) << number;
  }
}

TEST_F(LifecycleContract, LeavesNothingAfterAHundredRuns) {
  for (int i = 0; i < 100; ++i) {
    const Outcome got = shell("exit " + std::to_string(i));
    ASSERT_EQ(got.exit_code, i) << got;
  }
}

// Elsewhere: parallel starts with mapped user namespaces failed (15-36 % with 8 in flight), and each run left
// something.
TEST_F(LifecycleContract, RunsSixteenAtOnce) {
  const auto talker = [&](int code) {
    RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "echo ready; read word; echo $word; exit " + std::to_string(code)});
    wish.keep_input_open = true;
    return wish;
  };
  std::vector<BaileyProcess> running;
  for (int i = 0; i < 16; ++i) running.emplace_back(talker(i));
  for (BaileyProcess& process : running) EXPECT_TRUE(process.wait_for_output("ready\n"));  // all of them alive together
  for (int i = 0; i < 16; ++i) running[static_cast<size_t>(i)].send("word" + std::to_string(i) + "\n");
  for (int i = 0; i < 16; ++i) {
    const Outcome got = running[static_cast<size_t>(i)].finish();
    EXPECT_EQ(got.exit_code, i) << got;
    EXPECT_EQ(got.out, "ready\nword" + std::to_string(i) + "\n") << got;
  }
}

// Elsewhere: the launcher killed with -9 and the workload lived on. Bailey, killed at any time, leaves what `gc` removes.
TEST_F(LifecycleContract, LeavesNothingAfterTheLauncherWasKilled) {
  const int tries = gvisor() ? 25 : 80;
  std::minstd_rand random(static_cast<unsigned>(getpid()));
  for (int i = 0; i < tries; ++i) {
    BaileyProcess process(options({}, {"/bin/sh", "-c", "sleep 600 & echo up; sleep 600"}));
    usleep(static_cast<useconds_t>(random() % (gvisor() ? 400'000 : 40'000)));
    process.signal(SIGKILL);
    EXPECT_EQ(process.finish().signal, SIGKILL);
  }
  collect_garbage();
}

TEST_F(LifecycleContract, EndsTheWorkloadWhenTheLauncherIsKilled) {
  const TempDir volume;
  BaileyProcess process(options({"-v", volume.path() + ":/data"},
                                {"/bin/sh", "-c", "echo up; while :; do echo x >> /data/alive; sleep 0.02; done"}));
  ASSERT_TRUE(process.wait_for_output("up\n"));
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (read_file(volume.file("alive")).empty() && !deadline.passed()) usleep(5000);
  process.signal(SIGKILL);
  process.finish();
  // Without gc: nobody writes any more. Two looks at the file are equal only when its writer is dead.
  const auto end = clock::Deadline::in_ms(60'000);
  std::string seen;
  do {
    seen = read_file(volume.file("alive"));
    usleep(500'000);
  } while (read_file(volume.file("alive")) != seen && !end.passed());
  EXPECT_EQ(read_file(volume.file("alive")), seen);
  collect_garbage();
}

// gc may have another cgroup and another policy than the one that was killed.
TEST_F(LifecycleContract, CollectsWhatAnotherPolicyPutElsewhere) {
  const TempDir directory;
  const bool prepared_for = caller() == Caller::ranges;
  const std::string parent = prepared_for ? prepared().elsewhere : "/bailey-contract-" + std::to_string(getpid());
  const std::string policy = directory.write("policy.json", "{\"cgroup_parent\": \"" + parent + "\"}\n");
  BaileyProcess process(options({"--policy", policy}, {"/bin/sh", "-c", "echo up; sleep 600"}));
  ASSERT_TRUE(process.wait_for_output("up\n")) << process.finish();
  process.signal(SIGKILL);
  process.finish();
  const Outcome collected = run_bailey({.arguments = {"gc"}});
  EXPECT_EQ(collected.exit_code, 0) << collected;
  namespace fs = std::filesystem;
  std::vector<std::string> hierarchies = {"/sys/fs/cgroup"};  // v2; v1 has one directory for each of its own
  for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup"))
    if (entry.is_directory()) hierarchies.push_back(entry.path());
  int parents = 0;
  for (const std::string& hierarchy : hierarchies) {
    const std::string made = hierarchy + parent;
    if (!fs::is_directory(made)) continue;
    ++parents;
    for (const auto& below : fs::directory_iterator(made)) EXPECT_FALSE(below.is_directory()) << below << " is left";
    if (caller() == Caller::root) {
      EXPECT_EQ(rmdir(made.c_str()), 0) << made << ": " << strerror(errno);
    }
  }
  if (differs_here()) EXPECT_EQ(parents, 0);
  else EXPECT_GT(parents, 0);
}

// A parent that ignores SIGCHLD has the kernel reap in its place, and exec hands that on.
TEST_F(LifecycleContract, KnowsTheEndEvenIfTheCallerIgnoresEverySignal) {
  RunOptions wish = options({}, {"/bin/sh", "-c", "(exit 3) & wait $!; [ $? = 3 ] && kill -TERM $$; echo survived"});
  wish.before_exec = [] {
    for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_IGN);
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 128 + SIGTERM) << got;
  EXPECT_EQ(got.out, "") << got;
}

// More than the caller's file size limit cannot be written: an error that is told, not death by SIGXFSZ.
TEST_F(LifecycleContract, SaysSoWhenTheCallersFileSizeLimitIsTooSmall) {
  RunOptions wish = options({}, {"/bin/true"});
  wish.record = false;
  wish.before_exec = [] {
    const rlimit tiny{1, 1};
    setrlimit(RLIMIT_FSIZE, &tiny);
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("EFBIG"), std::string::npos) << got;
  EXPECT_NE(got.err.find("ulimit -f"), std::string::npos) << got;
}

TEST_F(LifecycleContract, SaysSoWhenTheCallerMayOpenTooFewFiles) {
  int refused = 0;
  for (const rlim_t most : {5, 8, 13, 16, 21, 24, 28, 32, 40}) {
    RunOptions wish = options({}, {"/bin/echo", "hello"});
    wish.record = false;
    wish.before_exec = [most] {
      const rlimit few{most, most};
      setrlimit(RLIMIT_NOFILE, &few);
    };
    const Outcome got = run_bailey(std::move(wish));
    if (got.exit_code == 0 && got.out == "hello\n") continue;
    ++refused;
    EXPECT_EQ(got.exit_code, 125) << most << got;
    EXPECT_NE(got.err.find("ulimit -"), std::string::npos) << most << got;
  }
  EXPECT_GE(refused, 5);
}

TEST_F(LifecycleContract, LeavesTheLivingAloneWhenItCollects) {
  BaileyProcess process(options(with_probes(), {probe("signals"), "handle"}));
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  EXPECT_EQ(run_bailey({.arguments = {"gc"}}).exit_code, 0);
  process.signal(SIGTERM);
  EXPECT_EQ(process.finish().exit_code, 3);
}

TEST_F(LifecycleContract, RefusesTheNameOfALivingSandbox) {
  BaileyProcess process(options(with_probes({"--name", "the-one"}), {probe("signals"), "handle"}));
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  const Outcome second = run({"--name", "the-one"}, {"/bin/true"});
  EXPECT_EQ(second.exit_code, 125) << second;
  EXPECT_NE(second.err.find("the-one"), std::string::npos) << second;
  process.signal(SIGTERM);
  EXPECT_EQ(process.finish().exit_code, 3);
  EXPECT_EQ(run({"--name", "the-one"}, {"/bin/true"}).exit_code, 0);
}

}  // namespace
}  // namespace bailey::tests
