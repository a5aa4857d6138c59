// A sandbox of a real backend, driven step by step by a loop that is not run's.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/admission.h"
#include "dispatcher/sandbox.h"
#include "tests/support/leaks.h"
#include "tests/support/temp_dir.h"

namespace bailey::tests {

// A further job, with our ends of its streams.
struct LiveTask {
  std::unique_ptr<dispatcher::Task> task;
  Fd in, out, err;
  std::string said, complained;  // what was read of out and err so far
  bool reads = true;             // out and err, while its sandbox is served
};

class LiveSandbox {
 public:
  // By the built-in policy, in the runtime directory of this user. `backend`: "native", "gvisor" or "gvisor-2022".
  // Audit and events go to `directory`, by default one of its own.
  explicit LiveSandbox(const std::string& backend, std::string directory = {});
  LiveSandbox(const LiveSandbox&) = delete;

  void create(dispatcher::Request request,
              dispatcher::StreamOptions streams = {.output = dispatcher::StreamOptions::Output::capture});
  // Its plan alone; or why its backend refuses it.
  Result<> plan(dispatcher::Request request);
  void await_ready();
  dispatcher::Admission::JobDecision judge(const dispatcher::JobRequest& wish) const;
  void start(const dispatcher::Job& job);
  void start_own() { start(*own_job_); }  // the job that came with its request
  // Serves it until it has ended, or for so long; whether it has ended.
  bool serve(int64_t ms = 120'000);
  // The same until `done`; whether it was.
  bool serve_until(const std::function<bool()>& done, int64_t ms = 120'000);
  std::unique_ptr<LiveTask> exec(const dispatcher::JobRequest& wish);
  bool serve_until_ended(LiveTask& task);  // and all that it wrote was read
  dispatcher::Record finish();

  dispatcher::Sandbox& sandbox() { return *sandbox_; }
  uint64_t captured() const { return sandbox_->output_bytes(); }  // so far
  int times_ready() const { return times_ready_; }
  std::string events() const { return read_file(directory_ + "/events"); }

 private:
  void read_tasks();
  std::optional<TempDir> own_directory_;
  std::string directory_;
  dispatcher::Policy policy_;
  std::unique_ptr<dispatcher::Backend> backend_;
  std::unique_ptr<dispatcher::StateStore> store_;
  dispatcher::Audit audit_;
  dispatcher::Events events_;
  std::shared_ptr<const dispatcher::Spec> spec_;
  std::optional<dispatcher::Job> own_job_;
  std::unique_ptr<dispatcher::Sandbox> sandbox_;
  std::vector<LiveTask*> tasks_;
  Result<> lived_;
  int times_ready_ = 0;
};

std::unique_ptr<dispatcher::Backend> make_real_backend(const std::string& name);

// A request that waits for its jobs, for a backend by that name.
dispatcher::Request waiting_request(const std::string& backend);

// Once for each backend.
class OnEachBackend : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override;
  void TearDown() override;
  bool gvisor() const { return std::string_view(GetParam()) != "native"; }

 private:
  std::unique_ptr<LeakCheck> leaks_;
};
// For INSTANTIATE_TEST_SUITE_P.
std::string name_of_backend(const testing::TestParamInfo<const char*>& backend);

}  // namespace bailey::tests
