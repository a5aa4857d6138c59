#include "cli/backends.h"

#include <cstdlib>
#include <initializer_list>
#include <string>

#include "dispatcher/state_store.h"
#include "gvisor/backend.h"
#include "native/backend.h"

namespace bailey::cli {

namespace {

struct Row {
  dispatcher::BackendKind kind;
  std::unique_ptr<dispatcher::Backend> (*make)(const dispatcher::BackendContext&);
};

bundle::HostScanInputs root_files(const dispatcher::Policy& policy) {
  return {.host = "", .add = policy.default_root.add, .remove = policy.default_root.remove};
}

std::unique_ptr<dispatcher::Backend> make_native(const dispatcher::BackendContext& context) {
  return native::make_backend(dispatcher::StateStore::default_path(), root_files(context.policy));
}

std::unique_ptr<dispatcher::Backend> make_gvisor(const dispatcher::BackendContext& context) {
  using dispatcher::setting_of;
  const char* path = ::getenv("PATH");
  const std::string_view runsc = setting_of(context.request.backend_settings, "runsc");
  return gvisor::create_backend(
      {.runsc = std::string(runsc.empty() ? setting_of(context.policy.backend_settings, "runsc") : runsc),
       .search_path = path ? path : "",
       .platform = std::string(setting_of(context.request.backend_settings, "platform")),
       .runtime_directory = dispatcher::StateStore::default_path(),
       .tries_platforms = context.may_start_sandboxes,
       .root_files = root_files(context.policy)});
}

constexpr std::initializer_list<Row> kBackends = {
    {dispatcher::BackendKind::native, make_native},
    {dispatcher::BackendKind::gvisor, make_gvisor},
};

}  // namespace

Result<std::unique_ptr<dispatcher::Backend>> make_backend(dispatcher::BackendKind kind,
                                                          const dispatcher::BackendContext& context) {
  for (const Row& row : kBackends)
    if (row.kind == kind) return row.make(context);
  return fail(Fault::unavailable, std::string("the ") + dispatcher::to_text(kind) + " backend is not in this build",
              "choose another one by --runtime");
}

}  // namespace bailey::cli
