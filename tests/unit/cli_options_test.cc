// run's flags, from the words of a command line to a Request, errors included.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/files.h"
#include "cli/command_line.h"
#include "cli/options.h"
#include "dispatcher/limits.h"
#include "tests/support/run_bailey.h"

namespace bailey::cli {
namespace {

using Words = std::vector<std::string>;

Result<dispatcher::Request> parse(const Words& words, Words* given = nullptr) {
  OptionTable table;
  RequestFlags flags;
  bool interactive = false;
  table.flag("-i,--interactive", interactive, "");
  add_request_flags(table, flags);
  table.ends_at_command();
  auto parsed = TRY(table.parse(words));
  if (given) *given = given_request_flags(table);
  return make_request(flags, std::move(parsed.command));
}

std::string refusal_of(const Words& words) {
  const auto request = parse(words);
  if (request) return "accepted";
  EXPECT_EQ(request.error().fault, Fault::bad_input);
  return request.error().message;
}

const bundle::Process& process_of(const Result<dispatcher::Request>& request) { return *request.value().config.process; }

TEST(Options, TellTheirDefaultsInTheHelp) {
  OptionTable table;
  RequestFlags flags;
  add_request_flags(table, flags);
  for (const OptionTable::Option& option : table.options()) {
    const std::string help = std::string(option.help) + (option.more_help ? option.more_help() : "");
    EXPECT_NE(help.find("default"), std::string::npos) << option.name;
    if (option.name == "memory") {
      EXPECT_NE(help.find("untrusted 1G, at most 4G; trusted "), std::string::npos) << help;
    }
  }
}

TEST(Options, EndAtTheCommand) {
  const std::pair<Words, Words> table[] = {
      {{"--", "id"}, {"id"}},
      {{"id", "--trust", "x"}, {"id", "--trust", "x"}},
      {{"--trust", "trusted", "run", "gc"}, {"run", "gc"}},
      {{"--trust=trusted", "gcc", "--version"}, {"gcc", "--version"}},
      {{"-it", "sh", "-c", "x"}, {"sh", "-c", "x"}},
      {{"-ite", "A=b", "sh"}, {"sh"}},
      {{"-v/usr:/x", "sh"}, {"sh"}},
      {{"-v", "/usr:/x", "-v", "/usr:/y", "sh"}, {"sh"}},
      {{"-i", "--", "--", "x"}, {"--", "x"}},
      {{"--", "-x"}, {"-x"}},
      {{"-"}, {"-"}},
      {{""}, {""}},
      {{"--writable", "", "b c", "\n", "\xff"}, {"", "b c", "\n", "\xff"}},
  };
  for (const auto& [words, command] : table) {
    const auto request = parse(words);
    ASSERT_TRUE(request) << words.front() << ": " << request.error().message;
    EXPECT_EQ(process_of(request).args, command) << words.front();
  }
}

TEST(Options, BecomeTheRequest) {
  ::setenv("BAILEY_TEST_OWN", "mine", 1);
  const auto parsed = parse({"--trust",
                             "trusted",
                             "--runtime",
                             "gvisor",
                             "--net",
                             "host",
                             "--allow-host-network",
                             "--unsafe-native",
                             "--rootfs",
                             "/srv/root",
                             "--writable",
                             "-v",
                             "/data:/in:ro",
                             "-v",
                             "/out:/out",
                             "-w",
                             "/work",
                             "-e",
                             "A=1",
                             "-e",
                             "BAILEY_TEST_OWN",
                             "-e",
                             "A=2",
                             "-e",
                             "E=",
                             "-u",
                             "10:20,30,40",
                             "--umask",
                             "027",
                             "--hostname",
                             "h",
                             "-t",
                             "--name",
                             "n1",
                             "--platform",
                             "systrap",
                             "--runsc",
                             "/opt/runsc",
                             "--secret",
                             "db=/s/db:/x:0440:7",
                             "cmd"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  const dispatcher::Request& request = *parsed;
  EXPECT_EQ(request.trust, "trusted");
  EXPECT_EQ(request.runtime, dispatcher::BackendKind::gvisor);
  EXPECT_EQ(request.network, dispatcher::NetworkMode::host);
  EXPECT_TRUE(request.unsafe_opt_ins.host_network);
  EXPECT_TRUE(request.unsafe_opt_ins.native_for_untrusted);
  EXPECT_EQ(request.config.root->path, "/srv/root");
  EXPECT_EQ(request.root_writes, dispatcher::Writes::memory);
  ASSERT_EQ(request.config.mounts.size(), 2U);
  EXPECT_EQ(request.config.mounts[0].options, (Words{"rbind", "ro"}));
  EXPECT_EQ(request.config.mounts[1].options, (Words{"rbind", "rw"}));
  const bundle::Process& process = *request.config.process;
  EXPECT_EQ(process.cwd, "/work");
  EXPECT_EQ(Words(process.env.begin(), process.env.begin() + 3), (Words{"A=2", "BAILEY_TEST_OWN=mine", "E="}));
  EXPECT_EQ(process.user.uid, 10U);
  EXPECT_EQ(process.user.gid, 20U);
  EXPECT_EQ(process.user.additional_gids, (std::vector<uint32_t>{30, 40}));
  EXPECT_EQ(process.user.umask, 027U);
  EXPECT_TRUE(process.terminal);
  EXPECT_EQ(request.id, "n1");
  EXPECT_EQ(request.backend_settings, (dispatcher::BackendSettings{{"platform", "systrap"}, {"runsc", "/opt/runsc"}}));
  ASSERT_EQ(request.secrets.size(), 1U);
  EXPECT_EQ(request.secrets[0].destination, "/x");
  EXPECT_EQ(request.secrets[0].mode, 0440U);
  EXPECT_EQ(request.secrets[0].uid, 7U);
}

TEST(Options, SayNothingWhereTheUserSaidNothing) {
  dispatcher::Request fresh;
  fresh.config.process.emplace();
  fresh.config.process->args = {"id"};
  EXPECT_EQ(parse({"id"}).value(), fresh);
}

TEST(Options, MakeRelativeSourcesAbsolute) {
  const tests::TempDir directory;
  const Fd before = Fd(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(::chdir(directory.path().c_str()), 0);
  const auto request = parse({"-v", "sub:/x", "-v", ".:/y", "--secret", "s=file", "--rootfs", "root", "id"});
  ASSERT_EQ(::fchdir(before.get()), 0);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->config.mounts[0].source, directory.file("sub"));
  EXPECT_EQ(request->config.mounts[1].source, directory.path());
  EXPECT_EQ(request->secrets[0].file, directory.file("file"));
  EXPECT_EQ(request->config.root->path, directory.file("root"));
}

TEST(Options, AskForEveryLimitOfTheTable) {
  for (const dispatcher::Limit& limit : dispatcher::limits()) {
    const std::string value = dispatcher::format_limit(limit, std::max<uint64_t>(limit.least, 128));
    const auto request = parse({std::string(limit.flag), value, "id"});
    ASSERT_TRUE(request) << limit.flag << ": " << request.error().message;
    EXPECT_EQ(limit.asked(*request), dispatcher::parse_limit(limit, value).value()) << limit.flag;
    EXPECT_NE(refusal_of({std::string(limit.flag), "many", "id"}).find(limit.flag), std::string::npos);
  }
}

TEST(Options, ReadEnvironmentFiles) {
  const tests::TempDir directory;
  ::setenv("BAILEY_TEST_OWN", "mine", 1);
  const std::string lines = directory.write("lines", "# comment\nA=1\n\nB=with = and # inside \nBAILEY_TEST_OWN\nLAST=x");
  const auto by_line = parse({"--env-file", lines, "-e", "A=flag", "id"});
  ASSERT_TRUE(by_line) << by_line.error().message;
  EXPECT_EQ(process_of(by_line).env, (Words{"A=flag", "B=with = and # inside ", "BAILEY_TEST_OWN=mine", "LAST=x"}));

  const Fd nul = files::open(directory.write("nul", std::string("A=two\nlines\0#=hash\0C=\0", 22)), O_RDONLY).value();
  const auto by_nul = parse({"--env-file", "fd:" + std::to_string(nul.get()), "id"});
  ASSERT_TRUE(by_nul) << by_nul.error().message;
  EXPECT_EQ(process_of(by_nul).env, (Words{"A=two\nlines", "#=hash", "C="}));
}

TEST(Options, PassTheTerminalTypeOnWithATerminalOnly) {
  ::setenv("TERM", "dumb-7", 1);
  EXPECT_EQ(process_of(parse({"id"})).env, Words());
  EXPECT_EQ(process_of(parse({"-t", "id"})).env, Words{"TERM=dumb-7"});
  EXPECT_EQ(process_of(parse({"-t", "-e", "TERM=mine", "id"})).env, Words{"TERM=mine"});
}

TEST(Options, NameTheFlagAndTheValueOfEachFault) {
  ::unsetenv("BAILEY_TEST_UNSET");
  const std::pair<Words, std::string> table[] = {
      {{"--runtime", "docker", "id"}, "--runtime docker"},
      {{"--net", "wan", "id"}, "--net wan"},
      {{"--net", "bridge:", "id"}, "--net bridge:"},
      {{"--net", "userspace:db", "id"}, "--net userspace:db"},
      {{"-v", "/x", "id"}, "--volume /x"},
      {{"-v", "/x:y", "id"}, "--volume /x:y"},
      {{"-v", "/x:/y:rx", "id"}, "--volume /x:/y:rx"},
      {{"-v", "/x:/y:ro:z", "id"}, "--volume /x:/y:ro:z"},
      {{"-v", ":/y", "id"}, "--volume :/y"},
      {{"-u", "root", "id"}, "--user root"},
      {{"-u", "1:", "id"}, "--user 1:"},
      {{"-u", "1:2,", "id"}, "--user 1:2,"},
      {{"-u", "-1", "id"}, "--user -1"},
      {{"--user=-1", "id"}, "--user -1"},
      {{"-u", "4294967295", "id"}, "--user 4294967295"},
      {{"-u", " 1", "id"}, "--user  1"},
      {{"-u", "1x", "id"}, "--user 1x"},
      {{"--umask", "8", "id"}, "--umask 8"},
      {{"--umask", "", "id"}, "--umask "},
      {{"--umask", "1777", "id"}, "--umask 1777"},
      {{"-e", "BAILEY_TEST_UNSET", "id"}, "--env BAILEY_TEST_UNSET"},
      {{"-e", "=x", "id"}, "--env "},
      {{"--env-file", "/no/such", "id"}, "/no/such"},
      {{"--env-file", "fd:x", "id"}, "fd:x"},
      {{"--env-file", "fd:987", "id"}, "fd:987"},
      {{"--secret", "nofile", "id"}, "--secret nofile"},
      {{"--secret", "../x=/f", "id"}, "--secret ../x=/f"},
      {{"--memory", "1Q", "id"}, "--memory"},
      {{"--timeout", "0", "id"}, "--timeout"},
      {{"--timeout", "-1", "id"}, "--timeout"},
      {{"--bogus", "id"}, "--bogus is not an option"},
      {{"--trust", "a", "--trust", "b", "id"}, "--trust is given twice"},
      {{"--memory"}, "--memory: its value"},
      {{}, "no command"},
      {{"-i", "--"}, "no command"},
  };
  for (const auto& [words, expected] : table) {
    const std::string message = refusal_of(words);
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

TEST(Options, ShowNoValueOfTheEnvironmentInAMessage) {
  EXPECT_EQ(refusal_of({"-e", "=hunter2", "id"}).find("hunter2"), std::string::npos);
}

TEST(Options, TellWhichFlagsDescribeTheRequest) {
  Words given;
  ASSERT_TRUE(parse({"-i", "-v", "/a:/b", "--memory", "1G", "--trust", "trusted", "id"}, &given));
  EXPECT_EQ(given, (Words{"--volume", "--memory", "--trust"}));
}

}  // namespace
}  // namespace bailey::cli
