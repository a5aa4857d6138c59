// What a user asks for with --secret-dir: every file of a directory as a secret of that name. Directories that a platform fills
// (Kubernetes) have links in them, NAME -> ..data/NAME and ..data -> ..2024_10_01; they are followed, but beneath the directory
// only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "secrets/request.h"

namespace bailey::secrets {

inline constexpr size_t kMaxDirectoryFiles = 256;

struct Directory {
  std::string directory;    // of the host
  std::string destination;  // directory inside; empty: kDirectory
  mode_t mode = 0400;       // of each file
  std::optional<uint32_t> uid;
  friend bool operator==(const Directory&, const Directory&) = default;
};

// "DIR[:PATH[:MODE[:UID]]]"; an empty part is the default.
Result<Directory> parse_directory(std::string_view flag);

// One request for each entry, by name; those that begin with a dot are left out. Nothing is read yet: source.h tells what is no
// file. Errors (bad_input): no directory, a link, one that may not be read, no entry, too many, a name that no secret can have.
Result<std::vector<Request>> list_directory(const Directory& directory);

}  // namespace bailey::secrets
