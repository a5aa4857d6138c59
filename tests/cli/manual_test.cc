// The manual page and the completion are given to the programs that are to read them; the help is read by us.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "base/command.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"
#include "tests/support/temp_dir.h"

namespace bailey::tests {
namespace {

using Words = std::vector<std::string>;

std::string bailey(Words arguments) {
  const Outcome got = run_bailey({.arguments = std::move(arguments)});
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.err, "") << got;
  return got.out;
}

class Completion : public testing::Test {
 protected:
  void SetUp() override { directory_.write("completion", bailey({"completion"})); }
  // Of the last word, as bash has split the line.
  Words of(const Words& line) {
    std::string script = "source " + directory_.file("completion") + "; COMP_WORDS=(bailey";
    for (const std::string& word : line) script += " '" + word + "'";
    script += "); COMP_CWORD=" + std::to_string(line.size()) + "; _bailey; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const auto got = run_command({.program = "/bin/bash",
                                  .arguments = {"-c", "cd " + directory_.path() + "; " + script},
                                  .environment = {"PATH=/usr/bin:/bin"}});
    EXPECT_TRUE(got && got->exit_code == 0 && got->err.empty()) << (got ? got->err : got.error().message);
    Words words;
    for (size_t at = 0, end = 0; got && (end = got->out.find('\n', at)) != std::string::npos; at = end + 1)
      if (end > at) words.push_back(got->out.substr(at, end - at));
    return words;
  }
  TempDir directory_;
};

TEST_F(Completion, KnowsCommandsAndOptions) {
  const std::pair<Words, Words> table[] = {
      {{"do"}, {"doctor"}},
      {{"policy", ""}, {"show", "check", "--help"}},
      {{"policy", "show", "--j"}, {"--json"}},
      {{"run", "--mem"}, {"--memory"}},
      {{"run", "--memory", "1G", "--tim"}, {"--timeout"}},
      {{"run", "--memory", "=", "1G", "--tim"}, {"--timeout"}},
      {{"run", "-v", "/a", ":", "/b", "--tim"}, {"--timeout"}},
      {{"run", "-i", "-t", "--tim"}, {"--timeout"}},
      {{"run", "-it", "--tim"}, {"--timeout"}},
      {{"run", "-itv", "/a", ":", "/b", "--tim"}, {"--timeout"}},
      {{"run", "-v/a", ":", "/b", "--tim"}, {"--timeout"}},
      {{"run", "-e", "DISPLAY", "=:", "0", "--tim"}, {"--timeout"}},
      {{"run", "-p", "[", "::", "1]", ":", "80", ":", "80", "--tim"}, {"--timeout"}},
      {{"run", "--runtime", ""}, {"native", "gvisor", "auto"}},
      {{"run", "--runtime", "n"}, {"native"}},
      {{"run", "--runtime", "=", "n"}, {"native"}},
      {{"run", "--log-level", "w"}, {"warning"}},
      {{"seccomp", "trace", "--outp"}, {"--output-limit", "--output"}},
      {{"run", "--no-such"}, {}},
  };
  for (const auto& [line, words] : table) EXPECT_EQ(of(line), words) << testing::PrintToString(line);
}

TEST_F(Completion, LeavesFilesAndOthersCommandsToBash) {
  directory_.write("a-file", "");
  EXPECT_EQ(of({"run", "--policy", "a-f"}), Words{"a-file"});
  EXPECT_EQ(of({"run", "--rootfs", "=", "a-f"}), Words{"a-file"});
  EXPECT_EQ(of({"run", "cat", "a-f"}), Words{"a-file"});
  EXPECT_EQ(of({"run", "--", "cat", "--mem"}), Words{}) << "not ours any more";
  EXPECT_EQ(of({"policy", "check", "a-f"}), Words{"a-file"});
  EXPECT_EQ(of({"policy", "check", "--", "a-f"}), Words{"a-file"});
  directory_.write("two words *", "");
  EXPECT_EQ(of({"run", "--policy", "two"}), Words{"two words *"});
  const Words programs = of({"run", "--", "printen"});
  EXPECT_NE(std::ranges::find(programs, "printenv"), programs.end()) << testing::PrintToString(programs);
}

TEST(Manual, IsAPageThatGroffTakesWithoutAWarning) {
  BAILEY_REQUIRE("groff");
  const TempDir directory;
  const std::string page = directory.write("bailey.1", bailey({"manual"}));
  const auto got = run_command({.program = find_program("groff"),
                                .arguments = {"-man", "-Tascii", "-ww", "-P-cbou", page},
                                .environment = {"PATH=/usr/bin:/bin"}});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->err, "");
  std::string page_text;  // blanks and line breaks as one
  for (const char c : got->out)
    if (c != ' ' && c != '\n') page_text += c;
    else if (!page_text.ends_with(' ')) page_text += ' ';
  for (const char* text : {"bailey run", "bailey policy check", "-v, --volume SRC:DST[:OPTION,...]", "--memory LIMIT",
                           "untrusted 1G, at most 4G", "/etc/bailey/policy.json", "level's"})
    EXPECT_NE(page_text.find(text), std::string::npos) << text << "\n" << got->out;
}

TEST(Help, IsThereForEveryCommandThatTheUsageNames) {
  const std::string usage = bailey({"--help"});
  std::istringstream lines(usage.substr(usage.find("Commands:\n") + 10));
  int seen = 0;
  for (std::string line; std::getline(lines, line) && line.starts_with("  "); ++seen) {
    const std::string name = line.substr(2, line.find(' ', 2) - 2);
    const std::string help = bailey({name, "--help"});
    EXPECT_TRUE(help.starts_with("bailey " + name + ": ")) << help;
    EXPECT_NE(help.find("\nUsage: bailey " + name), std::string::npos) << help;
  }
  EXPECT_GE(seen, 8);
}

}  // namespace
}  // namespace bailey::tests
