// Policy <-> JSON. The document (docs/policy.md) gives differences: what it leaves out is as built in.
#include <algorithm>

#include "base/units.h"
#include "dispatcher/grants_json.h"
#include "dispatcher/guards/paths.h"
#include "dispatcher/limits.h"
#include "dispatcher/names.h"
#include "dispatcher/networks.h"
#include "dispatcher/policy.h"

namespace bailey::dispatcher {

namespace {

using json::ObjectView;

template <typename E, size_t N>
void decode_names(ObjectView& view, std::string_view key, std::vector<E>& out,
                  const std::pair<std::string_view, E> (&names)[N]) {
  std::vector<std::string> words;
  if (!view.get(key, words)) return;
  out.clear();
  for (const std::string& word : words) {
    const auto found = std::ranges::find(names, word, &std::pair<std::string_view, E>::first);
    if (found == std::end(names)) {
      std::string known;
      for (const auto& [name, unused] : names) known.append(known.empty() ? "" : ", ").append(name);
      view.fault(key, "'" + word + "' is not known; known are: " + known);
    } else if (std::ranges::find(out, found->second) != out.end()) {
      view.fault(key, "'" + word + "' is listed twice");
    } else {
      out.push_back(found->second);
    }
  }
}

bool is_link_name(std::string_view name) {
  constexpr size_t kLongest = 15;  // IFNAMSIZ - 1
  return !name.empty() && name.size() <= kLongest && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

void decode_path(ObjectView& view, std::string_view key, std::string& out) {
  if (view.get(key, out) && !out.empty() && !is_plain_path(out))
    view.fault(key, "'" + out + "' is not an absolute, normalised path");
}

void check_limit(ObjectView& view, const Limit& limit, const Level& level) {
  const std::optional<uint64_t> normal = limit.get(level.defaults), ceiling = limit.get(level.ceilings);
  for (const auto& value : {normal, ceiling})
    if (value && *value < limit.least)
      view.fault(limit.name,
                 format_limit(limit, *value) + " is below " + format_limit(limit, limit.least) + ", less than anything needs");
  if (normal && ceiling && *normal > *ceiling)
    view.fault(limit.name, "the default " + format_limit(limit, *normal) + " is above the ceiling " +
                               format_limit(limit, *ceiling) + "; give both");
}

void decode_limits(ObjectView& view, Level& level) {
  for (const Limit& limit : limits()) {
    const auto decode = [&](ObjectView& pair) {
      const auto take = [&](std::string_view key, LimitValues& values) {
        const json::Value* value = pair.value(key);
        if (!value) return;
        const auto number = decode_limit(pair.decoder(), *value, json::member_path(pair.path(), key), limit);
        if (number) limit.set(values, *number == kUnlimited ? std::nullopt : number);
      };
      take("default", level.defaults);
      take("ceiling", level.ceilings);
    };
    if (view.object(limit.name, decode)) check_limit(view, limit, level);
  }
}

// "ceiling": null lifts it.
void decode_egress(ObjectView& view, Level& level) {
  decode_grants(view, "default", level.egress);
  if (const json::Value* given = view.value("ceiling"); given && given->is_null()) level.egress_ceiling.reset();
  else if (std::vector<network::Grant> ceiling; decode_grants(view, "ceiling", ceiling))
    level.egress_ceiling = std::move(ceiling);
  if (!level.egress_ceiling) return;
  for (const network::Grant& grant : level.egress)
    if (!network::covers(*level.egress_ceiling, grant))
      view.fault("default", "'" + network::to_text(grant) + "' is not below the ceiling; give both");
}

void decode_subnet(ObjectView& view, const char* key, network::Ip ip, std::optional<network::Subnet>& out) {
  std::string text;
  if (!view.get(key, text)) return;
  out.reset();
  if (text.empty()) return;
  const auto subnet = network::parse_subnet(text);
  if (!subnet) return view.fault(key, subnet.error().message);
  if (subnet->first.ip != ip) return view.fault(key, "'" + text + "' is no range of " + std::string(network::to_text(ip)));
  if (const auto fit = network::check_subnet(*subnet, {}); !fit)
    return view.fault(key, fit.error().message + ": " + fit.error().remedy);
  out = *subnet;
}

void decode_bridge(ObjectView& view, network::BridgeSpec& bridge) {
  if (view.get("name", bridge.name) && !is_link_name(bridge.name))
    view.fault("name", "'" + bridge.name + "' is no name for a link: 1 to 15 letters, digits, - or _");
  decode_subnet(view, "subnet", network::Ip::v4, bridge.subnet);
  decode_subnet(view, "subnet6", network::Ip::v6, bridge.subnet6);
}

// What the default root shows besides is everybody's: nothing that is no volume either, but single files and directories of
// /etc, and no secret.
void decode_default_root(ObjectView& view, DefaultRootRule& root) {
  view.get("add", root.add);
  view.get("remove", root.remove);
  for (const std::string& path : root.add)
    if (const std::string why = forbidden_addition(path); !why.empty()) view.fault("add", why);
  for (const std::string& path : root.remove)
    if (!is_plain_path(path)) view.fault("remove", "'" + path + "' is not an absolute, normalised path");
    else if (const std::string why = idle_removal(path, root.add); !why.empty()) view.fault("remove", why);
}

// What no policy can lift is a fault in the file already, so that nobody believes in a line that does nothing.
void check_untrusted(ObjectView& view, const Level& level) {
  if (level.name == "untrusted" && !level.untrusted)
    view.fault("untrusted", "the level 'untrusted' is untrusted; make a level of another name");
  if (!level.untrusted) return;
  if (std::ranges::find(level.runtimes, BackendKind::native) != level.runtimes.end())
    view.fault(
        "runtimes",
        "an untrusted level lists no native; unsafe_native_for_untrusted and --unsafe-native together allow it for one run");
  if (std::ranges::find(level.networks, NetworkMode::host) != level.networks.end())
    view.fault("networks", "an untrusted level never gets the host's network");
  if (level.seccomp == SeccompRule::replace)
    view.fault("seccomp", "an untrusted level keeps the built-in seccomp profile: 'narrow' or 'builtin'");
}

void decode_level(ObjectView& view, Level& level) {
  view.get("untrusted", level.untrusted);
  decode_names(view, "runtimes", level.runtimes, kBackendNames);
  decode_networks(view, level);
  view.object("egress", [&](ObjectView& members) { decode_egress(members, level); });
  view.get_enum("publish", level.publish, kPublishRuleNames);
  view.object("limits", [&](ObjectView& members) { decode_limits(members, level); });
  view.get_enum("volumes", level.volumes, kVolumeRuleNames);
  if (view.get("volume_roots", level.volume_roots))
    for (const std::string& root : level.volume_roots)
      if (!is_plain_path(root)) view.fault("volume_roots", "'" + root + "' is not an absolute, normalised path");
  view.get_enum("seccomp", level.seccomp, kSeccompRuleNames);
  view.get("secrets", level.secrets);
  decode_settings(view, kLevelSettings, Paths::plain, level.backend_settings);
  if (level.runtimes.empty()) view.fault("runtimes", "lists no runtime; the first one is what 'auto' takes");
  check_untrusted(view, level);
}

void decode_levels(ObjectView& view, Policy& policy) {
  const Level fresh = policy.levels.at("untrusted");  // as built in, wherever the file's own `untrusted` stands
  view.each([&](const std::string& name, const json::Value& value) {
    if (auto good = units::check_name("level", name); !good) {
      view.decoder().add({value.line, view.path(), good.error().message + ": " + good.error().remedy});
      return;
    }
    Level& level = policy.levels.try_emplace(name, fresh).first->second;
    level.name = name;
    view.decoder().object(
        value, [&](ObjectView& members) { decode_level(members, level); }, json::member_path(view.path(), name));
  });
}

// Behind the levels, which it names.
void decode_engines(ObjectView& view, const Policy& policy, EngineRule& engines) {
  const auto check = [&](const char* key, const std::string& level) {
    if (!find_level(policy, level)) view.fault(key, "'" + level + "' is no level of this policy");
  };
  view.get("default_level", engines.default_level);
  view.get("levels", engines.levels);
  check("default_level", engines.default_level);
  for (const std::string& level : engines.levels) check("levels", level);
  if (std::ranges::find(engines.levels, engines.default_level) == engines.levels.end())
    view.fault("default_level", "'" + engines.default_level + "' is not among the levels; give both");
}

template <typename E, size_t N>
json::Value encode_names(const std::vector<E>& list, const std::pair<std::string_view, E> (&names)[N]) {
  json::Array array;
  for (const E item : list) array.push_back(name_of(item, names));
  return array;
}

json::Value encode_level(const Level& level) {
  json::Object limit_members, members;
  for (const Limit& limit : limits()) {
    json::Object pair;
    pair.append("default", encode_limit(limit, limit.get(level.defaults)));
    pair.append("ceiling", encode_limit(limit, limit.get(level.ceilings)));
    limit_members.append(std::string(limit.name), std::move(pair));
  }
  members.append("untrusted", level.untrusted);
  members.append("runtimes", encode_names(level.runtimes, kBackendNames));
  const std::vector<std::string> networks = network_words(level);
  members.append("networks", json::Array(networks.begin(), networks.end()));
  json::Object egress;
  egress.append("default", encode_grants(level.egress));
  egress.append("ceiling", level.egress_ceiling ? encode_grants(*level.egress_ceiling) : json::Value());
  members.append("egress", std::move(egress));
  members.append("publish", name_of(level.publish, kPublishRuleNames));
  members.append("limits", std::move(limit_members));
  members.append("volumes", name_of(level.volumes, kVolumeRuleNames));
  members.append("volume_roots", json::Array(level.volume_roots.begin(), level.volume_roots.end()));
  members.append("seccomp", name_of(level.seccomp, kSeccompRuleNames));
  members.append("secrets", level.secrets);
  encode_settings(level.backend_settings, kLevelSettings, Written::all, members);
  return members;
}

}  // namespace

Result<Policy> parse_policy(std::string_view text, std::string_view name) {
  const json::Value document = TRY(json::parse(text, name, json::Comments::allow));
  Policy policy = builtin_policy();
  policy.source = name;
  json::Decoder decoder(json::UnknownKeys::refuse);
  decoder.object(document, [&](ObjectView& view) {
    view.get("unsafe_native_for_untrusted", policy.unsafe_native_for_untrusted);
    decode_settings(view, kPolicySettings, Paths::plain, policy.backend_settings);
    decode_path(view, "uplink", policy.uplink);
    decode_path(view, "audit_file", policy.audit_file);
    decode_path(view, "cgroup_parent", policy.cgroup_parent);
    view.object("bridge", [&](ObjectView& bridge) { decode_bridge(bridge, policy.bridge); });
    view.object("default_root", [&](ObjectView& root) { decode_default_root(root, policy.default_root); });
    view.object("levels", [&](ObjectView& levels) { decode_levels(levels, policy); });
    view.object("oci", [&](ObjectView& oci) { decode_engines(oci, policy, policy.engines); });
  });
  TRY(decoder.finish(name));
  return policy;
}

json::Value to_json(const Policy& policy) {
  json::Object levels, members;
  for (const auto& [name, level] : policy.levels) levels.append(name, encode_level(level));
  members.append("unsafe_native_for_untrusted", policy.unsafe_native_for_untrusted);
  encode_settings(policy.backend_settings, kPolicySettings, Written::all, members);
  members.append("uplink", policy.uplink);
  members.append("audit_file", policy.audit_file);
  members.append("cgroup_parent", policy.cgroup_parent);
  json::Object bridge;
  bridge.append("name", policy.bridge.name);
  const auto text = [](const std::optional<network::Subnet>& range) { return range ? network::to_text(*range) : ""; };
  bridge.append("subnet", text(policy.bridge.subnet));
  bridge.append("subnet6", text(policy.bridge.subnet6));
  members.append("bridge", std::move(bridge));
  json::Object root;
  root.append("add", json::Array(policy.default_root.add.begin(), policy.default_root.add.end()));
  root.append("remove", json::Array(policy.default_root.remove.begin(), policy.default_root.remove.end()));
  members.append("default_root", std::move(root));
  json::Object engines;
  engines.append("default_level", policy.engines.default_level);
  engines.append("levels", json::Array(policy.engines.levels.begin(), policy.engines.levels.end()));
  members.append("oci", std::move(engines));
  members.append("levels", std::move(levels));
  return members;
}

}  // namespace bailey::dispatcher
