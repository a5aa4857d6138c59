#include <unistd.h>

#include "base/child.h"
#include "base/files.h"
#include "host/cgroup/cgroup.h"
#include "host/probe/probe.h"

namespace bailey::host {

namespace {

using State = Probe::State;

struct Wanted {
  const char* name;
  const char* cost;
  bundle::Resources resources;
};

std::vector<Wanted> wanted_limits() {
  std::vector<Wanted> all(5);
  all[0] = {"cgroup memory", "no level with a memory limit can run", {}};
  all[0].resources.memory.limit = 64 << 20;
  all[1] = {"cgroup pids", "no level with a process limit can run", {}};
  all[1].resources.pids_limit = 64;
  all[2] = {"cgroup cpu", "no level with a CPU limit can run", {}};
  all[2].resources.cpu.quota = 50'000;
  all[2].resources.cpu.period = 100'000;
  all[3] = {"cgroup cpuset", "no sandbox can be tied to CPUs", {}};
  all[3].resources.cpu.cpus = "0";
  all[4] = {"cgroup io", "no sandbox can have a disk rate", {}};
  return all;
}

// A child enters it the way that a sandbox does on v1; on v2 it is moved.
bool can_be_entered(const Cgroup& cgroup) {
  auto gate = create_pipe();
  if (!gate) return false;
  const pid_t child = ::fork();
  if (child == 0) {
    gate->write.reset();
    for (const Fd& fd : cgroup.join_fds())
      if (::write(fd.get(), "0", 1) != 1) ::_exit(1);
    char byte = 0;
    ::_exit(::read(gate->read.get(), &byte, 1) == 0 ? 0 : 1);
  }
  const bool moved = child > 0 && (cgroup.clone_into_fd() < 0 || cgroup.attach(child));
  gate->write.reset();
  const auto status = await_child(child);
  return moved && status && *status == 0;
}

Probe probe_limit(const Wanted& wanted, const std::string& parent, State when_missing) {
  const auto mounts = find_cgroups();  // each time: on v2 this process may have been moved to a child of its cgroup
  if (!mounts) return {wanted.name, when_missing, mounts.error().message, wanted.cost, "mount /proc"};
  auto cgroup = Cgroup::create(*mounts, parent, "doctor-" + std::to_string(::getpid()), wanted.resources);
  if (!cgroup) return {wanted.name, when_missing, cgroup.error().message, wanted.cost, cgroup.error().remedy};
  if (!can_be_entered(*cgroup))
    return {wanted.name, when_missing, "a process could not enter " + cgroup->paths().front(), wanted.cost,
            "run as root, or in a delegated cgroup"};
  const std::string path = cgroup->paths().front();
  return {wanted.name, State::ok, "below " + path.substr(0, path.rfind('/')), "", ""};
}

Probe probe_socket_memory(const CgroupMounts& mounts) {
  const char* const name = "cgroup socket memory";
  const auto* memory = mounts.find("memory");
  const auto cmdline = files::read("/proc/cmdline", 1 << 16);
  if (!memory || !memory->v2 || !cmdline || !leaves_out_socket_memory(*cmdline)) return {name, State::ok, "counted", "", ""};
  return {name, State::degraded, "the kernel was booted with cgroup.memory=nosocket",
          "buffers of sockets are beyond every memory limit", "boot without that"};
}

}  // namespace

bool leaves_out_socket_memory(std::string_view cmdline) {
  for (size_t at = cmdline.find("cgroup.memory="); at != std::string_view::npos; at = cmdline.find("cgroup.memory=", at + 1)) {
    const std::string_view value = cmdline.substr(at, cmdline.find_first_of(" \n", at) - at);
    if (value.contains("nosocket")) return true;
  }
  return false;
}

std::vector<Probe> probe_cgroups(const std::string& parent) {
  auto mounts = find_cgroups();
  if (mounts) mounts = read_unified_controllers(std::move(*mounts));
  if (!mounts || mounts->layout == CgroupLayout::none)
    return {{"cgroups", State::missing, mounts ? "none mounted" : mounts.error().message,
             "no limits: levels with any cannot run",
             mounts && !mounts->missing_remedy.empty() ? mounts->missing_remedy : "mount -t cgroup2 none /sys/fs/cgroup"}};
  std::string controllers;
  for (const auto& controller : mounts->controllers)
    controllers.append(controllers.empty() ? "" : " ").append(controller.name).append(controller.v2 ? "(v2)" : "");
  std::vector<Probe> probes = {{"cgroups", State::ok, std::string(to_text(mounts->layout)) + ": " + controllers, "", ""}};
  for (const Wanted& wanted : wanted_limits()) {
    const bool essential = wanted.resources.cpu.cpus.empty();
    if (wanted.resources == bundle::Resources{}) {  // no disk is ours to throttle: only whether there is a controller
      const auto* where = mounts->find("io") ? mounts->find("io") : mounts->find("blkio");
      if (where) probes.push_back({wanted.name, State::ok, where->directory, "", ""});
      else probes.push_back({wanted.name, State::degraded, "no io or blkio controller", wanted.cost, "enable the controller"});
      continue;
    }
    probes.push_back(probe_limit(wanted, parent, essential ? State::missing : State::degraded));
  }
  probes.push_back(probe_socket_memory(*mounts));
  return probes;
}

}  // namespace bailey::host
