#include "dispatcher/host_facts.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <optional>
#include <string_view>

#include "base/files.h"
#include "dispatcher/guards.h"
#include "dispatcher/guards/paths.h"
#include "dispatcher/mount_table.h"
#include "secrets/source.h"

namespace bailey::dispatcher {

namespace {

constexpr size_t kMaxPasswdBytes = 16 << 20;

// File systems that are a way to the kernel or to its devices, wherever they are mounted: a chroot's /proc, a bind of /sys.
constexpr std::string_view kKernelFileSystems[] = {"proc",     "sysfs",     "devtmpfs",   "devpts",      "cgroup", "cgroup2",
                                                   "debugfs",  "tracefs",   "securityfs", "bpf",         "pstore", "configfs",
                                                   "efivarfs", "selinuxfs", "fusectl",    "binfmt_misc", "nsfs"};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Result<std::string> name_of_fd(const Fd& fd) { return files::readlink("/proc/self/fd/" + std::to_string(fd.get())); }

bool is_plain(std::string_view path) {
  return path.starts_with('/') && !path.ends_with('/') && path.find("//") == path.npos && path.find("/.") == path.npos;
}

// The real path of something that may not be there. One that leads there without a link is its own, which is most of them.
std::optional<std::string> real_path(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const Fd straight(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
  if (!straight && errno == ENOENT) return std::nullopt;
  if (straight && is_plain(path)) return path;
  const Result<Fd> fd = files::open(path, O_PATH);
  if (!fd) return std::nullopt;
  Result<std::string> name = name_of_fd(*fd);
  return name ? std::optional(*std::move(name)) : std::nullopt;
}

bool can_log_in(std::string_view shell) {
  const std::string_view program = shell.substr(shell.rfind('/') + 1);
  return program != "nologin" && program != "false" && program != "sync" && program != "shutdown" && program != "halt";
}

// Read by hand: getpwent would load the host's NSS modules into a static program. Other users than those of /etc/passwd are
// known by their directory in /home (guards/paths.cc).
Result<std::vector<Home>> find_homes() {
  std::vector<Home> homes = {{"/root", 0}};
  const std::string passwd = TRY_WITH(files::read("/etc/passwd", kMaxPasswdBytes), "looking for home directories");
  for (std::string_view rest = passwd; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!can_log_in(line.substr(line.rfind(':') + 1))) continue;    // most lines: no use in taking them to pieces
    const std::vector<std::string_view> fields = split(line, ':');  // name:password:uid:gid:gecos:home:shell
    if (fields.size() != 7) continue;
    Home home;
    const auto [end, error] = std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), home.uid);
    if (error != std::errc{} || end != fields[2].data() + fields[2].size()) continue;
    home.path = real_path(std::string(fields[5])).value_or("");
    if (home.path.starts_with('/') && home.path != "/") homes.push_back(std::move(home));
  }
  return homes;
}

std::vector<ProtectedPath> find_protected_paths(const std::vector<MountEntry>& mounts) {
  std::vector<ProtectedPath> found;
  for (const ForbiddenPlace& place : forbidden_places())
    if (auto path = real_path(std::string(place.path)); path && *path != place.path)
      found.push_back({*std::move(path), std::string(place.what)});
  for (const MountEntry& mount : mounts)
    if (std::ranges::find(kKernelFileSystems, mount.type) != std::end(kKernelFileSystems))
      found.push_back({mount.point, "a " + mount.type + " file system"});
  return found;
}

Result<OpenedSource> open_source(const std::string& given, const std::string& what) {
  OpenedSource source;
  source.given = given;
  if (given.empty() || given.find('\0') != std::string::npos) return fail(Fault::bad_input, what + ": not a path");
  auto opened = files::open(given, O_PATH);
  if (!opened) return std::unexpected(files::bad_path(std::move(opened).error(), what));
  source.fd = std::move(*opened);
  const struct stat status = TRY_WITH(files::stat_fd(source.fd.get(), given), what);
  source.real_path = TRY_WITH(name_of_fd(source.fd), what);
  if (!source.real_path.starts_with('/') || status.st_nlink == 0)
    return fail(Fault::bad_input, what + ": the kernel has no path for it (" + source.real_path + ")");
  const int wanted = S_ISDIR(status.st_mode) ? R_OK | X_OK : R_OK;
  if (::faccessat(source.fd.get(), "", wanted, AT_EMPTY_PATH | AT_EACCESS) != 0) {
    auto error = sys_error(what + ": reading it", errno);
    error.error().fault = Fault::bad_input;
    error.error().remedy = "give one that you may read";
    return error;
  }
  source.mode = status.st_mode;
  source.uid = status.st_uid;
  source.gid = status.st_gid;
  source.device = status.st_dev;
  source.inode = status.st_ino;
  return source;
}

std::optional<uint64_t> hard_limit(__rlimit_resource_t resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_max;
}

struct NamespaceFile {
  bundle::NamespaceType type;
  uint64_t flag;
  const char* own;
};
constexpr NamespaceFile kNamespaceFiles[] = {
    {bundle::NamespaceType::pid, CLONE_NEWPID, "/proc/self/ns/pid"},
    {bundle::NamespaceType::network, CLONE_NEWNET, "/proc/self/ns/net"},
    {bundle::NamespaceType::mount, CLONE_NEWNS, "/proc/self/ns/mnt"},
    {bundle::NamespaceType::ipc, CLONE_NEWIPC, "/proc/self/ns/ipc"},
    {bundle::NamespaceType::uts, CLONE_NEWUTS, "/proc/self/ns/uts"},
    {bundle::NamespaceType::user, CLONE_NEWUSER, "/proc/self/ns/user"},
    {bundle::NamespaceType::cgroup, CLONE_NEWCGROUP, "/proc/self/ns/cgroup"},
    {bundle::NamespaceType::time, CLONE_NEWTIME, "/proc/self/ns/time"},
};

// By a look from inside; /proc/net is of whoever reads it.
Result<bool> has_links(int network) {
  const Fd own = TRY(files::open("/proc/self/ns/net", O_RDONLY));
  if (::setns(network, CLONE_NEWNET) < 0) return sys_error("entering a network namespace", errno);
  const auto devices = files::read("/proc/self/net/dev", 1 << 20);
  if (::setns(own.get(), CLONE_NEWNET) < 0) return sys_error("coming back from a network namespace", errno);
  if (!devices) return std::unexpected(devices.error());
  const auto names = std::ranges::count(*devices, ':');  // one for each, none in the heading
  return names > (devices->find(" lo:") != std::string::npos || devices->starts_with("lo:") ? 1 : 0);
}

Result<OpenedNamespace> open_namespace(const bundle::Namespace& space) {
  OpenedNamespace opened;
  if (space.path.empty()) return opened;
  const auto& file = *std::ranges::find(kNamespaceFiles, space.type, &NamespaceFile::type);
  auto fd = files::open(space.path, O_RDONLY | O_NONBLOCK);
  if (!fd) return std::unexpected(files::bad_path(std::move(fd).error(), "namespace " + space.path));
  opened.fd = std::move(*fd);
  if (::ioctl(opened.fd.get(), NS_GET_NSTYPE) != static_cast<int>(file.flag))
    return fail(Fault::bad_input, "namespace " + space.path + ": it is none of the type that the configuration says",
                std::string("give the path of one, such as /proc/PID/ns/") + (file.own + sizeof "/proc/self/ns/" - 1));
  struct stat ours{}, its{};
  if (::stat(file.own, &ours) < 0 || ::fstat(opened.fd.get(), &its) < 0) return sys_error("looking at " + space.path, errno);
  opened.is_ours = ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
  if (space.type == bundle::NamespaceType::network) opened.has_links = TRY(has_links(opened.fd.get()));
  return opened;
}

}  // namespace

bool is_bind(const bundle::Mount& mount) {
  const auto has = [&](std::string_view option) { return std::ranges::find(mount.options, option) != mount.options.end(); };
  return mount.type == "bind" || ((mount.type.empty() || mount.type == "none") && (has("bind") || has("rbind")));
}

Result<HostFacts> gather_host_facts(const Request& request, const std::vector<MountEntry>* known_mounts) {
  for (const secrets::Request& secret : request.secrets) TRY(secrets::check_descriptor(secret));
  HostFacts facts;
  facts.euid = ::geteuid();
  for (const secrets::Directory& directory : request.secret_directories)
    for (secrets::Request& file : TRY(secrets::list_directory(directory))) facts.secret_files.push_back(std::move(file));
  facts.hard_open_files = hard_limit(RLIMIT_NOFILE);
  facts.hard_file_bytes = hard_limit(RLIMIT_FSIZE);
  for (const bundle::Namespace& space : request.config.linux.namespaces) facts.namespaces.push_back(TRY(open_namespace(space)));
  bool names_host_paths = false;
  const bool engines = request.shape == Shape::complete;
  for (size_t i = 0; i < request.config.mounts.size(); ++i) {
    const bundle::Mount& mount = request.config.mounts[i];
    facts.volumes.emplace_back();
    if (!is_bind(mount)) continue;
    facts.volumes.back() = TRY(open_source(mount.source, "volume " + mount.source + ":" + mount.destination));
    names_host_paths |= !is_engines_mount(request, i);
  }
  if (request.config.root) {
    facts.rootfs = TRY(open_source(request.config.root->path, "rootfs " + request.config.root->path));
    names_host_paths |= !engines;
  }
  if (!names_host_paths) return facts;  // nothing will be compared with them
  facts.homes = TRY(find_homes());
  std::vector<MountEntry> read;
  if (!known_mounts) read = TRY_WITH(read_mount_table(), "looking for other names of the volumes");
  const std::vector<MountEntry>& mounts = known_mounts ? *known_mounts : read;
  facts.protected_paths = find_protected_paths(mounts);
  for (OpenedSource& volume : facts.volumes)
    if (volume.fd) volume.other_names = other_names(volume.real_path, mounts);
  if (facts.rootfs.fd) facts.rootfs.other_names = other_names(facts.rootfs.real_path, mounts);
  return facts;
}

}  // namespace bailey::dispatcher
