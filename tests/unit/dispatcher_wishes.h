// Requests, policies and host facts as the dispatcher's tests start from.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "base/files.h"
#include "dispatcher/guards.h"
#include "dispatcher/limits.h"

namespace bailey::dispatcher {

inline Request wish(std::string trust = "untrusted") {
  Request request;
  request.trust = std::move(trust);
  request.config.process.emplace();
  request.config.process->args = {"/bin/true"};
  return request;
}

inline bundle::Mount volume(std::string source, std::string destination, std::vector<std::string> options = {"rbind", "ro"}) {
  bundle::Mount mount;
  mount.type = "bind";
  mount.source = std::move(source);
  mount.destination = std::move(destination);
  mount.options = std::move(options);
  return mount;
}

// A source as gather_host_facts would give it, had the host this path. The descriptor is only there to be one.
inline OpenedSource opened(std::string path, mode_t mode = S_IFDIR | 0755) {
  OpenedSource source;
  source.fd = std::move(*files::open("/", O_PATH));
  source.given = path;
  source.real_path = std::move(path);
  source.mode = mode;
  return source;
}

// What a host with two users and root's usual places would say.
inline HostFacts host(uint32_t euid = 0) {
  HostFacts facts;
  facts.euid = euid;
  facts.homes = {
      {"/root", 0}, {"/home/ann", 1000}, {"/home/bob", 1001}, {"/srv/homes/carl", 1002}, {"/var/lib/postgresql", 101}};
  facts.protected_paths = {{"/data/docker", "Docker's data"}, {"/srv/jail/proc", "a proc file system"}};
  return facts;
}

// guard_mounts on one volume whose source the kernel calls `real_path`.
inline Verdict judge_volume(const std::string& real_path, const Level& level, mode_t mode = S_IFDIR | 0755, uint32_t euid = 0,
                            bundle::Mount mount = volume("given", "/work")) {
  Request request = wish(level.name);
  request.config.mounts = {std::move(mount)};
  HostFacts facts = host(euid);
  facts.volumes.push_back(opened(real_path, mode));
  Policy policy = builtin_policy(true);
  policy.levels[level.name] = level;
  return guard_mounts(request, policy, facts);
}

}  // namespace bailey::dispatcher
