// The backends by name, and the settings that one of them alone has. A backend is a row in the tables of names, rows for its
// settings if it has any, a row in cli/backends.cc, a folder, and a green contract suite.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace bailey::dispatcher {

enum class BackendKind { native, gvisor };

inline constexpr std::pair<std::string_view, BackendKind> kBackendNames[] = {{"native", BackendKind::native},
                                                                             {"gvisor", BackendKind::gvisor}};
// What a request may ask for; nothing: the first one of its level.
inline constexpr std::pair<std::string_view, std::optional<BackendKind>> kRuntimeNames[] = {
    {"auto", std::nullopt}, {"native", BackendKind::native}, {"gvisor", BackendKind::gvisor}};

const char* to_text(BackendKind kind);

// A setting that means something to one backend. The domain reads it, writes it, lets the policy's value bind a request, and
// refuses it where another backend is chosen. What a value means, the backend alone knows.
struct BackendSetting {
  enum class Type { word, path, yes_no };
  BackendKind backend;
  std::string_view name;  // its key in a document
  std::string_view flag;  // of a request's: "--runsc"
  Type type;
  std::string_view value_name;  // for the help: "PATH"
  std::string_view help;
  std::string_view when_absent;  // for `bailey policy show`; of yes_no "true" or "false", which is then the same as absent
};

inline constexpr BackendSetting kRequestSettings[] = {
    {BackendKind::gvisor, "platform", "--platform", BackendSetting::Type::word, "P",
     "gvisor: systrap, ptrace or kvm (default: the best that works)", ""},
    {BackendKind::gvisor, "runsc", "--runsc", BackendSetting::Type::path, "PATH",
     "gvisor: the runsc to use (default the policy's, else found in PATH and the usual places)", ""}};
inline constexpr BackendSetting kPolicySettings[] = {
    {BackendKind::gvisor, "runsc", "", BackendSetting::Type::path, "", "", "PATH and the usual places"}};
inline constexpr BackendSetting kLevelSettings[] = {  // directfs false: the stronger sentry, 14-19 ms dearer
    {BackendKind::gvisor, "directfs", "", BackendSetting::Type::yes_no, "", "", "true"}};

// By name; of yes_no "true" or "false".
using BackendSettings = std::map<std::string, std::string, std::less<>>;

// "" when it is absent.
std::string_view setting_of(const BackendSettings& settings, std::string_view name);

// To and from the members of a document. Faults: a value of another type; with Paths::plain also a path that is not absolute
// and normalised. Written::all writes absent ones too: a path as "", of yes_no what then holds.
enum class Paths { any, plain };
enum class Written { given, all };
void decode_settings(json::ObjectView& view, std::span<const BackendSetting> known, Paths paths, BackendSettings& out);
void encode_settings(const BackendSettings& settings, std::span<const BackendSetting> known, Written written,
                     json::Object& members);

}  // namespace bailey::dispatcher
