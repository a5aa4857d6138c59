// Everyday programs give in each backend what they give outside of any sandbox.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <ostream>
#include <sstream>

#include "base/command.h"
#include "base/files.h"
#include "everyday.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

namespace {

constexpr const char* kHome = "/home/user";
constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Case {
  App app;
  const char* runtime;
};
void PrintTo(const Case& value, std::ostream* stream) { *stream << value.app.script; }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* runtime : {"native", "gvisor"})
    for (const auto apps : {everyday_apps(), installed_apps()})
      for (const App& app : apps) all.push_back({app, runtime});
  return all;
}

std::string missing_program(const char* programs) {
  std::istringstream names(programs);
  for (std::string name; std::getline(names, name, ',');)
    if (find_program(name).empty()) return name;
  return "";
}

// In a directory of its own, with the environment that a sandbox has.
CommandOutcome run_outside(const App& app) {
  TempDir directory;
  Command command;
  command.program = "/bin/sh";
  command.arguments = {"-c", "cd \"$1\" && exec sh -c \"$2\"", "sh", directory.path(), app.script};
  command.environment = {std::string("PATH=") + kPath, "HOME=" + directory.path(), "LANG=C.UTF-8"};
  command.timeout_ms = 120'000;
  auto outcome = run_command(command);
  if (outcome) return *outcome;
  ADD_FAILURE() << outcome.error().message;
  return {};
}

std::vector<std::string> run_arguments(const char* runtime) {
  return {"run",
          "--trust",
          "trusted",
          "--runtime",
          runtime,
          "-e",
          std::string("PATH=") + kPath,
          "-e",
          std::string("HOME=") + kHome,
          "-e",
          "LANG=C.UTF-8"};
}

}  // namespace

class Everyday : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Apps, Everyday, testing::ValuesIn(cases()), [](const testing::TestParamInfo<Case>& value) {
  return std::string(value.param.app.name) + "_" + value.param.runtime;
});

TEST_P(Everyday, GivesTheSameAsOutside) {
  const auto& [app, runtime] = GetParam();
  if (std::string_view(runtime) == "gvisor") {
    BAILEY_REQUIRE("runsc");
  }
  if (const std::string program = missing_program(app.programs); !program.empty()) {
    BAILEY_REQUIRE(program);
  }
  const CommandOutcome outside = run_outside(app);
  ASSERT_EQ(outside.exit_code, app.exit_code) << "outside already:\n" << outside.out << outside.err;

  RunOptions options;
  options.arguments = run_arguments(runtime);
  options.arguments.insert(options.arguments.end(), {"-w", kHome, "--", "sh", "-c", app.script});
  const Outcome inside = run_bailey(std::move(options));
  EXPECT_EQ(inside.exit_code, outside.exit_code) << inside;
  EXPECT_EQ(inside.out, outside.out) << inside;
}

// What a caller gets who says nothing: the untrusted level, its memory, processes and CPUs. The language runtimes look at the
// machine and make threads and heaps to its measure.
class DefaultLevel : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Apps, DefaultLevel,
                         testing::Values("Java", "NodeWorkers", "PythonMultiprocessing", "GccThreads", "Make"),
                         [](const auto& value) { return std::string(value.param); });

TEST_P(DefaultLevel, IsEnough) {
  BAILEY_REQUIRE("root", "cgroup", "runsc");
  const auto app = std::ranges::find(everyday_apps(), std::string_view(GetParam()), &App::name);
  ASSERT_NE(app, everyday_apps().end());
  if (const std::string program = missing_program(app->programs); !program.empty()) {
    BAILEY_REQUIRE(program);
  }
  RunOptions options;
  options.arguments = {"run", "-w", kHome, "-e", std::string("HOME=") + kHome, "--", "sh", "-c", app->script};
  const Outcome inside = run_bailey(std::move(options));
  EXPECT_EQ(inside.exit_code, app->exit_code) << inside;
  EXPECT_EQ(inside.out, run_outside(*app).out) << inside;
}

// The closest thing to a container image that needs no download: one static program as the whole root, run as
// somebody else.
class StaticRoot : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Apps, StaticRoot, testing::Values("native", "gvisor"));

TEST_P(StaticRoot, BusyboxRunsAsAnotherUser) {
  BAILEY_REQUIRE("root", "busybox");
  if (std::string_view(GetParam()) == "gvisor") {
    BAILEY_REQUIRE("runsc");
  }
  TempDir root;
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  for (const char* name : {"/bin", "/tmp", "/proc", "/dev", "/etc", "/home", "/run"})
    ASSERT_EQ(::mkdir((root.path() + name).c_str(), 0755), 0);
  const auto busybox = files::read(find_program("busybox"), 16 << 20);
  ASSERT_TRUE(busybox);
  root.write("bin/busybox", *busybox, 0755);
  for (const char* name :
       {"sh", "id", "ls", "cat", "seq", "sort", "wc", "sleep", "timeout", "tar", "vi", "awk", "ps", "grep", "true"})
    ASSERT_EQ(::symlink("busybox", root.file(std::string("bin/") + name).c_str()), 0);
  RunOptions options;
  options.arguments = {"run",
                       "--trust",
                       "trusted",
                       "--runtime",
                       GetParam(),
                       "--rootfs",
                       root.path(),
                       "--user",
                       "1000:1001,1002",
                       "-w",
                       "/tmp",
                       "--",
                       "sh",
                       "-c",
                       "id -u; id -g; id -G; seq 100 | sort -n | wc -l; echo x >f; tar cf t f; tar tf t; "
                       "timeout 5 true; echo $?\n"
                       "echo y 2>/dev/null >/bin/new || echo read-only; awk 'BEGIN {print 6*7}'; exit 9"};
  const Outcome got = run_bailey(std::move(options));
  EXPECT_EQ(got.exit_code, 9) << got;
  EXPECT_EQ(got.out, "1000\n1001\n1001 1002\n100\nf\n0\nread-only\n42\n") << got;
}

}  // namespace bailey::tests
