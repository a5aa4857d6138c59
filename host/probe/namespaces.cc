#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <climits>

#include "base/child.h"
#include "base/command.h"
#include "base/fd.h"
#include "base/files.h"
#include "host/probe/probe.h"
#include "host/probe/trial.h"

namespace bailey::host {

namespace {

using State = Probe::State;

constexpr int kAllNamespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
constexpr long kFewNamespaces = 256;
constexpr uint64_t kWholeRange = 65536;

// A sysctl's number; -1 when there is none.
long sysctl(const std::string& path) {
  const auto text = files::read(path, 64);
  long value = -1;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

// Why distributions and administrators say no, and what each would have to be asked for.
std::string user_namespace_remedy(int err) {
  if (err == ENOSPC) return "raise user.max_user_namespaces";
  if (sysctl("/proc/sys/kernel/unprivileged_userns_clone") == 0)
    return "sysctl kernel.unprivileged_userns_clone=1, or run as root";
  if (sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
    return "an AppArmor profile that lets bailey have user namespaces (or "
           "kernel.apparmor_restrict_unprivileged_userns=0)";
  if (err == ENOSYS || err == EINVAL) return "a kernel with CONFIG_USER_NS";
  return "in a container: let its seccomp profile pass unshare and clone with CLONE_NEWUSER";
}

// Read by hand: getpwuid would load the host's NSS modules into a static program.
std::string user_name(const std::string& uid) {
  const auto text = files::read("/etc/passwd", 1 << 20);
  for (size_t at = 0; text && at < text->size();) {  // name:password:uid:...
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string line = text->substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':'), second = line.find(':', first + 1), third = line.find(':', second + 1);
    if (third != std::string::npos && line.substr(second + 1, third - second - 1) == uid) return line.substr(0, first);
  }
  return uid;
}

// The first range of `user` (name or number) in /etc/subuid or /etc/subgid: "name:start:count" lines.
struct Range {
  uint64_t start = 0, count = 0;
};
Range find_range(const std::string& file, const std::string& name, const std::string& number) {
  const auto text = files::read(file, 1 << 20);
  if (!text) return {};
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string line = text->substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string owner = line.substr(0, first);
    if (owner != name && owner != number) continue;
    Range range;
    std::from_chars(line.data() + first + 1, line.data() + second, range.start);
    std::from_chars(line.data() + second + 1, line.data() + line.size(), range.count);
    return range;
  }
  return {};
}

// Runs newuidmap and newgidmap on a child that waits in a new user namespace. Empty: it worked.
std::string try_id_maps(uint32_t uid, Range uids, uint32_t gid, Range gids) {
  auto to_child = create_pipe(), from_child = create_pipe();
  if (!to_child || !from_child) return "pipe failed";
  const pid_t child = ::fork();
  if (child < 0) return "fork failed";
  if (child == 0) {
    to_child->write.reset();
    TrialSteps ignored;
    char byte = ::unshare(CLONE_NEWUSER) == 0 ? 'y' : 'n';
    (void)!::write(from_child->write.get(), &byte, 1);
    (void)!::read(to_child->read.get(), &byte, 1);  // until the parent closes its end
    ::_exit(0);
  }
  char byte = 'n';
  std::string fault;
  if (::read(from_child->read.get(), &byte, 1) != 1 || byte != 'y') fault = "no user namespace";
  auto map = [&](const char* program, uint32_t own, Range range) {
    if (!fault.empty()) return;
    const auto outcome = run_command({std::string("/usr/bin/") + program,
                                      {std::to_string(child), "0", std::to_string(own), "1", "1", std::to_string(range.start),
                                       std::to_string(std::min(range.count, kWholeRange))},
                                      {},
                                      5000});
    if (!outcome) fault = outcome.error().message;
    else if (outcome->exit_code != 0)
      fault = std::string(program) + ": " +
              (outcome->timed_out ? "no answer"
               : outcome->err.empty()
                   ? "exit code " + std::to_string(outcome->exit_code) + ", signal " + std::to_string(outcome->signal)
                   : outcome->err.substr(0, outcome->err.find('\n')));
  };
  map("newuidmap", uid, uids);
  map("newgidmap", gid, gids);
  to_child->write.reset();
  (void)await_child(child);
  return fault;
}

}  // namespace

Probe probe_user_namespace() {
  const Trial trial = try_in_child([](TrialSteps& step) { enter_user_namespace(step, 0); });
  if (trial.ok()) return {"user namespaces", State::ok, ::geteuid() == 0 ? "as root" : "as an ordinary user", "", ""};
  return {"user namespaces", State::missing, trial.text(), "no native sandbox", user_namespace_remedy(trial.err)};
}

Probe probe_all_namespaces() {
  const Trial trial = try_in_child([](TrialSteps& step) {
    if (!enter_user_namespace(step, kAllNamespaces)) return;
    // A new /proc may be mounted only where the one here is wholly visible; the pid namespace begins with the
    // next child.
    const Trial inner = try_in_child([](TrialSteps& deeper) {
      if (!deeper(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "mount private")) return;
      deeper(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0, "mounting a new /proc");
    });
    if (!inner.ok()) step.fail(inner.step.c_str(), inner.err);
  });
  if (trial.ok())
    return {"all namespaces", State::ok, "mount, pid, network, ipc, uts, cgroup and user, with a new /proc", "", ""};
  const bool proc = trial.step.find("/proc") != std::string::npos;
  return {"all namespaces", State::missing, trial.text(), "no native sandbox",
          proc ? "in a container: start it with an unmasked /proc (podman: --security-opt unmask=/proc/*)"
               : "allow every kind of namespace: see 'user namespaces' and 'namespace limits'"};
}

Probe probe_namespace_limits() {
  std::string none, few, all;
  for (const char* kind : {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}) {
    const long limit = sysctl("/proc/sys/user/max_" + std::string(kind) + "_namespaces");
    if (limit < 0) continue;
    const std::string item = std::string(kind) + " " + std::to_string(limit);
    if (limit == 0) none.append(none.empty() ? "" : ", ").append(item);
    else if (limit < kFewNamespaces) few.append(few.empty() ? "" : ", ").append(item);
    all.append(all.empty() ? "" : ", ").append(item);
  }
  if (!none.empty())
    return {"namespace limits", State::missing, none, "no native sandbox", "raise user.max_*_namespaces (sysctl)"};
  if (!few.empty())
    return {"namespace limits", State::degraded, few, "no more sandboxes than that at once",
            "raise user.max_*_namespaces (sysctl)"};
  return {"namespace limits", State::ok, all.empty() ? "none" : all, "", ""};
}

Probe probe_id_ranges() {
  const std::string name = "id ranges";
  if (::geteuid() == 0) return {name, State::ok, "root: a range of its own for each sandbox", "", ""};
  const std::string cost = "one id inside a native sandbox: no additional groups, and the caller's own cannot be dropped";
  const std::string number = std::to_string(::geteuid()), user = user_name(number);
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    return {name, State::degraded, "this process can gain no privileges (no_new_privs), and newuidmap is set-user-id", cost,
            "start bailey where it may (systemd: NoNewPrivileges=no)"};
  const Range uids = find_range("/etc/subuid", user, number), gids = find_range("/etc/subgid", user, number);
  if (uids.count == 0 || gids.count == 0)
    return {
        name, State::degraded, "no range for '" + user + "' in /etc/subuid and /etc/subgid", cost,
        "a line " + user + ":FIRST:65536 in both, with a range that no other line has (usermod --add-subuids, --add-subgids)"};
  const std::string fault = try_id_maps(::geteuid(), uids, ::getegid(), gids);
  if (fault.empty())
    return {name, State::ok, "newuidmap: " + std::to_string(uids.count) + " ids from " + std::to_string(uids.start), "", ""};
  return {name, State::degraded, fault, cost,
          "newuidmap and newgidmap (Debian: package uidmap), set-user-id root; the group has to be the one of /etc/passwd"};
}

}  // namespace bailey::host
