// bailey policy show|check: the policy in force, and whether a file would be one.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "base/files.h"
#include "bundle/host_tree_scan.h"
#include "cli/command_line.h"
#include "dispatcher/limits.h"
#include "dispatcher/names.h"
#include "dispatcher/networks.h"
#include "dispatcher/policy.h"

namespace bailey::cli {

namespace {

using dispatcher::Level;
using dispatcher::Policy;

constexpr size_t kMaxPolicyBytes = 1 << 20;

struct PolicyOptions {
  std::string file;
  bool json = false;
};

std::string row(std::string_view name, std::string_view first, std::string_view second = {}) {
  std::string text = "  " + std::string(name);
  text.resize(std::max<size_t>(text.size() + 1, 18), ' ');
  text += first;
  if (second.empty()) return text + "\n";
  text.resize(std::max<size_t>(text.size() + 1, 30), ' ');
  return text.append(second) + "\n";
}

template <typename List, typename Word>
std::string joined(const List& list, Word&& word, const char* when_empty) {
  std::string text;
  for (const auto& item : list) text.append(text.empty() ? "" : ", ").append(word(item));
  return text.empty() ? when_empty : text;
}

std::string rows(const dispatcher::BackendSettings& settings, std::span<const dispatcher::BackendSetting> known) {
  std::string text;
  for (const dispatcher::BackendSetting& setting : known) {
    const std::string_view given = dispatcher::setting_of(settings, setting.name);
    std::string value(given.empty() ? setting.when_absent : given);
    if (setting.type == dispatcher::BackendSetting::Type::yes_no) value = value == "true" ? "yes" : "no";
    text += row(setting.name, value);
  }
  return text;
}

std::string describe(const Level& level) {
  std::string text = "\nlevel " + level.name +
                     (level.untrusted ? ": untrusted code, with the invariants that no policy lifts\n" : ": trusted code\n");
  text += row("runtimes",
              joined(level.runtimes, [](auto kind) { return dispatcher::name_of(kind, dispatcher::kBackendNames); }, "none"));
  text += row("networks", joined(dispatcher::network_words(level), [](const auto& word) { return word; }, "none"));
  const auto words = [](const auto& grants) {
    return joined(grants, [](const auto& grant) { return network::to_text(grant); }, "nothing");
  };
  text += row("egress", words(level.egress));
  text += row("egress ceiling", level.egress_ceiling ? words(*level.egress_ceiling) : "everything");
  text += row("publish", dispatcher::name_of(level.publish, dispatcher::kPublishRuleNames));
  text += row("volumes", dispatcher::name_of(level.volumes, dispatcher::kVolumeRuleNames));
  text +=
      row("volume_roots", joined(level.volume_roots, [](const auto& root) { return root; }, "any but the forbidden places"));
  text += row("seccomp", dispatcher::name_of(level.seccomp, dispatcher::kSeccompRuleNames));
  text += row("secrets", level.secrets ? "yes" : "no");
  text += rows(level.backend_settings, dispatcher::kLevelSettings);
  text += row("limit", "default", "ceiling");
  for (const dispatcher::Limit& limit : dispatcher::limits()) {
    const auto value = [&](const dispatcher::LimitValues& values) {
      return dispatcher::format_limit(limit, limit.get(values).value_or(dispatcher::kUnlimited));
    };
    text += row(limit.name, value(level.defaults), value(level.ceilings));
  }
  return text;
}

// A path that is added to the default root, and why it is not shown all the same.
std::string with_reason(const std::string& path) {
  const std::string why = bundle::why_not_shown(path);
  return why.empty() ? path : path + " (NOT SHOWN: " + why + ")";
}

std::string describe(const Policy& policy) {
  const bool from_file = policy.source.starts_with('/');
  std::string text =
      "policy: " + policy.source + (from_file ? "\n" : std::string("; there is no ") + dispatcher::kPolicyPath + "\n");
  text += row("unsafe native", policy.unsafe_native_for_untrusted ? "ALLOWED for untrusted code, with --unsafe-native" : "no");
  text += rows(policy.backend_settings, dispatcher::kPolicySettings);
  text += row("uplink", policy.uplink.empty() ? "pasta, else slirp4netns, of PATH and the usual places" : policy.uplink);
  text += row("audit", policy.audit_file.empty() ? "none" : policy.audit_file);
  text += row("cgroup parent", policy.cgroup_parent.empty() ? "found" : policy.cgroup_parent);
  text += row("bridge", policy.bridge.name + ", " +
                            (policy.bridge.subnet ? network::to_text(*policy.bridge.subnet) : "the first free range") +
                            (policy.bridge.subnet6 ? ", " + network::to_text(*policy.bridge.subnet6) : ""));
  const auto path = [](const std::string& one) { return one; };
  text += row("default root", "the table of docs/default-root.md");
  if (!policy.default_root.add.empty()) text += row("  and", joined(policy.default_root.add, with_reason, "nothing"));
  if (!policy.default_root.remove.empty()) text += row("  without", joined(policy.default_root.remove, path, "nothing"));
  for (const auto& [unused, level] : policy.levels) text += describe(level);
  return text;
}

int show(const PolicyOptions& options) {
  const Result<Policy> policy = dispatcher::load_policy(options.file);
  if (!policy) return report(policy.error());
  if (!options.json) return print(describe(*policy));
  json::Object members;
  members.append("source", policy->source);
  members.append("policy", dispatcher::to_json(*policy));
  return print(json::write(std::move(members), json::Layout::indented) + "\n");
}

// Whether Bailey would take this file: what it says, and who could change it. Both are told, whichever comes first.
int check(const PolicyOptions& options) {
  if (options.file == "-") return report(dispatcher::load_policy(options.file).error());
  const Result<std::string> text = files::read(options.file, kMaxPolicyBytes);
  if (!text) return report(text.error());
  int exit = 0;
  if (const Result<Policy> parsed = dispatcher::parse_policy(*text, options.file); !parsed) exit = report(parsed.error());
  const Result<Policy> loaded = dispatcher::load_policy(options.file);
  if (!loaded && loaded.error().fault == Fault::refused) exit = report(loaded.error());
  if (exit != 0) return exit;
  if (!loaded) return report(loaded.error());
  return print(options.file + ": good\n");
}

void add_show(OptionTable& table, Invocation& invocation) {
  const auto options = std::make_shared<PolicyOptions>();
  table.one("--policy", options->file, "FILE", "this file instead of /etc/bailey/policy.json");
  table.flag("--json", options->json, "as {\"source\", \"policy\"}; what \"policy\" holds is a policy file");
  invocation.act = [options] { return show(*options); };
}

void add_check(OptionTable& table, Invocation& invocation) {
  const auto options = std::make_shared<PolicyOptions>();
  table.operand("FILE", options->file, "the file");
  invocation.act = [options] { return check(*options); };
}

}  // namespace

std::span<const Command> policy_commands() {
  static constexpr std::array kCommands = {
      Command{"show", "print the policy in force and where it came from", add_show, nullptr},
      Command{"check", "say whether a file would be a policy: every fault with line and JSON path", add_check, nullptr},
  };
  return kCommands;
}

}  // namespace bailey::cli
