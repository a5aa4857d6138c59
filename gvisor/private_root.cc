#include "gvisor/private_root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/detached_mount.h"
#include "base/files.h"
#include "base/json.h"
#include "bundle/writer.h"
#include "gvisor/destinations.h"
#include "gvisor/failure.h"
#include "init/image.h"
#include "init/job.h"

namespace bailey::gvisor {

namespace {

constexpr const char* kBytes = "64m";  // config.json, job, files of /etc, runsc's state; the upper side of an overlay
constexpr const char* kInodes = "8192";
constexpr size_t kLogCap = 64 * 1024;

Result<Fd> create_tmpfs() {
  const MountOption options[] = {{"size", kBytes}, {"nr_inodes", kInodes}, {"mode", "0755"}, {"source", "bailey"}};
  const int mount = create_detached_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (mount < 0) return sys_error("creating the runtime tmpfs", -mount);
  return Fd(mount);
}

// What the files of one private root are made with; remembers the directory and the first error's name.
class Filler {
 public:
  explicit Filler(int root) : root_(root) {}
  Result<> directory(const std::string& path, mode_t mode = 0755) {
    if (::mkdirat(root_, path.c_str(), 0700) < 0 && errno != EEXIST) return failed("mkdir", path, errno);
    if (::fchmodat(root_, path.c_str(), mode, 0) < 0) return failed("chmod", path, errno);  // whatever the umask is
    return {};
  }
  Result<Fd> open_new(const std::string& path, mode_t mode) {
    Fd fd(::openat(root_, path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND, 0600));
    if (!fd || ::fchmod(fd.get(), mode) < 0) return failed("creating", path, errno);
    return fd;
  }
  Result<> file(const std::string& path, std::string_view contents, mode_t mode) {
    const Fd fd = TRY(open_new(path, mode));
    return files::write_fd(fd.get(), contents, path);
  }
  Result<> symlink(const std::string& path, const std::string& target) {
    if (::symlinkat(target.c_str(), root_, path.c_str()) < 0) return failed("symlink", path, errno);
    return {};
  }
  Result<> own(const std::string& path, uid_t uid, gid_t gid) {
    if (::fchownat(root_, path.c_str(), uid, gid, AT_SYMLINK_NOFOLLOW) < 0) return failed("chown", path, errno);
    return {};
  }
  Result<> mode(const std::string& path, mode_t mode) {
    if (::fchmodat(root_, path.c_str(), mode, 0) < 0) return failed("chmod", path, errno);
    return {};
  }
  // To a user inside; where this one has no id to give, with `mode` to everybody.
  Result<> give(const std::string& path, uint32_t user, mode_t mode_for_all) {
    Result<> given = own(path, user, user);
    return given || given.error().sys != EINVAL ? given : mode(path, mode_for_all);
  }
  Result<> rename(const std::string& from, const std::string& to) {
    if (::renameat(root_, from.c_str(), root_, to.c_str()) < 0) return failed("rename", from, errno);
    return {};
  }

 private:
  static std::unexpected<Error> failed(std::string_view verb, const std::string& path, int err) {
    return sys_error(std::string(verb) + " " + path + " on the runtime tmpfs", err);
  }
  int root_;
};

struct TreeRules {
  bool read_only = true;
  bool device = false;
  bundle::MountAttributes attributes = {};
};

// A detached copy of the mounts below `source`.
Result<Fd> clone_tree(int source, const TreeRules& rules, const std::string& name) {
  Fd tree(::open_tree(source, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree) return sys_error("binding " + name + " (open_tree)", errno);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | (rules.device ? 0 : MOUNT_ATTR_NODEV) | (rules.read_only ? MOUNT_ATTR_RDONLY : 0) |
                        rules.attributes.set;
  attributes.attr_clr = rules.attributes.clear;
  attributes.propagation = MS_PRIVATE;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
    return sys_error("making the bind of " + name + (rules.read_only ? " read-only" : " private"), errno);
  return tree;
}

// The same file in this mount namespace, which is a copy of the one that `source` was opened in.
Result<Fd> open_again(int source, const struct stat& info, const std::string& name) {
  const std::string path = TRY(files::readlink("/proc/self/fd/" + std::to_string(source)));
  Fd again = TRY_WITH(files::open(path, O_PATH | O_NOFOLLOW), name);
  const struct stat now = TRY(files::stat_fd(again.get(), path));
  if (now.st_dev != info.st_dev || now.st_ino != info.st_ino)
    return fail(Fault::failed, name + ": " + path + " was replaced while the sandbox was made", "try again");
  return again;
}

// Of the JSON object that `text` begins with; all of it when it does not end.
size_t object_length(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') ++i;
    else if (text[i] == '"') quoted = !quoted;
    else if (!quoted && text[i] == '{') ++depth;
    else if (!quoted && text[i] == '}' && --depth == 0) return i + 1;
  }
  return text.size();
}

class Builder {
 public:
  Builder(const Plan& plan, const Binary& binary, const Sources& sources, OpenedIn opened_in, PrivateRoot& out)
      : plan_(plan),
        binary_(binary),
        sources_(sources),
        reopens_(opened_in == OpenedIn::the_parents),
        out_(out),
        fill_(out.mount.get()) {}

  Result<> build() {
    for (const char* name : {"proc", "dev", "tmp", "runsc", "bundle", "volumes", "rootfs"}) TRY(fill_.directory(name));
    TRY(fill_.directory("state", 0700));
    out_.log = TRY(fill_.open_new("log", 0600));
    const json::Value config = bundle::encode_config(plan_.config);
    if (const std::string where = json::find_not_utf8(config); !where.empty())  // check_plan named it, unless it is new
      return fail(Fault::refused, "config.json: " + where + " is not UTF-8", "use letters that are");
    TRY(fill_.file("bundle/config.json", json::write(config), 0600));
    if (plan_.root == RootKind::overlay) TRY(refuse_destinations_through_links());
    TRY(build_root());
    TRY(attach_own());
    for (const Bind& bind : plan_.binds) {
      TRY(attach(bind));
      if (bind.from == Bind::From::rootfs && plan_.root == RootKind::direct) TRY(cover_devices());
    }
    if (plan_.joins_network) TRY(attach_netns());
    if (plan_.channel_directory) TRY(build_channel());
    if (plan_.terminal) TRY(build_terminal());
    return {};
  }

 private:
  // runsc follows a link of the root directory to where a bind goes, and one to kInitDirectory would put a volume in init's
  // place.
  Result<> refuse_destinations_through_links() const {
    for (const bundle::Mount& mount : plan_.config.mounts) {
      if (mount.type != "bind") continue;
      auto place = files::open_in_root_without_links(sources_.rootfs, mount.destination, O_PATH);
      if (place || place.error().sys != ELOOP) continue;
      return fail(Fault::refused, "the destination " + mount.destination + " leads through a link of the root directory",
                  "name the place that the link leads to");
    }
    return {};
  }

  Result<> put_init(const std::string& directory, const std::string& path) {
    TRY(fill_.directory(directory));
    const auto image = init::init_image();
    return fill_.file(path, {reinterpret_cast<const char*>(image.data()), image.size()}, 0555);
  }

  Result<> build_root() {
    std::string top = "rootfs";
    if (plan_.root == RootKind::direct) {
      TRY(put_init(kPrivateInitDirectory, std::string(kPrivateInitDirectory) + "/init"));
      return {};
    }
    if (plan_.root == RootKind::host) {
      for (const bundle::RootEntry& entry : plan_.entries) TRY(add(entry, top));
    } else {
      struct stat lower{};
      if (::fstat(sources_.rootfs, &lower) < 0) return sys_error("looking at the root directory", errno);
      TRY(fill_.directory("work", 0700));
      top = "upper";
      TRY(fill_.directory(top, lower.st_mode & 07777));
      if (!reopens_)
        TRY(fill_.own(top, lower.st_uid, lower.st_gid));  // an ordinary user has one id to give, and it is this one
      TRY(replace_in_etc(top));
    }
    return put_init(top + kInitDirectory, top + kInitPath);
  }

  // The sandbox has a /dev of its own, and runsc wants init's place there to be in the root, too: in the engine's directory
  // nothing is made but /dev itself, as by other runtimes.
  Result<> cover_devices() {
    if (::mkdirat(sources_.rootfs, "dev", 0755) < 0 && errno != EEXIST && errno != EROFS)
      return sys_error("making /dev in the root directory", errno);
    constexpr const char* kCover = "devices";
    TRY(fill_.directory(kCover));
    TRY(fill_.directory(std::string(kCover) + (kEngineInitDirectory + sizeof "/dev" - 1)));
    const Fd cover(::openat(out_.mount.get(), kCover, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!cover) return sys_error("opening the cover of /dev", errno);
    out_.attachments.push_back({TRY(clone_tree(cover.get(), {.read_only = false}, kCover)), "rootfs/dev"});
    return {};
  }

  // Over what the root has there; a root whose /etc is missing or a link keeps what it has.
  Result<> replace_in_etc(const std::string& top) {
    if (plan_.entries.empty()) return {};
    const Fd etc(::openat(sources_.rootfs, "etc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info{};
    if (!etc || ::fstat(etc.get(), &info) < 0) return {};
    TRY(fill_.directory(top + "/etc", info.st_mode & 07777));
    if (!reopens_) TRY(fill_.own(top + "/etc", info.st_uid, info.st_gid));
    for (const bundle::RootEntry& entry : plan_.entries) TRY(add(entry, top));
    return {};
  }

  Result<> add(const bundle::RootEntry& entry, const std::string& top) {
    const std::string path = top + "/" + entry.path;
    switch (entry.kind) {
      case bundle::RootEntry::Kind::directory: return fill_.directory(path, entry.mode);
      case bundle::RootEntry::Kind::symlink: return fill_.symlink(path, entry.text);
      case bundle::RootEntry::Kind::file: return fill_.file(path, entry.text, entry.mode);
      case bundle::RootEntry::Kind::file_over: return cover_with_file(entry, path);
      case bundle::RootEntry::Kind::bind_directory:
      case bundle::RootEntry::Kind::bind_file: break;
    }
    const Fd source = TRY(files::open(entry.text, O_PATH));
    return attach(source.get(), path, true, entry.text);
  }

  // The file lies next to the root and is bound onto the one that it replaces.
  Result<> cover_with_file(const bundle::RootEntry& entry, const std::string& target) {
    const std::string own = "over-" + std::to_string(out_.attachments.size());
    const Fd file = TRY(fill_.open_new(own, entry.mode));
    TRY(files::write_fd(file.get(), entry.text, own));
    Fd tree = TRY(clone_tree(file.get(), {}, own));
    out_.attachments.push_back({std::move(tree), target});
    return {};
  }

  // Whether `target` lies in what is attached before it, where a place for it is already.
  bool is_covered(std::string_view target) const {
    return std::ranges::any_of(out_.attachments, [&](const Attachment& above) {
      return target.size() > above.target.size() && target.starts_with(above.target) && target[above.target.size()] == '/';
    });
  }

  // Attaches a copy of what `source` refers to, at a new directory or file of the tmpfs, or over what is there.
  Result<> attach(int source, const std::string& target, bool read_only, const std::string& name,
                  const bundle::MountAttributes& attributes = {}) {
    struct stat info{};
    if (::fstat(source, &info) < 0) return sys_error("looking at " + name, errno);
    if (!is_covered(target) && target != "rootfs") {
      if (S_ISDIR(info.st_mode)) TRY(fill_.directory(target));
      else TRY(fill_.file(target, {}, 0444));
    }
    Fd again;
    if (reopens_) again = TRY(open_again(source, info, name));
    const TreeRules rules{.read_only = read_only, .device = S_ISCHR(info.st_mode), .attributes = attributes};
    Fd tree = TRY(clone_tree(again ? again.get() : source, rules, name));
    out_.attachments.push_back({std::move(tree), target});
    return {};
  }

  Result<> attach_own() {
    TRY(attach(binary_.file.get(), "runsc/runsc", true, binary_.path));
    if (binary_.sidecars) TRY(attach(binary_.sidecars.get(), "runsc/gvisor-bin", true, "gvisor-bin"));
    const Fd null = TRY(files::open("/dev/null", O_PATH | O_NOFOLLOW));
    struct stat info{};
    if (::fstat(null.get(), &info) < 0 || !S_ISCHR(info.st_mode) || info.st_rdev != ::makedev(1, 3))
      return fail(Fault::unavailable, "/dev/null of the host is not the null device",
                  "recreate it: mknod -m 666 /dev/null c 1 3");
    TRY(attach(null.get(), "dev/null", false, "/dev/null"));
    const Fd kvm(::open("/dev/kvm", O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (kvm && wants_kvm()) TRY(attach(kvm.get(), "dev/kvm", false, "/dev/kvm"));
    return {};
  }

  bool wants_kvm() const {
    for (const std::string& argument : plan_.arguments)
      if (argument == "--platform=kvm") return true;
    return false;
  }

  Result<> attach(const Bind& bind) {
    switch (bind.from) {
      case Bind::From::volume:
        return attach(sources_.volumes[bind.mount], bind.target, bind.read_only, "volume " + std::to_string(bind.mount),
                      bind.attributes);
      case Bind::From::rootfs: return attach(sources_.rootfs, bind.target, bind.read_only, "the root directory");
      case Bind::From::secrets: {
        TRY(fill_.directory(bind.target));
        Fd mount(::fcntl(sources_.secrets, F_DUPFD_CLOEXEC, 3));
        if (!mount) return sys_error("duplicating the secrets mount", errno);
        out_.attachments.push_back({std::move(mount), bind.target});
        return {};
      }
    }
    return {};
  }

  // A bind of a namespace's file, as `ip netns` keeps one. nosuid and the like are nothing to it.
  Result<> attach_netns() {
    TRY(fill_.file("netns", {}, 0444));
    Fd tree(::open_tree(sources_.netns, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!tree) return sys_error("binding the network namespace (open_tree)", errno);
    out_.attachments.push_back({std::move(tree), "netns"});
    return {};
  }

  // init reads and writes here as its own user, who is the only one that may: the environment is in it, and the report.
  // An ordinary user has no id to give to that user: everybody inside may then.
  Result<> build_channel() {
    TRY(fill_.directory("channel", 0700));
    return fill_.give("channel", plan_.init_user, 0777);
  }

  // runsc opens a pty in a devpts that the child mounts, and sends its master to the socket.
  Result<> build_terminal() {
    TRY(fill_.directory("dev/pts"));
    TRY(fill_.symlink("dev/ptmx", "pts/ptmx"));
    out_.console = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!out_.console) return sys_error("creating the console socket", errno);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // A path through the descriptor: the tmpfs is attached nowhere yet.
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/console", out_.mount.get());
    if (::bind(out_.console.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(out_.console.get(), 1) < 0)
      return sys_error("binding the console socket", errno);
    return {};
  }

  const Plan& plan_;
  const Binary& binary_;
  const Sources& sources_;
  const bool reopens_;
  PrivateRoot& out_;
  Filler fill_;
};

}  // namespace

Result<PrivateRoot> create_private_root(const Plan& plan, const Binary& binary, const Sources& sources, OpenedIn opened_in) {
  PrivateRoot root;
  TRY(check_destinations(plan, sources));
  root.mount = TRY(create_tmpfs());
  TRY(Builder(plan, binary, sources, opened_in, root).build());
  return root;
}

// Whole or not at all: init looks for it all the time.
Result<> put_job(const PrivateRoot& root, const Plan& plan, std::string_view job) {
  Filler fill(root.mount.get());
  TRY(fill.file("channel/new-job", job, 0600));
  TRY(fill.give("channel/new-job", plan.init_user, 0644));
  return fill.rename("channel/new-job", "channel/job");
}

Result<std::string> read_channel_reports(const PrivateRoot& root) {
  auto opened = files::open_beneath(root.mount.get(), "channel/report", O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!opened) {
    if (opened.error().sys == ENOENT) return std::string();
    return std::unexpected(std::move(opened).error());
  }
  // A workload that may write here (of an ordinary user) forges at most its own ending; no more than a few reports are read.
  return files::read_fd(opened->get(), 16 * sizeof(init::Report), "init's report");
}

std::string parse_log_errors(std::string_view text) {
  std::string errors, noise;
  while (!text.empty()) {
    const size_t length = object_length(text);
    const auto entry = json::parse(text.substr(0, length), "runsc's log");
    text.remove_prefix(length);
    const json::Object* members = entry ? entry->as<json::Object>() : nullptr;
    const json::Value* level = members ? members->find("level") : nullptr;
    const json::Value* message = members ? members->find("msg") : nullptr;
    if (!level || !message || !level->as<std::string>() || !message->as<std::string>()) continue;
    if (*level->as<std::string>() != "error") continue;
    const std::string line = message->as<std::string>()->substr(0, message->as<std::string>()->find('\n'));
    std::string& to = is_noise(line) ? noise : errors;
    to.append(to.empty() ? "" : "; ").append(line);
  }
  return errors.empty() ? noise : errors;
}

std::string parse_panic(std::string_view text) {
  constexpr size_t kMost = 200;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with("panic:") || line.starts_with("fatal error:")) return std::string(line.substr(0, kMost));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return {};
}

std::string read_last_words(const PrivateRoot& root) {
  const auto first_part = [&](int file) {
    std::string text(kLogCap, '\0');
    const ssize_t got = ::pread(file, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return text;
  };
  std::string words = parse_log_errors(first_part(root.log.get()));
  const auto panic = files::open_beneath(root.mount.get(), "panic-log", O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const std::string line = panic ? parse_panic(first_part(panic->get())) : std::string();
  if (!line.empty()) words.append(words.empty() ? "" : "; ").append(line);
  return words;
}

}  // namespace bailey::gvisor
