// A backend that isolates nothing: a plain fork and exec, for tests that are about the domain alone. Its processes are in the
// sandbox's cgroup.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/files.h"
#include "dispatcher/backend.h"

namespace bailey::dispatcher {

// A process group in place of a sandbox. It waits for its job on a pipe.
class PlainInstance : public Instance {
 public:
  PlainInstance(pid_t pid, Fd pidfd, Fd gate) : pid_(pid), pidfd_(std::move(pidfd)), gate_(std::move(gate)) {}
  ~PlainInstance() override { end({}); }
  bool is_never_ready = false, does_not_end = false;
  bool end(clock::Deadline) override {
    if (does_not_end) return false;
    if (pid_ <= 0) return true;
    kill_all();
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
    return true;
  }
  Result<> start(const Job& job, Patience&, Steps& steps) override {
    steps.push_back({"gate", 0});
    std::string words;
    for (const std::string& argument : job.process().args) words.append(argument).append(1, '\0');
    TRY(files::write_fd(gate_.get(), words, "the gate"));
    gate_.reset();
    return {};
  }
  Result<Fd> await_created(Patience& patience, Steps&) override {
    pollfd never{never_.read.get(), POLLIN, 0};
    if (is_never_ready) TRY(patience.until_ready({&never, 1}));
    return Fd();
  }
  Result<> signal(int number) override {
    ::kill(pid_, number);
    return {};
  }
  void kill_all() override {
    if (does_not_end) return;
    ::kill(pid_, SIGKILL);  // it may not lead its group yet
    ::kill(-pid_, SIGKILL);
  }
  int exit_fd() const override { return pidfd_.get(); }
  Result<Ending> reap() override {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    ::kill(-pid_, SIGKILL);
    pid_ = 0;
    if (WIFSIGNALED(status)) return Ending{Ending::Kind::signaled, WTERMSIG(status), {}};
    if (WEXITSTATUS(status) == 127)
      return Ending{Ending::Kind::not_started, 0,
                    Error{.message = "no such command", .remedy = {}, .fault = Fault::not_found, .sys = 0, .step = {}}};
    return Ending{Ending::Kind::exited, WEXITSTATUS(status), {}};
  }

 private:
  pid_t pid_;
  Fd pidfd_, gate_;
  Pipe never_ = create_pipe().value();
};

// Switches for what a backend may do wrong.
struct PlainBehaviour {
  bool refuses_to_begin = false, refuses_to_create = false, is_never_ready = false, does_not_end = false;
  pid_t made = -1;
  std::function<void()> on_create = [] {};
};

class PlainPlan : public SandboxPlan {
 public:
  PlainPlan(std::shared_ptr<const Spec> spec, PlainBehaviour& behaviour) : spec_(std::move(spec)), behaviour_(behaviour) {}
  FilterAbout filter() const override { return {"narrowed", "f00d", {}}; }
  bundle::Resources resources() const override { return spec_->config().linux.resources; }
  Result<json::Value> explain() const override { return json::Value(); }
  Result<> begin(const Leases&, Steps&) override {
    if (behaviour_.refuses_to_begin) return fail(Fault::unavailable, "will not", "ask another one");
    return {};
  }
  Result<std::unique_ptr<Instance>> create(Leases& leases, Stdio stdio, Steps& steps) override {
    if (behaviour_.refuses_to_create) return fail(Fault::unavailable, "will not", "ask another one");
    behaviour_.on_create();
    Pipe gate = create_pipe().value();
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setsid();
      sigset_t none;
      sigemptyset(&none);
      ::sigprocmask(SIG_SETMASK, &none, nullptr);
      gate.write.reset();
      std::string words = files::read_fd(gate.read.get(), 1 << 20, "the gate").value();
      if (words.empty()) ::_exit(0);
      ::dup2(stdio.in.get(), 0);
      ::dup2(stdio.out.get(), 1);
      ::dup2(stdio.err.get(), 2);
      std::vector<char*> argv;
      for (size_t at = 0; at < words.size(); at = words.find('\0', at) + 1) argv.push_back(words.data() + at);
      argv.push_back(nullptr);
      ::execvp(argv[0], argv.data());
      ::_exit(127);
    }
    if (auto attached = leases.cgroup.attach(pid); !attached) return std::unexpected(attached.error());
    steps.push_back({"fork", 1});
    Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    auto instance = std::make_unique<PlainInstance>(pid, std::move(pidfd), std::move(gate.write));
    instance->is_never_ready = behaviour_.is_never_ready;
    instance->does_not_end = behaviour_.does_not_end;
    behaviour_.made = pid;
    return instance;
  }

 private:
  std::shared_ptr<const Spec> spec_;
  PlainBehaviour& behaviour_;
};

class PlainBackend : public Backend, public PlainBehaviour {
 public:
  BackendKind kind() const override { return BackendKind::native; }
  Result<About> about() override { return About{.name = "plain", .version = "1", .platform = ""}; }
  Result<std::unique_ptr<Instance>> attach(const std::string&, Fd, int) override {
    return fail(Fault::unavailable, "nobody can attach to it");
  }
  Result<std::unique_ptr<SandboxPlan>> plan(std::shared_ptr<const Spec> spec) override {
    return std::make_unique<PlainPlan>(std::move(spec), *this);
  }
};

}  // namespace bailey::dispatcher
