// Config -> JSON as runtimes read it: the specification's names and order, absent and empty members left out. What the reader
// makes of it equals the Config again. Pure.
#pragma once

#include "base/json.h"
#include "bundle/config.h"

namespace bailey::bundle {

json::Value encode_config(const Config& config);
json::Value encode_process(const Process& process);
json::Value encode_resources(const Resources& resources);
json::Value encode_seccomp(const Seccomp& seccomp);

}  // namespace bailey::bundle
