// OptionTable: the options of one command. From one table come the reading of a command line, the help, the manual page and the
// completion of a shell.
//
// A command line is read as getopt(3) reads it: "--name VALUE", "--name=VALUE", "-n VALUE", "-nVALUE", letters of flags
// together
// ("-it"); a name is given in full; "--" ends the options, and with ends_at_command() the first other word does (getopt's "+").
// No function here needs a privilege; none may run between clone and exec.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bailey {

class OptionTable {
 public:
  struct Option {
    std::string_view name;   // "volume"
    char letter = 0;         // 'v'
    std::string_view value;  // "SRC:DST[:OPTION,...]"; empty: a flag, which takes none
    std::string_view help;
    bool repeats = false;     // may be given several times; a flag always may
    bool takes_empty = true;  // otherwise "" is a fault: more likely it is an unset variable of a script
    std::function<void(std::string)> take;
    std::function<std::string()> more_help;  // behind `help`; called for the help alone, and may take its time
    std::string_view group = {};             // set by add()
    int given = 0;                           // times
  };

  // The heading of the options that follow; "Options" before the first. All texts outlive the table.
  void group(std::string_view heading) { group_ = heading; }
  // `names`: "--memory", or "-v,--volume". What is taken goes to `into`, which outlives the parse.
  void flag(std::string_view names, bool& into, std::string_view help);
  void flag(std::string_view names, std::function<void()> take, std::string_view help);
  void one(std::string_view names, std::string& into, std::string_view value, std::string_view help);  // refuses an empty value
  void one(std::string_view names, std::optional<std::string>& into, std::string_view value, std::string_view help);
  void many(std::string_view names, std::vector<std::string>& into, std::string_view value, std::string_view help);
  Option& add(std::string_view names, std::string_view value, std::string_view help, std::function<void(std::string)> take);
  // A word that is needed and no option: "FILE".
  void operand(std::string_view name, std::string& into, std::string_view help);
  // The first word that is no option, or that follows "--", begins somebody else's command line.
  void ends_at_command() { ends_at_command_ = true; }

  struct Parsed {
    bool wants_help = false;           // -h or --help; nothing behind it counts
    std::vector<std::string> command;  // if ends_at_command()
  };
  // Fault::bad_input, without a remedy: an unknown option (with the one that may be meant), a value that is missing or not
  // taken, an option given twice, a word too many or too few. Names the option, never its value.
  Result<Parsed> parse(std::span<const std::string> words);
  // The options of these groups that were given, in their order: "--volume". After the parse.
  std::vector<std::string> given(std::initializer_list<std::string_view> groups) const;

  std::span<const Option> options() const { return options_; }
  bool has_command() const { return ends_at_command_; }
  bool has_operands() const { return !operands_.empty(); }
  std::string usage() const;                            // "[OPTIONS] FILE"
  std::string help() const;                             // operands and options by group, for a terminal
  std::string roff() const;                             // operands and options as man(7) macros
  static std::string roff_text(std::string_view text);  // as it is to be printed: no escape, no request
  std::string words() const;                            // "--help --memory --volume ...", for a completion
  std::string valued() const;                           // "--memory --volume -v ...": those that take a value

 private:
  struct Operand {
    std::string_view name, help;
    std::string* into;
  };
  Option* find(std::string_view name);
  Option* find(char letter);
  std::string unknown(std::string_view name) const;
  Result<> take(Option& option, std::optional<std::string> value);

  std::vector<Option> options_;
  std::vector<const Option*> order_;  // as given
  std::vector<Operand> operands_;
  std::string_view group_ = "Options";
  bool ends_at_command_ = false;
};

}  // namespace bailey
