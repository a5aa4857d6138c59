// Plan: everything that running a Spec under gVisor takes, as plain data: what runsc is told (its arguments and config.json),
// and what the private root holds. Pure and printable: it depends on the Spec and PlanInputs alone.
//
// runsc never sees the host's file tree. It runs in a mount namespace whose root is a tmpfs of ours:
//
//   /runsc/runsc         the binary that was checked, bound      /runsc/gvisor-bin   its sidecars, bound, when it has any
//   /bundle/config.json  what this plan says                     /state              runsc --root
//   /rootfs              the sandbox's root (see RootKind)        /volumes/N         bind source of config().mounts[N]
//   /secrets             the secrets stage                       /channel            job and report, builds without --pass-fd
//   /netns               the network namespace that was made ready (network/lease.h), bound
//   /log                 runsc's own log, JSON                   /dev/null /proc /tmp  what runsc itself needs
//
// So config.json names no path of a user's, and runsc resolves none again. The whole tree goes with its last process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "bundle/config.h"
#include "bundle/host_rootfs.h"
#include "bundle/mount_options.h"
#include "dispatcher/seccomp_oci.h"
#include "dispatcher/spec.h"
#include "gvisor/traits.h"
#include "init/job.h"

namespace bailey::gvisor {

inline constexpr const char* kInitDirectory = "/.bailey";  // inside the sandbox
inline constexpr const char* kChannelInside = "/.bailey/channel";
inline constexpr const char* kInitPath = "/.bailey/init";
// In an engine's container, whose root is not ours to put anything into: /dev is the sandbox's own.
inline constexpr const char* kEngineInitDirectory = "/dev/.bailey";
inline constexpr const char* kEngineInitPath = "/dev/.bailey/init";
inline constexpr const char* kPrivateInitDirectory = "init";  // in the private root
inline constexpr int kJobFd = 3;                              // init's descriptors, on builds with --pass-fd
inline constexpr int kReportFd = 4;

enum class RootKind {
  host,     // skeleton on the tmpfs, /usr and its like bound into it
  overlay,  // the user's directory below, the tmpfs above: mount points may be made, the directory stays as it is
  direct,   // an engine's: the directory itself, which keeps what is written
};

// One bind mount of the private root. `target` is relative to it.
struct Bind {
  enum class From { volume, rootfs, secrets };
  From from = From::volume;
  size_t mount = 0;  // of volume: index into Spec::config().mounts
  std::string target;
  bool read_only = true;
  bundle::MountAttributes attributes = {};  // for the host's side of it, where the host reads and writes for the sandbox
  friend bool operator==(const Bind&, const Bind&) = default;
};

// How init is started to become a process of an engine's container, and what its job says.
struct EngineInit {
  bundle::Process process;  // for config.json, or for `runsc exec`
  // With a filter whose installation takes CAP_SYS_ADMIN: init has everything until then, and gives the workload these.
  std::optional<init::JobPrivileges> privileges;
  dispatcher::EngineFilter filter;
};

struct Plan {
  std::string runsc_id;
  std::vector<std::string> arguments;  // of runsc, argv[0] included
  bundle::Config config;               // config.json
  RootKind root = RootKind::host;
  std::vector<bundle::RootEntry> entries;  // host: all of the root; overlay: what is ours of its /etc
  std::vector<Bind> binds;                 // in order
  bool terminal = false;
  bool independent = false;          // it goes on without the process that made it
  uint32_t init_user = 0;            // inside, while the workload runs
  bool channel_directory = false;    // the job goes through /channel instead of descriptors
  bool joins_network = false;        // /netns is there: Sources::netns
  std::optional<EngineInit> engine;  // of an engine's configuration: how its init becomes the workload
  bool spare_fd = false;             // one high descriptor without CLOEXEC (docs/gvisor.md, "The spare descriptor")
  std::optional<int> oom_score_adj;
  std::optional<uint64_t> most_processes;  // of the workload: RLIMIT_NPROC of its jobs
};

struct PlanInputs {
  const Traits* traits = nullptr;
  std::string platform;
  std::string runsc_id;                    // never used twice: old builds name an abstract socket of the host after it
  bundle::NetworkNames names = {};         // on a network with addresses, once they are known
  const bundle::HostTree* tree = nullptr;  // the host's files for the default root; nullptr: the sandbox has another root
};

// Refuses every field of the Spec that gVisor ignores and compile_plan does not rewrite, all in one error (Fault::refused).
// docs/gvisor.md lists both.
Result<> check_plan(const dispatcher::Spec& spec, const Traits& traits);
// Whether its memory limit leaves gVisor's own kernel enough; asks no runsc. Fault::refused.
Result<> check_memory(const dispatcher::Spec& spec);
// For a process of an engine's container. Errors: those of the profile and of the capabilities.
Result<EngineInit> engine_init(const bundle::Process& workload, const std::optional<bundle::Seccomp>& profile);
Result<std::string> encode_job(const EngineInit& how, bundle::Process workload);
// Of an engine's configuration (complete_plan.cc), likewise.
Result<Plan> compile_complete(const dispatcher::Spec& spec, const PlanInputs& inputs);
// Fault::refused as check_plan.
Result<Plan> compile_plan(const dispatcher::Spec& spec, const PlanInputs& inputs);
// The plan of a trial: init is its own workload, prints its usage and exits with 125. Any exit code shows that the platform
// runs processes.
bundle::Process trial_process();
Result<Plan> compile_trial(const PlanInputs& inputs);
// What init is given to run `process` in a sandbox of that plan. Errors: bad_input of init/encode.h.
Result<std::string> encode_job(const Plan& plan, bundle::Process process);
// "bailey-" and 32 hexadecimal digits of getrandom(2).
Result<std::string> draw_runsc_id();
json::Value explain_plan(const Plan& plan);

bool is_bind(const bundle::Mount& mount);  // by its type or its options, as the specification has it

// The cgroup: what was asked for plus what the sentry and the gofer need (docs/gvisor.md, "Limits").
// `platform` empty: not known yet, counts as systrap.
bundle::Resources cgroup_resources(const bundle::Resources& asked, std::string_view platform);

}  // namespace bailey::gvisor
