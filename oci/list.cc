// list: the containers of this state directory.
#include "base/files.h"
#include "base/json.h"
#include "bundle/config.h"
#include "oci/commands.h"
#include "oci/containers.h"

namespace bailey::oci {

Result<int> list(const Call& call, const Runtime&) {
  const std::string format = call.format.value_or("table");
  if (format != "table" && format != "json")
    return fail(Fault::bad_input, "invalid format option: '" + format + "'", "table or json");
  const dispatcher::StateStore store = TRY(open_store(call));
  std::string text = call.quiet || format == "json" ? "" : "ID\tPID\tSTATUS\tBUNDLE\tCREATED\n";
  json::Array all;
  for (const std::string& id : TRY(store.ids())) {
    const auto container = find(store, id);
    if (!container || container->record.bundle.empty()) continue;  // gone meanwhile, or none of an engine's
    if (call.quiet) {
      text += id + "\n";
    } else if (format == "json") {
      json::Object one;
      one.set("ociVersion", bundle::kOciVersion);
      one.set("id", id);
      one.set("pid", container->pid());
      one.set("status", container->status());
      one.set("bundle", container->record.bundle);
      one.set("rootfs", container->record.rootfs);
      one.set("created", container->record.created);
      json::Object annotations;
      for (const auto& [key, value] : container->record.annotations) annotations.set(key, value);
      one.set("annotations", std::move(annotations));
      one.set("owner", "root");
      all.emplace_back(std::move(one));
    } else {
      text += id + "\t" + std::to_string(container->pid()) + "\t" + container->status() + "\t" + container->record.bundle +
              "\t" + container->record.created + "\n";
    }
  }
  if (format == "json" && !call.quiet) text = json::write(std::move(all)) + "\n";
  TRY(files::write_fd(1, text, "stdout"));
  return 0;
}

}  // namespace bailey::oci
