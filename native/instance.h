// A sandbox of the native backend: PID 1 of its namespaces (our init) and the channel to it: a socket, or two FIFOs if it is
// independent.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/pidfd.h"
#include "dispatcher/backend.h"
#include "init/conversation.h"
#include "native/identity/id_map.h"
#include "native/launch.h"
#include "native/syscall_log.h"

namespace bailey::native {

// What Backend::attach has to know: whether init is PID 1, which is reached over its channel, or the workload.
inline constexpr const char* kInitHandle = "init";
inline constexpr const char* kPid1Handle = "workload";
inline constexpr const char* kHeldHandle = "held";  // init, until begin()

class NativeInstance final : public dispatcher::Instance {
 public:
  // `channel`: the owner's ends, with plan.independent; otherwise it is the socket.
  NativeInstance(std::unique_ptr<const Plan> plan, Launched launched, IdMap ids, init::NamedChannel channel)
      : plan_(std::move(plan)), ids_(std::move(ids)), launched_(std::move(launched)), channel_(std::move(channel)) {
    const bool named = static_cast<bool>(channel_.to_init);
    talk_.open(named ? channel_.to_init.get() : launched_.socket.get(),
               named ? channel_.from_init.get() : launched_.socket.get());
  }
  ~NativeInstance() override { end(clock::Deadline::in_ms(kEndMs)); }

  Result<Fd> await_created(dispatcher::Patience& patience, dispatcher::Steps& steps) override {
    return await_setup(launched_, *plan_, patience, steps);
  }
  Result<> await_ready(dispatcher::Patience& patience) override;
  std::vector<bundle::IdMapping> uid_map() const override { return ids_.uids(); }
  Result<> start(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) override;
  Result<> prepare(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) override;
  Result<> signal(int number) override;
  void kill_all() override;
  int exit_fd() const override { return launched_.pidfd.get(); }
  void add_interest(std::vector<pollfd>& set) const override;
  Result<> serve(std::span<const pollfd> set) override;
  bool has_announced_end() const override;
  Result<std::unique_ptr<dispatcher::Task>> exec(const dispatcher::Job& job, dispatcher::Stdio streams) override;
  dispatcher::Account account() const override;
  bool has_begun() const override { return began_ && !not_started_; }
  dispatcher::LoggedCalls calls() const override { return log_ ? log_->calls() : dispatcher::LoggedCalls{}; }
  std::string handle() const override;
  bool leave() override;
  Result<dispatcher::Ending> reap() override;
  bool end(clock::Deadline deadline) override;

 private:
  Result<std::string> encode(const dispatcher::Job& job) const;
  Result<std::optional<init::Conversation::Heard>> await_start(bool as_pid_1, dispatcher::Patience& patience);
  void take_reports();
  dispatcher::Ending ending(int status);

  std::unique_ptr<const Plan> plan_;
  IdMap ids_;  // given back last: the ids are in use until PID 1 is gone
  Launched launched_;
  init::NamedChannel channel_;
  init::Conversation talk_;  // over its socket
  std::optional<SyscallLog> log_;
  std::optional<Error> not_started_;
  std::optional<init::Report> started_, final_report_;
  bool ready_ = false, began_ = false, reaped_ = false;
  bool is_workload_ = false;  // PID 1 has become it
  bool holds_ = false;        // PID 1 will, at begin()
};

}  // namespace bailey::native
