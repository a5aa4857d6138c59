// ps: the host's processes that are the container's.
#include <algorithm>
#include <sstream>

#include "base/command.h"
#include "base/files.h"
#include "base/json.h"
#include "host/cgroup/cgroup.h"
#include "oci/commands.h"
#include "oci/containers.h"

namespace bailey::oci {

namespace {

// The heading of ps(1) and the lines whose PID is one of these.
Result<std::string> table(const std::vector<int>& pids, std::vector<std::string> arguments) {
  if (arguments.empty()) arguments = {"-ef"};
  const CommandOutcome ps = TRY(run_command({.program = "/bin/ps", .arguments = std::move(arguments), .environment = {}}));
  if (ps.exit_code != 0) return fail(Fault::failed, "ps ended with " + std::to_string(ps.exit_code) + ": " + ps.err);
  std::istringstream lines(ps.out);
  std::string heading, text;
  std::getline(lines, heading);
  std::istringstream words(heading);
  int column = -1, at = 0;
  for (std::string word; words >> word; ++at)
    if (word == "PID") column = at;
  if (column < 0) return fail(Fault::bad_input, "ps prints no column PID with these options");
  text = heading + "\n";
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i <= column; ++i) fields >> field;
    if (std::ranges::any_of(pids, [&](int pid) { return std::to_string(pid) == field; })) text += line + "\n";
  }
  return text;
}

}  // namespace

Result<int> ps(const Call& call, const Runtime&) {
  const std::string format = call.format.value_or("table");
  if (format != "table" && format != "json")
    return fail(Fault::bad_input, "invalid format option: '" + format + "'", "table or json");
  const dispatcher::StateStore store = TRY(open_store(call));
  const Container container = TRY(find(store, call.id));
  std::vector<int> pids;
  // The processes in a sandbox of gVisor's are none of the host's, and gVisor's own are no business of a client.
  if (container.record.backend == "gvisor") {
    if (container.first_process) pids.push_back(container.pid());
  } else {
    pids = TRY(host::processes_of(container.record.cgroups));
  }
  std::string text;
  if (format == "json") text = json::write(json::Array(pids.begin(), pids.end())) + "\n";
  else text = TRY(table(pids, call.words));
  TRY(files::write_fd(1, text, "stdout"));
  return 0;
}

}  // namespace bailey::oci
