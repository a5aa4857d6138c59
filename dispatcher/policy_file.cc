// Opening the policy file: whoever could change it could grant anything, so it must be protected (base/protection.h).
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/files.h"
#include "base/protection.h"
#include "dispatcher/policy.h"

namespace bailey::dispatcher {

namespace {

constexpr size_t kMaxPolicyBytes = 1 << 20;

Result<std::string> read_checked(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  auto opened = files::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!opened && opened.error().sys == ELOOP) opened.error().remedy = "give the file itself, not a link to it";
  if (!opened) return std::unexpected(files::bad_path(std::move(opened).error(), "policy"));
  const struct stat status = TRY(files::stat_fd(opened->get(), path));
  if (!S_ISREG(status.st_mode)) return fail(Fault::refused, "policy " + path + " is not a regular file", "give a file");
  if (auto weakness = weakness_of(status, path))
    return fail(Fault::refused, "policy " + path + " " + weakness->why, std::move(weakness->remedy));
  if (auto above = TRY(weakness_above(opened->get())))
    return fail(Fault::refused, "policy " + path + ": its directory " + above->path + " " + above->why,
                std::move(above->remedy));
  return files::read_fd(opened->get(), kMaxPolicyBytes, path);
}

}  // namespace

Result<Policy> load_policy(const std::string& path) {
  if (path == "-")
    return fail(Fault::bad_input, "policy '-': a policy is a file, and never stdin", "its path, ./- for a file of that name");
  const std::string file = path.empty() ? kPolicyPath : path;
  Result<std::string> text = read_checked(file);
  if (!text && path.empty() && text.error().sys == ENOENT) return builtin_policy();
  if (!text) return std::unexpected(std::move(text).error());
  return parse_policy(*text, file);
}

}  // namespace bailey::dispatcher
