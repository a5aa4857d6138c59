// // A sandbox that another process has made and left (Lifetime::independent), for its new owner. It serves both backends; one
// that delivers signals in another way overrides signal().
#pragma once

#include "base/pidfd.h"
#include "dispatcher/backend.h"
#include "init/conversation.h"
#include "init/named_channel.h"

namespace bailey::init {

class AttachedInstance : public dispatcher::Instance {
 public:
  // held: PID 1 waits for begin(), and gets signals as any process does. held_in_sentry: likewise, under a runtime that keeps
  // the channel open itself, so that only what PID 1 says tells that its exec has come.
  enum class Phase { held, held_in_sentry, running };
  // `channel`: empty where PID 1 is the workload, or is reached in another way.
  AttachedInstance(Fd pidfd, NamedChannel channel, Phase phase = Phase::running);
  ~AttachedInstance() override { talk_.end(); }  // which does not end the sandbox

  Result<Fd> await_created(dispatcher::Patience&, dispatcher::Steps&) override { return Fd(); }
  Result<> start(const dispatcher::Job&, dispatcher::Patience&, dispatcher::Steps&) override;
  Result<> begin(dispatcher::Patience& patience) override;
  Result<> signal(int number) override;
  void kill_all() override;
  int exit_fd() const override { return pidfd_.get(); }
  dispatcher::Account account() const override;
  void add_interest(std::vector<pollfd>& set) const override { talk_.add_interest(set); }
  Result<> serve(std::span<const pollfd> set) override;
  bool has_announced_end() const override;
  // Error where init has sent no final report: only the parent of its first process knows the exit status then.
  Result<dispatcher::Ending> reap() override;
  bool end(clock::Deadline deadline) override;

 private:
  void take_reports();
  Fd pidfd_;
  NamedChannel channel_;
  Phase phase_;
  Conversation talk_;
  std::optional<Report> final_report_;
};

}  // namespace bailey::init
