// System call filters. Two of them are compiled when Bailey is built, from the texts in seccomp/profiles/.
//
//   builtin.h   the two programs, and how one is installed     program.h   rules -> BPF, by binary search
//   profile.h   our profiles' text -> rules                    rules.h     asking and joining rules
//   names.h     names and numbers (libseccomp)                 compile.cc  the tool of the build
//
// The native backend reads OCI profiles into the same rules (native/seccomp_oci.h) and decides which filters one sandbox gets
// (native/seccomp_plan.h).
#pragma once

#include <linux/filter.h>

namespace bailey::seccomp {

// For this architecture; lives for ever. Allows what an init as PID 1 needs as well.
const sock_fprog& builtin_program();
const char* builtin_hash();  // 16 hexadecimal digits
const char* builtin_text();  // the profile that people write and review
// What holds whatever profile a caller brings (seccomp/profiles/floor.seccomp).
const sock_fprog& floor_program();
const char* floor_hash();
const char* floor_text();

// Installs a program in the calling thread (SECCOMP_FILTER_FLAG_TSYNC in `flags`: in all). Returns 0 or an errno.
// Async-signal-safe, made to be called between clone and exec, as the last step. Needs no_new_privs, or
// CAP_SYS_ADMIN in the user namespace.
int install_filter(const sock_fprog& program, unsigned flags);

}  // namespace bailey::seccomp
