#include "bundle/host_rootfs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/files.h"

namespace bailey::bundle {

namespace {

using Kind = RootEntry::Kind;

constexpr size_t kMaxCopiedBytes = 256 * 1024;
constexpr uint32_t kNobody = 65534;  // Debian's nobody and nogroup
constexpr uint32_t kTtyGroup = 5;

// Directories at the top that are links into /usr, or of their own on hosts without merged /usr.
constexpr const char* kUsrLinks[] = {"bin", "sbin", "lib", "lib64", "lib32", "libx32"};

// What programs below /usr read in the host's /etc, and how it comes in: a small file is copied (cheaper than
// a mount), a large one and a directory are bound. Not ld.so.conf: only ldconfig reads it for programs that
// start. Never ssl/private.
struct HostFile {
  const char* name;
  enum { link_or_copy, copy, bind_file, bind_directory } how;
};
constexpr HostFile kFromHostEtc[] = {
    {"alternatives", HostFile::bind_directory},  // /usr/bin/java, awk and cc are links through it
    {"ld.so.cache", HostFile::bind_file},        // finds libraries outside the default directories
    {"localtime", HostFile::link_or_copy},
    {"os-release", HostFile::link_or_copy},
    {"services", HostFile::copy},   // getservbyname
    {"protocols", HostFile::copy},  // perl's sockets
    {"mime.types", HostFile::bind_file},
    {"fonts", HostFile::bind_directory},  // fontconfig
    {"ssl/openssl.cnf", HostFile::copy},
    {"ssl/certs", HostFile::bind_directory},
    {"pki/tls/openssl.cnf", HostFile::copy},  // the same on Fedora
    {"pki/tls/certs", HostFile::bind_directory},
    {"pki/ca-trust/extracted", HostFile::bind_directory},
    {"crypto-policies", HostFile::bind_directory},
};

bool is_below(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// Its own name leads to its address, as a name that others know it by would.
std::string hosts_file(const std::string& hostname, const NetworkNames& names) {
  std::string text =
      "127.0.0.1\tlocalhost" + (names.address.empty() ? " " + hostname : "") + "\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  for (const std::string& address : {names.address, names.address6})
    if (!address.empty()) text += address + "\t" + hostname + "\n";
  for (const auto& [name, address] : names.others)
    if (name != hostname) text += address + "\t" + name + "\n";
  return text;
}

std::string resolv_conf(const NetworkNames& names) {
  if (names.resolver.empty()) return "";
  std::string text = "nameserver " + names.resolver + "\n";
  if (!names.search.empty()) text += "search";
  for (const std::string& domain : names.search) text += " " + domain;
  if (!names.search.empty()) text += "\n";
  if (names.ndots != 1) text += "options ndots:" + std::to_string(names.ndots) + "\n";
  return text;
}

class RootBuilder {
 public:
  RootBuilder(const Config& config, const NetworkNames& names, const std::string& host)
      : config_(config), names_(names), host_(host) {}

  Result<std::vector<RootEntry>> build() && {
    entries_.push_back({Kind::bind_directory, "usr", host_ + "/usr"});
    for (const char* name : kUsrLinks) TRY(top(name));
    directory("etc");
    TRY(own_etc());
    for (const auto& [name, how] : kFromHostEtc) TRY(from_host_etc(name, how));
    TRY(java_configuration());
    directory("var");
    symlink("var/tmp", "/tmp");
    symlink("var/run", "/run");
    mount_points();
    return std::move(entries_);
  }

 private:
  // A directory and those above it, unless they are there.
  void directory(const std::string& path) {
    const auto there = [&](const RootEntry& entry) { return entry.path == path; };
    if (path.empty() || std::ranges::any_of(entries_, there)) return;
    if (const size_t slash = path.rfind('/'); slash != path.npos) directory(path.substr(0, slash));
    entries_.push_back({Kind::directory, path, {}});
  }
  void symlink(std::string path, std::string target) {
    entries_.push_back({Kind::symlink, std::move(path), std::move(target)});
  }
  void file(std::string path, std::string contents) {
    entries_.push_back({Kind::file, std::move(path), std::move(contents), 0644});
  }

  Result<> top(const std::string& name) {
    auto target = files::readlink(host_ + "/" + name);
    if (target) symlink(name, std::move(*target));
    else if (target.error().sys == EINVAL) entries_.push_back({Kind::bind_directory, name, host_ + "/" + name});  // no link
    else if (target.error().sys != ENOENT) return std::unexpected(std::move(target).error());
    return {};
  }

  // What is absent, or unreadable for us, is left out: the program would not find or read it outside either.
  Result<> from_host_etc(const std::string& name, decltype(HostFile::how) how) {
    const std::string source = host_ + "/etc/" + name;
    const std::string path = "etc/" + name;
    if (how == HostFile::link_or_copy) {
      auto target = files::readlink(source);
      if (!target || !leads_into_usr(*target)) return copy(path, source);
      symlink(path, std::move(*target));
      return {};
    }
    if (how == HostFile::copy) return copy(path, source);
    if (::access(source.c_str(), R_OK) < 0) {
      const int err = errno;
      return is_absent(err) ? Result<>{} : sys_error("looking for " + source, err);
    }
    directory(path.substr(0, path.rfind('/')));
    entries_.push_back({how == HostFile::bind_file ? Kind::bind_file : Kind::bind_directory, path, source});
    return {};
  }

  Result<> copy(const std::string& path, const std::string& source) {
    auto contents = files::read(source, kMaxCopiedBytes);
    if (!contents) return is_absent(contents.error().sys) ? Result<>{} : std::unexpected(std::move(contents).error());
    directory(path.substr(0, path.rfind('/')));
    file(path, std::move(*contents));
    return {};
  }

  static bool is_absent(int err) { return err == ENOENT || err == ENOTDIR || err == EACCES; }
  static bool leads_into_usr(std::string_view target) { return target.starts_with("/usr/") || target.starts_with("../usr/"); }

  // Each JDK of /usr/lib/jvm keeps its configuration in /etc/java-VERSION-openjdk and does not start without
  // it.
  Result<> java_configuration() {
    const auto jvm = files::open(host_ + "/usr/lib/jvm", O_PATH | O_DIRECTORY);
    const auto etc = files::open(host_ + "/etc", O_RDONLY | O_DIRECTORY);
    if (!jvm || !etc) return {};
    for (const std::string& name : TRY(files::list(etc->get())))
      if (name.starts_with("java-")) TRY(from_host_etc(name, HostFile::bind_directory));
    return {};
  }

  Result<> own_etc() {
    file("etc/passwd", passwd());
    file("etc/group", group());
    file("etc/nsswitch.conf",
         "passwd: files\ngroup: files\nshadow: files\n"
         "hosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n");
    symlink("etc/mtab", "/proc/self/mounts");
    if (host_network()) {
      file("etc/hostname", config_.hostname + "\n");
      TRY(copy("etc/hosts", host_ + "/etc/hosts"));
      return copy("etc/resolv.conf", host_ + "/etc/resolv.conf");
    }
    for (RootEntry& entry : network_entries(config_, names_)) entries_.push_back(std::move(entry));
    return {};
  }

  // root, nobody, and the workload's user when it is neither.
  std::string passwd() const {
    const User user = config_.process ? config_.process->user : User{};
    const std::string home = passwd_home();
    std::string text = "root:x:0:0:root:" + (user.uid == 0 ? home : "/root") + ":/bin/sh\n";
    text += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    if (user.uid != 0 && user.uid != kNobody)
      text += "user:x:" + std::to_string(user.uid) + ":" + std::to_string(user.gid) + "::" + home + ":/bin/sh\n";
    return text;
  }

  std::string group() const {
    const uint32_t gid = config_.process ? config_.process->user.gid : 0;
    std::string text = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";
    if (gid != 0 && gid != kTtyGroup && gid != kNobody) text += "user:x:" + std::to_string(gid) + ":\n";
    return text;
  }

  // HOME as far as a passwd line can hold it.
  std::string passwd_home() const {
    if (!config_.process) return "/";
    for (const std::string& variable : config_.process->env)
      if (variable.starts_with("HOME=/") && variable.find_first_of(":\n") == variable.npos) return variable.substr(5);
    return "/";
  }

  bool host_network() const {
    return std::ranges::none_of(config_.linux.namespaces, [](const Namespace& n) { return n.type == NamespaceType::network; });
  }

  // Directories for the mounts that lie in this root itself: not below another mount or what is bound. Where
  // the caller's volumes go, the backend makes a directory or a file, as their sources are.
  void mount_points() {
    for (const Mount& mount : config_.mounts) {
      if (mount.type == "bind" || mount.type.empty() || !mount.destination.starts_with('/')) continue;
      const std::string path = mount.destination.substr(1);
      const auto other_mount = [&](const Mount& other) {
        return other.destination != mount.destination && is_below(mount.destination, other.destination);
      };
      const auto not_a_directory = [&](const RootEntry& entry) {
        return entry.kind != Kind::directory && is_below(path, entry.path);
      };
      if (std::ranges::any_of(config_.mounts, other_mount) || std::ranges::any_of(entries_, not_a_directory)) continue;
      directory(path);
    }
  }

  const Config& config_;
  const NetworkNames& names_;
  const std::string& host_;
  std::vector<RootEntry> entries_;
};

}  // namespace

Result<std::vector<RootEntry>> host_root_entries(const Config& config, const NetworkNames& names, const std::string& host) {
  return RootBuilder(config, names, host).build();
}

std::vector<RootEntry> network_entries(const Config& config, const NetworkNames& names) {
  return {{RootEntry::Kind::file, "etc/hosts", hosts_file(config.hostname, names), 0644},
          {RootEntry::Kind::file, "etc/hostname", config.hostname + "\n", 0644},
          {RootEntry::Kind::file, "etc/resolv.conf", resolv_conf(names), 0644}};
}

}  // namespace bailey::bundle
