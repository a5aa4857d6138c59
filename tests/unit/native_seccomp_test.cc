// The built-in filter, installed in forked children on the running kernel. Every refusal has its control: the
// same call without the filter answers something else.
#include "seccomp/builtin.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <vector>

#include "native/hardening.h"
#include "tests/support/require.h"
#include "tests/unit/native_child.h"

namespace bailey::native {

using namespace seccomp;
namespace {

using tests::in_child;

struct Call {
  const char* name;
  long number;
  long args[6];
};

// No pointer of these is valid and no value sensible, so that a call which gets through does nothing.
constexpr long kBad = 1;

std::string answer_of(const Call& call, bool filtered) {
  return in_child([&](int out) {
    if (filtered && (set_no_new_privileges() != 0 || install_filter(kWorkload.program, 0) != 0)) return;
    const long* a = call.args;
    const long answer = syscall(call.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (answer == 0 && (call.number == SYS_clone)) _exit(0);
    dprintf(out, "%s", answer >= 0 ? "ok" : strerrorname_np(errno));
  });
}

class Refused : public testing::TestWithParam<Call> {};

TEST_P(Refused, WithEpermAndOnlyByTheFilter) {
  BAILEY_REQUIRE("root");
  EXPECT_EQ(answer_of(GetParam(), true), "EPERM");
  EXPECT_NE(answer_of(GetParam(), false), "EPERM") << "control";
}

const auto name_of = [](const auto& info) { return std::string(info.param.name); };

constexpr long kHigh = 1L << 32;  // above what the kernel reads of an int

INSTANTIATE_TEST_SUITE_P(
    Seccomp, Refused,
    testing::Values(
        Call{"clone_user_namespace", SYS_clone, {CLONE_NEWUSER | CLONE_THREAD}},
        Call{"clone_user_namespace_with_garbage", SYS_clone, {kHigh | CLONE_NEWUSER | CLONE_THREAD}},
        Call{"clone_mount_namespace", SYS_clone, {CLONE_NEWNS | CLONE_FS}},
        Call{"unshare_user_namespace", SYS_unshare, {CLONE_NEWUSER | CLONE_NEWPID | 1}},
        Call{"unshare_time_namespace", SYS_unshare, {0x80 | 1}}, Call{"setns", SYS_setns, {-1, 0}},
        Call{"ptrace_get_filter", SYS_ptrace, {0x420c, -1}}, Call{"ptrace_get_metadata", SYS_ptrace, {0x420d, -1}},
        Call{"ptrace_suspend_seccomp", SYS_ptrace, {0x4200, -1, 0, 0x200001}},
        Call{"ptrace_seize_suspending_seccomp", SYS_ptrace, {0x4206, -1, 0, kHigh | 0x200000}},
        Call{"process_madvise", SYS_process_madvise, {-1, kBad, 1}}, Call{"kcmp", SYS_kcmp, {-1, -1}},
        Call{"pidfd_getfd", SYS_pidfd_getfd, {-1, 0, 0}}, Call{"mount", SYS_mount, {kBad, kBad, kBad}},
        Call{"umount", SYS_umount2, {kBad}}, Call{"pivot_root", SYS_pivot_root, {kBad, kBad}},
        Call{"chroot", SYS_chroot, {kBad}}, Call{"fsopen", SYS_fsopen, {kBad, 0}}, Call{"fsmount", SYS_fsmount, {-1, 0, 0}},
        Call{"open_tree", SYS_open_tree, {-1, kBad, 0}}, Call{"move_mount", SYS_move_mount, {-1, kBad, -1, kBad, 0}},
        Call{"mount_setattr", SYS_mount_setattr, {-1, kBad, 0, kBad, 0}},
        Call{"open_by_handle_at", SYS_open_by_handle_at, {-1, kBad, 0}},
        Call{"name_to_handle_at", SYS_name_to_handle_at, {-1, kBad, kBad, kBad, 0}}, Call{"bpf", SYS_bpf, {0, kBad, 0}},
        Call{"perf_event_open", SYS_perf_event_open, {kBad, 0, -1, -1, 0}}, Call{"userfaultfd", SYS_userfaultfd, {-1}},
        Call{"io_uring_setup", SYS_io_uring_setup, {0, kBad}}, Call{"io_uring_enter", SYS_io_uring_enter, {-1}},
        Call{"io_uring_register", SYS_io_uring_register, {-1}}, Call{"memfd_secret", SYS_memfd_secret, {-1}},
        Call{"fanotify_init", SYS_fanotify_init, {-1, 0}}, Call{"keyctl", SYS_keyctl, {-1}},
        Call{"add_key", SYS_add_key, {kBad}}, Call{"request_key", SYS_request_key, {kBad}},
        Call{"mbind", SYS_mbind, {0, 4096, -1, 0, 0, 0}}, Call{"set_mempolicy", SYS_set_mempolicy, {-1}},
        Call{"move_pages", SYS_move_pages, {0, 1, kBad, 0, 0, -1}}, Call{"init_module", SYS_init_module, {kBad, 1, kBad}},
        Call{"finit_module", SYS_finit_module, {-1}}, Call{"delete_module", SYS_delete_module, {kBad}},
        Call{"kexec_load", SYS_kexec_load, {0, 99, kBad, -1}}, Call{"reboot", SYS_reboot, {0, 0, 0, 0}},
        Call{"clock_settime", SYS_clock_settime, {0, kBad}}, Call{"settimeofday", SYS_settimeofday, {kBad, 0}},
        Call{"adjtimex", SYS_adjtimex, {kBad}}, Call{"clock_adjtime", SYS_clock_adjtime, {0, kBad}},
        Call{"sethostname", SYS_sethostname, {kBad, -1}}, Call{"setdomainname", SYS_setdomainname, {kBad, -1}},
        Call{"swapon", SYS_swapon, {kBad}}, Call{"swapoff", SYS_swapoff, {kBad}}, Call{"quotactl", SYS_quotactl, {-1, kBad}},
        Call{"acct", SYS_acct, {kBad}}, Call{"syslog", SYS_syslog, {-1}},
        Call{"socket_vsock", SYS_socket, {40, SOCK_STREAM, 0}}, Call{"socket_packet", SYS_socket, {17, 99, 0}},
        Call{"socket_alg", SYS_socket, {38, 99, 0}}, Call{"socket_netlink_audit", SYS_socket, {16, 99, 9}},
        Call{"socket_vsock_with_garbage", SYS_socket, {kHigh | 40, SOCK_STREAM, 0}},
        Call{"socketpair_vsock", SYS_socketpair, {40, SOCK_STREAM, 0, kBad}}, Call{"tiocsti", SYS_ioctl, {-1, TIOCSTI, kBad}},
        Call{"tiocsti_with_garbage", SYS_ioctl, {-1, kHigh | TIOCSTI, kBad}},
        Call{"tioclinux", SYS_ioctl, {-1, TIOCLINUX, kBad}}, Call{"tioccons", SYS_ioctl, {-1, TIOCCONS, kBad}},
        Call{"tiocsetd", SYS_ioctl, {-1, TIOCSETD, kBad}}, Call{"personality_linux32", SYS_personality, {PER_LINUX32}},
        Call{"personality_read_implies_exec", SYS_personality, {READ_IMPLIES_EXEC}},
        Call{"lease", SYS_fcntl, {-1, F_SETLEASE, F_WRLCK}}, Call{"lease_with_garbage", SYS_fcntl, {-1, kHigh | F_SETLEASE}},
        Call{"directory_notification", SYS_fcntl, {-1, F_NOTIFY, 0}}, Call{"write_hint", SYS_fcntl, {-1, F_SET_RW_HINT, kBad}},
        Call{"write_hint_of_a_file", SYS_fcntl, {-1, F_SET_FILE_RW_HINT, kBad}},
        Call{"delegation", SYS_fcntl, {-1, 1040, kBad}},
        Call{"attach_filter", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_FILTER, kBad, 16}},
        Call{"attach_filter_with_garbage", SYS_setsockopt, {-1, kHigh | SOL_SOCKET, kHigh | SO_ATTACH_FILTER, kBad, 16}},
        Call{"attach_bpf", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_BPF, kBad, 4}},
        Call{"attach_reuseport_cbpf", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, kBad, 16}},
        Call{"attach_reuseport_ebpf", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, kBad, 4}},
        Call{"flow_label", SYS_setsockopt, {-1, SOL_IPV6, 32, kBad, 32}},
        Call{"tcp_ao_key", SYS_setsockopt, {-1, SOL_TCP, 38, kBad, 32}},
        Call{"tcp_ulp", SYS_setsockopt, {-1, SOL_TCP, 31, kBad, 3}}, Call{"fchmod_setuid", SYS_fchmod, {-1, 04755}},
        Call{"fchmod_setgid", SYS_fchmod, {-1, 02755}}, Call{"fchmodat_setuid", SYS_fchmodat, {-1, kBad, 04755}},
        Call{"fchmodat2_setuid", 452, {-1, kBad, 04755, 0}},
        Call{"openat_create_setuid", SYS_openat, {-1, kBad, O_CREAT | O_WRONLY, 04755}},
        Call{"openat_tmpfile_setgid", SYS_openat, {-1, kBad, O_TMPFILE | O_WRONLY, 02755}},
        Call{"openat_create_setuid_with_garbage", SYS_openat, {-1, kBad, O_CREAT | O_WRONLY, kHigh | 04755}},
        Call{"mknodat_character_device", SYS_mknodat, {-1, kBad, S_IFCHR | 0600, 0x103}},
        Call{"mknodat_block_device", SYS_mknodat, {-1, kBad, S_IFBLK | 0600, 0x800}},
        Call{"mknodat_setuid", SYS_mknodat, {-1, kBad, S_IFREG | 04755, 0}}),
    name_of);

#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(SeccompX86, Refused,
                         testing::Values(Call{"chmod_setuid", SYS_chmod, {kBad, 04755}},
                                         Call{"creat_setuid", SYS_creat, {kBad, 04755}},
                                         Call{"open_create_setuid", SYS_open, {kBad, O_CREAT | O_WRONLY, 04755}},
                                         Call{"mknod_device", SYS_mknod, {kBad, S_IFCHR | 0600, 0x103}},
                                         Call{"iopl", SYS_iopl, {4}}, Call{"ioperm", SYS_ioperm, {-1, -1, 1}},
                                         Call{"modify_ldt", SYS_modify_ldt, {99, kBad, 0}}),
                         name_of);
#endif

class Missing : public testing::TestWithParam<Call> {};

TEST_P(Missing, AnswersEnosysSoThatLibrariesFallBack) {
  EXPECT_EQ(answer_of(GetParam(), true), "ENOSYS");
  EXPECT_NE(answer_of(GetParam(), false), "ENOSYS") << "control";
}

INSTANTIATE_TEST_SUITE_P(Seccomp, Missing,
                         testing::Values(Call{"clone3", SYS_clone3, {kBad, 88}},
                                         Call{"openat2", SYS_openat2, {-1, kBad, kBad, 24}}),
                         name_of);

TEST(Seccomp, NumbersWithoutANameAnswerEnosys) {
  for (const long number : {400L, 500L, 1000L, 100'000L}) EXPECT_EQ(answer_of({"", number, {}}, true), "ENOSYS") << number;
}

// What looks like a refused call and is not answers the same with the filter as without.
class Unchanged : public testing::TestWithParam<Call> {};

TEST_P(Unchanged, ByTheFilter) {
  const std::string plain = answer_of(GetParam(), false);
  EXPECT_NE(plain, "EPERM");
  EXPECT_EQ(answer_of(GetParam(), true), plain);
}

INSTANTIATE_TEST_SUITE_P(
    Seccomp, Unchanged,
    testing::Values(
        Call{"fork_by_clone", SYS_clone, {SIGCHLD}}, Call{"unshare_files", SYS_unshare, {CLONE_FILES}},
        Call{"unshare_fs", SYS_unshare, {CLONE_FS}}, Call{"socket_unix", SYS_socket, {1, SOCK_STREAM, 0}},
        Call{"socket_inet", SYS_socket, {2, SOCK_STREAM, 0}},
        Call{"socket_inet_with_garbage", SYS_socket, {kHigh | 2, SOCK_STREAM, 0}},
        Call{"socket_inet6", SYS_socket, {10, SOCK_DGRAM, 0}}, Call{"socket_netlink_route", SYS_socket, {16, SOCK_RAW, 0}},
        Call{"socketpair_unix", SYS_socketpair, {1, SOCK_STREAM, 0, kBad}},
        Call{"ioctl_terminal_size", SYS_ioctl, {0, TIOCGWINSZ, kBad}},
        Call{"ioctl_controlling_terminal", SYS_ioctl, {-1, TIOCSCTTY, 0}}, Call{"ficlone", SYS_ioctl, {-1, 0x40049409, -1}},
        Call{"personality_asked", SYS_personality, {0xffffffff}}, Call{"personality_linux", SYS_personality, {0}},
        Call{"personality_no_randomize", SYS_personality, {ADDR_NO_RANDOMIZE}},
        Call{"lease_question", SYS_fcntl, {-1, F_GETLEASE}}, Call{"write_hint_question", SYS_fcntl, {-1, F_GET_RW_HINT, kBad}},
        Call{"size_of_a_pipe", SYS_fcntl, {-1, F_SETPIPE_SZ, 4096}}, Call{"file_lock", SYS_fcntl, {-1, F_OFD_SETLK, kBad}},
        Call{"ptrace_seize", SYS_ptrace, {0x4206, -1, 0, 0x100000}}, Call{"ptrace_options", SYS_ptrace, {0x4200, -1, 0, 0x1ff}},
        Call{"process_vm_readv", SYS_process_vm_readv, {-1, kBad, 1, kBad, 1, 0}},
        Call{"detach_filter", SYS_setsockopt, {-1, SOL_SOCKET, SO_DETACH_FILTER, kBad, 4}},
        Call{"lock_filter", SYS_setsockopt, {-1, SOL_SOCKET, SO_LOCK_FILTER, kBad, 4}},
        Call{"option_26_of_ip", SYS_setsockopt, {-1, 0, 26, kBad, 4}},
        Call{"option_53_of_a_socket", SYS_setsockopt, {-1, SOL_SOCKET, 53, kBad, 4}},
        Call{"seccomp_question", SYS_seccomp, {SECCOMP_GET_ACTION_AVAIL, 0, kBad}}, Call{"prctl_seccomp", SYS_prctl, {22, 7}},
        Call{"prctl_other", SYS_prctl, {23, 2}}, Call{"seccomp_sizes", SYS_seccomp, {SECCOMP_GET_NOTIF_SIZES, 0, kBad}},
        Call{"fchmod", SYS_fchmod, {-1, 0755}}, Call{"fchmod_sticky", SYS_fchmod, {-1, 01777}},
        Call{"openat_read_with_garbage", SYS_openat, {-1, kBad, O_RDONLY, 06777}},
        Call{"openat_create", SYS_openat, {-1, kBad, O_CREAT | O_WRONLY, 0644}},
        Call{"mknodat_file", SYS_mknodat, {-1, kBad, 0600, 0}},
        Call{"mknodat_regular", SYS_mknodat, {-1, kBad, S_IFREG | 0600, 0}},
        Call{"mknodat_fifo", SYS_mknodat, {-1, kBad, S_IFIFO | 0600, 0}},
        Call{"mknodat_socket", SYS_mknodat, {-1, kBad, S_IFSOCK | 0600, 0}},
        Call{"get_mempolicy", SYS_get_mempolicy, {0, 0, 0, 0, 0}}, Call{"capget", SYS_capget, {kBad, 0}},
        Call{"timer_create", SYS_timer_create, {1, kBad, kBad}}, Call{"prlimit64", SYS_prlimit64, {0, 7, kBad, 0}},
        Call{"sysinfo", SYS_sysinfo, {kBad}}, Call{"setgid", SYS_setgid, {0}},
        Call{"utimensat", SYS_utimensat, {-1, kBad, 0, 0}}, Call{"landlock", SYS_landlock_create_ruleset, {0, 0, 1}},
        Call{"memfd_create", SYS_memfd_create, {kBad, 0}}, Call{"pidfd_open", SYS_pidfd_open, {-1, 0}},
        Call{"setsid", SYS_setsid, {}}, Call{"execveat", SYS_execveat, {-1, kBad, 0, 0, 0}}),
    name_of);

#if defined(__x86_64__)
// getpid by the i386 entry: the same number means another call there, so the filter may not look at numbers
// alone.
std::string i386_getpid(bool filtered) {
  return in_child([&](int out) {
    if (filtered && (set_no_new_privileges() != 0 || install_filter(kWorkload.program, 0) != 0)) return;
    long answer = 20;
    asm volatile("int $0x80" : "+a"(answer) : : "memory");
    dprintf(out, "%s", answer == getpid() ? "ok" : "no");
  });
}

TEST(Seccomp, KillsI386Calls) {
  if (i386_getpid(false) != "ok") GTEST_SKIP() << "needs a kernel with i386 system calls";
  EXPECT_EQ(i386_getpid(true), " killed by " + std::to_string(SIGSYS));
}

TEST(Seccomp, KillsX32Calls) {
  EXPECT_EQ(answer_of({"", 0x40000000 | SYS_getpid, {}}, true), " killed by " + std::to_string(SIGSYS));
}
#endif

// The kernel's memory for filters is the machine's: none under ours, however small. What a kernel without filters says.
TEST(Seccomp, LetsNoFilterIn) {
  sock_filter allow{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  const sock_fprog smallest{1, &allow};
  for (const sock_fprog& below : {kWorkload.program, kFloor.program}) {
    const std::string report = in_child([&](int out) {
      set_no_new_privileges();
      dprintf(out, "%d ", install_filter(smallest, 0));
      dprintf(out, "%d ", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &smallest));
      dprintf(out, "%d ", install_filter(below, 0));
      for (const unsigned flags : {0u, unsigned{SECCOMP_FILTER_FLAG_TSYNC}, unsigned{SECCOMP_FILTER_FLAG_NEW_LISTENER}})
        dprintf(out, "%s ", strerrorname_np(install_filter(smallest, flags)));
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &smallest);
      dprintf(out, "%s", strerrorname_np(errno));
    });
    EXPECT_EQ(report, "0 0 0 EINVAL EINVAL EINVAL EINVAL");
  }
}

TEST(Seccomp, AnswersTheErrnoOfTheKernel) {
  const sock_fprog empty = {0, nullptr};
  EXPECT_EQ(in_child([&](int out) {
              set_no_new_privileges();
              dprintf(out, "%d", install_filter(empty, 0) == EINVAL);
            }),
            "1");
}

// The closest peer loses 15 of 32 everyday commands to its own filter; these are the ones that died first,
// and language runtimes.
struct Program {
  const char* name;
  std::vector<const char*> argv;
};
class Everyday : public testing::TestWithParam<Program> {};

std::string output_of(const Program& program, bool filtered) {
  return in_child([&](int out) {
    if (filtered && (set_no_new_privileges() != 0 || install_filter(kWorkload.program, 0) != 0)) return;
    std::vector<char*> argv;
    for (const char* word : program.argv) argv.push_back(const_cast<char*>(word));
    argv.push_back(nullptr);
    dup2(out, 1);
    dup2(out, 2);
    execvp(argv[0], argv.data());
  });
}

TEST_P(Everyday, ProgramDoesNotNotice) {
  BAILEY_REQUIRE(GetParam().argv[0]);
  const std::string plain = output_of(GetParam(), false);
  EXPECT_NE(plain, "");
  EXPECT_EQ(output_of(GetParam(), true), plain);
}

INSTANTIATE_TEST_SUITE_P(
    Seccomp, Everyday,
    testing::Values(Program{"bash",
                            {"bash", "-c", "printf '%s\\n' c a b | sort | while read x; do echo $x; done; echo $BASH_VERSION"}},
                    Program{"python",
                            {"python3", "-c",
                             "import threading, subprocess, socket, tempfile\nt = threading.Thread(target=print, args=(1,)); "
                             "t.start(); t.join()\nprint(subprocess.run(['echo', '2'], capture_output=True).stdout, "
                             "socket.socketpair()[0].family)\ntempfile.TemporaryFile().write(b'x')"}},
                    Program{"perl", {"perl", "-e", "print join(',', sort { $a <=> $b } 3, 1, 2), \"\\n\""}},
                    Program{"node", {"node", "-e", "require('fs').readFile('/etc/hostname', () => console.log(6 * 7))"}},
                    Program{"gcc",
                            {"bash", "-c",
                             "d=$(mktemp -d); cd $d && echo 'int puts(const char*); int main(){puts(\"built\");}' > a.c "
                             "&& gcc a.c && ./a.out; rm -r $d"}},
                    Program{"git",
                            {"bash", "-c",
                             "d=$(mktemp -d); cd $d && git init -q && git -c user.name=a -c user.email=b@c commit -q "
                             "--allow-empty -m x && git log --format=%s; rm -rf $d"}},
                    Program{"files",
                            {"bash", "-c",
                             "d=$(mktemp -d); cd $d && touch a && cp --reflink=auto a b && ln a c && mv b d && tar cf t "
                             ". && tar tf t | sort && mkfifo p && chmod 1777 d && ls; rm -r $d"}},
                    Program{"timeout", {"timeout", "20", "echo", "done"}}, Program{"curl", {"curl", "--version"}},
                    Program{"openssl", {"openssl", "dgst", "-sha256", "/etc/passwd"}},
                    Program{"awk", {"awk", "BEGIN { print 1 / 4 }"}}, Program{"sqlite", {"sqlite3", ":memory:", "select 6*7;"}},
                    Program{"ps", {"bash", "-c", "ps -o comm= -p 1"}}, Program{"id", {"id"}}),
    name_of);

}  // namespace
}  // namespace bailey::native
