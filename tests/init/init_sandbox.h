// The init program as PID 1 of fresh namespaces on this host's own files: no backend, only what init itself does.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "bundle/config.h"
#include "init/encode.h"

namespace bailey::tests {

struct InitOutcome {
  std::vector<init::Report> reports;  // in the order they came
  int exit_code = -1;                 // of init itself; -1 when a signal ended it
  int signal = 0;
  std::string out;  // the workload's stdout and stderr
  // The first report of this kind.
  std::optional<init::Report> find(init::ReportKind kind) const;
};

enum class Transport { socket, pipes, directory };

struct InitOptions {
  Transport transport = Transport::socket;
  std::string directory;             // of Transport::directory: it holds "job" already
  bool proc = false;                 // a /proc of the new pid namespace
  std::optional<int> terminal;       // becomes 0, 1 and 2
  std::vector<int> leak;             // descriptors that init inherits by mistake
  bool ignore_signals = false;       // started with CHLD, HUP, INT and PIPE ignored
};

// Starts init in new user, pid and mount namespaces. Root maps all ids, others their own to 0.
class InitSandbox {
 public:
  explicit InitSandbox(InitOptions options = {});
  InitSandbox(InitSandbox&&) = delete;
  ~InitSandbox();

  pid_t pid() const { return pid_; }
  int to_init() const { return to_init_.get(); }
  int from_init() const { return from_init_ ? from_init_.get() : to_init_.get(); }
  void send(const bundle::Process& process, init::UserChange change = init::UserChange::by_backend);
  void send_bytes(const std::string& job);
  // Blocks until init says that the workload runs (false: it said something else or ended).
  bool wait_started();
  // Reads the workload's output until it holds `text`.
  bool wait_for_output(const std::string& text);
  void hang_up();  // the dispatcher dies: its ends of the channel are closed
  InitOutcome finish();

 private:
  pid_t pid_ = -1;
  Fd to_init_, from_init_, output_;
  std::string directory_;
  InitOutcome outcome_;
};

// `argv` with a small environment in "/".
bundle::Process process_of(std::vector<std::string> argv);
bundle::Process shell(std::string script);
// Runs one job to its end.
InitOutcome run_init(const bundle::Process& process, InitOptions options = {}, init::UserChange change = init::UserChange::by_backend);

}  // namespace bailey::tests
