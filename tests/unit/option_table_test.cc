// The table of options: what a command line may look like, and what is made of the table for people and shells.
#include "base/option_table.h"

#include <gtest/gtest.h>

namespace bailey {
namespace {

using Words = std::vector<std::string>;

struct Given {
  bool flag = false, other = false;
  std::optional<std::string> one;
  std::string plain = "as it was";
  Words many;
  std::string file;
};

OptionTable table_of(Given& given) {
  OptionTable table;
  table.flag("-f,--flag", given.flag, "a flag");
  table.flag("-g,--other-flag", given.other, "another");
  table.group("Values");
  table.one("-o,--one", given.one, "WORD", "at most one");
  table.one("--plain", given.plain, "a|b", "at most one");
  table.many("-m,--many", given.many, "WORD", "any number");
  return table;
}

std::string refusal_of(const Words& words) {
  Given given;
  const auto parsed = table_of(given).parse(words);
  if (parsed) return "accepted";
  EXPECT_EQ(parsed.error().fault, Fault::bad_input);
  return parsed.error().message;
}

TEST(OptionTable, ReadsEachFormOfAnOption) {
  const struct {
    Words words;
    bool flag, other;
    std::optional<std::string> one;
    Words many;
  } table[] = {
      {{}, false, false, {}, {}},
      {{"-f"}, true, false, {}, {}},
      {{"-fg"}, true, true, {}, {}},
      {{"-f", "-f", "--flag"}, true, false, {}, {}},
      {{"--one", "x"}, false, false, "x", {}},
      {{"--one=x=y"}, false, false, "x=y", {}},
      {{"--one="}, false, false, "", {}},
      {{"-ox"}, false, false, "x", {}},
      {{"-o=x"}, false, false, "=x", {}},
      {{"-fgo", "x"}, true, true, "x", {}},
      {{"-fox"}, true, false, "x", {}},
      {{"--one", "--flag"}, false, false, "--flag", {}},
      {{"--one", "--"}, false, false, "--", {}},
      {{"-m", "a", "-mb", "--many=c", "--many", "d"}, false, false, {}, {"a", "b", "c", "d"}},
      {{"-o", ""}, false, false, "", {}},
  };
  for (const auto& line : table) {
    Given given;
    const auto parsed = table_of(given).parse(line.words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_FALSE(parsed->wants_help);
    EXPECT_EQ(given.flag, line.flag);
    EXPECT_EQ(given.other, line.other);
    EXPECT_EQ(given.one, line.one);
    EXPECT_EQ(given.many, line.many);
    EXPECT_EQ(given.plain, "as it was");
  }
}

TEST(OptionTable, NamesWhatIsWrongAndNeverAValue) {
  const std::pair<Words, std::string> table[] = {
      {{"--unknown"}, "--unknown is not an option"},
      {{"--unknown=secret"}, "--unknown is not an option"},
      {{"--othr-flag"}, "--othr-flag is not an option; is --other-flag meant?"},
      {{"--fla"}, "--fla is not an option; is --flag meant?"},
      {{"--"}, "accepted"},
      {{"-x"}, "-x is not an option"},
      {{"-fx"}, "-x is not an option"},
      {{"--flag=secret"}, "--flag takes no value"},
      {{"--flag="}, "--flag takes no value"},
      {{"--one"}, "--one: its value, WORD, is missing"},
      {{"-fo"}, "--one: its value, WORD, is missing"},
      {{"--one", "secret", "-osecret"}, "--one is given twice"},
      {{"--plain="}, "--plain: its value, a|b, is empty"},
      {{"--plain", ""}, "--plain: its value, a|b, is empty"},
      {{"word"}, "'word' is a word too many"},
      {{"--", "--flag"}, "'--flag' is a word too many"},
      {{"-"}, "'-' is a word too many"},
  };
  for (const auto& [words, expected] : table) {
    EXPECT_EQ(refusal_of(words), expected);
    EXPECT_EQ(refusal_of(words).find("secret"), std::string::npos);
  }
}

TEST(OptionTable, TakesTheWordsThatItNeeds) {
  for (const Words& words : {Words{"x", "-f"}, {"-f", "x"}, {"-f", "--", "x"}}) {
    Given given;
    OptionTable table = table_of(given);
    table.operand("FILE", given.file, "what to read");
    ASSERT_TRUE(table.parse(words));
    EXPECT_EQ(given.file, "x");
    EXPECT_TRUE(given.flag);
  }
  Given given;
  OptionTable table = table_of(given);
  table.operand("FILE", given.file, "what to read");
  EXPECT_EQ(table.parse(Words{"-f"}).error().message, "FILE is missing: what to read");
  EXPECT_EQ(table.parse(Words{"x", "y"}).error().message, "'y' is a word too many");
}

TEST(OptionTable, EndsAtACommand) {
  const std::pair<Words, Words> table[] = {{{"-f", "cmd", "-f", "--"}, {"cmd", "-f", "--"}},
                                           {{"-f", "--", "--help"}, {"--help"}},
                                           {{"-f", "--", "--", "x"}, {"--", "x"}},
                                           {{"-f", ""}, {""}},
                                           {{"-f", "-", "x"}, {"-", "x"}},
                                           {{"-f", "--"}, {}}};
  for (const auto& [words, command] : table) {
    Given given;
    OptionTable options = table_of(given);
    options.ends_at_command();
    const auto parsed = options.parse(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->command, command);
    EXPECT_TRUE(given.flag);
  }
}

TEST(OptionTable, StopsWhereHelpIsWanted) {
  for (const Words& words : {Words{"--help", "--unknown"}, {"-h"}, {"-fh"}, {"-f", "--one", "x", "-h", "--one", "y"}}) {
    Given given;
    const auto parsed = table_of(given).parse(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE(parsed->wants_help);
  }
  EXPECT_EQ(refusal_of({"--unknown", "--help"}), "--unknown is not an option") << "what comes first counts";
}

TEST(OptionTable, SaysWhatWasGivenOfAGroup) {
  Given given;
  OptionTable table = table_of(given);
  ASSERT_TRUE(table.parse(Words{"-m", "a", "-f", "--one=x", "-mb"}));
  EXPECT_EQ(table.given({"Values"}), (Words{"--many", "--one", "--many"}));
  EXPECT_EQ(table.given({"Options", "Values"}), (Words{"--many", "--flag", "--one", "--many"}));
}

TEST(OptionTable, WritesItsHelp) {
  Given given;
  OptionTable table = table_of(given);
  table.operand("FILE", given.file, "what to read");
  table.add("--long", "A-LONG-NAME-OF-A-VALUE", "word " + std::string(), [](const std::string&) {}).more_help = [] {
    return std::string(200, 'x') + " end";
  };
  const std::string help = table.help();
  EXPECT_EQ(table.usage(), "[OPTIONS] FILE");
  EXPECT_NE(help.find("\nOptions:\n  -f, --flag                  a flag\n"), std::string::npos) << help;
  EXPECT_NE(help.find("\nValues:\n  -o, --one WORD              at most one\n"), std::string::npos) << help;
  EXPECT_NE(help.find("any number; may be repeated\n"), std::string::npos) << help;
  EXPECT_NE(help.find("  --long A-LONG-NAME-OF-A-VALUE\n" + std::string(30, ' ') + "word\n" + std::string(30, ' ') + "xxx"),
            std::string::npos)
      << help;
}

}  // namespace
}  // namespace bailey
