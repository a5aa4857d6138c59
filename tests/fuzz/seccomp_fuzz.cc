// Any bytes as an OCI seccomp object: it is read, written and read again as the same; what it means is a fault with its place,
// or rules whose program the kernel would take and which never let through what the profile below them refuses.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bundle/reader.h"
#include "bundle/writer.h"
#include "dispatcher/seccomp_oci.h"
#include "native/seccomp_plan.h"
#include "seccomp/builtin.h"
#include "seccomp/names.h"
#include "seccomp/rules.h"
#include "tests/fuzz/check.h"
#include "tests/support/run_bpf.h"

using namespace bailey;
using namespace bailey::dispatcher;
using namespace bailey::native;
using namespace bailey::seccomp;

namespace {

// What the kernel checks before it takes a program (bpf_check_classic): jumps stay inside, the end is a verdict.
void check_program(const std::vector<sock_filter>& program) {
  CHECK(!program.empty() && program.size() <= BPF_MAXINSNS);
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& in = program[at];
    if (BPF_CLASS(in.code) != BPF_JMP) continue;
    if (in.code == (BPF_JMP | BPF_JA)) CHECK(in.k < program.size() - at - 1);
    else CHECK(in.jt < program.size() - at - 1 && in.jf < program.size() - at - 1);
  }
  CHECK(BPF_CLASS(program.back().code) == BPF_RET);
}

// Calls with arguments that follow from the input.
template <typename Check>
void for_some_calls(const uint8_t* data, size_t size, Check&& check) {
  for (int i = 0; i < 64; ++i) {
    uint64_t state = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15;
    const auto next = [&] {
      state = (state ^ (size ? data[(state >> 7) % size] : 0)) * 0xbf58476d1ce4e5b9;
      return state ^ (state >> 31);
    };
    seccomp_data call{static_cast<int>(next() % 480), native_arch().audit_arch, 0, {}};
    for (auto& argument : call.args) {
      static constexpr uint64_t kSeen[] = {0, 1, 40, 0x5412, 04755, 0x10000000, UINT32_MAX, UINT64_MAX};
      argument = next() % 2 ? kSeen[next() % 8] : next() >> (next() % 64);
    }
    check(call);
  }
}

void check_plan(const bundle::Seccomp& profile, const FilterRules& rules, dispatcher::SeccompRule rule, const uint8_t* data,
                size_t size) {
  static const FilterRules builtin = builtin_rules().value(), floor = floor_rules().value();
  const FilterRules& below = rule == dispatcher::SeccompRule::replace ? floor : builtin;
  const auto plan = compile_seccomp_plan(profile, rule, dispatcher::SeccompLog::off);
  const auto logged = compile_seccomp_plan(profile, rule, dispatcher::SeccompLog::denied);
  if (!plan) return;  // too long, or nothing could start
  check_program(plan->on_top);
  for_some_calls(data, size, [&](const seccomp_data& call) {
    const auto verdict = tests::run_bpf(plan->on_top, call);
    CHECK(verdict && *verdict == verdict_of(rules, call));
    if (!logged) return;
    const uint32_t holds = verdict_of(*logged->verdicts, call);
    CHECK(!permits(holds) || (permits(verdict_of(below, call)) && permits(*verdict)));
    const auto reported = tests::run_bpf(logged->on_top, call);
    const bool refused = (holds & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
    CHECK(reported && *reported == (refused ? SECCOMP_RET_USER_NOTIF : holds));
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto profile = bundle::parse_seccomp({reinterpret_cast<const char*>(data), size}, "input");
  if (!profile) {
    CHECK(profile.error().message.starts_with("input:"));
    return 0;
  }
  const auto again = bundle::parse_seccomp(json::write(bundle::encode_seccomp(*profile)), "written");
  CHECK(again && *again == *profile);
  std::vector<OciFault> faults;
  const auto read = read_oci_seccomp(*profile, faults);
  CHECK(read.has_value() == faults.empty());
  for (const OciFault& fault : faults) CHECK(fault.path.starts_with(".") && !fault.error.message.empty());
  if (!read) return 0;
  for (const auto rule : {dispatcher::SeccompRule::narrow, dispatcher::SeccompRule::replace})
    check_plan(*profile, read->rules, rule, data, size);
  return 0;
}
