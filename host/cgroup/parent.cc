#include "host/cgroup/parent.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

#include "base/files.h"
#include "host/cgroup/file.h"

namespace bailey::host {

namespace {

constexpr const char* kPermissionRemedy =
    "run as root, or in a cgroup that belongs to this user (v2: systemd-run --user --scope -p Delegate=yes bailey ...; v1: a "
    "directory of this user's in each hierarchy, which bailey is in or which the policy names as cgroup_parent)";

bool contains_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const size_t end = std::min(list.find_first_of(" \n"), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

Error unavailable(Error error, const std::string& directory) {
  if (error.sys == EACCES || error.sys == EPERM) {
    error.fault = Fault::unavailable;
    error.remedy = kPermissionRemedy;
  } else if (error.sys == EROFS) {
    error.fault = Fault::unavailable;
    error.remedy = read_only_remedy(directory);
  }
  return error;
}

// "/a/b" of "a/b/", ".." refused.
Result<std::string> normalized(const std::string& parent) {
  std::string path;
  for (size_t at = 0; at < parent.size();) {
    const size_t end = std::min(parent.find('/', at), parent.size());
    const std::string part = parent.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..")
      return fail(Fault::bad_input, "cgroup parent '" + parent + "' goes upwards",
                  "name it from the mount's root, as in /bailey");
    path.append("/").append(part);
  }
  return path.empty() ? "/" : path;
}

std::string join(const std::string& directory, const std::string& path) { return path == "/" ? directory : directory + path; }

// mkdir -p of `path` below the mount. `visit` sees every directory from the mount's root down to the last.
template <typename Visit>
Result<CgroupParent> walk(const CgroupMounts::Controller& where, const std::string& path, Visit visit) {
  CgroupParent at{TRY(open_cgroup(where.directory, where.v2)), where.directory};
  TRY(visit(at));
  for (size_t begin = 1; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    begin = end + 1;
    auto next = files::open_at(at.fd.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!next && next.error().sys == ENOENT) {
      next = make_cgroup(at, name);
      if (next && !where.v2 && ::faccessat(next->get(), "cpuset.cpus", F_OK, 0) == 0)
        TRY(inherit_cpuset(at.fd.get(), next->get()));
    }
    if (!next && next.error().sys == EEXIST) next = files::open_at(at.fd.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    at.fd = TRY(std::move(next));
    at.path.append("/").append(name);
    TRY(visit(at));
  }
  return at;
}

// Hands `controllers` to the children of `at`.
Result<> enable(const CgroupParent& at, const std::vector<std::string>& controllers) {
  const std::string have = TRY(read_cgroup_file(at.fd.get(), "cgroup.subtree_control"));
  std::string change;
  for (const std::string& controller : controllers)
    if (!contains_word(have, controller)) change.append(change.empty() ? "+" : " +").append(controller);
  if (change.empty()) return {};
  auto written = write_cgroup_file(at.fd.get(), "cgroup.subtree_control", change);
  if (written) return {};
  Error error = unavailable(std::move(written).error(), at.path);
  if (error.sys == EBUSY) {
    error.fault = Fault::unavailable;
    error.remedy = "it holds processes itself: move them to a child of it, or name another cgroup_parent in the policy";
  } else if (error.sys == ENOENT) {
    error.fault = Fault::unavailable;
    error.remedy =
        "the cgroup above it does not hand that controller down (systemd: Delegate=cpu cpuset io memory "
        "pids)";
  }
  return std::unexpected(std::move(error).with("enabling cgroup controllers in " + at.path));
}

enum class Occupants { nobody, only_us, others };

Occupants occupants(int directory) {
  const Fd fd(::openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC));
  char text[32];  // more than this process's number is others
  const ssize_t length = fd ? ::read(fd.get(), text, sizeof text) : -1;
  if (length == 0) return Occupants::nobody;
  const std::string own = std::to_string(::getpid()) + "\n";
  return length > 0 && std::string_view(text, static_cast<size_t>(length)) == own ? Occupants::only_us : Occupants::others;
}

// Only the machine's root has no type. It may hold processes and hand controllers down all the same.
bool is_machine_root(int directory) { return ::faccessat(directory, "cgroup.type", F_OK, 0) != 0; }

bool has_delegate_mark(const std::string& path) {
  for (const char* name : {"trusted.delegate", "user.delegate"}) {
    char value = 0;
    if (::getxattr(path.c_str(), name, &value, 1) == 1 && value == '1') return true;
  }
  return false;
}

// May we rule below it? Root could anywhere, so it asks for systemd's mark, or for the top of what it can
// see.
bool is_delegated(const CgroupParent& at, bool top) {
  if (::geteuid() == 0) return top || has_delegate_mark(at.path);
  return std::ranges::all_of(std::initializer_list<const char*>{".", "cgroup.procs", "cgroup.subtree_control"},
                             [&](const char* file) { return ::faccessat(at.fd.get(), file, W_OK, AT_EACCESS) == 0; });
}

Result<> move_to_launcher(const CgroupParent& own) {
  auto child = make_cgroup(own, kLauncherName);
  if (!child && child.error().sys == EEXIST) child = open_cgroup(own.path + "/" + kLauncherName, true);
  const Fd fd = TRY(std::move(child));
  return write_cgroup_file(fd.get(), "cgroup.procs", "0");
}

// One step of v2's rule 1: this process's own cgroup, or one above it.
bool will_do(const CgroupParent& at, bool own, bool top) {
  if (!is_delegated(at, top)) return false;
  if (top && is_machine_root(at.fd.get())) return own;
  const Occupants who = occupants(at.fd.get());
  return who == Occupants::nobody || (own && who == Occupants::only_us);
}

// The paths below the mount that v2's rules allow, best first.
std::vector<std::string> paths_v2(const CgroupMounts::Controller& where) {
  std::vector<std::string> found;
  std::string path = where.own_path;
  // Where an earlier sandbox of this process has moved it to: ours are made beside it, not below.
  if (path.ends_with(std::string("/") + kLauncherName)) path.resize(std::max<size_t>(path.rfind('/'), 1));
  while (!path.empty()) {
    const bool top = path == "/";
    CgroupParent at{{}, join(where.directory, path)};
    if (auto fd = open_cgroup(at.path, true)) {
      at.fd = std::move(*fd);
      if (will_do(at, path == where.own_path, top)) found.push_back(path);
    }
    if (top) break;
    path.resize(std::max<size_t>(path.rfind('/'), 1));
  }
  if (::geteuid() == 0) found.emplace_back(kDefaultParent);
  return found;
}

}  // namespace

Result<Fd> make_cgroup(const CgroupParent& parent, const std::string& name) {
  if (::mkdirat(parent.fd.get(), name.c_str(), 0755) < 0)
    return std::unexpected(unavailable(sys_error("mkdir " + parent.path + "/" + name, errno).error(), parent.path));
  auto made = files::open_at(parent.fd.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!made) ::unlinkat(parent.fd.get(), name.c_str(), AT_REMOVEDIR);  // nobody else knows of it
  return made;
}

Result<> inherit_cpuset(int parent, int directory) {
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    const std::string inherited = TRY(read_cgroup_file(parent, file));
    TRY(write_cgroup_file(directory, file, inherited));
  }
  return {};
}

Result<CgroupParent> open_parent_v1(const CgroupMounts::Controller& where, const std::string& parent) {
  if (parent.empty() && !where.own_path.empty()) {
    std::string path = join(where.directory, where.own_path);
    Fd fd = TRY(open_cgroup(path, false));
    return CgroupParent{std::move(fd), std::move(path)};
  }
  return walk(where, TRY(normalized(parent.empty() ? kDefaultParent : parent)),
              [](const CgroupParent&) -> Result<> { return {}; });
}

Result<CgroupParent> open_parent_v2(const CgroupMounts::Controller& where, const std::string& parent,
                                    const std::vector<std::string>& controllers) {
  auto enable_in = [&](const CgroupParent& at) { return enable(at, controllers); };
  if (!parent.empty()) return walk(where, TRY(normalized(parent)), enable_in);
  const auto candidates = paths_v2(where);
  if (candidates.empty())
    return fail(Fault::unavailable,
                "no cgroup below which this user may make one (own cgroup: " + join(where.directory, where.own_path) + ")",
                kPermissionRemedy);
  if (candidates.front() == kDefaultParent) return walk(where, kDefaultParent, enable_in);
  std::string path = join(where.directory, candidates.front());
  Fd fd = TRY(open_cgroup(path, true));
  CgroupParent found{std::move(fd), std::move(path)};
  if (!controllers.empty() && occupants(found.fd.get()) == Occupants::only_us) TRY(move_to_launcher(found));
  TRY(enable(found, controllers));
  return found;
}

Result<std::vector<std::string>> candidate_parents(const CgroupMounts::Controller& where, const std::string& parent) {
  if (!parent.empty()) return std::vector{join(where.directory, TRY(normalized(parent)))};
  std::vector<std::string> paths;
  if (where.v2) paths = paths_v2(where);
  else paths = {where.own_path.empty() ? kDefaultParent : where.own_path};
  for (std::string& path : paths) path = join(where.directory, path);
  return paths;
}

}  // namespace bailey::host
