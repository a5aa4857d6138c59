// The command line: one file per command, each with a function that puts the command's options into a table and says what it
// does. cli/ is the outermost room:
//
//   main.cc       first acts, the choice of a command   options.h   run's flags -> Request
//   commands.cc   the table of commands                 run.h       one run, for `run` and `seccomp trace`
//   backends.h    the table of backends                 manual.h    the manual page and a shell's completion, from the tables
//   run.cc doctor.cc policy.cc seccomp.cc network.cc gc.cc version.h
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/option_table.h"
#include "base/result.h"

namespace bailey::cli {

inline constexpr int kExitBailey = 125;  // Bailey failed or refused (docs/exit-codes.md)

struct Invocation {
  std::function<int()> act;          // set by Command::add; called once, after the options were parsed; returns the exit code
  std::vector<std::string> command;  // `run` and `seccomp trace`: what follows the options, "--" itself left out
  int64_t started_ns = 0;            // monotonic, read in the first line of main
};

struct Command {
  const char* name;
  const char* summary;
  // One of them. Both references outlive the act.
  void (*add)(OptionTable& table, Invocation& invocation);
  std::span<const Command> (*below)();  // "show" and "check" of "policy"
};
std::span<const Command> commands();

void add_run(OptionTable& table, Invocation& invocation);
void add_doctor(OptionTable& table, Invocation& invocation);
void add_gc(OptionTable& table, Invocation& invocation);
std::span<const Command> policy_commands();
std::span<const Command> network_commands();
std::span<const Command> seccomp_commands();

// "bailey: MESSAGE" and "  remedy: REMEDY" on stderr, control characters escaped. Returns the exit code that
// the fault stands for: 125, 126 or 127.
int report(const Error& error);
int exit_code(Fault fault);
// To stdout; returns 0, or what report() does when that fails.
int print(const std::string& text);

}  // namespace bailey::cli
