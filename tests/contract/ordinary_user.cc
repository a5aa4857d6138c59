#include "tests/contract/ordinary_user.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "host/cgroup/cgroup.h"
#include "tests/contract/file_systems.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

namespace fs = std::filesystem;

namespace {

Prepared g_prepared;
Fd g_root;  // the user's end of the socket to the process that is still root

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "preparing for an ordinary user: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void write_or_give_up(const std::string& path, const std::string& text, mode_t mode = 0644) {
  std::ofstream file(path);
  file << text << std::flush;
  if (!file || ::chmod(path.c_str(), mode) != 0) give_up(path);
}

void make_directory(const std::string& path, uid_t uid, gid_t gid, mode_t mode) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) give_up(path);
  if (::chown(path.c_str(), uid, gid) != 0 || ::chmod(path.c_str(), mode) != 0) give_up(path);
}

void mount_for_user(const std::string& path, const std::string& options, unsigned long flags = 0) {
  make_directory(path, kTestUid, kTestGid, 0700);
  const std::string all = options + ",mode=0700,uid=" + std::to_string(kTestUid) + ",gid=" + std::to_string(kTestGid);
  if (::mount("tmpfs", path.c_str(), "tmpfs", flags, all.c_str()) != 0) give_up("mounting " + path);
}

// /etc/NAME with a line more, for the processes of this mount namespace only.
void extend_account_file(const std::string& name, const std::string& line) {
  const std::string ours = g_prepared.directory + "/" + name, theirs = "/etc/" + name;
  write_or_give_up(ours, read_file(theirs) + line + "\n");
  if (::mount(ours.c_str(), theirs.c_str(), nullptr, MS_BIND, nullptr) != 0) give_up("binding over " + theirs);
}

void name_the_user() {
  const std::string uid = std::to_string(kTestUid), gid = std::to_string(kTestGid), name = kTestUser;
  const std::string range = name + ":" + std::to_string(kTestRange) + ":65536";
  extend_account_file("passwd", name + ":x:" + uid + ":" + gid + "::/:/bin/sh");
  extend_account_file("group", name + ":x:" + gid + ":");
  extend_account_file("subuid", range);
  extend_account_file("subgid", range);
}

// A directory in each hierarchy that belongs to the user: what an administrator, or systemd's Delegate=, does.
class DelegatedCgroups {
 public:
  // `below_own`: below this process's own cgroup of each hierarchy, else at its top.
  void add(const std::string& name, bool below_own) {
    const auto mounts = host::find_cgroups();
    if (!mounts) give_up("looking for cgroups");
    std::set<std::string> seen;
    for (const auto& controller : mounts->controllers) {
      if (!seen.insert(controller.directory).second) continue;
      const bool own = below_own && controller.own_path != "/";
      delegate(controller.directory + (own ? controller.own_path : "") + "/" + name, controller.v2);
    }
  }
  // A cgroup of somebody else's that this user may not even list, as Bailey's own are for others.
  void add_closed(const std::string& name) {
    const size_t before = made_.size();
    add(name, false);
    for (size_t i = before; i < made_.size(); ++i)
      if (::chown(made_[i].first.c_str(), 0, 0) != 0 || ::chmod(made_[i].first.c_str(), 0700) != 0) give_up(made_[i].first);
  }
  // Those made so far are where the tests will run. v2: a cgroup with processes can have no children with limits, so they go
  // one deeper.
  void mark_to_enter() {
    for (const auto& [path, v2] : std::vector(made_)) {
      entered_.push_back(v2 ? path + "/tests" : path);
      if (v2) delegate(entered_.back(), true, false);
    }
  }
  void enter(pid_t pid) const {
    for (const std::string& path : entered_)
      if (!(std::ofstream(path + "/cgroup.procs") << pid << std::flush)) give_up("entering " + path);
  }
  ~DelegatedCgroups() {
    for (auto it = made_.rbegin(); it != made_.rend(); ++it) {
      remove_what_tests_left(it->first);
      const auto deadline = clock::Deadline::in_ms(20'000);
      while (::rmdir(it->first.c_str()) != 0 && errno == EBUSY && !deadline.passed()) ::usleep(10'000);
      if (fs::exists(it->first)) std::fprintf(stderr, "left behind: cgroup %s\n", it->first.c_str()), failed = true;
    }
  }
  static inline bool failed = false;

 private:
  // The sandboxes of a test that failed: it has said so itself.
  static void remove_what_tests_left(const std::string& path) {
    std::error_code error;
    for (fs::directory_iterator below(path, error), end; !error && below != end; below.increment(error))
      if (below->is_directory(error)) ::rmdir(below->path().c_str());
  }
  void delegate(const std::string& path, bool v2, bool hand_down = true) {
    if (::mkdir(path.c_str(), 0755) != 0) give_up(path);
    made_.emplace_back(path, v2);
    if (::access((path + "/cpuset.cpus").c_str(), F_OK) == 0 && !v2)
      for (const char* file : {"/cpuset.cpus", "/cpuset.mems"})
        std::ofstream(path + file) << read_file(fs::path(path).parent_path().string() + file) << std::flush;
    for (const char* file : {"", "/cgroup.procs", "/tasks", "/cgroup.subtree_control", "/cgroup.threads"})
      if (::chown((path + file).c_str(), kTestUid, kTestGid) != 0 && errno != ENOENT) give_up(path + file);
    if (v2 && hand_down) std::ofstream(path + "/cgroup.subtree_control") << "+memory +pids +cpu" << std::flush;
  }
  std::vector<std::pair<std::string, bool>> made_;
  std::vector<std::string> entered_;
};

// The build may lie where only root can go.
void copy_programs() {
  const std::string binary = g_prepared.directory + "/bailey", probes = g_prepared.directory + "/probes";
  fs::copy_file(bailey_binary(), binary);
  ::chmod(binary.c_str(), 0755);
  make_directory(probes, 0, 0, 0755);
  for (const auto& entry : fs::directory_iterator(BAILEY_PROBES)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("probe_") || !entry.is_regular_file()) continue;
    fs::copy_file(entry.path(), probes + "/" + name);
    ::chmod((probes + "/" + name).c_str(), 0755);
  }
  ::setenv("BAILEY", binary.c_str(), 1);
  ::setenv("BAILEY_PROBES", probes.c_str(), 1);
}

void prepare_directories() {
  char name[] = "/tmp/bailey-contract-user-XXXXXX";
  if (!::mkdtemp(name) || ::chmod(name, 0755) != 0) give_up("mkdtemp");
  g_prepared.directory = name;
  const std::string run = g_prepared.directory + "/run";
  make_directory(run, kTestUid, kTestGid, 0700);
  ::setenv("XDG_RUNTIME_DIR", run.c_str(), 1);

  g_prepared.submount = g_prepared.directory + "/submount";
  make_directory(g_prepared.submount, kTestUid, kTestGid, 0755);
  mount_for_user(g_prepared.submount + "/sub", "size=1m");
  g_prepared.read_only = g_prepared.directory + "/read-only";
  mount_for_user(g_prepared.read_only, "size=4k", MS_RDONLY);
  g_prepared.full = g_prepared.directory + "/full";
  mount_for_user(g_prepared.full, "size=4k,nr_inodes=2");
  write_or_give_up(g_prepared.full + "/filler", std::string(4096, 'x'));
}

void become_the_user() {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kTestGid, kTestGid, kTestGid) != 0 ||
      ::setresuid(kTestUid, kTestUid, kTestUid) != 0)
    give_up("becoming the user");
  // Without exec this process would stay root's for /proc: its own descriptors could not be listed.
  ::prctl(PR_SET_DUMPABLE, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::umask(022);
  if (::chdir("/") != 0) give_up("chdir");
}

bool obey(char what, const char* path) {
  switch (what) {
    case 'm': return mount_file_systems(path, kTestUid, kTestGid);
    case 'u': return unmount_file_systems(path);
    case 'c': return ::mount(path, kCoveredFile, nullptr, MS_BIND, nullptr) == 0;
    case 'd': return ::umount2(kCoveredFile, MNT_DETACH) == 0;
    default: return false;
  }
}

// Until the user's process ends and with it the last other end.
void serve(const Fd& socket) {
  char order[PATH_MAX + 1];
  for (;;) {
    const ssize_t got = ::recv(socket.get(), order, sizeof order - 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    order[got] = '\0';
    const bool done = obey(order[0], order + 1);
    (void)::send(socket.get(), done ? "y" : "n", 1, MSG_NOSIGNAL);
  }
}

}  // namespace

bool ask_root(char what, const std::string& path) {
  const std::string order = what + path;
  char answer = 'n';
  return ::send(g_root.get(), order.data(), order.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(order.size()) &&
         ::recv(g_root.get(), &answer, 1, 0) == 1 && answer == 'y';
}

Caller caller() {
  const char* kind = std::getenv("BAILEY_CONTRACT_USER");
  if (!kind || !*kind || std::strcmp(kind, "root") == 0) return Caller::root;
  if (std::strcmp(kind, "ranges") == 0) return Caller::ranges;
  if (std::strcmp(kind, "bare") == 0) return Caller::bare;
  std::fprintf(stderr, "BAILEY_CONTRACT_USER=%s: one of root, ranges, bare\n", kind);
  std::exit(1);
}

const Prepared& prepared() { return g_prepared; }

int run_as_ordinary_user(int (*tests)()) {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    give_up("a mount namespace of its own");
  prepare_directories();
  copy_programs();
  int code = 1;
  {
    DelegatedCgroups cgroups;
    if (caller() == Caller::ranges) {
      name_the_user();
      const std::string suffix = std::to_string(::getpid());
      cgroups.add("bailey-contract-user-" + suffix, true);
      cgroups.mark_to_enter();
      g_prepared.elsewhere = "/bailey-contract-elsewhere-" + suffix;
      cgroups.add(g_prepared.elsewhere.substr(1), false);
      cgroups.add_closed("bailey-contract-closed-" + suffix);
    }
    std::fflush(nullptr);
    auto sockets = create_socket_pair();
    const pid_t child = sockets ? ::fork() : -1;
    if (child < 0) give_up("fork");
    if (child == 0) {
      sockets->ours.reset();
      g_root = std::move(sockets->theirs);
      cgroups.enter(::getpid());
      become_the_user();
      code = tests();
      std::fflush(nullptr);
      ::_exit(code);
    }
    sockets->theirs.reset();
    serve(sockets->ours);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  for (const std::string& mounted : {g_prepared.submount + "/sub", g_prepared.read_only, g_prepared.full})
    ::umount2(mounted.c_str(), MNT_DETACH);
  std::error_code error;
  fs::remove_all(g_prepared.directory, error);
  if (error) std::fprintf(stderr, "left behind: %s: %s\n", g_prepared.directory.c_str(), error.message().c_str());
  return error || DelegatedCgroups::failed ? 1 : code;
}

}  // namespace bailey::tests
