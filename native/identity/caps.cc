#include "native/identity/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bailey::native {
namespace {

static_assert(kLockedSecurebits ==
              (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
               SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED));

constexpr int kMaskBits = 64;

uint64_t bit(int capability) { return uint64_t{1} << capability; }

Result<uint64_t> mask_of(const std::vector<std::string>& names, std::string_view set) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    cap_value_t number = 0;
    // cap_from_name takes numbers and small letters too; the specification does not.
    if (!name.starts_with("CAP_") || cap_from_name(name.c_str(), &number) != 0 || number < 0 || number >= kMaskBits) {
      return fail(Fault::bad_input, "'" + name + "' in the " + std::string(set) + " set is no capability",
                  "capabilities are written CAP_NET_BIND_SERVICE; capabilities(7) lists them");
    }
    if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) < 0) {
      return fail(Fault::bad_input, name + " in the " + std::string(set) + " set is not known to this kernel",
                  "leave it out of the configuration");
    }
    mask |= bit(number);
  }
  return mask;
}

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
  CapsPlan plan;
  plan.bounding = TRY(mask_of(capabilities.bounding, "bounding"));
  plan.effective = TRY(mask_of(capabilities.effective, "effective"));
  plan.permitted = TRY(mask_of(capabilities.permitted, "permitted"));
  plan.inheritable = TRY(mask_of(capabilities.inheritable, "inheritable"));
  plan.ambient = TRY(mask_of(capabilities.ambient, "ambient"));
  plan.securebits = 0;
  if (const uint64_t more = plan.effective & ~plan.permitted)
    return fail(Fault::bad_input, "effective but not permitted: " + caps_text(more), "add them to the permitted set");
  if (const uint64_t more = plan.inheritable & ~plan.bounding)
    return fail(Fault::bad_input, "inheritable but not in the bounding set: " + caps_text(more),
                "add them to the bounding set");
  if (const uint64_t more = plan.ambient & ~(plan.permitted & plan.inheritable))
    return fail(Fault::bad_input, "ambient but not permitted and inheritable: " + caps_text(more),
                "add them to both sets, or leave them out of the ambient set");
  return plan;
}

std::string caps_text(uint64_t mask) {
  std::string out;
  for (int capability = 0; capability < kMaskBits; ++capability) {
    if ((mask & bit(capability)) == 0) continue;
    char* name = cap_to_name(capability);
    if (!out.empty()) out += ',';
    for (const char* c = name; c != nullptr && *c != '\0'; ++c) out += static_cast<char>(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    cap_free(name);
  }
  return out.empty() ? "none" : out;
}

int limit_bounding_set(const CapsPlan& plan) {
  for (int capability = 0; capability < kMaskBits; ++capability) {
    if ((plan.bounding & bit(capability)) != 0) continue;
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
    if ((plan.ambient & bit(capability)) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      return errno;
  if (plan.securebits == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return errno;
  return 0;
}

}  // namespace bailey::native
