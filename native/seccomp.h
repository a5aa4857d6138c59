// Seccomp filters of the native backend. The built-in one is compiled when Bailey is built, from
// native/profiles/default.seccomp; an OCI profile is compiled when it is met.
//
//   seccomp.h          what a start installs             seccomp_program.h  rules -> BPF, by binary search
//   seccomp_plan.h     which filters one sandbox gets    seccomp_rules.h    asking and joining rules
//   seccomp_profile.h  our profile's text -> rules       seccomp_names.h    names and numbers (libseccomp)
//   seccomp_oci.h      an OCI profile -> rules           syscall_log.h      the listener of --seccomp-log
//   seccomp_compile.cc the build's tool
#pragma once

#include <linux/filter.h>

namespace bailey::native {

// For this architecture; lives for ever. Allows what an init as PID 1 needs as well.
const sock_fprog& builtin_seccomp();
const char* builtin_seccomp_hash();  // 16 hexadecimal digits
const char* builtin_seccomp_text();  // the profile that people write and review
// What holds whatever profile a caller brings (native/profiles/floor.seccomp).
const sock_fprog& floor_seccomp();
const char* floor_seccomp_hash();
const char* floor_seccomp_text();

// Installs a program in the calling thread (SECCOMP_FILTER_FLAG_TSYNC in `flags`: in all). Answers 0 or an errno.
// Async-signal-safe, made to be called between clone and exec, as the last step. Needs no_new_privs, or
// CAP_SYS_ADMIN in the user namespace.
int install_seccomp(const sock_fprog& program, unsigned flags);

}  // namespace bailey::native
