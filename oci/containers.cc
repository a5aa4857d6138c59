#include "oci/containers.h"

#include <fcntl.h>

#include <algorithm>

#include "base/files.h"
#include "base/json.h"
#include "bundle/config.h"
#include "bundle/reader.h"
#include "host/cgroup/cgroup.h"
#include "oci/words.h"

namespace bailey::oci {

using dispatcher::StateStore;
using dispatcher::Status;

namespace {

constexpr const char* kConfigName = "config.json";
constexpr size_t kMaxConfig = 16 << 20;

}  // namespace

Result<StateStore> open_store(const Call& call) { return call.root ? StateStore::open_at(*call.root) : StateStore::open(); }

const char* Container::status() const {
  if (!first_process) return record.status == Status::creating ? "creating" : "stopped";
  switch (record.status) {
    case Status::creating: return "creating";
    case Status::created: return "created";
    case Status::running: return host::is_frozen(record.cgroups).value_or(false) ? "paused" : "running";
    case Status::stopped: return "stopped";
  }
  return "unknown";
}

dispatcher::Attached::BackendByName backends_by_name(const dispatcher::BackendFactory& make_backend) {
  return [&make_backend](const std::string& name) -> Result<std::unique_ptr<dispatcher::Backend>> {
    static const dispatcher::Policy policy;
    static const dispatcher::Request request;
    for (const auto& [known, kind] : dispatcher::kBackendNames)
      if (known == name) return make_backend(kind, {policy, request, false});
    return fail(Fault::failed, "'" + name + "' is no backend of this Bailey");
  };
}

Result<Container> find(const StateStore& store, const std::string& id) {
  const auto ids = TRY(store.ids());
  if (std::ranges::find(ids, id) == ids.end()) return std::unexpected(no_such_container(id));
  Container container;
  container.record = TRY(store.read(id));
  container.first_process = TRY(container.record.sandbox.open());
  return container;
}

Result<> keep_config(int state_directory, const std::string& bundle) {
  const std::string text = TRY(files::read(bundle + "/config.json", kMaxConfig));
  const Fd file = TRY(files::open_at(state_directory, kConfigName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return files::write_fd(file.get(), text, kConfigName);
}

Result<bundle::Config> read_config(const StateStore& store, const std::string& id) {
  const std::string name = id + "/" + kConfigName;
  const Fd file = TRY(files::open_beneath(store.directory(), name, O_RDONLY | O_NOFOLLOW));
  const std::string text = TRY(files::read_fd(file.get(), kMaxConfig, name));
  return bundle::parse_config(text, name, json::UnknownKeys::ignore);
}

std::string state_document(const std::string& id, const Container& container) {
  json::Object state;
  state.set("ociVersion", bundle::kOciVersion);
  state.set("id", id);
  state.set("status", container.status());
  state.set("pid", container.pid());
  state.set("bundle", container.record.bundle);
  state.set("rootfs", container.record.rootfs);
  state.set("created", container.record.created);
  json::Object annotations;
  for (const auto& [key, value] : container.record.annotations) annotations.set(key, value);
  state.set("annotations", std::move(annotations));
  return json::write(std::move(state), json::Layout::indented) + "\n";
}

}  // namespace bailey::oci
