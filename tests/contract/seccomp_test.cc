// Seccomp profiles of the caller's and the log of refusals. Under gVisor both are refused: its own kernel answers system calls.
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <map>
#include <sstream>

#include "base/clock.h"
#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

constexpr const char* kAllowAll = R"({"defaultAction": "SCMP_ACT_ALLOW"})";

class SeccompContract : public Contract {
 protected:
  // --seccomp with that text.
  Arguments profile(const std::string& text, Arguments more = {}) {
    directory_.write("profile.json", text);
    more.insert(more.begin(), {"--seccomp", directory_.file("profile.json")});
    return more;
  }
  Arguments policy(const std::string& text) {
    directory_.write("policy.json", text);
    return {"--policy", directory_.file("policy.json")};
  }
  // What each call answers inside; a call is "NUMBER,ARGUMENT...".
  std::map<std::string, std::string> answers(const Arguments& flags, Arguments calls) {
    calls.insert(calls.begin(), probe("calls"));
    const Outcome got = run(with_probes(flags), calls);
    EXPECT_EQ(got.exit_code, 0) << got;
    std::map<std::string, std::string> out;
    std::istringstream lines(got.out);
    for (std::string line; std::getline(lines, line);) out[line.substr(0, line.find(':'))] = line.substr(line.find(':') + 2);
    return out;
  }
  static std::string call(long number, std::initializer_list<unsigned long> arguments = {}) {
    std::string text = std::to_string(number);
    for (const unsigned long argument : arguments) text += "," + std::to_string(argument);
    return text;
  }
  static std::map<std::string, int64_t> denied(const Outcome& got) {
    std::map<std::string, int64_t> out;
    const json::Value* list = got.find("seccomp.denied");
    if (!list || !list->as<json::Array>()) return out;
    for (const json::Value& one : *list->as<json::Array>()) out[text_of(one, "syscall")] = number_of(one, "count");
    return out;
  }

  TempDir directory_;
};

TEST_F(SeccompContract, IsRefusedUnderGvisorWithTheReasonAndTheRemedy) {
  for (const Arguments& flags : {profile(kAllowAll), Arguments{"--seccomp-log"}}) {
    const Outcome got = run(flags, {"/bin/true"});
    if (!gvisor()) {
      EXPECT_EQ(got.exit_code, 0) << got;
      continue;
    }
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.text("verdict"), "refused") << got;
    EXPECT_NE(got.err.find("seccomp"), std::string::npos) << got;
    EXPECT_NE(got.err.find("remedy:"), std::string::npos) << got;
  }
}

TEST_F(SeccompContract, TheRecordNamesTheProfile) {
  const Outcome got = run({"/bin/true"});
  if (gvisor()) {
    EXPECT_EQ(got.find("seccomp"), nullptr) << got;
    return;
  }
  EXPECT_EQ(got.text("seccomp.profile"), "builtin") << got;
  EXPECT_EQ(got.text("seccomp.hash").size(), 16u) << got;
}

// The rest is native's.
class NativeSeccomp : public SeccompContract {
 protected:
  void SetUp() override {
    SeccompContract::SetUp();
    if (!IsSkipped() && gvisor()) GTEST_SKIP() << "gVisor takes no profile";  // ctest leaves these out there
  }
};

TEST_F(NativeSeccomp, AProfileRefusesWhatTheBuiltInOneAllows) {
  const std::string uname = call(SYS_uname, {1}), getpid = call(SYS_getpid);
  EXPECT_EQ(answers({}, {uname, getpid}), (std::map<std::string, std::string>{{uname, "EFAULT"}, {getpid, "ok"}})) << "control";
  const Arguments flags = profile(
      R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]})");
  EXPECT_EQ(answers(flags, {uname, getpid}), (std::map<std::string, std::string>{{uname, "EACCES"}, {getpid, "ok"}}));
}

TEST_F(NativeSeccomp, AProfileOfATrustedLevelReplacesTheBuiltInOneAndSaysSo) {
  const std::string kcmp = call(SYS_kcmp, {0x7fffffff, 0x7fffffff});  // of nobody
  EXPECT_EQ(answers({}, {kcmp})[kcmp], "EPERM") << "control";
  EXPECT_EQ(answers(profile(kAllowAll), {kcmp})[kcmp], "ESRCH");

  Arguments flags = profile(kAllowAll, policy("{\"audit_file\": \"" + directory_.file("audit") + "\"}"));
  const Outcome got = run(flags, {"/bin/true"});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.text("seccomp.profile"), "replaced") << got;
  const std::string hash = got.text("seccomp.hash");
  EXPECT_NE(hash, run({"/bin/true"}).text("seccomp.hash"));
  const json::Value* more = got.find("seccomp.allows_more");
  ASSERT_TRUE(more && more->as<json::Array>()) << got;
  EXPECT_NE(json::write(*more).find("\"kcmp\""), std::string::npos) << got;
  EXPECT_NE(read_file(directory_.file("audit")).find("\"profile\":\"replaced\",\"hash\":\"" + hash), std::string::npos);
  flags.insert(flags.begin(), "--explain");
  const Outcome plan = run_bailey([&] {
    RunOptions wish = options(flags, {"/bin/true"});
    wish.record = false;
    return wish;
  }());
  EXPECT_NE(plan.out.find("\"profile\": \"replaced\""), std::string::npos) << plan;
  EXPECT_NE(plan.out.find(hash), std::string::npos) << plan;
}

// What stays shut whatever the profile: it would reach the host, or its files after the sandbox is gone.
TEST_F(NativeSeccomp, NoProfileOpensWhatReachesTheHost) {
  const Arguments flags = profile(
      R"({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]})");
  constexpr unsigned long kHigh = 1UL << 32, kNobody = 0xffffffff;
  const Arguments refused = {
      call(SYS_ioctl, {kNobody, TIOCSTI, 1}),
      call(SYS_ioctl, {kNobody, kHigh | TIOCSTI, 1}),
      call(SYS_ioctl, {kNobody, TIOCLINUX, 1}),
      call(SYS_fcntl, {kNobody, F_SETLEASE, F_WRLCK}),
      call(SYS_fcntl, {kNobody, kHigh | F_SETLEASE, F_WRLCK}),
      call(SYS_socket, {40, 1, 0}),
      call(SYS_socket, {kHigh | 40, 1, 0}),
      call(SYS_unshare, {0x10000000}),
      call(SYS_clone, {0x10000000 | 0x10000}),
      call(SYS_fchmod, {kNobody, 04755}),
      call(SYS_fchmodat, {kNobody, 1, 02755}),
      call(SYS_openat, {kNobody, 1, 0x41, 04755}),
      call(SYS_mknodat, {kNobody, 1, S_IFCHR | 0600, 0x103}),
      call(SYS_keyctl, {kNobody}),
      call(SYS_add_key, {1}),
      call(SYS_open_by_handle_at, {kNobody, 1, 0}),
      call(SYS_setns, {kNobody, 0}),
      call(SYS_io_uring_setup, {0, 1}),
      call(SYS_bpf, {0, 1, 0}),
      call(SYS_setsockopt, {kNobody, SOL_SOCKET, SO_ATTACH_FILTER, 1, 16}),
      call(SYS_setsockopt, {kNobody, kHigh | SOL_SOCKET, kHigh | SO_ATTACH_REUSEPORT_EBPF, 1, 16}),
      call(SYS_ptrace, {0x420c, kNobody}),
      call(SYS_ptrace, {0x4206, kNobody, 0, 0x200000}),
      call(SYS_init_module, {1, 1, 1}),
      call(SYS_reboot, {0}),
  };
  for (const auto& [what, answer] : answers(flags, refused)) EXPECT_EQ(answer, "EPERM") << what;
  for (const auto& [what, answer] : answers(flags, {call(SYS_clone3, {1, 1}), call(437, {0, 1, 1, 1})}))
    EXPECT_EQ(answer, "ENOSYS") << what;
  // The kernel itself would say EFAULT of these pointers. Bailey's own filter on top got in.
  const Arguments no_filters = {call(SYS_seccomp, {SECCOMP_SET_MODE_FILTER, 0, 1}),
                                call(SYS_seccomp, {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, 1}),
                                call(SYS_prctl, {PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 1})};
  for (const auto& [what, answer] : answers(flags, no_filters)) EXPECT_EQ(answer, "EINVAL") << what;
  // Control: the same calls a little different get through to the kernel.
  const Arguments open = {call(SYS_ioctl, {kNobody, TIOCGWINSZ, 1}),
                          call(SYS_fcntl, {kNobody, F_GETLEASE}),
                          call(SYS_fchmod, {kNobody, 0755}),
                          call(SYS_openat, {kNobody, 1, 0, 04755}),
                          call(SYS_setsockopt, {kNobody, SOL_SOCKET, SO_SNDBUF, 1, 4}),
                          call(SYS_ptrace, {0x4206, kNobody})};
  for (const auto& [what, answer] : answers(flags, open)) EXPECT_NE(answer, "EPERM") << what;
#ifdef __x86_64__
  for (const char* way : {"i386", "x32"}) {
    const Outcome got = run(with_probes(flags), {probe("calls"), way});
    EXPECT_EQ(got.exit_code, 128 + 31) << way << got;
    EXPECT_EQ(got.number("signal"), 31) << way << got;
  }
#endif
}

TEST_F(NativeSeccomp, ALevelThatNarrowsKeepsTheBuiltInProfileBelow) {
  Arguments flags = policy(R"({"levels": {"trusted": {"seccomp": "narrow"}}})");
  flags =
      profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO"}]})", flags);
  const std::string kcmp = call(SYS_kcmp, {0x7fffffff, 0x7fffffff}), uname = call(SYS_uname, {1}), getpid = call(SYS_getpid);
  const auto got = answers(flags, {kcmp, uname, getpid});
  EXPECT_EQ(got, (std::map<std::string, std::string>{{kcmp, "EPERM"}, {uname, "EPERM"}, {getpid, "ok"}}));
  const Outcome record = run(flags, {"/bin/true"});
  EXPECT_EQ(record.text("seccomp.profile"), "narrowed") << record;
  EXPECT_EQ(record.find("seccomp.allows_more"), nullptr) << record;
}

TEST_F(NativeSeccomp, ALevelMayTakeNoneAndAnUntrustedOneNeverReplaces) {
  Arguments flags = profile(kAllowAll, policy(R"({"levels": {"trusted": {"seccomp": "builtin"}}})"));
  Outcome got = run(flags, {"/bin/true"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("takes no seccomp profile"), std::string::npos) << got;

  flags = profile(kAllowAll, policy(R"({"unsafe_native_for_untrusted": true})"));
  flags.insert(flags.end(), {"--trust", "untrusted", "--runtime", "native", "--unsafe-native"});
  if (differs_here()) {
    const Outcome untrusted = run(flags, {"/bin/true"});
    EXPECT_EQ(untrusted.exit_code, 125) << untrusted;
    EXPECT_NE(untrusted.err.find("cgroup"), std::string::npos) << untrusted;
    return;
  }
  const std::string kcmp = call(SYS_kcmp, {0x7fffffff, 0x7fffffff});
  EXPECT_EQ(answers(flags, {kcmp})[kcmp], "EPERM");
  EXPECT_EQ(run(flags, {"/bin/true"}).text("seccomp.profile"), "narrowed");
}

TEST_F(NativeSeccomp, ExplainListsNamesThatThisMachineDoesNotHave) {
  RunOptions wish = options(profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["no_such_call", "read"],
      "action": "SCMP_ACT_LOG"}]})",
                                    {"--explain"}),
                            {"/bin/true"});
  wish.record = false;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_NE(got.out.find("\"unknown_calls\""), std::string::npos) << got;
  EXPECT_NE(got.out.find("\"no_such_call\""), std::string::npos) << got;
}

TEST_F(NativeSeccomp, RefusesAProfileThatItCannotKeep) {
  const std::pair<const char*, const char*> kFaults[] = {
      {R"({"defaultAction": "SCMP_ACT_NOTIFY"})", "SCMP_ACT_NOTIFY"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NEW_LISTENER"]})", "NEW_LISTENER"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"})", "listenerPath"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["exit_group"], "action": "SCMP_ACT_ALLOW"}]})", "execve"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]})", "exit_group"},
      {R"({"defaultAction": "SCMP_ACT_ALLOW", "archMap": []})", "$.archMap"},
      {R"({"syscalls": []})", "$.defaultAction"},
      {"{", "profile.json:1"},
  };
  for (const auto& [text, named] : kFaults) {
    const Outcome got = run(profile(text), {"/bin/true"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find(named), std::string::npos) << text << got;
  }
}

TEST_F(NativeSeccomp, PidOneNeedsNothingOfTheProfile) {
  // What init makes while the command runs, and what it makes to end: all refused to the command.
  const Arguments flags = profile(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["kill", "ppoll", "wait4",
      "waitid", "clone", "clone3", "vfork", "fork", "signalfd4", "sendmsg", "recvmsg", "close_range", "setsid", "rt_sigprocmask"],
      "action": "SCMP_ACT_KILL_PROCESS"}]})");
  EXPECT_EQ(run(with_probes(flags), {probe("calls"), call(SYS_kill, {0, 0})}).exit_code, 128 + 31) << "control";
  BaileyProcess bailey(options(flags, {"/bin/sh", "-c", "echo up; while :; do :; done"}));
  ASSERT_TRUE(bailey.wait_for_output("up"));
  bailey.signal(SIGTERM);
  EXPECT_EQ(bailey.finish().exit_code, 128 + SIGTERM);
}

TEST_F(NativeSeccomp, PidOneIsOutOfReachOfACommandThatMayPtrace) {
  const std::string seize = call(SYS_ptrace, {0x4206, 1}), nobody = call(SYS_ptrace, {0x4206, 0x7fffffff});
  for (const Arguments& flags : {Arguments{}, profile(kAllowAll)})
    EXPECT_EQ(answers(flags, {seize, nobody}), (std::map<std::string, std::string>{{seize, "EPERM"}, {nobody, "ESRCH"}}));
}

TEST_F(NativeSeccomp, TheLogCountsRefusalsByNameAndTheAnswersStayTheSame) {
  const std::string keyctl = call(SYS_keyctl, {0xffffffff}), clone3 = call(SYS_clone3, {1, 1}),
                    vsock = call(SYS_socket, {40, 1, 0}), unknown = call(1000);
  Arguments calls = {probe("calls"), keyctl, keyctl, keyctl, clone3, vsock, unknown, call(SYS_getpid)};
  const Outcome plain = run(with_probes(), calls);
  const Outcome logged = run(with_probes({"--seccomp-log"}), calls);
  EXPECT_EQ(plain.exit_code, 0) << plain;
  EXPECT_EQ(logged.exit_code, 0) << logged;
  EXPECT_EQ(logged.out, plain.out);
  EXPECT_EQ(denied(logged), (std::map<std::string, int64_t>{{"clone3", 1}, {"keyctl", 3}, {"socket", 1}, {"syscall_1000", 1}}));
  EXPECT_EQ(plain.find("seccomp.denied"), nullptr) << plain;
  EXPECT_EQ(logged.text("seccomp.profile"), "builtin");
  EXPECT_EQ(logged.text("seccomp.hash"), plain.text("seccomp.hash"));
}

TEST_F(NativeSeccomp, TheLogCountsTheRefusalsOfAProfileToo) {
  const Arguments flags = profile(
      R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["uname"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}]})",
      {"--seccomp-log"});
  const std::string uname = call(SYS_uname, {1}), keyctl = call(SYS_keyctl, {0xffffffff}), getpid = call(SYS_getpid),
                    listener = call(SYS_seccomp, {1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 1});
  const Outcome got = run(with_probes(flags), {probe("calls"), uname, uname, keyctl, listener, getpid});
  EXPECT_EQ(got.out,
            uname + ": EACCES\n" + uname + ": EACCES\n" + keyctl + ": EPERM\n" + listener + ": EINVAL\n" + getpid + ": ok\n")
      << got;
  EXPECT_EQ(denied(got), (std::map<std::string, int64_t>{{"uname", 2}, {"keyctl", 1}, {"seccomp", 1}})) << got;
}

TEST_F(NativeSeccomp, TheLogChangesNoEnding) {
  EXPECT_EQ(run({"--seccomp-log"}, {"no-such-command"}).exit_code, 127);
  EXPECT_EQ(run({"--seccomp-log"}, {"/etc/passwd"}).exit_code, 126);
  EXPECT_EQ(shell({"--seccomp-log"}, "kill -9 $$").exit_code, 137);
  EXPECT_EQ(run({"--seccomp-log", "--timeout", "1s"}, {"/bin/sleep", "1000"}).exit_code, 124);
  EXPECT_EQ(run(with_probes({"--seccomp-log"}), {probe("calls"), "x32"}).exit_code, 128 + 31);
  // Processes that are killed while they wait for their answer, and ones that never stop asking.
  const Outcome storm =
      shell(with_probes({"--seccomp-log", "--timeout", "2s"}),
            "for i in 1 2 3 4; do while :; do " + probe("calls") + " " + call(SYS_keyctl) + " >/dev/null; done & done; wait");
  EXPECT_EQ(storm.exit_code, 124) << storm;
  EXPECT_GT(denied(storm)["keyctl"], 0) << storm;
}

// The descriptors of a process that are listeners.
size_t listeners_of(int pid) {
  size_t found = 0;
  std::error_code gone;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone))
    found += std::filesystem::read_symlink(fd.path(), gone).string().starts_with("anon_inode:seccomp");
  return found;
}

std::vector<int> children_of(int pid) {
  std::istringstream numbers(read_file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"));
  return {std::istream_iterator<int>(numbers), {}};
}

TEST_F(NativeSeccomp, TheListenerStaysWithTheDispatcher) {
  BaileyProcess bailey(options({"--seccomp-log"}, {"/bin/sh", "-c", "echo up; while :; do :; done"}));
  ASSERT_TRUE(bailey.wait_for_output("up"));
  if (differs_here()) EXPECT_NE(access(("/proc/" + std::to_string(bailey.pid()) + "/fd").c_str(), R_OK), 0);
  else EXPECT_EQ(listeners_of(bailey.pid()), 1u);
  const std::vector<int> init = children_of(bailey.pid());
  ASSERT_EQ(init.size(), 1u);
  const std::vector<int> command = children_of(init[0]);
  ASSERT_EQ(command.size(), 1u);
  // init has it until it has handed it over, which the command does not wait for.
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (listeners_of(init[0]) != 0 && !deadline.passed()) usleep(1000);
  EXPECT_EQ(listeners_of(init[0]), 0u);
  EXPECT_EQ(listeners_of(command[0]), 0u);
  bailey.signal(SIGTERM);
  EXPECT_EQ(bailey.finish().exit_code, 128 + SIGTERM);
}

// A traced command runs under the profile that was made of it, which opens nothing that the built-in one does not; what needs
// more is refused.
class Trace : public NativeSeccomp, public testing::WithParamInterface<std::pair<const char*, const char*>> {};

INSTANTIATE_TEST_SUITE_P(
    NativeSeccomp, Trace,
    testing::Values(
        std::pair{"python3",
                  "cd /tmp && python3 -c 'import json, subprocess, threading\n"
                  "t = threading.Thread(target=print, args=(json.dumps([6 * 7]),))\nt.start()\nt.join()\n"
                  "print(subprocess.run([\"echo\", \"sub\"], capture_output=True).stdout)'"},
        std::pair{"bash",
                  "bash -c 'set -o pipefail; seq 1000 | sort -rn | head -n 3; wait; echo $((6 * 7)) >/tmp/f; cat /tmp/f'"},
        std::pair{"gcc", "cd /tmp && printf 'int main(void) { return 42; }' >m.c && gcc -O1 m.c -o m && ./m; echo $?"}),
    [](const auto& value) { return std::string(value.param.first); });

TEST_P(Trace, MakesAProfileUnderWhichTheCommandRunsAgain) {
  const auto& [program, script] = GetParam();
  BAILEY_REQUIRE(program);
  const TempDir directory;
  const std::string file = directory.file("traced.json");
  RunOptions wish;
  wish.arguments = {"seccomp", "trace", "--trust", "trusted", "-o", file, "--", "/bin/sh", "-c", script};
  const Outcome traced = run_bailey(std::move(wish));
  ASSERT_EQ(traced.exit_code, 0) << traced;
  const Outcome plain = shell(script);
  EXPECT_EQ(traced.out, plain.out);

  const Outcome again = shell({"--seccomp", file, "--seccomp-log"}, script);
  EXPECT_EQ(again.exit_code, 0) << again;
  EXPECT_EQ(again.out, plain.out) << again;
  EXPECT_EQ(again.find("seccomp.allows_more"), nullptr) << again;
  EXPECT_EQ(run({"--seccomp", file}, {"/bin/sh", "-c", script}).text("seccomp.hash"), again.text("seccomp.hash"));

  const std::string inotify = call(SYS_inotify_init1, {0}), timer = call(SYS_timerfd_create, {1, 0});
  EXPECT_EQ(answers({}, {inotify, timer}), (std::map<std::string, std::string>{{inotify, "ok"}, {timer, "ok"}})) << "control";
  for (const auto& [what, answer] : answers({"--seccomp", file}, {inotify, timer})) EXPECT_EQ(answer, "EPERM") << what;
}

TEST_F(NativeSeccomp, TraceGivesTheProfileToStdoutAndTheCommandsCodeToTheCaller) {
  RunOptions wish;
  wish.arguments = {"seccomp", "trace", "--trust", "trusted", "--", "/bin/sh", "-c", "echo out; exit 7"};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 7) << got;
  EXPECT_EQ(got.err, "out\n") << got;
  const auto profile = json::parse(got.out, "stdout");
  ASSERT_TRUE(profile) << got;
  EXPECT_EQ(text_of(*profile, "defaultAction"), "SCMP_ACT_ERRNO");
}

TEST_F(NativeSeccomp, TraceRunsNothingThatMayNotRunNatively) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--trust", "trusted", "--runtime", "gvisor"},
                                 Arguments{"--trust", "trusted", "--seccomp", "/nowhere"}}) {
    RunOptions wish;
    wish.arguments = {"seccomp", "trace"};
    wish.arguments.insert(wish.arguments.end(), flags.begin(), flags.end());
    wish.arguments.insert(wish.arguments.end(), {"--", "/bin/echo", "ran"});
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "") << got;
    EXPECT_NE(got.err.find("remedy"), std::string::npos) << got;
  }
}

}  // namespace
}  // namespace bailey::tests
