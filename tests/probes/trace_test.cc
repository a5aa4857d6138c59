// Tracing: a sandbox's processes may trace each other, for debuggers and LeakSanitizer; nobody reaches PID 1, and no filter is
// passed by. And what else could be done to PID 1: its end or its stop would be taken for the command's.
#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

class TraceProbes : public Probes {};

TEST_F(TraceProbes, TraceTheirOwnProcesses) {
  for (const char* what : {"child", "thread"}) {
    EXPECT_EQ(verdict(inside("trace", {what}), what), "done");
    EXPECT_EQ(verdict(outside("trace", {what}), what), "done") << "control";
  }
}

TEST_F(TraceProbes, TraceNoInit) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--user", "1000"}}) {
    const Verdicts seen = inside(flags, "trace", {"process", "1"});
    EXPECT_EQ(seen.size(), 4u) << to_text(seen);
    for (const auto& [what, answer] : seen)  // the build of 2022 has no process_vm_readv
      EXPECT_TRUE(answer == "EPERM" || answer == "EACCES" || (gvisor_2022() && answer == "ENOSYS")) << what << ": " << answer;
  }
  // The control: a process that is not protected.
  const std::string script = "sleep 600 & " + program_outside("trace") + " process $!; kill -KILL $!; wait; exit 0";
  const Verdicts control = parse_verdicts(run_outside({"/bin/sh", "-c", script}));
  for (const char* what : {"attach", "memory", "read"}) EXPECT_EQ(verdict(control, what), "done") << what;
}

// The tracer's call is judged like any other (Linux 4.8). With the log of refusals PID 1 is under a filter that leaves them to
// a tracer: the command's own has to win.
TEST_F(TraceProbes, MakeNoCallsThatAreRefused) {
  EXPECT_EQ(verdict(outside("trace", {"change"}), "changed"), "done") << "control";
  for (const Arguments& flags : {Arguments{}, Arguments{"--seccomp-log"}}) {
    if (gvisor() && !flags.empty()) continue;
    const Verdicts seen = inside(flags, "trace", {"change"});
    EXPECT_EQ(verdict(seen, "unchanged"), "done");
    EXPECT_EQ(verdict(seen, "changed"), gvisor() ? "done" : "EPERM");  // gVisor's kernel makes such namespaces for everybody
  }
}

TEST_F(TraceProbes, TouchNoFilter) {
  const Verdicts seen = inside("trace", {"filters"});
  for (const char* what : {"get", "metadata", "suspend"}) {
    EXPECT_NE(verdict(seen, what), "done") << what;
    EXPECT_NE(verdict(seen, what), "") << what;
  }
  EXPECT_EQ(verdict(seen, "other options"), "done");
  EXPECT_EQ(verdict(outside("trace", {"filters"}), "suspend"), "done") << "control";
}

// PTRACE_TRACEME makes PID 1 the tracer of the command: each of its stops is told like an end.
TEST_F(TraceProbes, AreNotTakenForEndedWhenTheyMakeInitTheirTracer) {
  const Outcome got = run(with_probes({"--timeout", "60s"}), {probe("trace"), "init"});
  EXPECT_EQ(got.exit_code, 7) << got;
  // gVisor's init has rights that the command has not, and is no tracer of anybody.
  EXPECT_EQ(got.out, std::string("traceme: ") + (gvisor() ? "EPERM" : "done") + "\nsignal: done\nexec: done\n") << got;
}

// As root of the sandbox, as another user, and as the user that init would have taken. Other signals are passed on to the
// command.
TEST_F(TraceProbes, NeitherStopNorEndInit) {
  for (const char* user : {"0", "1000", "65534"})
    for (const char* what : {"STOP", "TSTP", "TTIN", "TTOU", "KILL", "SEGV"}) {
      const Outcome got = shell({"--user", user, "--timeout", "60s"},
                                std::string("kill -") + what + " 1 2>/dev/null; kill -" + what + " -- -1 2>/dev/null; exit 7");
      // kill(-1) leaves out who makes it, and PID 1.
      EXPECT_EQ(got.exit_code, 7) << user << " " << what << got;
    }
}

}  // namespace
}  // namespace bailey::tests
