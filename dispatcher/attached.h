// Attached: the hold on an independent sandbox that another process has made and left. One at a time has it; when it is
// dropped, the sandbox goes on. SIGPIPE has to be ignored or handled: a sandbox may end while a signal is sent to it. The
// process that made it is the parent of its first process, and reaps that if it still lives.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "dispatcher/state_store.h"

namespace bailey::dispatcher {

class Attached {
 public:
  // `backend`: makes the backend that a record names (StateRecord::backend). `store` outlives this. Errors: as
  // StateStore::attach; the record cannot be read; the backend does not know its handle. One that has ended is no error.
  using BackendByName = std::function<Result<std::unique_ptr<Backend>>(const std::string& name)>;
  static Result<Attached> open(StateStore& store, const std::string& id, const BackendByName& backend);

  Attached(Attached&&) noexcept = default;
  ~Attached() { entry_.leave(); }

  const StateRecord& record() const { return record_; }
  bool lives() const;  // its first process has not ended
  // Begins the command that was prepared (Sandbox::prepare); its record says so then. Errors: there is none (refused); it
  // cannot be executed.
  Result<> begin(Patience& patience);
  // To the workload; nothing happens to one that has ended.
  Result<> signal(int number);
  // Waits for the end until the deadline. Nothing: it has not ended by then. Error: how it ended is not known here.
  Result<std::optional<Ending>> wait(clock::Deadline deadline);
  // Ends what is left, then removes its cgroups, below `cgroup_parent` and where its record says, and its state. Once, as the
  // last act. Error: something of it is left, for gc.
  Result<> remove(const std::string& cgroup_parent);

 private:
  Attached(StateStore& store, std::string id) : store_(&store), id_(std::move(id)) {}
  StateStore* store_;
  std::string id_;
  StateEntry entry_;
  StateRecord record_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Instance> instance_;  // none: it has ended
};

}  // namespace bailey::dispatcher
