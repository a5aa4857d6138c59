// HostFacts: what guards may know of this host and of what the request names on it. Gathered once, before admission, so that
// guards stay pure. Volume sources are judged on the opened descriptor, never on the string.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

// Another real path of the same file, through a bind mount at `mount`.
struct OtherName {
  std::string path;
  std::string mount;
  friend bool operator==(const OtherName&, const OtherName&) = default;
};

// The host's end of one bind mount, opened O_PATH. `real_path` is the kernel's own name of it (readlink of /proc/self/fd/N).
struct OpenedSource {
  Fd fd;
  std::string given;
  std::string real_path;
  std::vector<OtherName> other_names;
  mode_t mode = 0;  // st_mode
  bool directory() const { return S_ISDIR(mode); }
  uint32_t uid = 0, gid = 0;
  dev_t device = 0;
  ino_t inode = 0;
};

struct Home {
  std::string path;  // real path
  uint32_t uid = 0;
};

// A place that no volume may show, found on this host: a container engine's data or socket behind a link, a kernel file system
// mounted somewhere else than usual.
struct ProtectedPath {
  std::string path;  // real path
  std::string what;  // "Docker's data", "a proc file system"
};

// A namespace that the request names by its path.
struct OpenedNamespace {
  Fd fd;                   // empty: it names none, and a new one is made
  bool is_ours = false;    // this process is in it, so that it is the host's
  bool has_links = false;  // of a network: others than its loopback
};

struct HostFacts {
  uint32_t euid = 0;
  std::optional<uint64_t> hard_open_files, hard_file_bytes;  // of this process (RLIMIT_NOFILE, RLIMIT_FSIZE); none: unlimited
  std::vector<Home> homes;                                   // of root and of everybody in /etc/passwd who can log in
  std::vector<ProtectedPath> protected_paths;
  std::vector<OpenedSource> volumes;           // one per config.mounts element, same order; fd empty when it is not a bind
  std::vector<OpenedNamespace> namespaces;     // one per config.linux.namespaces element, same order
  std::vector<secrets::Request> secret_files;  // of the request's secret_directories, as they were listed
  OpenedSource rootfs;                         // of config.root; fd empty when the request has none
};

// Whether this mount binds something of the host: by its type, or by its options when it has none.
bool is_bind(const bundle::Mount& mount);

// Opens what the request names. A missing or unreadable source is an error that names the flag's value. `mounts`: the mount
// table, where the caller has read it (mount_table.h); nullptr: it is read when it is needed.
struct MountEntry;
Result<HostFacts> gather_host_facts(const Request& request, const std::vector<MountEntry>* mounts = nullptr);

}  // namespace bailey::dispatcher
