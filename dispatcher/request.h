// Request: what a caller asks for, untrusted. Every face (run's flags, a request document, later OCI commands and an API) makes
// one around a typed OCI configuration; only what admission makes of it starts anything. dispatcher/ is the domain:
//
//   request.h     the wish             request_json.h  as a document
//   policy.h      levels and ceilings  guards.h        verdicts over (Request, Policy, HostFacts)
//   limits.h      the table of limits  names.h        their and the enumerations' words
//   admission.h   the only maker of    spec.h, job.h   the immutable Spec (what is made) and Job (what runs in it)
//   dispatcher.h  the chain of all     foreground.h    the loop of `run`, its signals and terminal
//   backend.h     Backend, Instance    sandbox.h       the one lifecycle around an Instance
//   attached.h    one found again      garbage.h       what the dead have left
//   record.h      result record        audit.h, events.h, state_store.h    what is written down
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bundle/config.h"
#include "dispatcher/backend_kinds.h"
#include "network/filter/egress.h"
#include "network/publish/publish.h"
#include "secrets/directory.h"
#include "secrets/request.h"

namespace bailey::dispatcher {

enum class NetworkMode { none, host, bridge, userspace };
// Whether Bailey decides what it lets through: an address of its own, and a namespace that is made ready before the sandbox.
constexpr bool is_filtered(NetworkMode mode) { return mode == NetworkMode::bridge || mode == NetworkMode::userspace; }
// Which system calls the result record counts (native only): none, those that the filter refused, or every one (`bailey
// seccomp trace`).
enum class SeccompLog { off, denied, all };
// Whether a sandbox ends with the process that made it, or goes on without it and is found again by its id.
enum class Lifetime { tied, independent };
enum class Writes { refuse, memory };  // of the root file system; volumes have their own ro and rw

// run: Bailey adds what every sandbox of its own has (bundle/builder.h) and the level's default limits. complete: the
// configuration is an engine's, with a root of its own; nothing is added to it, ceilings apply and defaults do not, and what
// the level forbids is refused rather than changed.
enum class Shape { run, complete };

// Opt-ins of the caller; each needs the policy's consent as well. Named so that they grep.
struct UnsafeOptIns {
  bool native_for_untrusted = false;  // --unsafe-native
  bool host_network = false;          // --allow-host-network
  friend bool operator==(const UnsafeOptIns&, const UnsafeOptIns&) = default;
};

// Limits that the OCI configuration has no field for. Memory, cpus and pids stand in config.linux.resources; open files and
// file size in config.process.rlimits. limits.h knows them all by name.
struct RunLimits {
  std::optional<uint64_t> swap_bytes;    // swap alone; config.linux.resources.memory.swap is memory and swap together
  std::optional<int64_t> wall_ms;        // negative: unlimited, as UINT64_MAX is for the others
  std::optional<uint64_t> output_bytes;  // stdout and stderr together
  std::optional<uint64_t> tmpfs_bytes;   // of each writable tmpfs (/tmp, home, the writable root layer)
  std::optional<uint64_t> tmpfs_inodes;
  std::optional<uint64_t> network_rate_bytes;  // a second
  std::optional<uint64_t> network_connections;
  friend bool operator==(const RunLimits&, const RunLimits&) = default;
};

struct Request {
  std::string id;           // empty: admission draws a random one
  bool as_pid_1 = false;    // the command becomes PID 1, as the OCI specification has it; otherwise that is Bailey's init
  bool awaits_job = false;  // the sandbox may have no command of its own: what runs in it comes later, as JobRequests
  std::string trust = "untrusted";
  std::optional<BackendKind> runtime;  // absent: the first one of the level
  NetworkMode network = NetworkMode::none;
  std::string shared_network;                         // bridge:NAME, which all who say so share; empty: with nobody
  bool ipv6 = false;                                  // on the bridge, in addition to IPv4
  std::optional<std::vector<network::Grant>> egress;  // of a network that Bailey filters; absent: the level's default
  std::vector<network::Publish> publish;              // ports of the sandbox that the host has as well
  Lifetime lifetime = Lifetime::tied;
  Shape shape = Shape::run;
  // Of a complete one: the config.mounts that the engine wrote itself (the others are its user's), and the directory that its
  // configuration came from, for whoever asks later.
  std::vector<size_t> engine_mounts;
  std::string bundle;
  UnsafeOptIns unsafe_opt_ins;
  // config.root absent: the root made of the host's /usr. config.mounts holds the caller's volumes only; admission adds the
  // mounts, masks and namespaces that `run` always has (bundle/builder.h).
  bundle::Config config;
  Writes root_writes = Writes::refuse;
  RunLimits limits;
  SeccompLog seccomp_log = SeccompLog::off;
  std::vector<secrets::Request> secrets;
  std::vector<secrets::Directory> secret_directories;
  BackendSettings backend_settings;  // of kRequestSettings
  friend bool operator==(const Request&, const Request&) = default;
};

// The wish for a job in a sandbox that is there. What is absent is as the sandbox's own request has it; user, terminal and
// capabilities always are.
struct JobRequest {
  std::vector<std::string> args;
  std::vector<std::string> env;  // KEY=VALUE; in place of the sandbox's variable of that name
  std::optional<std::string> cwd;
  std::optional<uint32_t> umask;
  std::vector<bundle::Rlimit> rlimits;  // in place of the sandbox's of that type, and not above it
  std::optional<int64_t> wall_ms;       // negative: unlimited, as in RunLimits
  std::optional<uint64_t> output_bytes;
  friend bool operator==(const JobRequest&, const JobRequest&) = default;
};

}  // namespace bailey::dispatcher
