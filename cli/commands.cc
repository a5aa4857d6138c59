#include <array>

#include "cli/command_line.h"
#include "cli/manual.h"

namespace bailey::cli {

namespace {

constexpr std::array kCommands = {
    Command{"run", "run one command in a sandbox", add_run, nullptr},
    Command{"doctor", "say what this host can do, each thing tried", add_doctor, nullptr},
    Command{"policy", "show the policy in force, or check a file", nullptr, policy_commands},
    Command{"seccomp", "show, check or trace profiles of system calls", nullptr, seccomp_commands},
    Command{"network", "show who is on the bridge, check whether it works here, clean it", nullptr, network_commands},
    Command{"gc", "remove what sandboxes left whose bailey was killed", add_gc, nullptr},
    Command{"manual", "print the manual page: bailey manual | man -l -", add_manual, nullptr},
    Command{"completion", "print the completion for bash: source <(bailey completion)", add_completion, nullptr},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace bailey::cli
