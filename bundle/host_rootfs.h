// The default root of `run`: made of the host's /usr, read-only, with a small /etc of our own. Plain data, in the order in
// which it has to be made, so that both backends build the same root: native on a tmpfs after clone (no entry needs an
// allocation then), gVisor in a directory of its private tmpfs.
//
//   /usr                          bind      /proc /dev /tmp /run HOME   directories to mount on (those in config.mounts)
//   /bin /sbin /lib /lib64 ...    links, or binds where the host has directories
//   /etc /var /sys                what programs of /usr need of the host's: the copy that host_tree.h keeps, one bind each
//                                 where nothing has to be made in them, else a bind for each of their entries
//   /etc                          passwd, group, hosts, hostname, nsswitch.conf, resolv.conf: ours, of config
//   /var/tmp /var/run /var/lock   links to /tmp, /run and /run
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "bundle/host_tree.h"

namespace bailey::bundle {

struct RootEntry {
  enum class Kind {
    directory,
    symlink,         // text: its target
    file,            // text: its contents
    file_over,       // the same, in place of the file that an earlier bind shows there
    bind_directory,  // text: the source, an absolute path of the host, to be opened following links (root owns them). Who
    bind_file,       // builds makes the directory or empty file and binds onto it: recursive, read-only, nosuid, nodev
  };
  Kind kind = Kind::directory;
  std::string path;  // relative to the root, without a leading slash; its directory has an earlier entry, or is shown by one
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

// How the backend makes the root.
struct HostRootOptions {
  const HostTree* tree = nullptr;   // read here only; none: the host's files are left out
  bool own_sys = false;             // it wants a /sys
  bool writable = false;            // the sandbox may make files in /etc and /var
  std::vector<std::string> places;  // absolute paths inside where mount points will be made, besides those of config.mounts
  std::string host;                 // before every path of the host ("" but in tests)
};

// `config` is complete (builder.h): its user, HOME, hostname, namespaces and mounts decide. Without a network namespace
// resolv.conf and hosts are the host's. Some ten system calls, all reading; needs no privilege.
Result<std::vector<RootEntry>> host_root_entries(const Config& config, const NetworkNames& names,
                                                 const HostRootOptions& options);
// The small files of a root for uid 0 without a network: path and contents, for the copy (HostTreeInputs::files). Those of
// another config that differ come as file_over.
const std::vector<std::pair<std::string, std::string>>& common_files();
// hosts, hostname and resolv.conf alone: what a root of the caller's gets in place of its own on a network with addresses.
std::vector<RootEntry> network_entries(const Config& config, const NetworkNames& names);

}  // namespace bailey::bundle
