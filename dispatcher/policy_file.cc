// Opening the policy file: whoever could change it could grant anything, so nobody but root (and, for an ordinary user, that
// user) may be able to, by the file or by any directory on the way to it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "dispatcher/policy.h"

namespace bailey::dispatcher {

namespace {

constexpr size_t kMaxPolicyBytes = 1 << 20;
constexpr mode_t kOthersWrite = S_IWGRP | S_IWOTH;

Result<> check_owner(const struct stat& status, const std::string& path) {
  const uid_t euid = ::geteuid();
  if (status.st_uid == 0 || status.st_uid == euid) return {};
  return fail(Fault::refused, "policy " + path + " belongs to uid " + std::to_string(status.st_uid), "chown root " + path);
}

Result<> check_directory(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return sys_error("policy: looking at " + path, errno);
  TRY(check_owner(status, path));
  // In a sticky directory nobody can rename or remove what belongs to somebody else.
  if (!(status.st_mode & kOthersWrite) || (status.st_mode & S_ISVTX)) return {};
  return fail(Fault::refused, "policy: others may write the directory " + path, "chmod go-w " + path);
}

Result<std::string> read_checked(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  auto opened = files::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!opened && opened.error().sys == ELOOP) opened.error().remedy = "give the file itself, not a link to it";
  if (!opened) return std::unexpected(files::bad_path(std::move(opened).error(), "policy"));
  const struct stat status = TRY(files::stat_fd(opened->get(), path));
  if (!S_ISREG(status.st_mode)) return fail(Fault::refused, "policy " + path + " is not a regular file", "give a file");
  TRY(check_owner(status, path));
  if (status.st_mode & kOthersWrite) return fail(Fault::refused, "policy: others may write " + path, "chmod go-w " + path);
  std::string directory = TRY(files::readlink("/proc/self/fd/" + std::to_string(opened->get())));
  while (directory.size() > 1) {
    directory.resize(std::max<size_t>(1, directory.rfind('/')));
    TRY(check_directory(directory));
  }
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
