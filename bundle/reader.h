// config.json -> Config. Checks form (types, ranges, required members, names of namespaces), not meaning: that is the guards'
// and the backends' part. Properties of the specification that Config has no field for (scheduler, ioPriority, ...) are faults,
// so that nothing that was asked for is dropped in silence. Pure.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "bundle/config.h"

namespace bailey::bundle {

// A whole OCI document. ociVersion (1.x, pre-releases such as 1.0.2-dev too), root and process.cwd must be there.
// UnknownKeys::ignore is what the specification asks of a runtime; `name` is the file in messages.
Result<Config> parse_config(std::string_view text, std::string_view name, json::UnknownKeys unknown);

// A seccomp object alone, as in linux.seccomp. Unknown keys are faults: engines' own profile files (archMap, includes, ...)
// mean something else without them.
Result<Seccomp> parse_seccomp(std::string_view text, std::string_view name);

// Pieces for documents that hold a configuration or a part of one: the request document's "config", `exec --process`,
// `update --resources`. Faults go to the view's decoder; absent members leave what `out` holds.
void decode_config(json::ObjectView& view, Config& out);
void decode_process(json::ObjectView& view, Process& out);
void decode_resources(json::ObjectView& view, Resources& out);

}  // namespace bailey::bundle
