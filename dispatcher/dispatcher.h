// Dispatcher: the one way from a Request to a sandbox. Every face takes it.
//
//   take        the request
//   use_policy  the policy, and its audit
//   judge       facts of the host, then every guard: decision()
//   choose      the backend of the admitted spec, which plans the sandbox or says what it cannot enforce: about(), explain()
//   run         judge and choose, then the whole life of the sandbox
//
// In this order; each step needs those before it. Only explain() needs judge() and choose() called for it. After an error
// fail() makes the record and tells the audit.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dispatcher/admission.h"
#include "dispatcher/audit.h"
#include "dispatcher/backend.h"
#include "dispatcher/events.h"
#include "dispatcher/foreground.h"
#include "dispatcher/mount_table.h"
#include "dispatcher/policy.h"
#include "dispatcher/progress.h"
#include "dispatcher/record.h"
#include "dispatcher/request.h"
#include "dispatcher/sandbox.h"
#include "dispatcher/state_store.h"
#include "dispatcher/step_timer.h"
#include "dispatcher/streams.h"

namespace bailey::dispatcher {

// The input of a backend before there is a Spec.
struct BackendContext {
  const Policy& policy;
  const Request& request;           // its runsc and platform
  bool may_start_sandboxes = true;  // to find out what works here
};
// Fault::unavailable when this build has no such backend.
using BackendFactory = std::function<Result<std::unique_ptr<Backend>>(BackendKind kind, const BackendContext& context)>;

struct DispatcherOptions {
  BackendFactory make_backend;
  bool starts = true;                               // false: judges and plans only; no audit, no trial of a platform
  const std::vector<MountEntry>* mounts = nullptr;  // as for gather_host_facts
  int signals = -1;                                 // a descriptor of a watcher's; -1: this process's own
  Progress* progress = nullptr;                     // for a watcher; nullptr: nobody watches
};

class Dispatcher {
 public:
  // `timer` began with the process. The step is "request".
  Dispatcher(DispatcherOptions options, StepTimer timer);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void take(Request request);
  Result<> use_policy(const std::string& file);  // as load_policy()
  Result<> use_policy(Policy policy);
  Result<> judge();   // a refusal is no error here: decision().spec is absent then
  Result<> choose();  // after a decision with a spec
  // Judges, chooses the backend, and runs the sandbox to its end. The record is there also where the request was refused or
  // a step failed.
  const Record& run(Events& events, const StreamOptions& streams);
  // In place of run, of an independent sandbox whose workload is PID 1: makes it, below `store`, and leaves its command for
  // Attached::begin. The caller then lets go of sandbox(), or ends it by end(), which also follows an error.
  Result<> prepare(StateStore store, Events& events, const StreamOptions& streams, Patience& patience);
  Sandbox& sandbox() { return *sandbox_; }
  const Record& end(Error error);
  const Record& fail(Error error);

  const Request& request() const { return request_; }
  const Policy& policy() const { return policy_; }
  const Admission::Decision& decision() const { return decision_; }
  Result<json::Value> explain();  // the backend's plan, after choose()
  const About& about() const { return record_.backend; }

 private:
  Result<> judge_and_refuse();
  Result<> make_ready();
  void make_sandbox(Events& events, const StreamOptions& streams);
  void enter(const char* step);

  DispatcherOptions options_;
  StepTimer timer_;
  const char* step_ = "request";
  Request request_;
  Policy policy_;
  Audit audit_;
  Admission::Decision decision_;
  Record record_;
  std::optional<StateStore> store_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<SandboxPlan> plan_;
  std::optional<Foreground> foreground_;  // to the end: it holds back the signals until the record is written
  std::optional<Sandbox> sandbox_;
};

// Tells a watcher how long the making of a sandbox with this time limit may take; nullopt: it has none.
void expect_making(Progress* progress, std::optional<int64_t> wall_ms);

}  // namespace bailey::dispatcher
