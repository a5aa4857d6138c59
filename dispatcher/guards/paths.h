// Where paths may and may not lead: the rules that the guards for volumes and for secrets share. Pure: paths of the host come
// in as the kernel names them (HostFacts), paths inside the sandbox as the caller wrote them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatcher/host_facts.h"

namespace bailey::dispatcher {

// Places of the host that are never a volume, nor what is above or below them.
struct ForbiddenPlace {
  std::string_view path;
  std::string_view what;  // "Docker's data"
};
std::span<const ForbiddenPlace> forbidden_places();

// Absolute and normalised, and not "/".
bool is_plain_path(std::string_view path);
// `path` is `top` or lies below it; both absolute and normalised.
bool is_at_or_below(std::string_view path, std::string_view top);

// Why this source may be shown to no sandbox, by its file type and every name that it has; empty when it may.
std::string forbidden_source(const OpenedSource& source, const HostFacts& facts);
// The same for a root file system: it may lie below root's home, because that is where root keeps what root unpacked.
std::string forbidden_rootfs(const OpenedSource& rootfs, const HostFacts& facts);
// Why this source may be read but not written.
std::string forbidden_to_write(const OpenedSource& source);

// Why the default root may not show this path of the host by a policy's default_root.add; empty when it may. Pure: whether
// everybody may read it shows when the root is made.
std::string forbidden_addition(std::string_view path);
// Why a policy that removes this path from the default root would change nothing; empty: it does, or may.
std::string idle_removal(std::string_view path, std::span<const std::string> additions);

enum class DestinationOf { volume, secret };
// Why nothing may be put at this path inside; empty when it may.
std::string forbidden_destination(std::string_view path, DestinationOf what);

}  // namespace bailey::dispatcher
