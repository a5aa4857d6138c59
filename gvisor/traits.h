// Traits: what one runsc can do, as found by asking it. Never inferred from its version: builds are labelled freely and
// features come and go (docs/gvisor.md). gvisor/ runs a Spec under gVisor:
//
//   runsc.h     find and trust the binary           traits.h   what it can do       answers.h  kept between runs
//   plan.h, check.cc, arguments.h  Spec -> config.json, runsc arguments, mounts: what --explain prints
//   private_root.h  the runtime tmpfs, filled     child.h    from clone to exec     launch.h   both halves together
//   instance.h  one running sandbox                 backend.h  the seam             platform.h one real run per platform
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bailey::gvisor {

struct Traits {
  std::string version;                           // the label behind "runsc version ": free text, for people
  std::string oci_version;                       // of its line "spec: 1.2.1"
  std::set<std::string, std::less<>> flags;      // of `runsc flags`: an unknown one ends runsc with 2, as a crash does
  std::set<std::string, std::less<>> run_flags;  // of `runsc run -h`
  bool caps_overlay = false;                     // --overlay2 takes ",size=BYTES"
  bool has_flag(std::string_view name) const { return flags.contains(name); }
  bool has_run_flag(std::string_view name) const { return run_flags.contains(name); }
  bool passes_fds() const { return has_run_flag("pass-fd"); }  // else init takes its job from a directory
  friend bool operator==(const Traits&, const Traits&) = default;
};

// `runsc --version`. Error: the text is not runsc's.
Result<> parse_version(std::string_view text, Traits& traits);
// Whether `runsc flags` describes a size among the values of -overlay2: builds of 2024 know the flag and end at the size.
bool parse_overlay_cap(std::string_view text);
// "  -name type" lines of `runsc flags` and `runsc run -h`, whatever else stands between them.
std::set<std::string, std::less<>> parse_flags(std::string_view text);

}  // namespace bailey::gvisor
