// PrivateRoot: the parent's half of what plan.h draws: a detached tmpfs, filled, and the detached mounts that the child will
// attach in it. Nothing of it shows in any mount table; dropping it gives all of it back to the kernel.
// Needs CAP_SYS_ADMIN over this mount namespace.
#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "gvisor/plan.h"
#include "gvisor/runsc.h"

namespace bailey::gvisor {

// Open descriptors of the sources that the plan binds; not owned. -1: the plan has no such source.
struct Sources {
  int rootfs = -1;
  std::vector<int> volumes;  // by index of Spec::config().mounts
  int netns = -1;            // with plan.joins_network
  int secrets = -1;          // detached mount of secrets::Stage; it is moved, not copied
};

struct Attachment {
  Fd tree;
  std::string target;  // relative to the private root
};

struct PrivateRoot {
  Fd mount;
  std::vector<Attachment> attachments;  // in order
  Fd log;                               // of runsc, for reading after its end
  Fd console;                           // listening socket, with plan.terminal
};

// Where the descriptors of `sources` and `binary` were opened: a mount can only be bound in the namespace that it belongs to.
enum class OpenedIn { this_mount_namespace, the_parents };
// In the parent's: each is opened again by its path and must be the same file.
Result<PrivateRoot> create_private_root(const Plan& plan, const Binary& binary, const Sources& sources, OpenedIn opened_in);

// Hands the job over to an init that waits for it in the channel directory.
Result<> put_job(const PrivateRoot& root, const Plan& plan, std::string_view job);
// The reports that init left in the channel directory; empty when there is none.
Result<std::string> read_channel_reports(const PrivateRoot& root);
// What runsc said about its end: the errors of its log, and the first line of its kernel's panic. Empty when there is none.
std::string read_last_words(const PrivateRoot& root);
// Pure. Of {"msg","level","time"} objects, which runsc writes without anything between them, the messages of level error,
// each up to the end of its line; those that only say that another one ended the start stand where there is no other.
std::string parse_log_errors(std::string_view text);
// Pure. The line that begins with "panic:" or "fatal error:", at most 200 bytes of it.
std::string parse_panic(std::string_view text);

}  // namespace bailey::gvisor
