#include "seccomp/names.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>

#include <cstdlib>
#include <utility>

#include "seccomp/program.h"

namespace bailey::seccomp {
namespace {

// Linux keeps one number for all architectures since 5.0 (424); these came after libseccomp 2.5.4. From
// include/uapi/asm-generic/unistd.h of Linux 6.18, and arch/x86/entry/syscalls/syscall_64.tbl for the probes.
struct NewCall {
  std::string_view name;
  uint32_t number;
  bool x86_64_only = false;
};
constexpr NewCall kNewCalls[] = {
    {"uretprobe", 335, true},   {"uprobe", 336, true},      {"statmount", 457},        {"listmount", 458},
    {"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
    {"setxattrat", 463},        {"getxattrat", 464},        {"listxattrat", 465},      {"removexattrat", 466},
    {"open_tree_attr", 467},    {"file_getattr", 468},      {"file_setattr", 469},
};
// A newer libseccomp may know more names; a profile need not decide what nobody has looked at.
constexpr uint32_t kNewestReviewed = 469;

bool has(const Arch& arch, const NewCall& call) { return !call.x86_64_only || arch.family == ArchFamily::x86_64; }

// libseccomp numbers i386's multiplexed calls -100 - N (socketcall's N, linux/net.h) and -200 - N (ipc's N,
// linux/ipc.h). Their own numbers came with Linux 4.3 and 5.1 (arch/x86/entry/syscalls/syscall_32.tbl); 0:
// none.
struct Multiplexed {
  int libseccomp;
  uint32_t own;
};
constexpr Multiplexed kMultiplexed[] = {
    {-101, 359}, {-102, 361}, {-103, 362}, {-104, 363}, {-105, 0},   {-106, 367}, {-107, 368}, {-108, 360},
    {-109, 0},   {-110, 0},   {-111, 369}, {-112, 371}, {-113, 373}, {-114, 366}, {-115, 365}, {-116, 370},
    {-117, 372}, {-118, 364}, {-119, 337}, {-120, 345}, {-201, 0},   {-202, 393}, {-203, 394}, {-204, 0},
    {-211, 400}, {-212, 401}, {-213, 399}, {-214, 402}, {-221, 397}, {-222, 398}, {-223, 395}, {-224, 396},
};
constexpr uint32_t kSocketcall = 102, kIpc = 117;

std::vector<CallTarget> multiplexed_targets(int libseccomp_number) {
  for (const Multiplexed& call : kMultiplexed) {
    if (call.libseccomp != libseccomp_number) continue;
    const bool socket = libseccomp_number > -200;
    std::vector<CallTarget> out = {
        {socket ? kSocketcall : kIpc, static_cast<uint32_t>(-libseccomp_number - (socket ? 100 : 200))}};
    if (call.own != 0) out.push_back({call.own, std::nullopt});
    return out;
  }
  return {};
}

struct KnownArch {
  std::string_view name;       // ours
  std::string_view scmp_name;  // the OCI specification's
  Arch arch;
};
constexpr KnownArch kArches[] = {
    {"x86_64", "SCMP_ARCH_X86_64", {SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, ArchFamily::x86_64}},
    {"i386", "SCMP_ARCH_X86", {SCMP_ARCH_X86, AUDIT_ARCH_I386, ArchFamily::i386}},
    {"x32", "SCMP_ARCH_X32", {SCMP_ARCH_X32, AUDIT_ARCH_X86_64, ArchFamily::x32}},
    {"aarch64", "SCMP_ARCH_AARCH64", {SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, ArchFamily::other_64}},
    {"arm", "SCMP_ARCH_ARM", {SCMP_ARCH_ARM, AUDIT_ARCH_ARM, ArchFamily::other_32}},
    {"riscv64", "SCMP_ARCH_RISCV64", {SCMP_ARCH_RISCV64, AUDIT_ARCH_RISCV64, ArchFamily::other_64}},
};

}  // namespace

std::optional<Arch> arch_named(std::string_view name) {
  for (const KnownArch& known : kArches)
    if (name == known.name || name == known.scmp_name) return known.arch;
  return std::nullopt;
}

Arch native_arch() {
#if defined(__x86_64__)
  return *arch_named("x86_64");
#elif defined(__aarch64__)
  return *arch_named("aarch64");
#else
#error "the seccomp profile was thought through for x86_64 and aarch64 only"
#endif
}

std::vector<CallTarget> call_targets(const Arch& arch, const std::string& name) {
  const int number = seccomp_syscall_resolve_name_arch(arch.token, name.c_str());
  if (number >= 0) return {{static_cast<uint32_t>(number), std::nullopt}};
  if (arch.family == ArchFamily::i386)
    if (const std::vector<CallTarget> targets = multiplexed_targets(number); !targets.empty()) return targets;
  for (const NewCall& call : kNewCalls)
    if (call.name == name && has(arch, call))
      return {{call.number | (arch.family == ArchFamily::x32 ? kX32First : 0), std::nullopt}};
  return {};
}

namespace {

std::string known_name(const Arch& arch, uint32_t number) {
  if (char* name = seccomp_syscall_resolve_num_arch(arch.token, static_cast<int>(number))) {
    std::string out = name;
    free(name);
    return out;
  }
  for (const NewCall& call : kNewCalls)
    if (call.number == number && has(arch, call)) return std::string(call.name);
  return {};
}

}  // namespace

std::vector<std::pair<uint32_t, std::string>> calls_of(const Arch& arch) {
  std::vector<std::pair<uint32_t, std::string>> out;
  for (uint32_t number = 0; number <= kNewestReviewed; ++number)
    if (std::string name = known_name(arch, number); !name.empty()) out.emplace_back(number, std::move(name));
  return out;
}

std::string call_name(const Arch& arch, uint32_t number) {
  std::string name = number <= INT32_MAX ? known_name(arch, number) : std::string();
  return name.empty() ? "syscall_" + std::to_string(number) : name;
}

std::optional<int> errno_named(std::string_view name) {
  constexpr std::pair<std::string_view, int> kErrors[] = {
      {"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"EACCES", EACCES}, {"EINVAL", EINVAL}, {"EAFNOSUPPORT", EAFNOSUPPORT}};
  for (const auto& [known, number] : kErrors)
    if (known == name) return number;
  return std::nullopt;
}

}  // namespace bailey::seccomp
