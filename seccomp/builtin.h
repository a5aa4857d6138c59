// System call filters. Four of them are compiled when Bailey is built, from the texts in seccomp/profiles/.
//
//   builtin.h   the four programs, and how one is installed    program.h   rules -> BPF, by binary search
//   profile.h   our profiles' text -> rules                    rules.h     asking and joining rules
//   names.h     names and numbers (libseccomp)                 compile.cc  the tool of the build
//
// OCI profiles are read into the same rules (dispatcher/seccomp_oci.h); the native backend and decides which filters one
// sandbox gets (native/seccomp_plan.h).
#pragma once

#include <linux/filter.h>

namespace bailey::seccomp {

// Compiled for this architecture; lives for ever.
struct BuiltFilter {
  sock_fprog program;
  const char* hash;  // 16 hexadecimal digits
  const char* text;  // the profile that people write and review
};
extern const BuiltFilter kWorkload;  // native workloads, and init as their PID 1 (default.seccomp)
extern const BuiltFilter kFloor;     // what holds whatever profile a caller brings (floor.seccomp)
extern const BuiltFilter kWorker;    // Bailey's own children that parse hostile bytes (worker.seccomp)
extern const BuiltFilter kHost;      // runsc and everything below it (host.seccomp)

// Installs a program in the calling thread (SECCOMP_FILTER_FLAG_TSYNC in `flags`: in all). Returns 0 or an errno.
// Async-signal-safe, made to be called between clone and exec, as the last step. Needs no_new_privs, or
// CAP_SYS_ADMIN in the user namespace.
int install_filter(const sock_fprog& program, unsigned flags);

}  // namespace bailey::seccomp
