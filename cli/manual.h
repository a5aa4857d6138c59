// The manual page and the completion of a shell, generated from the tables of commands and options.
#pragma once

#include <string>

#include "cli/command_line.h"

namespace bailey::cli {

std::string manual_page();      // bailey(1), in man(7) macros
std::string bash_completion();  // to be sourced

void add_manual(OptionTable& table, Invocation& invocation);
void add_completion(OptionTable& table, Invocation& invocation);

}  // namespace bailey::cli
