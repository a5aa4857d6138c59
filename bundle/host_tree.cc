#include "bundle/host_tree.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "bundle/host_files.h"
#include "bundle/host_tree_index.h"

namespace bailey::bundle {

namespace {

constexpr const char* kName = ".default-root";
constexpr const char* kCurrent = "current";
constexpr const char* kIndex = "index";
constexpr size_t kMostIndex = 64 << 20;
constexpr int kMostTries = 8;
constexpr int64_t kMakersMs = 2000;
constexpr size_t kMostFile = 64 << 20;
constexpr const char* kOnline = "/sys/devices/system/cpu/online";  // sysfs has no ctime to compare
// A change this soon after a file was looked at may leave its ctime as it is: the kernel's clock for files ticks.
constexpr int64_t kClockTick = 20'000'000;

// Links that every root has there.
constexpr std::pair<const char*, const char*> kLinks[] = {
    {"etc/mtab", "/proc/self/mounts"}, {"var/tmp", "/tmp"}, {"var/run", "/run"}, {"var/lock", "/run"}};

std::string key_of(const HostTreeInputs& inputs) {
  Writer key;
  key.text(inputs.scan.host);
  key.text(files::read(inputs.scan.host + kOnline, 4096).value_or(""));
  for (const auto* list : {&inputs.scan.add, &inputs.scan.remove}) {
    key.number(list->size());
    for (const std::string& path : *list) key.text(path);
  }
  for (const auto& [path, contents] : inputs.files) {
    key.text(path);
    key.text(contents);
  }
  return std::move(key).take();
}

// The directory must be this user's alone and no link: sandboxes are shown its contents.
Result<Fd> open_own(int above, const std::string& name, const std::string& path) {
  auto there = files::open_at(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!there && there.error().sys == ENOENT) {
    if (::mkdirat(above, name.c_str(), 0700) < 0 && errno != EEXIST) return sys_error("making " + path, errno);
    there = files::open_at(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  Fd directory = TRY(std::move(there));
  const struct stat info = TRY(files::stat_fd(directory.get(), path));
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return fail(Fault::unavailable, path + " is not this user's alone", "remove it");
  return directory;
}

// Never waits: whoever holds the lock may be stopped.
bool try_lock(int directory, int how) {
  while (::flock(directory, how | LOCK_NB) != 0)
    if (errno != EINTR) return false;
  return true;
}

// The copy that `current` leads to with its index; nothing when there is none, or it is not whole, or is being removed.
struct Found {
  Fd directory;
  Index index;
  std::string text;  // of the index
};
std::optional<Found> find_current(int top) {
  auto opened = files::open_at(top, kCurrent, O_RDONLY | O_DIRECTORY);
  if (!opened || !try_lock(opened->get(), LOCK_SH)) return {};
  const auto file = files::open_at(opened->get(), kIndex, O_RDONLY | O_NOFOLLOW);
  if (!file) return {};
  auto text = files::read_fd(file->get(), kMostIndex, kIndex);
  auto index = text ? decode(*text) : std::nullopt;
  if (!index) return {};
  for (const std::string& directory : index->directories)
    if (::faccessat(opened->get(), ("root/" + directory).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return Found{std::move(*opened), std::move(*index), std::move(*text)};
}

// Sandboxes can read it in their mount tables: it says nothing.
Result<std::string> draw_name() {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) return sys_error("getrandom", errno);
  char text[24];
  std::snprintf(text, sizeof text, "t%016" PRIx64, number);
  return std::string(text);
}

bool is_unchanged(const SeenView& seen) {
  struct stat info{};
  if (::fstatat(AT_FDCWD, seen.path.data(), &info, AT_SYMLINK_NOFOLLOW) != 0) return seen.inode == 0;
  return info.st_ino == seen.inode && info.st_dev == seen.device &&
         info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec == seen.changed_ns;
}

HostTree tree_of(Found found, const std::string& top) {
  return {.lock = std::move(found.directory),
          .path = top + "/" + found.index.name + "/root",
          .binds = std::move(found.index.binds),
          .directories = std::move(found.index.directories)};
}

class Maker {
 public:
  // `shared`: the lock of makers is held, so that others may get the copy as well.
  Maker(const HostTreeInputs& inputs, int top, bool shared)
      : inputs_(inputs), top_(top), shared_(shared), began_ns_(clock::wall_ns()) {}

  Result<Found> make(std::string key) {
    HostScan scan = scan_host(inputs_.scan);
    index_.key = std::move(key);
    index_.items = hash_of(scan.items);
    for (HostItem& item : scan.items)
      if (item.kind == HostItem::Kind::bind_directory || item.kind == HostItem::Kind::bind_file) index_.binds.push_back(item);
    index_.seen = std::move(scan.seen);
    if (shared_)
      if (auto same = with_another_index()) return std::move(*same);
    for (const std::string& note : scan.notes) log::warning("the policy's default_root.add: " + note);
    remove_others();  // first: there may be room for one only
    auto made = fill(scan.items);
    auto published = made ? publish() : std::unexpected(std::move(made).error());
    if (published) return published;
    if (directory_) remove(index_.name);
    return published;
  }

 private:
  // Where nothing changed but names that are none of ours (/etc/resolv.conf was renewed), the copy is as good as new.
  std::optional<Found> with_another_index() {
    auto old = find_current(top_);
    if (!old || old->index.key != index_.key || old->index.items != index_.items) return {};
    size_t i = 0;
    const bool same = all_seen(old->text, old->index.seen_at, [&](const SeenView& was) {
      if (i == index_.seen.size()) return false;
      const Seen& is = index_.seen[i++];
      return is.path == was.path.substr(0, was.path.size() - 1) &&
             (is.names_only || (is.device == was.device && is.inode == was.inode && is.changed_ns == was.changed_ns));
    });
    if (!same || i != index_.seen.size()) return {};
    index_.name = old->index.name;
    index_.directories = old->index.directories;
    if (!write_index(old->directory.get())) return {};
    old->index = std::move(index_);
    return old;
  }

  // An empty directory of ours, locked. Until it is, another maker may take it for a left one and remove it: then once more.
  Result<> make_own() {
    for (int i = 0; i < kMostTries; ++i) {
      index_.name = TRY(draw_name());
      if (::mkdirat(top_, index_.name.c_str(), 0700) < 0) return sys_error("making " + index_.name, errno);
      auto opened = files::open_at(top_, index_.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!opened && opened.error().sys != ENOENT) return std::unexpected(std::move(opened).error());
      if (!opened || !try_lock(opened->get(), LOCK_SH)) continue;
      directory_ = std::move(*opened);
      if (::faccessat(top_, index_.name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) return {};
    }
    return fail(Fault::unavailable, "another maker removes each copy that is begun",
                "end what holds the lock of " + top_path());
  }

  std::string top_path() const { return inputs_.runtime_directory + "/" + kName; }

  Result<> fill(const std::vector<HostItem>& items) {
    TRY(make_own());
    TRY(make_directory(directory_.get(), "root"));
    root_ = TRY(files::open_at(directory_.get(), "root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    for (const char* name : {"etc", "var"}) TRY(make_directory(root_.get(), name));
    for (const auto& [path, target] : kLinks) TRY(make_link(path, target));
    for (const auto& [path, contents] : inputs_.files) TRY(write_file(path, contents, 0644, nullptr));
    for (const HostItem& item : items) TRY(add(item));
    // Once they are full: what is made in a directory changes its time.
    for (const HostItem& item : items)
      if (const timespec times[2] = {item.modified, item.modified};
          item.kind == HostItem::Kind::directory && item.inode != 0 &&
          ::utimensat(root_.get(), item.path.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0)
        return sys_error("setting the time of " + item.path, errno);
    index_.directories = TRY(files::list(root_.get()));
    return {};
  }

  Result<> add(const HostItem& item) {
    switch (item.kind) {
      case HostItem::Kind::directory:
      case HostItem::Kind::bind_directory: return make_directory(root_.get(), item.path);
      case HostItem::Kind::symlink: return make_link(item.path, item.source);
      case HostItem::Kind::bind_file: return write_file(item.path, {}, 0444, nullptr);
      case HostItem::Kind::copy: return copy(item);
    }
    return {};
  }

  // A file that was replaced since the scan is left out. The index then differs from the host, so the next start makes a new
  // copy.
  Result<> copy(const HostItem& item) {
    const auto source = files::open(item.source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat info{};
    if (!source || ::fstat(source->get(), &info) != 0) return {};
    if (!S_ISREG(info.st_mode) || !is_public(info.st_mode) || info.st_ino != item.inode || info.st_dev != item.device)
      return {};
    const auto contents = files::read_fd(source->get(), kMostFile, item.source);
    if (!contents || (item.check && gives_secret(*contents))) return {};
    return write_file(item.path, *contents, item.mode, &item.modified);
  }

  static Result<> make_directory(int above, const std::string& path) {
    if (::mkdirat(above, path.c_str(), 0755) < 0 && errno != EEXIST) return sys_error("mkdir " + path, errno);
    if (::fchmodat(above, path.c_str(), 0755, 0) < 0) return sys_error("chmod " + path, errno);  // whatever the umask is
    return {};
  }

  Result<> make_link(const std::string& path, const std::string& target) {
    if (::symlinkat(target.c_str(), root_.get(), path.c_str()) < 0 && errno != EEXIST)
      return sys_error("symlink " + path, errno);
    return {};
  }

  // One of our own stays, should the table name its path as well.
  Result<> write_file(const std::string& path, std::string_view contents, mode_t mode, const timespec* modified) {
    const Fd file(::openat(root_.get(), path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) return {};
    if (!file) return sys_error("creating " + path, errno);
    TRY(files::write_fd(file.get(), contents, path));
    if (::fchmod(file.get(), mode) < 0) return sys_error("chmod " + path, errno);
    const timespec times[2] = {modified ? *modified : timespec{}, modified ? *modified : timespec{}};
    if (modified && ::futimens(file.get(), times) < 0) return sys_error("setting the time of " + path, errno);
    return {};
  }

  Result<> write_index(int directory) {
    Index written = index_;
    for (Seen& seen : written.seen)
      if (seen.changed_ns > began_ns_ - kClockTick) seen.changed_ns = 0;
    return files::write_atomically(directory, kIndex, encode(written), 0600);
  }

  Result<Found> publish() {
    if (!shared_) return Found{std::move(directory_), std::move(index_), {}};
    TRY(write_index(directory_.get()));
    const std::string fresh = index_.name + ".link";
    if (::symlinkat(index_.name.c_str(), top_, fresh.c_str()) < 0) return sys_error("symlink " + fresh, errno);
    if (::renameat(top_, fresh.c_str(), top_, kCurrent) < 0) return sys_error("renaming to current", errno);
    return Found{std::move(directory_), std::move(index_), {}};
  }

  void remove(const std::string& name) const {
    if (auto removed = files::remove_tree(top_, name); !removed) log::debug(removed.error().message);
  }

  // Those that nobody uses, and what an interrupted maker left.
  void remove_others() {
    for (const std::string& name : files::list(top_).value_or(std::vector<std::string>{})) {
      if (!name.starts_with('t')) continue;
      const auto directory = files::open_at(top_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      const bool is_ours = directory ? try_lock(directory->get(), LOCK_EX)
                                     : shared_ && (directory.error().sys == ENOTDIR || directory.error().sys == ELOOP);
      if (!is_ours) continue;
      remove(name);
    }
  }

  const HostTreeInputs& inputs_;
  const int top_;
  const bool shared_;
  const int64_t began_ns_;
  Index index_;
  Fd directory_, root_;
};

Result<HostTree> open_in(const HostTreeInputs& inputs, Compare compare) {
  const std::string path = inputs.runtime_directory + "/" + kName;
  const Fd runtime = TRY(open_own(AT_FDCWD, inputs.runtime_directory, inputs.runtime_directory));
  const Fd top = TRY(open_own(runtime.get(), kName, path));
  std::string key = key_of(inputs);
  const auto current = [&](Compare when) -> std::optional<HostTree> {
    auto found = find_current(top.get());
    if (!found || found->index.key != key) return {};
    std::string text = std::move(found->text);
    const size_t seen_at = found->index.seen_at;
    HostTree tree = tree_of(std::move(*found), path);
    tree.index = std::move(text), tree.seen_at = seen_at;
    if (when == Compare::now && !is_current(tree)) return {};
    return tree;
  };
  if (auto tree = current(compare)) return std::move(*tree);
  // One maker at a time; whoever waited takes what the other made. One that does not get on (it is stopped) is left alone:
  // this run gets a copy of its own.
  const Fd makers = TRY(files::open_at(top.get(), ".", O_RDONLY | O_DIRECTORY));
  const clock::Deadline deadline = clock::Deadline::in_ms(kMakersMs);
  bool locked = try_lock(makers.get(), LOCK_EX);
  for (; !locked && !deadline.passed(); locked = try_lock(makers.get(), LOCK_EX)) {
    constexpr timespec pause{0, 2'000'000};
    ::nanosleep(&pause, nullptr);
  }
  if (auto tree = current(Compare::now)) return std::move(*tree);
  if (!locked) log::debug("another process has held the lock of " + path + " for long: this run gets a copy of its own");
  return tree_of(TRY(Maker(inputs, top.get(), locked).make(std::move(key))), path);
}

}  // namespace

Result<HostTree> open_host_tree(const HostTreeInputs& inputs, Compare compare) {
  auto opened = open_in(inputs, compare);
  if (opened) return opened;
  Error error = std::move(opened).error().with("the default root's copy of the host's files");
  if (error.remedy.empty() && (error.sys == ENOSPC || error.sys == EDQUOT || error.sys == EROFS))
    error.remedy = "make " + inputs.runtime_directory + " a writable file system with room in it";
  return std::unexpected(std::move(error));
}

bool is_current(const HostTree& tree) { return all_seen(tree.index, tree.seen_at, is_unchanged); }

Result<const HostTree*> KeptHostTree::get() {
  if (!tree_.path.empty()) return &tree_;
  tree_ = TRY(open_host_tree(inputs_, Compare::later));
  made_now_ = tree_.index.empty();
  return &tree_;
}

Result<bool> KeptHostTree::renew() {
  if (tree_.path.empty() || std::exchange(made_now_, false)) return false;
  if (!tree_.index.empty() && is_current(tree_)) return false;
  const std::string before = tree_.path;
  tree_ = TRY(open_host_tree(inputs_, Compare::now));
  return tree_.path != before;
}

}  // namespace bailey::bundle
