#include "bundle/host_rootfs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/files.h"
#include "bundle/builder.h"

namespace bailey::bundle {

namespace {

using Kind = RootEntry::Kind;

constexpr size_t kMaxCopiedBytes = 256 * 1024;
constexpr size_t kMostWritten = 64 * 1024;  // a larger file is bound
constexpr const char* kNsswitch =
    "passwd: files\ngroup: files\nshadow: files\n"
    "hosts: files dns\nnetworks: files\nprotocols: files\nservices: files\n";
constexpr uint32_t kNobody = 65534;  // Debian's nobody and nogroup
constexpr uint32_t kTtyGroup = 5;

// Directories at the top that are links into /usr, or of their own on hosts without merged /usr.
constexpr const char* kUsrLinks[] = {"bin", "sbin", "lib", "lib64", "lib32", "libx32"};

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
  RootBuilder(const Config& config, const NetworkNames& names, const HostRootOptions& options)
      : config_(config), names_(names), options_(options), host_(options.host) {}

  Result<std::vector<RootEntry>> build() && {
    for (const char* name : kUsrLinks) TRY(top(name));
    own_ = TRY(own_files());
    if (options_.tree) TRY(host_files());
    else TRY(no_host_files());
    // Last, because what file_over needs lies below it until then.
    entries_.push_back({Kind::bind_directory, "usr", host_ + "/usr"});
    mount_points();
    return std::move(entries_);
  }

  using Files = std::vector<std::pair<std::string, std::string>>;
  Result<Files> own_files() const {
    Files files = {{"etc/passwd", passwd()}, {"etc/group", group()}, {"etc/nsswitch.conf", kNsswitch}};
    if (!host_network()) {
      for (RootEntry& entry : network_entries(config_, names_)) files.emplace_back(entry.path, std::move(entry.text));
      return files;
    }
    files.emplace_back("etc/hostname", config_.hostname + "\n");
    for (const char* path : {"etc/hosts", "etc/resolv.conf"}) {
      auto contents = files::read(host_ + "/" + path, kMaxCopiedBytes);
      if (contents) files.emplace_back(path, std::move(*contents));
      else if (!is_absent(contents.error().sys)) return std::unexpected(std::move(contents).error());
    }
    return files;
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

  static bool is_absent(int err) { return err == ENOENT || err == ENOTDIR || err == EACCES; }

  Result<> no_host_files() {
    directory("etc");
    for (auto& [path, contents] : own_) file(path, std::move(contents));
    symlink("etc/mtab", "/proc/self/mounts");
    directory("var");
    symlink("var/tmp", "/tmp");
    symlink("var/run", "/run");
    symlink("var/lock", "/run");
    return {};
  }

  Result<> host_files() {
    for (const std::string& name : options_.tree->directories)
      if (name != "sys" || options_.own_sys) TRY(show(name));
    return {};
  }

  // A directory of the copy: bound as it is, or each of its entries where something has to be made in it.
  Result<> show(const std::string& path) {
    if (!needs_places(path)) {
      entries_.push_back({Kind::bind_directory, path, options_.tree->path + "/" + path});
      if (path == "etc") put_own_over();
      for (const HostItem& bound : options_.tree->binds)
        if (is_below(bound.path, path)) bind_host(bound);
      return {};
    }
    directory(path);
    const Fd opened = TRY(files::open(options_.tree->path + "/" + path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (const std::string& name : TRY(files::list(opened.get()))) TRY(show_entry(opened.get(), name, path + "/" + name));
    if (path == "etc")
      for (auto& [own, contents] : own_) file(own, contents);
    return {};
  }

  Result<> show_entry(int directory, const std::string& name, const std::string& path) {
    if (std::ranges::any_of(own_, [&](const auto& own) { return own.first == path; })) return {};
    const auto bound = std::ranges::find(options_.tree->binds, path, &HostItem::path);
    if (bound != options_.tree->binds.end()) return bind_host(*bound), Result<>();
    struct stat info{};
    if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return sys_error("looking at " + path, errno);
    if (S_ISDIR(info.st_mode)) return show(path);
    const std::string source = options_.tree->path + "/" + path;
    if (S_ISLNK(info.st_mode)) return symlink(path, TRY(files::readlink(source))), Result<>();
    if (static_cast<size_t>(info.st_size) > kMostWritten) entries_.push_back({Kind::bind_file, path, source});
    else entries_.push_back({Kind::file, path, TRY(files::read(source, kMostWritten)), info.st_mode & 07777});
    return {};
  }

  void bind_host(const HostItem& item) {
    const bool is_file = item.kind == HostItem::Kind::bind_file;
    entries_.push_back({is_file ? Kind::bind_file : Kind::bind_directory, item.path, item.source});
  }

  // Most sandboxes take these files from the copy. Those that differ for this sandbox are mounted over it.
  void put_own_over() {
    const Files& common = common_files();
    for (const auto& own : own_)
      if (std::ranges::find(common, own) == common.end()) entries_.push_back({Kind::file_over, own.first, own.second, 0644});
  }

  // Whether something that the copy does not have has to be made below this directory.
  bool needs_places(const std::string& path) const {
    const auto is_inside = [&](std::string_view place) {
      return place.size() > path.size() + 2 && is_below(place.substr(1), path);
    };
    const bool ordinary = path == "etc" || path == "var" || (path.starts_with("var/") && path.find('/', 4) == path.npos);
    if (options_.writable && ordinary) return true;
    return std::ranges::any_of(options_.places, is_inside) ||
           std::ranges::any_of(config_.mounts, [&](const Mount& mount) { return is_inside(mount.destination); });
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
  const HostRootOptions& options_;
  const std::string& host_;
  Files own_;  // path and contents
  std::vector<RootEntry> entries_;
};

}  // namespace

Result<std::vector<RootEntry>> host_root_entries(const Config& config, const NetworkNames& names,
                                                 const HostRootOptions& options) {
  return RootBuilder(config, names, options).build();
}

const std::vector<std::pair<std::string, std::string>>& common_files() {
  static const RootBuilder::Files made = [] {
    Config config;
    config.process = Process{};
    add_run_defaults(config, {});
    const HostRootOptions options;
    return RootBuilder(config, {}, options).own_files().value_or(RootBuilder::Files{});
  }();
  return made;
}

std::vector<RootEntry> network_entries(const Config& config, const NetworkNames& names) {
  return {{RootEntry::Kind::file, "etc/hosts", hosts_file(config.hostname, names), 0644},
          {RootEntry::Kind::file, "etc/hostname", config.hostname + "\n", 0644},
          {RootEntry::Kind::file, "etc/resolv.conf", resolv_conf(names), 0644}};
}

}  // namespace bailey::bundle
