#include "dispatcher/state_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/files.h"
#include "base/protection.h"
#include "base/units.h"

namespace bailey::dispatcher {

namespace {

constexpr const char* kRecordName = "record.json";
constexpr const char* kNewRecordName = "record.json.new";
constexpr size_t kMaxRecordBytes = 4 << 20;  // an engine's annotations are in it
constexpr size_t kMostLocks = 16 << 20;
constexpr const char* kOwnPlace = "set XDG_RUNTIME_DIR to a directory of your own with mode 0700, such as /run/user/UID";

Error unusable(Error error, const std::string& path) {
  error = std::move(error).with("the runtime directory " + path);
  if (error.remedy.empty()) error.remedy = ::geteuid() == 0 ? "make /run a writable file system with room in it" : kOwnPlace;
  return error;
}

// /tmp is everybody's: what stands there under our name must be ours alone.
Result<> check_ours(int fd, const std::string& path) {
  const struct stat info = TRY(files::stat_fd(fd, path));
  if (info.st_uid != ::geteuid())
    return fail(Fault::refused, "it belongs to uid " + std::to_string(info.st_uid),
                ::geteuid() == 0 ? "remove " + path : kOwnPlace);
  if ((info.st_mode & 077) != 0) return fail(Fault::refused, "others may enter it", "chmod 0700 " + path);
  if (::geteuid() == 0) return {};  // root's is below /run
  // Whoever could put another directory in its place could show us their records.
  if (const auto above = TRY(weakness_above(fd, Unmapped::taken_for_root)))
    return fail(Fault::refused, above->path + " above it " + above->why, kOwnPlace);
  return {};
}

// Shared while an entry is made or attached to, exclusive while somebody looks which ones are dead.
class TopLock {
 public:
  static Result<TopLock> take(int fd, int operation) {
    while (::flock(fd, operation) != 0)
      if (errno != EINTR) return sys_error("flock", errno);
    return TopLock(fd);
  }
  TopLock(TopLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~TopLock() {
    if (fd_ >= 0) ::flock(fd_, LOCK_UN);
  }

 private:
  explicit TopLock(int fd) : fd_(fd) {}
  int fd_;
};

// Whose lock is on that file, by /proc/locks (proc_locks(5)): "4: FLOCK  ADVISORY  WRITE 1234 00:1c:567 0 EOF". 0: nobody's.
int owner_of_lock(const struct stat& file) {
  const auto locks = files::read("/proc/locks", kMostLocks);
  if (!locks) return 0;
  char place[64];
  std::snprintf(place, sizeof place, " %02x:%02x:%lu ", major(file.st_dev), minor(file.st_dev), file.st_ino);
  const size_t at = locks->find(place);
  if (at == locks->npos) return 0;
  int owner = 0;
  std::from_chars(locks->data() + locks->rfind(' ', at - 1) + 1, locks->data() + at, owner);
  return owner;
}

// Whether a process was killed and has not ended: SIGKILL is pending (proc_pid_status(5)), because it sleeps in the kernel.
bool is_stuck(int pid) {
  const auto status = files::read("/proc/" + std::to_string(pid) + "/status", 16 << 10);
  constexpr uint64_t kKill = uint64_t{1} << (SIGKILL - 1);
  const auto pends = [&](std::string_view field) {
    const size_t at = status->find(field);
    return at != status->npos && (std::strtoull(status->c_str() + at + field.size(), nullptr, 16) & kKill) != 0;
  };
  return status && (pends("\nSigPnd:") || pends("\nShdPnd:"));
}

}  // namespace

StateEntry& StateEntry::operator=(StateEntry&& other) noexcept {
  if (this != &other) {
    remove();
    directory_ = std::move(other.directory_);
    top_ = other.top_;
    id_ = std::move(other.id_);
    path_ = std::move(other.path_);
  }
  return *this;
}

Result<> StateEntry::write(const StateRecord& record) {
  // No fsync: none of it has to outlive this boot, and where /run is no tmpfs an fsync costs more than the whole start.
  auto file = files::open_at(directory_.get(), kNewRecordName, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  if (!file) return std::unexpected(unusable(std::move(file).error(), path_));
  if (auto written = files::write_fd(file->get(), TRY(encode_record(id_, record)), kRecordName); !written)
    return std::unexpected(unusable(std::move(written).error(), path_));
  if (::renameat(directory_.get(), kNewRecordName, directory_.get(), kRecordName) != 0)
    return std::unexpected(unusable(sys_error("rename", errno).error(), path_));
  return {};
}

void StateEntry::remove() {
  if (!directory_) return;
  ::unlinkat(directory_.get(), kRecordName, 0);
  // A backend may have made something there. What is left after an error is gc's: the lock goes with us.
  if (::unlinkat(top_, id_.c_str(), AT_REMOVEDIR) != 0 && errno == ENOTEMPTY) (void)files::remove_tree(top_, id_);
  directory_.reset();
}

std::string StateStore::default_path() {
  if (::geteuid() == 0) return "/run/bailey";
  const char* runtime = ::getenv("XDG_RUNTIME_DIR");
  if (runtime && runtime[0] == '/') return std::string(runtime) + "/bailey";
  return "/tmp/bailey-" + std::to_string(::geteuid());
}

Result<StateStore> StateStore::open() { return open_at(default_path()); }

Result<StateStore> StateStore::open_at(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
  StateStore store;
  store.path_ = path;
  auto top = files::open(path, kFlags);
  if (!top && top.error().sys == ENOENT) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
      return std::unexpected(unusable(sys_error("mkdir", errno).error(), path));
    top = files::open(path, kFlags);
  }
  if (!top) return std::unexpected(unusable(std::move(top).error(), path));
  if (auto ours = check_ours(top->get(), path); !ours) return std::unexpected(unusable(std::move(ours).error(), path));
  store.top_ = std::move(*top);
  return store;
}

// A dead one's lock is then ours, through `held`.
Result<StateStore::Holder> StateStore::holder_of(const std::string& id, Fd& held) const {
  auto directory = files::open_at(top_.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  if (!directory) {
    if (directory.error().sys == ENOENT) return Holder::nobody;
    if (directory.error().sys == ENOTDIR || directory.error().sys == ELOOP) return Holder::dead;  // nothing that we ever make
    return std::unexpected(std::move(directory).error());
  }
  if (::flock(directory->get(), LOCK_EX | LOCK_NB) == 0) {
    if (!is_entry(*directory, id)) return Holder::nobody;
    if (lives_alone(id)) return Holder::living;
    held = std::move(*directory);
    return Holder::dead;
  }
  if (errno == EWOULDBLOCK) return Holder::living;
  return sys_error("flock " + path_ + "/" + id, errno);
}

// Whether this directory still has that name: its owner may have removed it between our open and our lock, and somebody else
// made another one.
bool StateStore::is_entry(const Fd& directory, const std::string& id) const {
  struct stat opened{}, named{};
  return ::fstat(directory.get(), &opened) == 0 && ::fstatat(top_.get(), id.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Whether it is an independent sandbox whose first process runs. Where that cannot be said (a record of another version, no
// descriptors left) it counts as living; a record that is missing or garbage is nobody's.
bool StateStore::lives_alone(const std::string& id) const {
  const auto record = read(id);
  constexpr int kCannotTell[] = {EMFILE, ENFILE, ENOMEM, EIO};
  if (!record)
    return record.error().fault == Fault::unavailable ||
           std::ranges::find(kCannotTell, record.error().sys) != std::end(kCannotTell);
  if (!record->independent) return false;
  const auto process = record->sandbox.open();
  return !process || *process;
}

Result<StateEntry> StateStore::attach(const std::string& id) {
  TRY(units::check_name("sandbox", id));
  // Exclusive: a process that makes the entry would not get its lock.
  const TopLock looking = TRY(TopLock::take(top_.get(), LOCK_EX));
  auto directory = files::open_at(top_.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  if (!directory && directory.error().sys != ENOENT) return std::unexpected(std::move(directory).error());
  if (!directory) return fail(Fault::bad_input, "there is no sandbox '" + id + "'", "look at the names in " + path_);
  if (::flock(directory->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return sys_error("flock " + path_ + "/" + id, errno);
    return fail(Fault::bad_input, "the sandbox '" + id + "' belongs to another process at this moment",
                "try again when that one has left it");
  }
  if (!is_entry(*directory, id))
    return fail(Fault::bad_input, "the sandbox '" + id + "' is just being removed", "look at the names in " + path_);
  const StateRecord record = TRY(read(id));
  if (!record.independent)
    return fail(Fault::bad_input, "the sandbox '" + id + "' has ended with its owner", "'bailey gc' removes what it left");
  StateEntry entry;
  entry.top_ = top_.get();
  entry.id_ = id;
  entry.path_ = path_;
  entry.directory_ = std::move(*directory);
  return entry;
}

// Nothing when the name is taken.
Result<std::optional<StateEntry>> StateStore::try_create(const std::string& id) {
  const TopLock making = TRY(TopLock::take(top_.get(), LOCK_SH));
  if (::mkdirat(top_.get(), id.c_str(), 0700) != 0) {
    if (errno == EEXIST) return std::nullopt;
    return std::unexpected(unusable(sys_error("mkdir " + id, errno).error(), path_));
  }
  StateEntry entry;
  entry.top_ = top_.get();
  entry.id_ = id;
  entry.path_ = path_;
  auto directory = files::open_at(top_.get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    ::unlinkat(top_.get(), id.c_str(), AT_REMOVEDIR);
    return std::unexpected(unusable(std::move(directory).error(), path_));
  }
  entry.directory_ = std::move(*directory);
  if (::flock(entry.directory_.get(), LOCK_EX | LOCK_NB) != 0) return sys_error("flock " + path_ + "/" + id, errno);
  return std::optional<StateEntry>(std::move(entry));
}

// Whose it was: dead means that nothing of it is left.
Result<StateStore::Holder> StateStore::collect_if_dead(const std::string& id, const Collector& collect) {
  Fd held;
  Holder holder = Holder::nobody;
  {
    const TopLock looking = TRY(TopLock::take(top_.get(), LOCK_EX));
    holder = TRY(holder_of(id, held));
  }
  if (holder != Holder::dead) return holder;
  TRY(collect(id));
  TRY(files::remove_tree(top_.get(), id));
  return holder;
}

Result<StateEntry> StateStore::create(const std::string& id, const Collector& collect) {
  TRY(units::check_name("sandbox", id));
  // The second and third try are for an id whose owner died, and for one that ends just now.
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto entry = TRY(try_create(id));
    if (entry) return std::move(*entry);
    const Holder holder = TRY_WITH(collect_if_dead(id, collect), "clearing what a dead sandbox '" + id + "' left");
    if (holder == Holder::living) break;
  }
  return fail(Fault::bad_input, "--name " + id + ": a sandbox of that name is running, or is just being removed",
              "choose another name, or leave --name out");
}

Result<std::vector<std::string>> StateStore::ids() const {
  std::vector<std::string> ids = TRY(files::list(top_.get()));
  std::erase_if(ids, [](const std::string& name) { return !units::check_name("sandbox", name); });
  return ids;
}

Result<std::vector<std::string>> StateStore::living() const {
  // Exclusive: holder_of() takes each entry's lock for a moment, in which a process that makes the entry would not get it.
  const TopLock asking = TRY(TopLock::take(top_.get(), LOCK_EX));
  std::vector<std::string> living;
  for (const std::string& name : TRY(ids())) {
    Fd held;
    if (TRY(holder_of(name, held)) == Holder::living) living.push_back(name);
  }
  return living;
}

// .kept-WHAT -> ID: something of a backend's that an independent sandbox keeps as long as it is there.
Result<> StateStore::drop_links_of_the_gone() {
  const TopLock sweeping = TRY(TopLock::take(top_.get(), LOCK_EX));  // a backend makes them under a shared one
  for (const std::string& name : TRY(files::list(top_.get()))) {
    struct stat info{};
    if (name.starts_with(".kept-") && ::fstatat(top_.get(), name.c_str(), &info, 0) != 0 && errno == ENOENT)
      ::unlinkat(top_.get(), name.c_str(), 0);
  }
  return {};
}

Result<StateStore::Sweep> StateStore::collect_dead(const Collector& collect) {
  Sweep sweep;
  for (std::string& id : TRY(ids())) {
    auto holder = collect_if_dead(id, collect);
    if (!holder) sweep.left.push_back({std::move(id), std::move(holder).error()});
    else if (*holder == Holder::dead) sweep.removed.push_back(std::move(id));
    else if (*holder == Holder::living)
      if (auto why = why_it_stays(id)) sweep.left.push_back({std::move(id), std::move(*why)});
  }
  TRY(drop_links_of_the_gone());
  return sweep;
}

Result<> StateStore::collect_one(const std::string& id, const Collector& collect) {
  TRY(units::check_name("sandbox", id));
  if (TRY(collect_if_dead(id, collect)) == Holder::living) return fail(Fault::refused, "the sandbox '" + id + "' lives");
  return {};
}

// Why gc cannot remove a sandbox that has an owner: the owner was killed and hangs in the kernel. Nothing: it is alive.
std::optional<Error> StateStore::why_it_stays(const std::string& id) const {
  struct stat info{};
  if (::fstatat(top_.get(), id.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return {};
  const int owner = owner_of_lock(info);
  if (owner == 0 || !is_stuck(owner)) return {};
  return Error{"its process " + std::to_string(owner) + " was killed and sleeps in the kernel, which waits for a file system",
               "run 'bailey gc' again when that file system has given way",
               Fault::failed,
               0,
               {}};
}

Result<StateRecord> StateStore::read(const std::string& id) const {
  const std::string name = path_ + "/" + id + "/" + kRecordName;
  TRY(units::check_name("sandbox", id));
  const Fd file = TRY(files::open_beneath(top_.get(), id + "/" + kRecordName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  const struct stat info = TRY(files::stat_fd(file.get(), name));
  if (!S_ISREG(info.st_mode)) return fail(Fault::failed, name + " is not a regular file");
  const std::string text = TRY(files::read_fd(file.get(), kMaxRecordBytes, name));
  return decode_record(text, id, name);
}

}  // namespace bailey::dispatcher
