#include "tests/support/leaks.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "base/files.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

void add_entries(HostState& state, const std::string& directory, const std::string& kind) {
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    state.insert(kind + " " + it->path().string());
}

// A name with a dot is a backend's own and stays (dispatcher/state_store.h).
void add_state(HostState& state, const std::string& directory) {
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
    if (!it->path().filename().string().starts_with('.')) state.insert("state " + it->path().string());
}

// Other programs make and remove files in /tmp all the time: only names that we (the state of an ordinary user) or runsc
// would give count.
void add_temporary_files(HostState& state) {
  HostState all;
  add_entries(all, "/tmp", "file");
  for (const std::string& line : all) {
    const std::string state_of_user = "file /tmp/bailey-" + std::to_string(geteuid());
    if (line == state_of_user || line.find("runsc") != line.npos || line.find("gvisor") != line.npos) state.insert(line);
  }
}

void add_mounts(HostState& state) {
  std::ifstream mountinfo("/proc/self/mountinfo");
  for (std::string line; std::getline(mountinfo, line);) {
    // Without the two leading ids and the optional fields: what is mounted where, as what.
    std::istringstream fields(line);
    std::string id, parent, device, root, target, skip, type, source;
    fields >> id >> parent >> device >> root >> target >> skip;
    while (fields >> skip && skip != "-") {}
    fields >> type >> source;
    state.insert("mount " + device + " " + root + " " + target + " " + type + " " + source);
  }
}

struct ProcessInfo {
  pid_t parent = 0;
  char state = '?';
  std::string name;
};

std::map<pid_t, ProcessInfo> processes() {
  std::map<pid_t, ProcessInfo> all;
  std::error_code error;
  for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(it->path() / "stat");
    std::string line;
    if (!std::getline(file, line)) continue;
    const size_t open = line.find('('), close = line.rfind(')');  // the name may hold both
    if (open == std::string::npos || close == std::string::npos) continue;
    ProcessInfo info;
    info.name = line.substr(open + 1, close - open - 1);
    std::istringstream rest(line.substr(close + 1));
    rest >> info.state >> info.parent;
    all[std::stoi(name)] = info;
  }
  return all;
}

bool descends_from_us(const std::map<pid_t, ProcessInfo>& all, pid_t pid) {
  for (int depth = 0; depth < 64; ++depth) {
    const auto found = all.find(pid);
    if (found == all.end()) return false;
    if (found->second.parent == getpid()) return true;
    pid = found->second.parent;
  }
  return false;
}

void add_processes(HostState& state) {
  const auto all = processes();
  for (const auto& [pid, info] : all) {
    if (pid == getpid() || !descends_from_us(all, pid)) continue;
    if (info.state == 'Z' && info.parent == getpid() && waitpid(pid, nullptr, WNOHANG) == pid) continue;
    state.insert("process " + std::to_string(pid) + " " + info.name);
  }
}

// Only directories of ours: "bailey" itself may stay as the parent of others.
void add_cgroups(HostState& state) {
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it("/sys/fs/cgroup", options, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored) || it->is_symlink(ignored)) continue;
    if (it->path().filename().string().starts_with("bailey-")) state.insert("cgroup " + it->path().string());
  }
}

void add_descriptors(HostState& state) {
  std::error_code error;
  for (fs::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const fs::path target = fs::read_symlink(it->path(), gone);
    if (gone || target.string().starts_with("/proc/")) continue;  // the iterator's own descriptor
    state.insert("descriptor " + it->path().filename().string() + " " + target.string());
  }
}

void add_device_owners(HostState& state) {
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/full"}) {
    struct stat info{};
    if (stat(path, &info) != 0) continue;
    std::ostringstream line;
    line << "device " << path << " uid " << info.st_uid << " gid " << info.st_gid << " mode " << std::oct << info.st_mode;
    state.insert(line.str());
  }
}

HostState difference(const HostState& from, const HostState& what) {
  HostState left;
  for (const std::string& line : from)
    if (!what.contains(line)) left.insert(line);
  return left;
}

HostState both(const HostState& a, const HostState& b) { return difference(a, difference(a, b)); }

}  // namespace

HostState look_at_host() {
  HostState state;
  add_descriptors(state);
  add_mounts(state);
  add_processes(state);
  add_cgroups(state);
  add_device_owners(state);
  add_entries(state, "/sys/class/net", "link");
  add_entries(state, "/run/netns", "netns");
  add_state(state, "/run/bailey");
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR")) add_state(state, std::string(runtime) + "/bailey");
  add_entries(state, "/dev/shm", "file");
  add_temporary_files(state);
  return state;
}

LeakCheck::LeakCheck() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  before_ = look_at_host();
}

LeakCheck::~LeakCheck() {
  if (!done_) expect_clean();
}

HostState LeakCheck::added() const { return difference(look_at_host(), before_); }

void LeakCheck::expect_clean(int64_t timeout_ms) {
  done_ = true;
  const auto deadline = clock::Deadline::in_ms(timeout_ms);
  HostState now = look_at_host();
  HostState added = difference(now, before_), gone = difference(before_, now);
  // Things that existed before and vanish are of no interest unless they are the machine's own: a device's owner, a mount, a
  // link.
  const auto keep_serious = [](HostState& lines) {
    std::erase_if(lines, [](const std::string& line) {
      return !line.starts_with("device ") && !line.starts_with("mount ") && !line.starts_with("link ");
    });
  };
  keep_serious(gone);
  while ((!added.empty() || !gone.empty()) && !deadline.passed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    now = look_at_host();
    added = both(added, now);
    gone = difference(gone, now);
  }
  for (const std::string& line : added) ADD_FAILURE() << "left behind: " << line;
  for (const std::string& line : gone) ADD_FAILURE() << "gone from the host: " << line;
}

}  // namespace bailey::tests
