// One rule for who else could change a file: of the programs that Bailey starts, its policy and its runtime directory.
//
// A file or directory is protected when it belongs to root or to this process's effective user, and neither its group (not even
// root's: its members need not be root) nor everybody may write it. So must be every directory on the way to it, except that a
// sticky one may be writable, because nobody can rename or remove there what belongs to somebody else (inode(7)). This says who
// could replace a file, not who put it there.
//
// No function here needs a privilege; none may run between clone and exec.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace bailey {

struct Weakness {
  std::string path;
  std::string why;     // "belongs to uid 4242", "is writable by group 4242", "is writable by everybody"
  std::string remedy;  // a command
};

// Of the thing itself, of which `info` is; nothing: nobody else could change it.
std::optional<Weakness> weakness_of(const struct stat& info, const std::string& path);

// In a user namespace that does not map the host's root, root is shown as the overflow user (user_namespaces(7)), and so is
// everybody else who is not mapped. taken_for_root: a directory may belong to that user there, for whoever made the namespace
// is responsible for what it shows.
enum class Unmapped { refused, taken_for_root };

// Of the directories above what `fd` is open at, from the nearest on. Errors: one of them cannot be looked at or is no longer
// there.
Result<std::optional<Weakness>> weakness_above(int fd, Unmapped unmapped = Unmapped::refused);

}  // namespace bailey
