#include "tests/support/require.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace bailey::tests {
namespace {

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool executable(const std::string& path) { return !path.empty() && access(path.c_str(), X_OK) == 0; }

bool can_unshare_user_namespace() {
  const pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

// A writable directory of the controller itself: a plain tmpfs below /sys/fs/cgroup would take the files and limit nothing.
bool controller_writable(const std::string& directory) {
  struct statfs fs{};
  return statfs(directory.c_str(), &fs) == 0 && (fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC) &&
         access(directory.c_str(), W_OK) == 0;
}

bool has_cgroups() {
  std::ifstream v2("/sys/fs/cgroup/cgroup.controllers");
  if (v2) {
    std::stringstream all;
    all << v2.rdbuf();
    const std::string text = all.str();
    return text.find("memory") != std::string::npos && text.find("pids") != std::string::npos &&
           text.find("cpu") != std::string::npos && controller_writable("/sys/fs/cgroup");
  }
  return controller_writable("/sys/fs/cgroup/memory") && controller_writable("/sys/fs/cgroup/pids") &&
         controller_writable("/sys/fs/cgroup/cpu");
}

bool present(std::string_view name) {
  if (name == "root") return geteuid() == 0;
  if (name == "userns") return can_unshare_user_namespace();
  if (name == "cgroup") return has_cgroups();
  if (name == "landlock")
    return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;  // 5.19
  if (name == "runsc") return !runsc_path().empty();
  if (name == "runsc-2022") return !runsc_2022_path().empty();
  return !find_program(name).empty();
}

// "-name" beats everything, so that "all,-kvm" can be said.
bool demanded(std::string_view name) {
  bool answer = false;
  std::stringstream list(env("BAILEY_TEST_REQUIRE"));
  for (std::string item; std::getline(list, item, ',');) {
    if (item == "-" + std::string(name)) return false;
    if (item == name || item == "all") answer = true;
  }
  return answer;
}

}  // namespace

std::string find_program(std::string_view name) {
  std::stringstream path(env("PATH"));
  for (std::string directory; std::getline(path, directory, ':');) {
    const std::string candidate = directory + "/" + std::string(name);
    if (executable(candidate)) return candidate;
  }
  return "";
}

std::string runsc_path() {
  const std::string given = env("BAILEY_RUNSC");
  if (!given.empty()) return executable(given) ? given : "";
  return find_program("runsc");
}

std::string runsc_2022_path() {
  const std::string given = env("BAILEY_RUNSC_2022");
  return executable(given) ? given : "";
}

Missing find_missing(std::initializer_list<std::string_view> names) {
  Missing missing;
  for (std::string_view name : names) {
    if (present(name)) continue;
    if (!missing.what.empty()) missing.what += ", ";
    missing.what += name;
    missing.demanded = missing.demanded || demanded(name);
  }
  return missing;
}

}  // namespace bailey::tests
