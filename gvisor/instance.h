// One sandbox under gVisor, from the launch to the last process. See backend.h for the states.
#pragma once

#include <optional>
#include <string>

#include "base/pidfd.h"
#include "dispatcher/backend.h"
#include "gvisor/launch.h"
#include "init/conversation.h"

namespace bailey::gvisor {

// How init passes on what the workload writes (init/relay.h): not at all, or from two pipes or one.
enum class OutputPipes { none, apart, merged };

class SandboxInstance final : public dispatcher::Instance {
 public:
  SandboxInstance(Plan plan, OutputPipes relay, Launched launched);
  ~SandboxInstance() override { end(clock::Deadline::in_ms(kEndMs)); }

  Result<Fd> await_created(dispatcher::Patience& patience, dispatcher::Steps& steps) override;
  Result<> start(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) override {
    return start_process(job.process(), job.as_pid_1(), patience, steps);
  }
  Result<> start_process(bundle::Process process, bool as_pid_1, dispatcher::Patience& patience, dispatcher::Steps& steps);
  Result<> prepare(const dispatcher::Job& job, dispatcher::Patience& patience, dispatcher::Steps& steps) override;
  // Through init's channel. By `runsc kill` where there is none or the workload is PID 1, tried again while runsc does not know
  // the sandbox yet.
  Result<> signal(int number) override;
  void kill_all() override;
  int exit_fd() const override { return launched_.pidfd.get(); }
  bool has_booted() const override { return true; }
  bool has_begun() const override { return last_ && last_->kind != init::ReportKind::failed; }
  dispatcher::Account account() const override;
  void add_interest(std::vector<pollfd>& set) const override { talk_.add_interest(set); }
  Result<> serve(std::span<const pollfd> set) override;
  bool has_announced_end() const override { return has_end(); }
  Result<std::unique_ptr<dispatcher::Task>> exec(const dispatcher::Job& job, dispatcher::Stdio streams) override;
  std::string handle() const override;
  bool leave() override;
  Result<dispatcher::Ending> reap() override;
  bool end(clock::Deadline deadline) override;

 private:
  Result<> send_job(std::string job);
  // Waits for init's next report, or until the sandbox has ended: then there is none.
  Result<> await_report(dispatcher::Patience& patience);
  Result<> await_channel_report(dispatcher::Patience& patience);
  Error boot_failure();
  // Takes what init has said into last_, up to the end: every writer is gone.
  Result<> hear_all();
  void take_reports();
  Result<> hear_channel();
  bool has_end() const;

  Plan plan_;
  OutputPipes relay_;
  bundle::Process process_;  // what init was to run, for messages
  Launched launched_;
  init::Conversation talk_;  // over its pipes; with a channel directory there is none
  std::optional<init::Report> last_;
  size_t channel_reports_ = 0;  // heard from the channel directory
  bool is_workload_ = false;    // init has become it, or has failed to
  bool holds_ = false;          // init will, at begin()
  bool killed_ = false;
  bool reaped_ = false;
};

// What runsc's own end means when init has not reported the workload's. `words`: runsc's own about it (private_root.h). Pure.
struct RunscEnd {
  ExitStatus status;
  bool killed_by_us = false;
  bool workload_started = false;
  bool of_workload = false;  // the workload was PID 1: without words the code is its own, 128 + N for a signal
  std::string words;
};
dispatcher::Ending judge_runsc_end(const RunscEnd& end);

}  // namespace bailey::gvisor
