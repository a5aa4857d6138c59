#include "dispatcher/guards/paths.h"

#include <algorithm>
#include <array>

#include "bundle/host_files.h"

namespace bailey::dispatcher {

namespace {

using Place = ForbiddenPlace;

// /var/run is /run on most hosts and a directory of its own on some.
constexpr std::array kForbidden = {
    Place{"/proc", "the kernel's process files"},
    Place{"/sys", "the kernel's device files"},
    Place{"/dev", "the host's devices"},
    Place{"/boot", "the host's kernel"},
    Place{"/run", "the host's sockets and run-time state"},
    Place{"/var/run", "the host's sockets and run-time state"},
    Place{"/etc", "the host's configuration"},
    Place{"/var/lib/docker", "Docker's data"},
    Place{"/var/lib/docker-engine", "Docker's data"},
    Place{"/var/lib/containerd", "containerd's data"},
    Place{"/var/lib/containers", "podman's and CRI-O's data"},
    Place{"/var/lib/crio", "CRI-O's data"},
    Place{"/var/lib/kubelet", "the kubelet's data"},
    Place{"/var/lib/etcd", "etcd's data"},
    Place{"/var/lib/rancher", "k3s's data"},
    Place{"/var/lib/cni", "the container network's state"},
    Place{"/var/lib/nomad", "Nomad's data"},
    Place{"/var/lib/lxc", "LXC's data"},
    Place{"/var/lib/lxd", "LXD's data"},
    Place{"/var/lib/incus", "Incus's data"},
    Place{"/var/lib/machines", "systemd-nspawn's data"},
    Place{"/var/lib/libvirt", "libvirt's data"},
    Place{"/var/snap", "snap's data, Docker's and LXD's among it"},
    Place{"/var/spool/cron", "commands that the host will run"},
};

// Programs of the host: readable, because the default root shows them anyway; never writable.
constexpr std::string_view kPrograms[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libexec", "/opt"};

constexpr std::string_view kHomes = "/home";
constexpr std::string_view kRootHome = "/root";

// Inside the sandbox.
constexpr std::string_view kKernelDirectories[] = {"/proc", "/sys", "/dev"};
constexpr std::string_view kProgramDirectories[] = {"/usr",   "/bin",    "/sbin",   "/lib",    "/lib32",
                                                    "/lib64", "/libx32", "/libo32", "/libexec"};
constexpr std::string_view kMadeForEachRun[] = {"/etc/passwd",   "/etc/group",       "/etc/nsswitch.conf", "/etc/hosts",
                                                "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"};
// Where PID 1's program is, and its neighbours: a volume there would be executed in its place.
constexpr std::string_view kBaileysOwn = "/.bailey";
constexpr std::string_view kSecrets = "/run/secrets";

// The two meet: one is the other or lies below it.
bool overlap(std::string_view a, std::string_view b) { return is_at_or_below(a, b) || is_at_or_below(b, a); }

std::string describe(std::string_view path, std::string_view place, std::string_view what) {
  const char* relation = path == place ? " is " : is_at_or_below(path, place) ? " lies in " : " contains ";
  std::string text = std::string(path) + relation + std::string(what);
  if (path != place) text.append(" (").append(place).append(")");
  return text;
}

// A component directly in `home` that begins with a dot: .ssh, .aws, .config, .bash_history.
bool lies_in_dot_entry(std::string_view path, std::string_view home) {
  return path.size() > home.size() + 1 && is_at_or_below(path, home) && path[home.size() + 1] == '.';
}

std::string forbidden_in_home(std::string_view path, const Home& home, uint32_t euid) {
  if (is_at_or_below(home.path, path)) return describe(path, home.path, "a whole home directory");
  if (lies_in_dot_entry(path, home.path)) return std::string(path) + " lies in a dot directory of the home " + home.path;
  // Root may act for the user whose directory it is; other users may not.
  const bool anothers = is_at_or_below(path, home.path) && euid != 0 && home.uid != euid;
  return anothers ? describe(path, home.path, "another user's home") : "";
}

std::string forbidden_home(std::string_view path, const HostFacts& facts) {
  for (const Home& home : facts.homes)
    if (std::string why = forbidden_in_home(path, home, facts.euid); !why.empty()) return why;
  // /etc/passwd does not know every user (LDAP): what stands directly below /home is somebody's home.
  if (is_at_or_below(kHomes, path)) return describe(path, kHomes, "where the home directories are");
  if (!is_at_or_below(path, kHomes)) return {};
  const Home home{std::string(path.substr(0, path.find('/', kHomes.size() + 1))), facts.euid};
  return forbidden_in_home(path, home, facts.euid);
}

std::string forbidden_place(std::string_view path, const HostFacts& facts) {
  if (path == "/") return "/ is the whole host";
  for (const Place& place : kForbidden)
    if (overlap(path, place.path)) return describe(path, place.path, place.what);
  for (const ProtectedPath& place : facts.protected_paths)
    if (overlap(path, place.path)) return describe(path, place.path, place.what);
  return forbidden_home(path, facts);
}

std::string forbidden_type(const OpenedSource& source) {
  if (S_ISREG(source.mode) || S_ISDIR(source.mode)) return {};
  const char* type = S_ISSOCK(source.mode)   ? "a socket"
                     : S_ISFIFO(source.mode) ? "a FIFO"
                     : S_ISCHR(source.mode)  ? "a character device"
                     : S_ISBLK(source.mode)  ? "a block device"
                                             : "neither a file nor a directory";
  return source.real_path + " is " + type;
}

// Judges a source by each of its names. Another name counts for what the files are, so it does not count where it merely passes
// through a mount that somebody put into a forbidden place: in a toolbox every file of the host is below /run/host as well.
template <typename Judge>
std::string forbidden_by_any_name(const OpenedSource& source, Judge&& judge) {
  if (std::string why = judge(source.real_path); !why.empty()) return why;
  for (const OtherName& other : source.other_names) {
    const auto holds_mount = [&](const Place& place) {
      return other.mount != place.path && is_at_or_below(other.mount, place.path);
    };
    if (std::ranges::any_of(kForbidden, holds_mount)) continue;
    if (std::string why = judge(other.path); !why.empty()) return source.real_path + " shows " + other.path + ": " + why;
  }
  return {};
}

}  // namespace

bool is_plain_path(std::string_view path) {
  const std::string text = std::string(path) + "/";
  return path.size() > 1 && path.starts_with('/') && !path.ends_with('/') && text.find("//") == std::string::npos &&
         text.find("/./") == std::string::npos && text.find("/../") == std::string::npos;
}

std::span<const ForbiddenPlace> forbidden_places() { return kForbidden; }

bool is_at_or_below(std::string_view path, std::string_view top) {
  if (top == "/") return true;
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

std::string forbidden_source(const OpenedSource& source, const HostFacts& facts) {
  if (std::string why = forbidden_type(source); !why.empty()) return why;
  return forbidden_by_any_name(source, [&](std::string_view path) {
    std::string why = forbidden_place(path, facts);
    return why.empty() && is_at_or_below(path, kRootHome) ? describe(path, kRootHome, "root's home") : why;
  });
}

std::string forbidden_rootfs(const OpenedSource& rootfs, const HostFacts& facts) {
  if (!rootfs.directory()) return rootfs.real_path + " is not a directory";
  return forbidden_by_any_name(rootfs, [&](std::string_view path) { return forbidden_place(path, facts); });
}

std::string forbidden_to_write(const OpenedSource& source) {
  return forbidden_by_any_name(source, [](std::string_view path) -> std::string {
    for (const std::string_view programs : kPrograms)
      if (overlap(path, programs)) return describe(path, programs, "the host's programs");
    return {};
  });
}

std::string forbidden_addition(std::string_view path) {
  const std::string text(path);
  if (!path.starts_with('/') || path.size() < 2 || path.ends_with('/') || path.find("//") != path.npos ||
      (text + "/").find("/./") != text.npos || (text + "/").find("/../") != text.npos || path.find('*') != path.npos)
    return "'" + text + "' is not an absolute, normalised path of one file or directory";
  if (bundle::never_shown(path)) return text + " may hold a secret: no sandbox is shown it";
  for (const std::string_view top : {"/etc", "/var", "/var/lib", "/var/cache"})
    if (path == top) return text + " as a whole is not shown: name what programs need of it";
  for (const std::string_view own : kMadeForEachRun)
    if (path == own) return text + " is made for each run";
  for (const std::string_view top : {kHomes, kRootHome, std::string_view("/tmp"), std::string_view("/var/tmp")})
    if (overlap(path, top)) return describe(path, top, "where users keep their files");
  for (const std::string_view programs : kProgramDirectories)
    if (overlap(path, programs)) return describe(path, programs, "where the programs are, which are shown anyway");
  for (const Place& place : kForbidden)
    if (place.path != "/etc" && overlap(path, place.path)) return describe(path, place.path, place.what);
  return {};
}

std::string idle_removal(std::string_view path, std::span<const std::string> additions) {
  const std::string text(path);
  for (const std::string_view own : kMadeForEachRun)
    if (path == own) return text + " is made for each run, whatever the host has there";
  for (const std::string_view programs : kProgramDirectories)
    if (is_at_or_below(path, programs)) return describe(path, programs, "where the programs are, which are always shown");
  for (const std::string_view top : {"/etc", "/var", "/sys"})
    if (is_at_or_below(path, top)) return {};
  if (std::ranges::any_of(additions, [&](const std::string& added) { return overlap(path, added); })) return {};
  return text + " is not shown anyway: of the host's files there are those of /etc, /var, /sys and of \"add\"";
}

std::string forbidden_destination(std::string_view path, DestinationOf what) {
  const std::string text(path);
  if (!path.starts_with('/')) return "'" + text + "' is not absolute";
  if (path.find('\0') != std::string_view::npos) return "a path with a NUL in it";
  if (path == "/") return "/ would cover everything";
  constexpr size_t kMostBytes = 4095, kMostOfAPart = 255;
  if (path.size() > kMostBytes) return "a path of " + std::to_string(path.size()) + " bytes, of which the kernel takes 4095";
  for (size_t begin = 1; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end - begin > kMostOfAPart)
      return "'" + text + "' has a name of " + std::to_string(end - begin) + " bytes, of which the kernel takes 255";
    begin = end + 1;
  }
  if (path.ends_with('/') || path.find("//") != std::string_view::npos || (text + "/").find("/./") != std::string::npos ||
      (text + "/").find("/../") != std::string::npos)
    return "'" + text + "' is not normalised: no empty, '.' or '..' parts";
  for (const std::string_view kernel : kKernelDirectories)
    if (overlap(path, kernel)) return describe(path, kernel, "the sandbox's own");
  for (const std::string_view programs : kProgramDirectories)
    if (overlap(path, programs)) return describe(path, programs, "where the programs are");
  if (path.starts_with(kBaileysOwn)) return text + " is where Bailey's own init is";
  if (is_at_or_below("/etc", path)) return text + " would cover /etc";
  if (what == DestinationOf::volume && overlap(path, kSecrets)) return describe(path, kSecrets, "where the secrets are");
  if (what == DestinationOf::secret && is_at_or_below(kSecrets, path)) return text + " would cover " + std::string(kSecrets);
  if (what == DestinationOf::secret && is_at_or_below(path, kSecrets))
    return text + " lies in " + std::string(kSecrets) + ", where each secret has its own name";
  return {};
}

}  // namespace bailey::dispatcher
