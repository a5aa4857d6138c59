#include "dispatcher/state_record.h"

#include <unistd.h>

#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "dispatcher/names.h"

namespace bailey::dispatcher {

namespace {

constexpr std::pair<std::string_view, Status> kStatusNames[] = {
    {"creating", Status::creating}, {"created", Status::created}, {"running", Status::running}, {"stopped", Status::stopped}};

json::Value to_json(const ProcessId& process) {
  json::Object object;
  object.set("pid", process.pid);
  object.set("start_time", process.start_time);
  object.set("boot_id", process.boot_id);
  return object;
}

void read_process(json::ObjectView& object, const char* key, ProcessId& process) {
  if (!object.has(key)) object.fault(key, "is missing");
  object.object(key, [&](json::ObjectView& inner) {
    inner.require("pid", process.pid);
    inner.require("start_time", process.start_time);
    inner.require("boot_id", process.boot_id);
  });
}

// Another Bailey's record is no garbage: its sandbox may live.
Result<> check_version(const json::Value& document, const std::string& name) {
  int version = 0;
  json::Decoder decoder(json::UnknownKeys::ignore);
  decoder.object(document, [&](json::ObjectView& object) { object.require("version", version); });
  TRY(decoder.finish(name));
  if (version == StateRecord::kVersion) return {};
  return fail(
      Fault::unavailable,
      name + " has version " + std::to_string(version) + ", and this Bailey reads " + std::to_string(StateRecord::kVersion),
      "use the Bailey that made it");
}

}  // namespace

Result<StateRecord> StateRecord::of_this_process() {
  StateRecord record;
  record.owner = TRY(ProcessId::of(::getpid()));
  record.created = clock::wall_text(clock::wall_ns());
  return record;
}

Result<std::string> encode_record(const std::string& id, const StateRecord& record) {
  json::Object object;
  object.set("version", StateRecord::kVersion);
  object.set("id", id);
  object.set("status", name_of(record.status, kStatusNames));
  object.set("independent", record.independent);
  object.set("owner", to_json(record.owner));
  object.set("sandbox", to_json(record.sandbox));
  object.set("handle", record.handle);
  object.set("bundle", record.bundle);
  if (!record.rootfs.empty()) object.set("rootfs", record.rootfs);
  if (!record.annotations.empty()) {
    json::Object annotations;
    for (const auto& [key, value] : record.annotations) annotations.set(key, value);
    object.set("annotations", std::move(annotations));
  }
  object.set("backend", record.backend);
  object.set("trust", record.trust);
  json::Array cgroups(record.cgroups.begin(), record.cgroups.end());
  object.set("cgroups", std::move(cgroups));
  if (!record.address.empty()) object.set("address", record.address);
  if (!record.address6.empty()) object.set("address6", record.address6);
  if (!record.shared_network.empty()) object.set("shared_network", record.shared_network);
  if (!record.published.empty()) object.set("published", json::Array(record.published.begin(), record.published.end()));
  object.set("created", record.created);
  const json::Value document = std::move(object);
  if (const std::string where = json::find_not_utf8(document); !where.empty())
    return fail(Fault::refused, "the state of sandbox " + id + ": " + where + " is not UTF-8",
                "a cgroup_parent in the policy whose name is");
  return json::write(document);
}

Result<StateRecord> decode_record(std::string_view text, const std::string& id, const std::string& name) {
  const json::Value document = TRY(json::parse(text, name));
  TRY(check_version(document, name));
  StateRecord record;
  json::Decoder decoder(json::UnknownKeys::ignore);
  std::string recorded_id;
  decoder.object(document, [&](json::ObjectView& object) {
    (void)object.value("version");
    object.require("id", recorded_id);
    object.get_enum("status", record.status, kStatusNames);
    object.require("independent", record.independent);
    read_process(object, "owner", record.owner);
    read_process(object, "sandbox", record.sandbox);
    object.require("handle", record.handle);
    object.require("bundle", record.bundle);
    object.get("rootfs", record.rootfs);
    object.get("annotations", record.annotations);
    object.require("backend", record.backend);
    object.require("trust", record.trust);
    object.require("cgroups", record.cgroups);
    object.get("address", record.address);
    object.get("address6", record.address6);
    object.get("shared_network", record.shared_network);
    object.get("published", record.published);
    object.require("created", record.created);
  });
  TRY(decoder.finish(name));
  if (recorded_id != id) return fail(Fault::failed, name + " is the record of '" + recorded_id + "'");
  return record;
}

}  // namespace bailey::dispatcher
