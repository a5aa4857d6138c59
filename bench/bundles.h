// What the bare runtimes are given, so that they run what Bailey runs: the same root, the same mounts, the same command.
// As root; makes directories and bind mounts below `directory`, which the caller has in a mount namespace of its own.
#pragma once

#include <string>

#include "base/result.h"

namespace bailey::bench {

// A root directory with one static busybox, its links and the directories that runtimes mount on; its path.
Result<std::string> create_busybox_root(const std::string& directory, const std::string& busybox);

// The bundle that Bailey would hand to runsc for `command`, as `bailey run --explain` prints it: its config.json to the letter
// but for the process, which is `command` itself and no init, and its root, made of the same binds of the host.
Result<std::string> create_runsc_bundle(const std::string& directory, const std::string& bailey, const std::string& runsc,
                                        const std::string& command);

enum class Hardening { namespaces, full };
// For crun and runc: `command` in `root`, with the specification's usual mounts and all namespaces; full adds what engines ask
// for: limits, masks, dropped capabilities, a filter of docker's size.
Result<std::string> create_oci_bundle(const std::string& directory, const std::string& root, const std::string& command,
                                      Hardening hardening);

}  // namespace bailey::bench
