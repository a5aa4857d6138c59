// The command line: one file per command, each with one add_* function that gives the command's own CLI11 App
// its options and fills Invocation. cli/ is the outermost room:
//
//   main.cc      first acts, the table of commands     options.h   run's flags -> Request
//   backends.h   the table of backends                 run.h       one run, for `run` and `seccomp trace`
//   run.cc doctor.cc policy.cc seccomp.cc network.cc gc.cc        version.h
//
// Only what the command line names is set up (WantedOptions): an App with all options costs a tenth of a native start.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace bailey::cli {

inline constexpr int kExitBailey = 125;  // Bailey failed or refused (docs/exit-codes.md)

// Which options to give to an App: those that occur in `arguments`, and never fewer. By default all, for help and for messages
// about faults.
class WantedOptions {
 public:
  WantedOptions() = default;
  explicit WantedOptions(const std::vector<std::string>& arguments);  // which outlive it
  // `names` as CLI11 takes them: "-v,--volume".
  bool operator()(std::string_view names) const;
  bool all() const { return all_; }  // for help, which may take its time

 private:
  bool all_ = true;
  std::vector<std::string_view> long_names_;  // "--memory" of "--memory=1G"
  std::string letters_;                       // of "-itv"
};

struct Invocation {
  WantedOptions wanted;              // by add_*
  std::function<int()> act;          // set by add_*; called once, after the options were parsed; returns the exit code
  std::vector<std::string> command;  // `run` and `seccomp trace`: what follows the options, "--" itself left out
  int64_t started_ns = 0;            // monotonic, read in the first line of main
};

void add_run(CLI::App& app, Invocation& invocation);
void add_doctor(CLI::App& app, Invocation& invocation);
void add_policy(CLI::App& app, Invocation& invocation);
void add_network(CLI::App& app, Invocation& invocation);
void add_gc(CLI::App& app, Invocation& invocation);
void add_seccomp(CLI::App& app, Invocation& invocation);

// Splits `run`'s arguments into its own options and the command: at "--", else at the first argument that is
// neither an option nor an option's value (as env(1) and docker do). `app` says which options take a value.
struct SplitArguments {
  std::vector<std::string> options, command;
};
SplitArguments split_command(const CLI::App& app, const std::vector<std::string>& arguments);

// "bailey: MESSAGE" and "  remedy: REMEDY" on stderr, control characters escaped. Returns the exit code that
// the fault stands for: 125, 126 or 127.
int report(const Error& error);
int exit_code(Fault fault);

}  // namespace bailey::cli
