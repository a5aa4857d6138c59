// One function for each command of the OCI face, in a file of its name. Each returns the exit code, or the error that is told.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "dispatcher/dispatcher.h"
#include "oci/arguments.h"

namespace bailey::oci {

// Shared by all commands.
struct Runtime {
  const dispatcher::BackendFactory& make_backend;
  int64_t started_ns = 0;
};

Result<int> create(const Call& call, const Runtime& runtime);
Result<int> start(const Call& call, const Runtime& runtime);
Result<int> state(const Call& call, const Runtime& runtime);
Result<int> kill(const Call& call, const Runtime& runtime);
Result<int> remove(const Call& call, const Runtime& runtime);  // delete
Result<int> exec(const Call& call, const Runtime& runtime);
Result<int> list(const Call& call, const Runtime& runtime);
Result<int> pause(const Call& call, const Runtime& runtime);
Result<int> resume(const Call& call, const Runtime& runtime);
Result<int> ps(const Call& call, const Runtime& runtime);
Result<int> run(const Call& call, const Runtime& runtime);

}  // namespace bailey::oci
