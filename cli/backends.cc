#include "cli/backends.h"

#include <string>

#include "dispatcher/guards.h"

namespace bailey::cli {

namespace {

struct Row {
  dispatcher::BackendKind kind;
  std::unique_ptr<dispatcher::Backend> (*make)(const BackendContext&);
};

constexpr std::initializer_list<Row> kBackends = {
};

}  // namespace

Result<std::unique_ptr<dispatcher::Backend>> make_backend(dispatcher::BackendKind kind, const BackendContext& context) {
  for (const Row& row : kBackends)
    if (row.kind == kind) return row.make(context);
  return fail(Fault::unavailable, std::string("the ") + dispatcher::to_text(kind) + " backend is not in this build", "choose another one by --runtime");
}

}  // namespace bailey::cli
