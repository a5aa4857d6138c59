// The init program as PID 1, without a backend: either in fresh namespaces on this host's own files, or in a
// runsc container that sees the host's /usr and /tmp. What a test sees in both is what both backends may rely
// on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "bundle/config.h"
#include "init/encode.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

struct InitOutcome {
  bool was_ready = false;             // Report{ready} came, and came first
  std::vector<init::Report> reports;  // the others, in the order they came
  int exit_code = -1;                 // of init itself; -1 when a signal ended it
  int signal = 0;
  std::string out;  // the workload's stdout and stderr
  // The first report of this kind.
  std::optional<init::Report> find(init::ReportKind kind) const;
};

enum class Transport { socket, pipes, directory };

struct InitOptions {
  Transport transport = Transport::socket;
  std::string runsc = {};     // this program makes the sandbox; empty: namespaces
  std::string platform = {};  // of runsc; empty: its default
  // Only in namespaces:
  bool proc = false;                 // a /proc of the new pid namespace
  std::optional<int> terminal = {};  // becomes 0, 1 and 2
  std::vector<int> leak = {};        // descriptors that init inherits by mistake
  bool ignore_signals = false;       // started with CHLD, HUP, INT and PIPE ignored
  std::string root = {};             // chroot without chdir, as a broken launcher would
};

// Namespaces are user, pid and mount; root maps all ids, others their own to 0.
class InitSandbox {
 public:
  explicit InitSandbox(InitOptions options = {});
  InitSandbox(InitSandbox&&) = delete;
  ~InitSandbox();

  pid_t pid() const { return pid_; }  // of init in namespaces, of runsc otherwise
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
  void keep(const init::Report& report);
  pid_t pid_ = -1;
  void start(Fd in, Fd out);
  void start_in_namespaces(int in, int out, int output);
  void start_in_runsc(int in, int out, int output);

  InitOptions options_;
  TempDir directory_;  // job and report of Transport::directory, bundle and state of runsc
  Fd to_init_, from_init_, output_;
  InitOutcome outcome_;
};

// `argv` with a small environment in "/".
bundle::Process process_of(std::vector<std::string> argv);
bundle::Process shell(std::string script);
// Runs one job to its end.
InitOutcome run_init(const bundle::Process& process, InitOptions options = {},
                     init::UserChange change = init::UserChange::by_backend);

}  // namespace bailey::tests
