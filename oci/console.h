// Handed to a client of the runtime: a terminal over --console-socket, a number in --pid-file.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::oci {

// Connected before anything is made: a socket that nobody serves is the caller's mistake.
Result<Fd> connect_console(const std::string& path);
// One message with the terminal's name and its master, as runc sends it and all clients expect.
Result<> send_terminal(int socket, int master);
// Whole or not at all.
Result<> write_pid_file(const std::string& path, int pid);

}  // namespace bailey::oci
