#include "oci/arguments.h"

#include <algorithm>
#include <iterator>

#include "base/option_table.h"

namespace bailey::oci {

namespace {

void add_global(OptionTable& table, Call& call) {
  table.one("--root", call.root, "DIR", "directory of the containers' state");
  table.one("--log", call.log, "FILE", "where errors are written, too");
  table.one("--log-format", call.log_format, "FORMAT", "text or json");
  table.flag("--debug", call.debug, "write more to the log");
  table.flag("--systemd-cgroup", call.systemd_cgroup, "cgroups by systemd");
  table.one("--cgroup-manager", call.cgroup_manager, "NAME", "cgroupfs, systemd or disabled");
  table.one("--rootless", call.rootless, "true|false|auto", "taken for runc's sake; found out anyway");
}

void add_making(OptionTable& table, Call& call) {
  table.one("-b,--bundle", call.bundle, "DIR", "directory with config.json; the current one by default");
  table.one("--pid-file", call.pid_file, "FILE", "gets the container's first process");
  table.one("--console-socket", call.console_socket, "SOCKET", "gets the terminal");
  table.one("--pidfd-socket", call.pidfd_socket, "SOCKET", "gets a pidfd of the first process");
  table.one("--preserve-fds", call.preserve_fds, "N", "so many descriptors from 3 on are the container's as well");
  table.flag("--no-pivot", call.no_pivot, "do not use pivot_root(2)");
  table.flag("--no-new-keyring", call.no_new_keyring, "keep the caller's session keyring");
}

struct Command {
  const char* name;
  void (*add)(OptionTable& table, Call& call);
  enum class Id { needed, optional, none } id = Id::needed;
};

constexpr Command kCommands[] = {
    {"create", add_making},
    {"run",
     [](OptionTable& table, Call& call) {
       add_making(table, call);
       table.flag("-d,--detach", call.detach, "do not wait for it");
       table.flag("--keep", call.keep, "do not delete it when it has ended");
       table.flag("--no-subreaper", call.no_subreaper, "taken for runc's sake");
     }},
    {"start", [](OptionTable&, Call&) {}},
    {"state", [](OptionTable&, Call&) {}},
    {"pause", [](OptionTable&, Call&) {}},
    {"resume", [](OptionTable&, Call&) {}},
    {"ps", [](OptionTable& table, Call& call) { table.one("-f,--format", call.format, "FORMAT", "table or json"); }},
    {"kill", [](OptionTable& table, Call& call) { table.flag("-a,--all", call.all, "to all of its processes"); }},
    {"delete", [](OptionTable& table, Call& call) { table.flag("-f,--force", call.force, "also one that runs"); }},
    {"exec",
     [](OptionTable& table, Call& call) {
       table.one("-p,--process", call.process, "FILE", "the process as a document");
       table.one("--pid-file", call.pid_file, "FILE", "gets the new process");
       table.one("--console-socket", call.console_socket, "SOCKET", "gets the terminal");
       table.one("--pidfd-socket", call.pidfd_socket, "SOCKET", "gets a pidfd of the new process");
       table.one("--preserve-fds", call.preserve_fds, "N", "so many descriptors from 3 on are the process's as well");
       table.one("--cwd", call.cwd, "DIR", "working directory");
       table.one("-u,--user", call.user, "UID[:GID]", "user");
       table.many("-e,--env", call.env, "NAME=VALUE", "environment variable");
       table.many("-c,--cap", call.cap, "CAP", "a capability more");
       table.many("-g,--additional-gids", call.additional_gids, "GID", "a group more");
       table.one("--apparmor", call.apparmor, "PROFILE", "AppArmor profile");
       table.one("--process-label", call.process_label, "LABEL", "SELinux label");
       table.one("--cgroup", call.cgroup, "PATH", "cgroup below the container's");
       table.flag("-d,--detach", call.detach, "do not wait for it");
       table.flag("-t,--tty", call.tty, "with a terminal");
       table.flag("--no-new-privs", call.no_new_privs, "it gains no privileges by an exec");
       table.flag("--no-new-keyring", call.no_new_keyring, "keep the caller's session keyring");
       table.flag("--ignore-paused", call.ignore_paused, "also in a paused container");
     }},
    {"list",
     [](OptionTable& table, Call& call) {
       table.one("-f,--format", call.format, "FORMAT", "table or json");
       table.flag("-q,--quiet", call.quiet, "ids alone");
     },
     Command::Id::none},
};

}  // namespace

Result<Call> parse_call(std::span<const std::string> words) {
  Call call;
  OptionTable global;
  add_global(global, call);
  global.ends_at_command();
  auto first = TRY(global.parse(words));
  if (first.command.empty())
    return fail(Fault::bad_input, "no command is given", "create, start, state, kill, delete, list, ...");
  call.command = first.command.front();
  const auto known = std::ranges::find(kCommands, std::string_view(call.command), &Command::name);
  if (known == std::end(kCommands)) return fail(Fault::bad_input, "'" + call.command + "' is not a command of an OCI runtime");
  OptionTable table;
  known->add(table, call);
  add_global(table, call);
  table.ends_at_command();
  auto rest = TRY_WITH(table.parse(std::span(first.command).subspan(1)), call.command);
  call.words = std::move(rest.command);
  if (known->id == Command::Id::none) return call;
  if (call.words.empty() || call.words.front().empty()) {
    if (known->id == Command::Id::optional) return call;
    return fail(Fault::bad_input, call.command + ": the container's id is missing");
  }
  call.id = std::move(call.words.front());
  call.words.erase(call.words.begin());
  return call;
}

}  // namespace bailey::oci
