// A bundle on disk: the directory that an OCI runtime is given.
//
//   <dir>/config.json    0600, Config as JSON
//   <dir>/rootfs         where config.root.path says; the backend makes it
#pragma once

#include <string>

#include "base/result.h"
#include "bundle/config.h"

namespace bailey::bundle {

inline constexpr const char* kConfigFile = "config.json";

// Writes config.json into the open directory `dir`, which is ours alone and new: an existing file is an error.
Result<> write_bundle(int dir, const Config& config);
// Reads the config.json of a bundle that a caller gives. A link, or anything but a regular file, is refused.
Result<Config> read_bundle(int dir, const std::string& path_of_dir);

}  // namespace bailey::bundle
