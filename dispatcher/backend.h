// Backend, SandboxPlan and Instance: the seam between the domain and what really isolates. A new backend is one folder, one
// BackendKind, one line in cli/ and a green contract suite.
//
// clang-format off
//   Backend::plan               create, await_created       start                       reap
//   -----------> [SandboxPlan] -----------> [created] -----------> [running] ... [ended] ------> Ending
//   all that will be done,      the sandbox exists,         the job is handed to PID 1   every process is gone and waited for
//   as data                     PID 1 waits for a job
// clang-format on
//
// A Backend holds nothing of a particular sandbox: its plan belongs to the SandboxPlan, and from create() on to the Instance.
#pragma once

#include <poll.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/json.h"
#include "base/result.h"
#include "bundle/host_rootfs.h"
#include "dispatcher/job.h"
#include "dispatcher/patience.h"
#include "dispatcher/spec.h"
#include "dispatcher/task.h"
#include "host/cgroup/cgroup.h"
#include "network/lease.h"

namespace bailey::dispatcher {

struct StepTime {
  std::string name;
  int64_t ns = 0;
};
using Steps = std::vector<StepTime>;
inline constexpr const char* kBootStep = "boot";  // of a runtime with a kernel of its own: a field of the record, too

// The workload's ends. With Spec::process().terminal all three stay empty, and Instance::await_created returns the pty's
// master.
struct Stdio {
  Fd in, out, err;
  bool are_the_callers = false;  // and not pipes made for this sandbox: their owner on the host stays as it is
};

// What a sandbox holds on the host and gc can find again from its name. Move-only. The caller keeps them until reap() has
// returned. Staged secrets are not here: the backend, which alone knows the id map, stages Spec::secrets() in create()
// (secrets/stage.h).
struct Leases {
  host::Cgroup cgroup;     // empty: this host offers none and no limit needs one
  network::Lease network;  // empty: the spec's network is none or the host's
  int state = -1;          // the sandbox's directory in the state store, for what has to be found again; not owned
};

// What /etc/hosts and /etc/resolv.conf say of the sandbox's network; empty when it has none of ours.
inline bundle::NetworkNames network_names(const Leases& leases) {
  if (!leases.network) return {};
  const auto resolver = leases.network.resolver();
  const auto address6 = leases.network.address6();
  const auto text = [](const std::optional<network::Address>& one) { return one ? network::to_text(*one) : std::string(); };
  bundle::NetworkNames names{network::to_text(leases.network.address()),
                             text(address6),
                             text(resolver),
                             {},
                             leases.network.search(),
                             leases.network.ndots()};
  for (const auto& [host, address] : leases.network.neighbours()) names.others.emplace_back(host, network::to_text(address));
  return names;
}

struct About {
  std::string name;      // "native", "gvisor"
  std::string version;   // of what isolates: kernel release, runsc's label
  std::string platform;  // gvisor: "systrap"; native: ""
};

// The filter of system calls that a sandbox gets, as --explain, the audit and the record say it.
struct FilterAbout {
  std::string profile;                   // native: "builtin"; "narrowed" or "replaced" by the caller's; gvisor: ""
  std::string hash;                      // of the program that says all that holds for the workload
  std::vector<std::string> allows_more;  // system calls that get through and would not by the built-in profile
};

// Calls that a filter reported (SeccompLog). Bounded: what finds no place any more is counted in `others`.
struct CallCount {
  std::string name;
  uint64_t count = 0;
};
struct LoggedCalls {
  std::vector<CallCount> denied, used;  // by name
  uint64_t others = 0;
};

// A process that was brought into a running sandbox, a child of this one.
struct Entered {
  int pid = 0;
  Fd pidfd;
  Fd terminal;  // the pty's master, when it has one
};
struct EntryOptions {
  Stdio stdio;                       // its own descriptors, unless it has a terminal
  std::vector<std::string> cgroups;  // of the sandbox
  bool new_keyring = true;
  std::optional<bundle::Seccomp> seccomp;  // of the sandbox's configuration
};

class Instance {
 public:
  virtual ~Instance() = default;  // as end() does, within kEndMs (base/pidfd.h)
  // Waits until the sandbox is made; once. Returns the pty's master when Spec::process().terminal, otherwise an empty
  // descriptor. Errors: what failed in the making; Patience's. Steps name what this waited for, in order, without overlap.
  virtual Result<Fd> await_created(Patience& patience, Steps& steps) = 0;
  // Waits until PID 1 has reported that it waits for its job; once, after await_created. start() needs it not: a job that comes
  // before is taken as soon as PID 1 is ready. Errors: it ended; Patience's.
  virtual Result<> await_ready(Patience&) { return {}; }
  // How its user ids are mapped on the host, from await_created on. Empty: they are no ids of the host's.
  virtual std::vector<bundle::IdMapping> uid_map() const { return {}; }
  // Hands over the job, minutes later if need be; returns when PID 1 has begun its command, or cannot. Once: the sandbox ends
  // with it. Steps as for create. Errors: a job that no init takes (bad_input); Patience's. With Job::as_pid_1() PID 1 tells
  // nothing more: exit_fd and reap() do.
  virtual Result<> start(const Job& job, Patience& patience, Steps& steps) = 0;
  // start() in two steps, for a workload that is PID 1: prepare() tells what is wrong with the command, as far as that can be
  // seen; begin() begins it, also by way of an Instance of another process's (Backend::attach).
  virtual Result<> prepare(const Job&, Patience&, Steps&) {
    return fail(Fault::unavailable, "this sandbox cannot hold its command back");
  }
  virtual Result<> begin(Patience&) { return fail(Fault::unavailable, "this sandbox holds no command back"); }
  // To the workload, through PID 1; a workload that has ended already is not an error.
  virtual Result<> signal(int number) = 0;
  // SIGKILL to everything in the sandbox, at once and for sure.
  virtual void kill_all() = 0;
  // Readable (POLLIN) when the sandbox has ended; valid from create to reap. The Instance owns it.
  virtual int exit_fd() const = 0;
  // What its owner's loop has to serve together with exit_fd: what PID 1 says, the streams of tasks, the calls that a filter
  // reports (the process that made one waits until then). From await_ready or start on. add_interest appends entries for
  // poll(2); serve takes just these. Error: PID 1 sent something that is no report.
  virtual void add_interest(std::vector<pollfd>&) const {}
  virtual Result<> serve(std::span<const pollfd>) { return {}; }
  virtual LoggedCalls calls() const { return {}; }
  // From start on; more of it after the final report or reap().
  virtual Account account() const { return {}; }
  // Whether start() has begun the command: false where the sandbox ended before, or the command could not be executed. exit_fd
  // and reap() then say how.
  virtual bool has_begun() const { return true; }
  // Whether a runtime of its own runs in the sandbox's cgroup when await_created has returned; what it holds is not the
  // command's.
  virtual bool has_booted() const { return false; }
  // Whether PID 1 has sent its final report: nothing else of the sandbox is alive then, its use and its output are final, and
  // exit_fd only waits until the kernel has taken the sandbox down.
  virtual bool has_announced_end() const { return false; }
  // By what Backend::attach finds an independent sandbox again, from create() on; it changes with start().
  virtual std::string handle() const { return {}; }
  // The sandbox goes on without this: the destructor and end() end nothing from now on. Of an independent one. False: it
  // cannot, because a task runs or a message is under way.
  virtual bool leave() { return false; }
  // Begins a further job, at any time from await_ready on, while others run; its streams are pipes of the sandbox's own, whose
  // bytes are passed on to and from these. The Task says whether its command has started. Errors: a job that no init takes
  // (bad_input); one that this sandbox cannot run (refused). Fault::unavailable: no further ones here.
  virtual Result<std::unique_ptr<Task>> exec(const Job&, Stdio) {
    return fail(Fault::unavailable, "this sandbox takes no further jobs");
  }
  // Brings a process into a sandbox whose workload is PID 1 (exec() needs init for that); returns when its command has begun.
  // Of an Instance that was attached. Errors: it cannot be brought in; the command cannot be executed; Patience's.
  virtual Result<Entered> enter(const Job&, EntryOptions, Patience&) {
    return fail(Fault::unavailable, "no process can be brought into this sandbox");
  }
  // Waits for the end of the sandbox and returns how it ended. No process of it exists then. Once.
  virtual Result<Ending> reap() = 0;
  // Kills and reaps what is left, once; nothing after reap(). False: something was killed and has not ended by the deadline,
  // because the kernel waits for a file system. It ends when that gives way, and gc finds what it leaves.
  virtual bool end(clock::Deadline deadline) = 0;
};

// What a backend will do for one sandbox, compiled from its Spec and complete before anything is made.
class SandboxPlan {
 public:
  virtual ~SandboxPlan() = default;  // ends what begin() made, unless an Instance has taken it over
  virtual FilterAbout filter() const { return {}; }
  // What the sandbox's cgroup is created with: the limits asked for, plus what the backend's own processes need, so that the
  // workload meets its limits where it asked for them.
  virtual bundle::Resources resources() const = 0;
  // As --explain prints it. Starts nothing.
  virtual Result<json::Value> explain() const = 0;
  // Begins slow work that needs no lease but the network's, while the caller takes the others. Not called where a process has
  // to be made inside its cgroup (v2). Signals as for create. Steps name what it took, in order, without overlap.
  virtual Result<> begin(const Leases&, Steps&) { return {}; }
  // Whether create() needs the links of the network to be there and up; otherwise they come between it and await_created.
  virtual bool needs_links_at_create() const { return true; }
  // Once. Called with the forwarded signals (TERM, INT, HUP, QUIT, USR1, USR2, WINCH) blocked and SIGPIPE handled: PID 1 must
  // start with an empty mask and default actions. Undoes all of it on error. Begins to make the sandbox and does not wait for
  // it: what the caller does until await_created costs no time. Steps as for begin.
  virtual Result<std::unique_ptr<Instance>> create(Leases& leases, Stdio stdio, Steps& steps) = 0;
};

// Outlives its plans and their Instances.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendKind kind() const = 0;
  // Cheap after the first call; may probe. Fault::unavailable with the remedy when this host cannot.
  virtual Result<About> about() = 0;
  // Refuses every field that this backend could not enforce, all of them in one error; never ignores one. Makes nothing.
  virtual Result<std::unique_ptr<SandboxPlan>> plan(std::shared_ptr<const Spec> spec) = 0;
  // An independent sandbox of this backend that another process has left. `pidfd`: of its first process, which lives; `state`:
  // its directory in the state store. Errors: a handle that this backend has not made.
  virtual Result<std::unique_ptr<Instance>> attach(const std::string& handle, Fd pidfd, int state) = 0;
  // The handle of a sandbox whose command was held back, once it has begun.
  virtual std::string handle_of_begun(const std::string& held) const { return held; }
  // Reads again what plans have kept of the host (the copy of its files), and returns whether it has changed. A sandbox that
  // was made by an old plan must be ended then, and planned anew.
  virtual Result<bool> renew() { return false; }
};

}  // namespace bailey::dispatcher
