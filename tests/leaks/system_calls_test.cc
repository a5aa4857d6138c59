// Bailey killed before each of its system calls, and each of its system calls failing: nothing is left but what `gc` removes,
// and a failure ends as an error that says what failed. The test is the tracer (ptrace(2)) of an ordinary binary: there is no
// seam for it in the program.
//
// BAILEY_EVERY_CALL=1: every call also on gVisor, where by default one in some is tried, another one in each run.
// BAILEY_FIRST_CALL=N: from the one on that failed.
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>

#include "base/clock.h"
#include "tests/contract/contract.h"
#include "tests/network/networks.h"

namespace bailey::tests {
namespace {

// The process that was begun, or its first child: the sandbox's first, or on a bridge without names what makes the network.
enum class Whose { bailey, sandbox, wiring_process };

// A run of Bailey of which one process stands still before each of its system calls.
class Stepped {
 public:
  explicit Stepped(RunOptions wish, Whose whose) : process_(traced(std::move(wish))), traced_(process_.pid()) {
    int status = 0;
    if (waitpid(traced_, &status, __WALL) != traced_ || !WIFSTOPPED(status)) ADD_FAILURE() << "it does not wait for its tracer";
    const long options = PTRACE_O_TRACESYSGOOD | (whose == Whose::bailey ? PTRACE_O_EXITKILL : PTRACE_O_TRACEFORK);
    if (ptrace(PTRACE_SETOPTIONS, traced_, nullptr, options) != 0) ADD_FAILURE() << "PTRACE_SETOPTIONS: " << strerror(errno);
    if (whose != Whose::bailey) follow_the_child();
  }
  ~Stepped() { let_go(); }

  // Goes on until it stands before its call number `at`, from 0; false when it ended instead.
  bool stand_before(size_t at) {
    for (size_t stood = 0; stood <= at; ++stood) {
      if (!stop() || (!before_ && !stop())) return false;
      waited_ |= call() == SYS_recvfrom;
    }
    return true;
  }
  // Whether it has come to wait: a wiring process does when all is made.
  bool waited() const { return waited_; }
  // The call before which it stands.
  long call() const { return static_cast<long>(registers().orig_rax); }
  long first_argument() const { return static_cast<long>(registers().rdi); }
  // The call before which it stands is not made and answers an error.
  void refuse(int error) {
    user_regs_struct changed = registers();
    changed.orig_rax = static_cast<unsigned long long>(-1);
    ptrace(PTRACE_SETREGS, traced_, nullptr, &changed);
    if (!stop()) return;
    changed = registers();
    changed.rax = static_cast<unsigned long long>(-error);
    ptrace(PTRACE_SETREGS, traced_, nullptr, &changed);
  }
  void kill() {
    ::kill(traced_, SIGKILL);
    int status = 0;  // Bailey is told of its child's end when the tracer has seen it
    while (traced_ != process_.pid() && waitpid(traced_, &status, __WALL) == traced_ && WIFSTOPPED(status)) {}
    traced_ = -1;
  }
  Outcome finish() {
    let_go();
    return process_.finish();
  }

 private:
  static RunOptions traced(RunOptions wish) {
    wish.record = false;
    wish.before_exec = [] { ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); };
    return wish;
  }

  user_regs_struct registers() const {
    user_regs_struct registers{};
    ptrace(PTRACE_GETREGS, traced_, nullptr, &registers);
    return registers;
  }

  void let_go() {
    if (traced_ > 0) ptrace(PTRACE_DETACH, traced_, nullptr, nullptr);
    traced_ = -1;
  }

  void follow_the_child() {
    for (int status = 0;;) {
      if (ptrace(PTRACE_CONT, traced_, nullptr, 0L) != 0 || waitpid(traced_, &status, __WALL) != traced_ ||
          !WIFSTOPPED(status)) {
        ADD_FAILURE() << "it has no child";
        return;
      }
      if (status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8)) break;
    }
    unsigned long child = 0;
    ptrace(PTRACE_GETEVENTMSG, traced_, nullptr, &child);
    int status = 0;
    waitpid(static_cast<pid_t>(child), &status, __WALL);  // born traced, and stopped
    let_go();
    traced_ = static_cast<pid_t>(child);
    ptrace(PTRACE_SETOPTIONS, traced_, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  }

  // Until the next end or begin of a call.
  bool stop() {
    for (long signal = 0; ptrace(PTRACE_SYSCALL, traced_, nullptr, signal) == 0;) {
      siginfo_t ended{};  // looked at only: of Bailey itself finish() wants to know
      if (waitid(P_PID, static_cast<id_t>(traced_), &ended, WEXITED | WSTOPPED | WNOWAIT | __WALL) != 0) break;
      const bool stopped = ended.si_code == CLD_TRAPPED || ended.si_code == CLD_STOPPED;
      if (!stopped && traced_ == process_.pid()) break;
      int status = 0;
      if (waitpid(traced_, &status, __WALL) != traced_ || !WIFSTOPPED(status)) break;
      if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
        before_ = !before_;
        return true;
      }
      signal = status >> 16 ? 0 : WSTOPSIG(status);
    }
    traced_ = -1;
    return false;
  }

  BaileyProcess process_;
  pid_t traced_;  // -1: nobody is any more
  bool before_ = false, waited_ = false;
};

constexpr long kInitSocket = 3;  // native/child.cc

class EverySystemCall : public Contract, protected network::tests::Surroundings {
 protected:
  void SetUp() override {
    Contract::SetUp();
    // Without the host's files: several hundred calls compare them, and these are alike.
    few_files_ = {"--policy", directory_.write("policy.json", R"({"default_root": {"remove": ["/etc", "/var", "/sys"]}})")};
    EXPECT_EQ(run(few_files_, {"/bin/true"}).exit_code, 0);  // makes what stays for good
    const bool every = !gvisor() || std::getenv("BAILEY_EVERY_CALL");
    stride_ = every ? 1 : 11;
    const char* begin = std::getenv("BAILEY_FIRST_CALL");
    first_ = begin ? static_cast<size_t>(std::atoi(begin)) : static_cast<size_t>(getpid()) % stride_;
  }

  Arguments with_few_files(Arguments flags) const {
    flags.insert(flags.end(), few_files_.begin(), few_files_.end());
    return flags;
  }

  // A host of the test's own with a bridge.
  void bridged() {
    BAILEY_REQUIRE("root", "ip", "nft");
    enter();
    on_host_ = true;
    EXPECT_EQ(run({"--net", "bridge"}, {"/bin/true"}).exit_code, 0);
    wait_until_given_back();
  }
  void TearDown() override {
    if (on_host_) {
      wait_until_given_back();
      leave();
    }
    Contract::TearDown();
  }

  // A child does that after the run; when it was killed, too, gc does.
  void wait_until_given_back() {
    const auto deadline = clock::Deadline::in_ms(60'000);
    while (ports_and_tables_are_left() && !deadline.passed()) usleep(10'000);
    EXPECT_FALSE(ports_and_tables_are_left());
  }

  bool ports_and_tables_are_left() {
    EXPECT_EQ(run_bailey({.arguments = {"network", "gc"}}).exit_code, 0);
    return network::tests::run(host_, {"nft", "list", "tables"}) != "" ||
           network::tests::run(host_, {"ip", "-brief", "link"}).find("bly") != std::string::npos;
  }

  void kill_before_each(Whose whose, const Arguments& flags) {
    size_t at = first_;
    for (;; at += stride_) {
      Stepped bailey(options(with_few_files(flags), {"/bin/echo", "done"}), whose);
      if (!bailey.stand_before(at)) break;
      const long call = bailey.call();
      bailey.kill();
      const Outcome got = bailey.finish();
      bool by_then_all_was_done = call == SYS_exit_group || (whose == Whose::wiring_process && bailey.waited());
      // runsc tidies up after the command's end, which init has reported by then.
      if (whose == Whose::sandbox && gvisor()) by_then_all_was_done |= got.out == "done\n";
      const bool killed = whose == Whose::bailey ? got.signal == SIGKILL : got.exit_code != 0;
      ASSERT_TRUE(killed || by_then_all_was_done) << "call " << at << ", number " << call << ": " << got;
      if (whose != Whose::wiring_process) continue;
      if (!by_then_all_was_done) {
        ASSERT_EQ(network::tests::run(host_, {"nft", "list", "tables"}), "") << "its parent did not notice, at call " << at;
      }
      wait_until_given_back();
    }
    EXPECT_GT(at, whose == Whose::wiring_process ? 50u : 300u) << "so few calls were there?";
    collect_garbage();
  }

  // Whose failure means the end of the process by itself, or nothing.
  static bool left_out(long call) {
    constexpr long kOut[] = {SYS_brk,    SYS_mmap,   SYS_munmap,     SYS_mprotect,     SYS_arch_prctl,
                             SYS_close,  SYS_exit,   SYS_exit_group, SYS_rt_sigreturn, SYS_set_tid_address,
                             SYS_execve, SYS_wait4,  SYS_waitid,     SYS_rseq,         SYS_set_robust_list,
                             SYS_futex,  SYS_getuid, SYS_geteuid,    SYS_getpid,       SYS_ppoll};
    return std::ranges::find(kOut, call) != std::end(kOut);
  }

  // Of what the sandbox's first process asks while it builds the sandbox and as init: what only tells or tidies. Whatever else
  // fails, no command may be started: it may be a wall.
  static bool may_be_done_without(long call, long first_argument) {
    constexpr long kIdle[] = {SYS_recvfrom,    SYS_umask, SYS_newfstatat, SYS_rt_sigaction, SYS_rt_sigprocmask,
                              SYS_close_range, SYS_read,  SYS_kill,       SYS_getrusage,    SYS_clock_gettime};
    if (call == SYS_write) return first_argument == kInitSocket;  // what it reports
    if (call == SYS_prctl) return first_argument == PR_SET_DUMPABLE || first_argument == PR_SET_NAME;
    return left_out(call) || std::ranges::find(kIdle, call) != std::end(kIdle);
  }

  void fail_each(Whose whose, const Arguments& flags, int error) {
    size_t at = first_, refused = 0;
    for (;; at += stride_) {
      Stepped bailey(options(with_few_files(flags), {"/bin/true"}), whose);
      if (!bailey.stand_before(at)) break;
      const long call = bailey.call(), argument = bailey.first_argument();
      if (!left_out(call)) bailey.refuse(error);
      const Outcome got = bailey.finish();
      const std::string where = "call " + std::to_string(at) + ", number " + std::to_string(call);
      ASSERT_FALSE(got.timed_out) << where << ": " << got;
      if (got.exit_code == 0) {
        const bool judged = whose == Whose::sandbox ? !gvisor()  // runsc's own affair otherwise
                                                    : whose == Whose::wiring_process && !bailey.waited();
        EXPECT_TRUE(!judged || may_be_done_without(call, argument)) << where << ": the command was started without it";
        continue;
      }
      ++refused;
      // runsc may wait for itself for ever when a call of its own fails; the limit of the making ends that.
      const bool waited = whose == Whose::sandbox && gvisor() && got.exit_code == 124;
      EXPECT_TRUE(got.exit_code == 125 || waited) << where << ": " << got;
      EXPECT_NE(("\n" + got.err).find("\nbailey: "), std::string::npos) << where << ": " << got;
    }
    EXPECT_GT(refused, 10u);
    collect_garbage();
  }

  TempDir directory_;
  Arguments few_files_;
  size_t stride_ = 1, first_ = 0;
  bool on_host_ = false;
};

const Arguments kBridged = {"--net", "bridge", "--egress", "any", "--egress", "dns", "-p", "80"};
const Arguments kBridgedAlone = {"--net", "bridge", "--egress", "any"};  // the wiring process is the first child

TEST_F(EverySystemCall, MayBeTheLastOfBailey) { kill_before_each(Whose::bailey, {}); }
TEST_F(EverySystemCall, MayBeTheLastOfTheSandbox) { kill_before_each(Whose::sandbox, {}); }

TEST_F(EverySystemCall, MayBeTheLastOfBaileyWithABridge) {
  bridged();
  if (IsSkipped()) return;
  kill_before_each(Whose::bailey, kBridged);
}

TEST_F(EverySystemCall, MayBeTheLastOfTheWiringProcess) {
  bridged();
  if (IsSkipped()) return;
  kill_before_each(Whose::wiring_process, kBridgedAlone);
}

TEST_F(EverySystemCall, OfBaileyMayFail) { fail_each(Whose::bailey, {}, EIO); }
TEST_F(EverySystemCall, OfTheSandboxMayFail) { fail_each(Whose::sandbox, {"--timeout", "30s"}, EIO); }

TEST_F(EverySystemCall, OfBaileyMayFailWithABridge) {
  bridged();
  if (IsSkipped()) return;
  fail_each(Whose::bailey, kBridged, ENOMEM);
}

TEST_F(EverySystemCall, OfTheWiringProcessMayFail) {
  bridged();
  if (IsSkipped()) return;
  fail_each(Whose::wiring_process, kBridgedAlone, ENOMEM);
}

}  // namespace
}  // namespace bailey::tests
