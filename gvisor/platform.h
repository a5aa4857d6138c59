// Platforms: how gVisor catches the workload's system calls (systrap, ptrace, kvm). Whether one works on this kernel, with this
// build and its sidecars, only a real run tells: /dev/kvm may exist and its first use hang for ever.
#pragma once

#include <string>

#include "base/result.h"
#include "gvisor/answers.h"

namespace bailey::gvisor {

// The platform to use: `wanted`, else systrap, else (a build without systrap) ptrace. What `answers` does not know is tried by
// one sandbox that runs init alone, with a time limit that kills all of it, and added to `answers`. Fault::unavailable with
// runsc's own words when the platform does not work.
// With Trials::none nothing is tried: a platform that `answers` does not know is taken and not added.
enum class Trials { as_needed, none };
struct ChosenPlatform {
  std::string name;
  bool tried = true;
};
Result<ChosenPlatform> choose_platform(const Binary& binary, Answers& answers, const std::string& wanted, Trials trials);

// One try, nothing remembered.
struct PlatformTrial {
  bool works = false;
  bool no_such_platform = false;  // in this build
  std::string why;                // runsc's words, or ours, when it does not work
  std::string remedy;             // when there is one of its own
};
inline constexpr int64_t kTrialMs = 15'000;
PlatformTrial try_platform(const Binary& binary, const Traits& traits, const std::string& platform,
                           int64_t limit_ms = kTrialMs);

}  // namespace bailey::gvisor
