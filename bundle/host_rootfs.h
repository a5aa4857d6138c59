// The default root of `run`: made of the host's /usr, read-only, with a small /etc of our own. Plain data, in the order in
// which it has to be made, so that both backends build the same root: native on a tmpfs after clone (no entry needs an
// allocation then), gVisor in a directory of its private tmpfs.
//
//   /usr                          bind      /proc /dev /tmp /run HOME   directories to mount on (those in config.mounts)
//   /bin /sbin /lib /lib64 ...    links, or binds where the host has directories
//   /etc                          passwd, group, hosts, hostname, nsswitch.conf, resolv.conf: ours, of config
//                                 what programs of /usr need of the host's, where it is there (host_rootfs.cc): no private
//                                 keys, no configuration that may hold passwords
//   /var/tmp /var/run             links to /tmp and /run
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"

namespace bailey::bundle {

struct RootEntry {
  enum class Kind {
    directory,
    symlink,         // text: its target
    file,            // text: its contents
    bind_directory,  // text: the source, an absolute path of the host, to be opened following links (root owns them). Who
    bind_file,       // builds makes the directory or empty file and binds onto it: recursive, read-only, nosuid, nodev
  };
  Kind kind = Kind::directory;
  std::string path;  // relative to the root, without a leading slash; the directory it lies in has an earlier entry
  std::string text;
  mode_t mode = 0755;  // of directory and file, exactly: no umask
  friend bool operator==(const RootEntry&, const RootEntry&) = default;
};

// What a sandbox calls itself and asks on a network with addresses; empty members: there is none.
struct NetworkNames {
  std::string address, address6, resolver;
  std::vector<std::pair<std::string, std::string>> others;  // host names of others on it, with their addresses
  std::vector<std::string> search;                          // domains of resolv.conf(5); with a resolver
  unsigned ndots = 1;
};

// `config` is complete (builder.h): its user, HOME, hostname, namespaces and mounts decide. Without a network namespace
// resolv.conf and hosts are the host's. About 50 system calls, all reading; needs no privilege. `host` stands before every path
// of the host ("" but in tests).
Result<std::vector<RootEntry>> host_root_entries(const Config& config, const NetworkNames& names = {},
                                                 const std::string& host = "");
// hosts, hostname and resolv.conf alone: what a root of the caller's gets in place of its own on a network with addresses.
std::vector<RootEntry> network_entries(const Config& config, const NetworkNames& names);

}  // namespace bailey::bundle
