#include "dispatcher/backend_kinds.h"

#include "dispatcher/guards/paths.h"

namespace bailey::dispatcher {

const char* to_text(BackendKind kind) {
  for (const auto& [name, one] : kBackendNames)
    if (one == kind) return name.data();
  return "?";
}

std::string_view setting_of(const BackendSettings& settings, std::string_view name) {
  const auto found = settings.find(name);
  return found == settings.end() ? std::string_view() : found->second;
}

void decode_settings(json::ObjectView& view, std::span<const BackendSetting> known, Paths paths, BackendSettings& out) {
  for (const BackendSetting& setting : known) {
    std::string value;
    if (setting.type == BackendSetting::Type::yes_no) {
      bool yes = false;
      if (!view.get(setting.name, yes)) continue;
      value = yes ? "true" : "false";
      if (value == setting.when_absent) value.clear();
    } else if (!view.get(setting.name, value)) {
      continue;
    }
    if (setting.type == BackendSetting::Type::path && paths == Paths::plain && !value.empty() && !is_plain_path(value))
      view.fault(setting.name, "'" + value + "' is not an absolute, normalised path");
    out.erase(std::string(setting.name));
    if (!value.empty()) out.emplace(setting.name, std::move(value));
  }
}

void encode_settings(const BackendSettings& settings, std::span<const BackendSetting> known, Written written,
                     json::Object& members) {
  for (const BackendSetting& setting : known) {
    const std::string value(setting_of(settings, setting.name));
    if (value.empty() && written == Written::given) continue;
    if (setting.type == BackendSetting::Type::yes_no)
      members.append(std::string(setting.name), (value.empty() ? setting.when_absent : value) == "true");
    else members.append(std::string(setting.name), value);
  }
}

}  // namespace bailey::dispatcher
