// run's flags -> Request. The text of each flag is kept as the user wrote it and parsed here, so that every
// message names the flag, the value and the remedy. No kernel but for reading what --env, --env-file and
// relative paths refer to.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/command_line.h"
#include "dispatcher/request.h"

namespace bailey::cli {

// What describes the sandbox: everything that a request document can say. With --request none of these may be
// given.
struct RequestFlags {
  std::optional<std::string> trust, runtime, network, rootfs, workdir, user, umask, hostname, name, seccomp;
  bool unsafe_native = false, allow_host_network = false, ipv6 = false, writable = false, terminal = false;
  dispatcher::SeccompLog seccomp_log = dispatcher::SeccompLog::off;
  std::vector<std::string> secrets, secret_directories, volumes, env, env_files, egress, publish;
  std::vector<std::pair<std::string, std::string>> limits;            // flag of dispatcher::limits() -> value
  std::vector<std::pair<std::string, std::string>> backend_settings;  // name of dispatcher::kRequestSettings -> value
};

// `flags` outlives the parse.
void add_request_flags(OptionTable& table, RequestFlags& flags);
// Those of them that were given: "--memory", "--volume". After the parse.
std::vector<std::string> given_request_flags(const OptionTable& table);

// Fault::bad_input.
Result<dispatcher::Request> make_request(const RequestFlags& flags, std::vector<std::string> command);

// The contents of "FILE" or "fd:N", at most `cap` bytes. `flag` is for the message.
Result<std::string> read_source(const std::string& flag, const std::string& text, size_t cap);

}  // namespace bailey::cli
