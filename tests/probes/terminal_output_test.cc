// Escape sequences that a request or a workload names: Bailey's own words must not carry them to a terminal or into a record.
#include <cctype>

#include "tests/probes/probes.h"

namespace bailey::tests {
namespace {

class TerminalOutputProbes : public Probes {};

// Sets the title, colours, and the same by U+009B.
const std::string kEscapes =
    "x\x1b]0;title\x07\x1b[31m\xc2\x9b"
    "31my";

bool commands_a_terminal(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

TEST_F(TerminalOutputProbes, FindNoEscapesInBaileysOwnWords) {
  const TempDir directory;
  directory.write("script", "#!/bin/" + kEscapes + "\n", 0755);
  const std::vector<std::pair<Arguments, Arguments>> wishes = {
      {{}, {kEscapes}},
      {{"-w", "/" + kEscapes}, {"true"}},
      {{"-v", "/tmp/" + kEscapes + ":/data"}, {"true"}},
      {{"--name", kEscapes}, {"true"}},
      {{"--explain"}, {kEscapes}},
      {{"--explain", "--hostname", kEscapes}, {"true"}},
      {{"-v", directory.path() + ":/data:ro"}, {"/data/script"}},
  };
  for (const auto& [flags, command] : wishes) {
    RunOptions wish = options(flags, command);
    wish.record = false;
    const std::string result = directory.file("result"), events = directory.file("events");
    wish.arguments.insert(wish.arguments.begin() + 1, {"--result", result, "--events", events});
    const Outcome got = run_bailey(std::move(wish));
    for (const std::string& text : {got.out, got.err, read_file(result), read_file(events)})
      EXPECT_FALSE(commands_a_terminal(text)) << got;
    EXPECT_NE(got.out + got.err, "") << "said nothing about " << flags.size();
  }
  // The control: what the command itself writes passes as it is; 'cat -v' is whoever wants it otherwise.
  EXPECT_TRUE(commands_a_terminal(run({"/bin/echo", kEscapes}).out));
}

}  // namespace
}  // namespace bailey::tests
