// Errors as the clients of OCI runtimes know them: podman, containerd and CRI-O tell by the words what has happened, so these
// are runc's and crun's (facts of each: docs/oci.md).
#pragma once

#include <string>

#include "base/result.h"
#include "oci/arguments.h"

namespace bailey::oci {

// "message; remedy" in a client's words.
std::string words_of(const Error& error);
// On stderr, and in the file of --log. Returns the exit code of `command`.
int tell(const Error& error, const Call& call);

Error no_such_container(const std::string& id);
Error not_running(const std::string& id);

}  // namespace bailey::oci
