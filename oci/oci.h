// The OCI face: an OCI runtime's command line, as podman, containerd, docker, CRI-O and buildah use it (runc's and crun's,
// where those agree). The same binary under the name bailey-oci, or `bailey oci COMMAND`. oci/ by its files:
//
//   oci.h            this               arguments.h   the words of a command line -> Call
//   commands.h       one function for each command, in files of their names
//   request.h        a bundle -> dispatcher::Request: trust, mounts, cgroup
//   containers.h     a container found again by its id, and its status
//   words.h          errors as clients know them, on stderr and in --log
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "dispatcher/dispatcher.h"

namespace bailey::oci {

// Whether a program of that name (argv[0]) is to behave as an OCI runtime. bailey-oci, and the names of runtimes that clients
// look for: runc, crun, runsc.
bool is_runtime_name(const std::string& program);

// Does what the words say and returns the exit code. `started_ns`: monotonic, of the process.
int perform(std::span<const std::string> words, const dispatcher::BackendFactory& make_backend, const std::string& version,
            int64_t started_ns);

}  // namespace bailey::oci
