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

#include <string>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"

namespace bailey::native {

// For this architecture; lives for ever. Allows what an init as PID 1 needs as well.
const sock_fprog& builtin_seccomp();
const char* builtin_seccomp_hash();  // 16 hexadecimal digits
const char* builtin_seccomp_text();  // the profile that people write and review
// What holds whatever profile a caller brings (native/profiles/floor.seccomp).
const sock_fprog& floor_seccomp();
const char* floor_seccomp_hash();
const char* floor_seccomp_text();

// A filter made at run time. Move it as you like: `program` is what install_seccomp takes, through view().
struct CompiledFilter {
  std::vector<sock_filter> program;
  unsigned flags = 0;                      // SECCOMP_FILTER_FLAG_* for install_seccomp
  std::string hash;                        // as builtin_seccomp_hash
  std::vector<std::string> ignored_names;  // calls unknown here: as the specification asks, no error
  bool empty() const { return program.empty(); }
  sock_fprog view() const { return {static_cast<unsigned short>(program.size()), const_cast<sock_filter*>(program.data())}; }
};

// Compiles the `seccomp` object of an OCI configuration with the meaning that runc and libseccomp give it.
// Errors: Fault::bad_input for an unknown action, architecture, operator or flag; Fault::unavailable for
// SCMP_ACT_NOTIFY.
Result<CompiledFilter> compile_seccomp(const bundle::Seccomp& seccomp);

// Installs it in the calling thread (SECCOMP_FILTER_FLAG_TSYNC in `flags`: in all). Answers 0 or an errno.
// Async-signal-safe, made to be called between clone and exec, as the last step. Needs no_new_privs, or
// CAP_SYS_ADMIN in the user namespace.
int install_seccomp(const sock_fprog& program, unsigned flags);

}  // namespace bailey::native
