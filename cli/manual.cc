#include "cli/manual.h"

#include <algorithm>

#include "cli/version.h"
#include "dispatcher/policy.h"

namespace bailey::cli {

namespace {

// Every command that does something, with its full name: "policy show".
template <typename Visit>
void each_command(std::span<const Command> commands, const std::string& above, Visit&& visit) {
  for (const Command& command : commands) {
    const std::string name = above + (above.empty() ? "" : " ") + command.name;
    if (command.below) {
      each_command(command.below(), name, visit);
      continue;
    }
    OptionTable table;
    Invocation invocation;
    command.add(table, invocation);
    visit(name, command, table);
  }
}

std::string names_of(std::span<const Command> commands) {
  std::string names;
  for (const Command& command : commands) names.append(names.empty() ? "" : " ").append(command.name);
  return names;
}

// "native gvisor auto" of an option with the value "native|gvisor|auto"; empty where it is no list of words.
std::string choices_of(const OptionTable::Option& option) {
  const bool is_list = option.value.contains('|') &&
                       std::ranges::all_of(option.value, [](char c) { return (c >= 'a' && c <= 'z') || c == '|'; });
  std::string words(is_list ? option.value : "");
  std::ranges::replace(words, '|', ' ');
  return words;
}

// Finds the command by the words before, skips options and their values, and completes the word at the cursor. Bash has split
// the words at ":" and "=".
constexpr const char* kBashEnd = R"(
  while ((i < COMP_CWORD)); do
    at=${COMP_WORDS[i]}
    if [[ $at == -- ]]; then
      [[ -n $ends ]] && ends=now
      ((++i))
      break
    elif [[ $at != -?* ]]; then
      break
    fi
    option=$at
    if [[ $at == -[!-]?* ]]; then
      option=-${at: -1}
      [[ " $valued " == *" ${at:0:2} "* ]] && option=-
    fi
    if [[ " $valued " == *" $option "* ]]; then
      [[ ${COMP_WORDS[i + 1]} == = ]] && ((++i))
      ((++i))
      ((i >= COMP_CWORD)) && break
    fi
    while [[ ${COMP_WORDS[i + 1]} == +([:=]) ]] && ((i + 2 < COMP_CWORD)); do ((i += 2)); done
    [[ ${COMP_WORDS[i + 1]} == +([:=]) ]] && ((i + 2 >= COMP_CWORD)) && { option=-; break; }
    option=
    ((++i))
  done
  if [[ -n $option ]]; then
    [[ $word == = ]] && word=
    case "$path $option" in
)";

}  // namespace

std::string manual_page() {
  std::string text = std::string(".TH BAILEY 1 \"\" \"bailey ") + version() +
                     "\" \"User Commands\"\n.nh\n.ad l\n"
                     ".SH NAME\nbailey \\- run a command in the cheapest sandbox that its trust level allows\n"
                     ".SH SYNOPSIS\n";
  each_command(commands(), "", [&](const std::string& name, const Command&, const OptionTable& table) {
    text += ".B bailey " + name + "\n" + OptionTable::roff_text(table.usage()) + "\n.br\n";
  });
  text +=
      ".SH DESCRIPTION\nCode that is trusted runs in Linux namespaces (the runtime native), code that is not in gVisor (the "
      "runtime gvisor). What a trust level may have, the policy says.\n.SH COMMANDS\n";
  each_command(commands(), "", [&](const std::string& name, const Command& command, const OptionTable& table) {
    text += ".SS bailey " + name + "\n" + OptionTable::roff_text(command.summary) + ".\n" + table.roff();
  });
  return text +
         ".SH EXIT STATUS\n.B bailey run\nends as the command did: with its exit code, or with 128 and the number of the "
         "signal that ended it. 124: its time limit was reached. 125: Bailey failed or refused. 126: the command "
         "cannot be executed. 127: it was not found.\n.SH FILES\n.I " +
         std::string(dispatcher::kPolicyPath) + "\n";
}

std::string bash_completion() {
  std::string known, tables, choices;
  const auto add_table = [&](const std::string& path, const std::string& words, const std::string& valued, const char* rest) {
    tables += "    '" + path + "') words='" + words + "' valued='" + valued + "' " + rest + " ;;\n";
  };
  add_table("bailey", names_of(commands()) + " --help --version", "", "");
  for (const Command& command : commands()) {
    known.append(known.empty() ? "" : " | ").append("'bailey ").append(command.name).append("'");
    if (!command.below) continue;
    add_table(std::string("bailey ") + command.name, names_of(command.below()) + " --help", "", "");
    for (const Command& below : command.below())
      known.append(" | 'bailey ").append(command.name).append(" ").append(below.name).append("'");
  }
  each_command(commands(), "", [&](const std::string& name, const Command&, const OptionTable& table) {
    add_table("bailey " + name, table.words(), table.valued(),
              table.has_command()    ? "ends=yes"
              : table.has_operands() ? "files=yes"
                                     : "");
    for (const OptionTable::Option& option : table.options())
      if (const std::string words = choices_of(option); !words.empty())
        choices += "      'bailey " + name + " --" + std::string(option.name) + "') words='" + words + "' ;;\n";
  });
  return "# Completion of bailey for bash: source <(bailey completion)\n"
         "_bailey() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} path=bailey words= valued= ends= files= option= at i=1\n"
         "  COMPREPLY=()\n"
         "  while ((i < COMP_CWORD)); do\n"
         "    case \"$path ${COMP_WORDS[i]}\" in\n"
         "      " +
         known +
         ") path=\"$path ${COMP_WORDS[i++]}\" ;;\n"
         "      *) break ;;\n"
         "    esac\n"
         "  done\n"
         "  case $path in\n" +
         tables + "  esac" + kBashEnd + choices +
         "      *) words= ;;\n"
         "    esac\n"
         "  elif [[ $ends == now ]] || { [[ -n $ends ]] && { ((i < COMP_CWORD)) || [[ $word != -* ]]; }; }; then\n"
         "    if declare -F _command_offset > /dev/null; then _command_offset $i; return; fi\n"
         "    if ((i == COMP_CWORD)); then mapfile -t COMPREPLY < <(compgen -c -- \"$word\"); return; fi\n"
         "    words=\n"
         "  fi\n"
         "  [[ -n $files && $word != -* ]] && words=\n"
         "  if [[ -n $words ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  else compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); fi\n"
         "}\n"
         "complete -F _bailey bailey\n";
}

void add_manual(OptionTable&, Invocation& invocation) {
  invocation.act = [] { return print(manual_page()); };
}

void add_completion(OptionTable&, Invocation& invocation) {
  invocation.act = [] { return print(bash_completion()); };
}

}  // namespace bailey::cli
