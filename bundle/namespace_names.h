// The specification's names of the namespaces, for reader and writer.
#pragma once

#include <string_view>
#include <utility>

#include "bundle/config.h"

namespace bailey::bundle {

inline constexpr std::pair<std::string_view, NamespaceType> kNamespaceNames[] = {
    {"pid", NamespaceType::pid},       {"network", NamespaceType::network}, {"mount", NamespaceType::mount},
    {"ipc", NamespaceType::ipc},       {"uts", NamespaceType::uts},         {"user", NamespaceType::user},
    {"cgroup", NamespaceType::cgroup}, {"time", NamespaceType::time},
};

}  // namespace bailey::bundle
