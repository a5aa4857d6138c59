#include "native/identity/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bailey::native {
namespace {

static_assert(kLockedSecurebits ==
              (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
               SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED));

constexpr int kMaskBits = 64;

int set_sets(const CapsPlan& plan) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int half = 0; half < 2; ++half) {
    data[half].effective = static_cast<uint32_t>(plan.effective >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(plan.permitted >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>(plan.inheritable >> (32 * half));
  }
  return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

}  // namespace

Result<CapsPlan> compile_caps(const bundle::Capabilities& capabilities) {
  if (capabilities.empty()) return CapsPlan{};
  return CapsPlan{TRY(bundle::parse_capabilities(capabilities)), 0};
}

int limit_bounding_set(const CapsPlan& plan) {
  for (int capability = 0; capability < kMaskBits; ++capability) {
    if ((plan.bounding & (uint64_t{1} << capability)) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // above the kernel's last one
    return errno;
  }
  return 0;
}

int keep_caps(const CapsPlan& plan) {
  // Either keeps the sets through setresuid, so that apply_caps, and not a rule of the kernel, decides what
  // is left.
  if (plan.securebits != 0) return prctl(PR_SET_SECUREBITS, plan.securebits, 0, 0, 0) == 0 ? 0 : errno;
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 ? 0 : errno;
}

int apply_caps(const CapsPlan& plan) {
  // Emptied first: lowering the permitted set would do it too, but only for what is lowered.
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return errno;
  if (const int error = set_sets(plan)) return error;
  for (int capability = 0; capability < kMaskBits; ++capability)
    if ((plan.ambient & (uint64_t{1} << capability)) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      return errno;
  if (plan.securebits == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return errno;
  return 0;
}

}  // namespace bailey::native
