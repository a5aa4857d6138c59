// The binary itself: commands, messages, descriptors, documents.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <numeric>
#include <string>

#include "base/files.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {
namespace {

using Arguments = std::vector<std::string>;

Outcome run_trusted(const Arguments& flags, const Arguments& command) {
  RunOptions wish{.arguments = {"run", "--trust", "trusted"}};
  wish.arguments.insert(wish.arguments.end(), flags.begin(), flags.end());
  wish.arguments.push_back("--");
  wish.arguments.insert(wish.arguments.end(), command.begin(), command.end());
  return run_bailey(std::move(wish));
}

TEST(Program, TellsItsVersionAndItsCommands) {
  const Outcome version = run_bailey({.arguments = {"--version"}});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out.substr(0, 7), "bailey ");
  const Outcome help = run_bailey({.arguments = {"--help"}});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* command : {"run", "doctor", "policy", "gc"}) EXPECT_NE(help.out.find(command), std::string::npos);
  EXPECT_EQ(run_bailey({.arguments = {"run", "--help"}}).exit_code, 0);
}

TEST(Program, AnswersBadUseByOneMessageARemedyAnd125) {
  const Arguments table[] = {{},         {"rum"},      {"run", "--bogus", "x"}, {"run", "--memory"}, {"gc", "extra"},
                             {"policy"}, {"run", "-t"}};
  for (const Arguments& arguments : table) {
    const Outcome got = run_bailey({.arguments = arguments});
    EXPECT_EQ(got.exit_code, 125) << got;
    if (arguments.empty()) continue;  // the usage, on stdout
    EXPECT_EQ(got.out, "") << got;
    EXPECT_EQ(got.err.substr(0, 8), "bailey: ") << got;
    EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
  }
}

TEST(Program, EscapesControlCharactersInItsMessages) {
  const Outcome got = run_bailey({.arguments = {"run", "--trust", "evil\x1b[2J", "--", "id"}});
  EXPECT_EQ(got.exit_code, 125);
  EXPECT_EQ(got.err.find('\x1b'), std::string::npos) << got;
  EXPECT_NE(got.err.find("\\x1b"), std::string::npos) << got;
}

TEST(Program, TakesARequestFromOneDoorOnly) {
  const TempDir directory;
  const std::string document =
      directory.write("r.json", R"({"trust": "trusted", "config": {"process": {"args": ["/bin/echo", "hi"], "cwd": "/"}}})");
  for (const Arguments& more :
       {Arguments{"--memory", "1G"}, {"-v", "/srv:/srv"}, {"--trust", "trusted"}, {"-t"}, {"--name", "x"}, {"--", "id"}}) {
    Arguments arguments{"run", "--request", document};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome got = run_bailey({.arguments = arguments});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find("--request"), std::string::npos) << got;
  }
}

TEST(Program, AddsUpTheStepsOfAStart) {
  BAILEY_REQUIRE("root", "cgroup");
  const LeakCheck leaks;
  Outcome got = run_bailey({.arguments = {"run", "--trust", "trusted", "--", "/bin/true"}, .record = true});
  ASSERT_EQ(got.exit_code, 0) << got;
  const json::Value* steps = got.find("steps");
  ASSERT_TRUE(steps && steps->as<json::Array>()) << got;
  int64_t sum = 0;
  for (const json::Value& step : *steps->as<json::Array>()) {
    const json::Value* ns = step.as<json::Object>()->find("ns");
    ASSERT_TRUE(ns) << got;
    const int64_t value = std::stoll(json::write(*ns));
    EXPECT_GE(value, 0) << got;
    sum += value;
  }
  EXPECT_EQ(sum, got.number("setup_ns")) << got;
}

TEST(Program, LeavesTheCallersSocketsAndPipesBlocking) {
  BAILEY_REQUIRE("root", "cgroup");
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const Fd ours(pair[0]), theirs(pair[1]);
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "-i", "--", "sh", "-c", "cat; echo err >&2"}};
  wish.input = "through\n";
  wish.pass = {{theirs.get(), 9}};
  wish.before_exec = [] { ::dup2(9, 1); };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  char text[64] = {};
  EXPECT_EQ(::recv(ours.get(), text, sizeof text, MSG_DONTWAIT), 8);
  EXPECT_STREQ(text, "through\n");
  EXPECT_EQ(::fcntl(theirs.get(), F_GETFL) & O_NONBLOCK, 0);
}

TEST(Program, SaysWhenOutputWasLostToAFullDisk) {
  BAILEY_REQUIRE("root", "cgroup");
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "--", "sh", "-c", "trap '' PIPE; echo x; sleep 0.3; exit 0"},
                  .record = true};
  wish.before_exec = [] { ::dup2(::open("/dev/full", O_WRONLY), 1); };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("No space left"), std::string::npos) << got;
  const json::Value* truncated = got.find("output_truncated");
  ASSERT_TRUE(truncated) << got;
  EXPECT_EQ(json::write(*truncated), "true");
}

TEST(Program, SaysWhenAFileMayNotGrow) {
  BAILEY_REQUIRE("root", "cgroup");
  const TempDir directory;
  static const std::string path = directory.file("output");
  RunOptions wish{
      .arguments = {"run", "--trust", "trusted", "--", "sh", "-c", "trap '' PIPE; head -c 3000000 /dev/zero; exit 3"},
      .record = true};
  wish.before_exec = [] {
    const rlimit small{1 << 20, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &small);
    ::dup2(::open(path.c_str(), O_WRONLY | O_CREAT, 0600), 1);
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.number("exit_code"), 3) << got;
  EXPECT_EQ(got.text("error.errno"), "EFBIG") << got;
  EXPECT_EQ(read_file(path).size(), 1U << 20);
}

// Every command prints its answer or fails.
TEST(Program, NeverSucceedsWithoutHavingPrinted) {
  BAILEY_REQUIRE("root", "cgroup");
  const TempDir directory;
  const std::string policy = directory.write("policy.json", "{}");
  const Arguments table[] = {{"--version"},
                             {"--help"},
                             {"run", "--help"},
                             {"policy", "show"},
                             {"policy", "check", policy},
                             {"seccomp", "show"},
                             {"doctor"},
                             {"doctor", "--json"},
                             {"run", "--trust", "trusted", "--explain", "--", "true"},
                             {"run", "--trust", "trusted", "--explain", "--json", "--", "true"},
                             {"run", "--trust", "trusted", "--json", "--", "true"},
                             {"run", "--trust", "trusted", "--result", "/dev/full", "--", "true"},
                             {"run", "--trust", "trusted", "--events", "/dev/full", "--", "true"}};
  for (const Arguments& arguments : table) {
    for (const bool closed : {false, true}) {
      RunOptions wish{.arguments = arguments};
      if (closed) wish.closed = {1};
      else wish.before_exec = [] { ::dup2(::open("/dev/full", O_WRONLY), 1); };
      const Outcome got = run_bailey(std::move(wish));
      EXPECT_EQ(got.exit_code, 125) << got << arguments.front() << (closed ? " with stdout closed" : "");
      if (!closed) {
        EXPECT_NE(got.err.find("No space left"), std::string::npos) << got;
      }
    }
  }
}

TEST(Program, TellsInTheRecordThatEventsOrTheDocumentWereLost) {
  BAILEY_REQUIRE("root", "cgroup");
  for (const Arguments& flags : {Arguments{"--events", "/dev/full"}, Arguments{"--json"}}) {
    RunOptions wish{.arguments = {"run", "--trust", "trusted"}, .record = true};
    wish.arguments.insert(wish.arguments.end(), flags.begin(), flags.end());
    wish.arguments.insert(wish.arguments.end(), {"--", "true"});
    wish.before_exec = [] { ::dup2(::open("/dev/full", O_WRONLY), 1); };
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.text("verdict"), "exited") << got;
    EXPECT_EQ(got.number("exit_code"), 0) << got;
    EXPECT_EQ(got.number("bailey_exit_code"), 125) << got;
    EXPECT_EQ(got.text("error.errno"), "ENOSPC") << got;
  }
}

TEST(Program, LeavesTheExitCodeToTheCommandWhenAReaderOfEventsIsGone) {
  BAILEY_REQUIRE("root", "cgroup");
  Pipe pipe = create_pipe().value();
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "--events", "fd:9", "--", "sh", "-c", "exit 3"}};
  wish.pass = {{pipe.write.get(), 9}};
  pipe.read.reset();
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 3) << got;
  EXPECT_NE(got.err.find("--events"), std::string::npos) << got;
}

TEST(Program, PrintsALongRecordToAReaderThatWantsNonblockingPipes) {
  BAILEY_REQUIRE("root", "cgroup");
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "--json", "--", "sh", "-c", "yes | head -c 3000000"}};
  wish.before_exec = [] { ::fcntl(1, F_SETFL, O_NONBLOCK); };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got.err;
  const auto record = json::parse(got.out, "--json");
  ASSERT_TRUE(record) << got.out.size() << ": " << record.error().message;
  EXPECT_EQ(record->as<json::Object>()->find("stdout")->as<std::string>()->size(), 3'000'000U);
}

TEST(Program, GivesWithholdsAndReportsByNamedDescriptors) {
  BAILEY_REQUIRE("root", "cgroup");
  const TempDir directory;
  const Fd env = files::open(directory.write("env", "FROM_FD=yes\n"), O_RDONLY).value();
  const Fd result = files::open(directory.file("result"), O_RDWR | O_CREAT, 0600).value();
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "--env-file", "fd:7", "--result", "fd:8", "--", "sh", "-c",
                                "echo $FROM_FD; ls /proc/self/fd | tr '\\n' ' '"}};
  wish.pass = {{env.get(), 7}, {result.get(), 8}};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "yes\n0 1 2 3 ") << "3 is ls's own, of the directory";
  EXPECT_NE(read_file(directory.file("result")).find("\"verdict\":\"exited\""), std::string::npos);
}

TEST(Program, LearnsHowItsCommandEndedThoughItsCallerIgnoresThat) {
  BAILEY_REQUIRE("root", "cgroup");
  RunOptions wish{.arguments = {"run", "--trust", "trusted", "--", "sh", "-c", "exit 5"}};
  wish.before_exec = [] {
    for (const int number : {SIGCHLD, SIGPIPE, SIGUSR1}) ::signal(number, SIG_IGN);
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
  };
  EXPECT_EQ(run_bailey(wish).exit_code, 5);
  wish.arguments = {"run", "--trust", "trusted", "--", "grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"};
  EXPECT_EQ(run_bailey(wish).out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(Program, StartsNothingWithoutItsAudit) {
  BAILEY_REQUIRE("root", "cgroup");
  const LeakCheck leaks;
  const TempDir directory;
  const std::string policy = directory.write("policy.json", "{\"audit_file\": \"" + directory.file("none/audit") + "\"}", 0600);
  const Outcome got = run_trusted({"--policy", policy}, {"/bin/echo", "STARTED"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.out, "");
  EXPECT_NE(got.err.find(directory.file("none/audit")), std::string::npos) << got;
}

}  // namespace
}  // namespace bailey::tests
