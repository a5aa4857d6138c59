// HostFacts: what guards may know of this host and of what the request names on it. Gathered once, before admission, so that
// guards stay pure. Volume sources are judged on the opened descriptor, never on the string.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

// The host's end of one bind mount, opened O_PATH. `real_path` is the kernel's own name of it (readlink of /proc/self/fd/N).
struct OpenedSource {
  Fd fd;
  std::string given;
  std::string real_path;
  bool directory = false;
  uint32_t uid = 0, gid = 0;
  dev_t device = 0;
  ino_t inode = 0;
};

struct HostFacts {
  uint32_t euid = 0;
  std::vector<std::string> home_directories;  // of every user in /etc/passwd, real paths, "/" and "/nonexistent" left out
  std::vector<std::string> protected_paths;   // container engines' data directories and sockets that exist here, real paths
  std::vector<OpenedSource> volumes;          // one per config.mounts element, same order; fd empty when it is not a bind
  OpenedSource rootfs;                        // of config.root; fd empty when the request has none
};

// Opens what the request names. A missing or unreadable source is an error that names the flag's value.
Result<HostFacts> gather_host_facts(const Request& request);

}  // namespace bailey::dispatcher
