// The members of each OCI structure, once: what a document calls them, and which of them it must have. Reading and writing
// follow from it (reader.cc, writer.cc): fields(v, x) says each member of x to the visitor v, in the order in which they are
// written.
//
//   must(key, member)    a document without it is at fault; always written
//   always(key, member)  may be absent when read; always written
//   may(key, member)     left out when it is absent, an empty text, list, map or structure, false or 0
//   word(key, member, names)   must(), one of these words
//   group(key, inner)    an object without a structure of its own: inner(visitor) says its members
//   refuse({key, ...})   members of the specification that Config has no place for: a fault, not silence
#pragma once

#include <type_traits>

#include "bundle/config.h"

namespace bailey::bundle {

template <typename V, typename T>
using Of = std::conditional_t<V::kReads, T&, const T&>;

// --- process

template <typename V>
void fields(V& v, Of<V, User> user) {
  v.always("uid", user.uid);
  v.always("gid", user.gid);
  v.may("umask", user.umask);
  v.may("additionalGids", user.additional_gids);
}

template <typename V>
void fields(V& v, Of<V, ConsoleSize> size) {
  v.must("height", size.height);
  v.must("width", size.width);
}

template <typename V>
void fields(V& v, Of<V, Capabilities> capabilities) {
  v.may("bounding", capabilities.bounding);
  v.may("effective", capabilities.effective);
  v.may("inheritable", capabilities.inheritable);
  v.may("permitted", capabilities.permitted);
  v.may("ambient", capabilities.ambient);
}

template <typename V>
void fields(V& v, Of<V, Rlimit> rlimit) {
  v.must("type", rlimit.type);
  v.must("hard", rlimit.hard);
  v.must("soft", rlimit.soft);
}

template <typename V>
void fields(V& v, Of<V, Process> process) {
  v.may("terminal", process.terminal);
  v.may("consoleSize", process.console_size);
  v.always("user", process.user);
  v.must("args", process.args);
  v.may("env", process.env);
  v.always("cwd", process.cwd);
  v.may("capabilities", process.capabilities);
  v.may("rlimits", process.rlimits);
  v.may("noNewPrivileges", process.no_new_privileges);
  v.may("oomScoreAdj", process.oom_score_adj);
  v.may("apparmorProfile", process.apparmor_profile);
  v.may("selinuxLabel", process.selinux_label);
  v.refuse({"scheduler", "ioPriority", "execCPUAffinity"});
}

// --- root, mounts, hooks

template <typename V>
void fields(V& v, Of<V, Root> root) {
  v.must("path", root.path);
  v.may("readonly", root.readonly);
}

template <typename V>
void fields(V& v, Of<V, IdMapping> mapping) {
  v.must("containerID", mapping.container_id);
  v.must("hostID", mapping.host_id);
  v.must("size", mapping.size);
}

template <typename V>
void fields(V& v, Of<V, Mount> mount) {
  v.must("destination", mount.destination);
  v.may("type", mount.type);
  v.may("source", mount.source);
  v.may("options", mount.options);
  v.may("uidMappings", mount.uid_mappings);
  v.may("gidMappings", mount.gid_mappings);
}

template <typename V>
void fields(V& v, Of<V, Hook> hook) {
  v.must("path", hook.path);
  v.may("args", hook.args);
  v.may("env", hook.env);
  v.may("timeout", hook.timeout_seconds);
}

template <typename V>
void fields(V& v, Of<V, Hooks> hooks) {
  v.may("prestart", hooks.prestart);
  v.may("createRuntime", hooks.create_runtime);
  v.may("createContainer", hooks.create_container);
  v.may("startContainer", hooks.start_container);
  v.may("poststart", hooks.poststart);
  v.may("poststop", hooks.poststop);
}

}  // namespace bailey::bundle
