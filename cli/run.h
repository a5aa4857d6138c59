// One run as a command performs it, for the commands that are one: `run` and `seccomp trace`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/options.h"
#include "dispatcher/record.h"

namespace bailey::cli {

struct RunFlags {
  RequestFlags request;
  std::vector<std::string> given;  // of the request flags
  std::optional<std::string> document, policy, result, events;
  bool attach_stdin = false, json = false, explain = false;
  int stdout_to = 1;  // where the command's output goes
  std::string log_level = "warning";
};

// Does all of it, messages on stderr included, and returns the exit code; or what `afterwards` makes of it, which sees the
// record, refusals too.
using AfterRun = std::function<int(const dispatcher::Record& record, int exit_code)>;
int perform_run(const RunFlags& flags, Invocation& invocation, const AfterRun& afterwards = {});

}  // namespace bailey::cli
