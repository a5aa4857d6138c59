// The words of a command line -> Call. Flags of the runtime stand before or behind the command, as "--flag value" or
// "--flag=value".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace bailey::oci {

struct Call {
  // Of the runtime.
  std::optional<std::string> root;  // where its state is
  std::optional<std::string> log;   // a file
  std::string log_format = "text";  // or "json"
  bool debug = false;
  bool systemd_cgroup = false;
  std::optional<std::string> cgroup_manager, rootless;

  std::string command;
  std::string id;
  std::vector<std::string> words;  // behind the id: kill's signal, exec's command

  // Of the commands.
  std::optional<std::string> bundle, pid_file, console_socket, process, cwd, user, format, resources, image_path, work_path,
      pidfd_socket, apparmor, process_label, interval, preserve_fds, cgroup;
  std::vector<std::string> env, cap, additional_gids;
  bool no_pivot = false, no_new_keyring = false, detach = false, keep = false, tty = false, all = false, force = false,
       quiet = false, stats = false, no_new_privs = false, no_subreaper = false, leave_running = false, ignore_paused = false;
};

// Errors (bad_input): an unknown command or flag, a missing value or id.
Result<Call> parse_call(std::span<const std::string> words);

}  // namespace bailey::oci
