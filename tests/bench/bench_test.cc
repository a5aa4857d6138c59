#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "base/command.h"
#include "tests/support/require.h"

namespace bailey::tests {
namespace {

// Names of the table's rows, which are as long as the first column is wide.
std::set<std::string> rows_of(const std::string& table) {
  constexpr size_t kNameColumn = 14;
  std::set<std::string> names;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::string name = line.substr(0, kNameColumn);
    name.erase(name.find_last_not_of(' ') + 1);
    names.insert(name);
  }
  return names;
}

CommandOutcome run_bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--rounds", "1", "--gvisor-rounds", "1"});
  Command command;
  command.program = BAILEY_BENCH;
  command.arguments = std::move(arguments);
  command.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  command.timeout_ms = 300'000;
  const auto outcome = run_command(command);
  EXPECT_TRUE(outcome) << outcome.error().message;
  return outcome.value_or(CommandOutcome{});
}

TEST(Bench, RunsEveryPeerOnABusyboxRoot) {
  BAILEY_REQUIRE("root", "bwrap", "crun", "runc", "busybox", "strace");
  const CommandOutcome outcome = run_bench({"--busybox", find_program("busybox"), "--in-flight", "2"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::set<std::string> rows = rows_of(outcome.out);
  for (const char* name : {"fork+exec", "bwrap", "bailey native", "crun", "crun full", "runc", "runc full"})
    EXPECT_TRUE(rows.contains(name)) << name << " is not in\n" << outcome.out;
}

TEST(Bench, RunsGvisorBesideBareRunscOnTheHostsRoot) {
  BAILEY_REQUIRE("root", "runsc");
  const CommandOutcome outcome = run_bench({"--runsc", runsc_path()});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::set<std::string> rows = rows_of(outcome.out);
  for (const char* name : {"runsc run", "bailey gvisor"})
    EXPECT_TRUE(rows.contains(name)) << name << " is not in\n" << outcome.out;
}

}  // namespace
}  // namespace bailey::tests
