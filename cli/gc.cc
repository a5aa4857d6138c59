// bailey gc: removes what sandboxes left whose Bailey was killed: cgroups, state and networks.
#include <memory>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "cli/command_line.h"
#include "cli/network_trial.h"
#include "dispatcher/garbage.h"
#include "dispatcher/policy.h"

namespace bailey::cli {

namespace {

struct Flags {
  std::string policy;
  bool json = false;
};

json::Array left_array(const std::vector<dispatcher::StateStore::Left>& left) {
  json::Array array;
  for (const auto& [id, why] : left) {
    json::Object one;
    one.set("id", id);
    one.set("reason", why.message);
    if (!why.remedy.empty()) one.set("remedy", why.remedy);
    array.emplace_back(std::move(one));
  }
  return array;
}

// Whether all of it is gone.
Result<bool> collect(const Flags& flags) {
  const dispatcher::Policy policy = TRY(dispatcher::load_policy(flags.policy));
  dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const dispatcher::Collected dead = TRY(dispatcher::collect_garbage(store, policy.cgroup_parent));
  const auto& [removed, left] = dead.sandboxes;
  std::string text;
  if (flags.json) {
    json::Object document;
    document.set("removed", json::Array(removed.begin(), removed.end()));
    document.set("left", left_array(left));
    if (dead.network) describe(*dead.network, document);
    text = json::write(document) + "\n";
  } else {
    for (const std::string& id : removed) text += "removed " + id + "\n";
    for (const auto& [id, why] : left) {
      text += "left " + id + ": " + why.message + "\n";
      if (!why.remedy.empty()) text += "  remedy: " + why.remedy + "\n";
    }
    if (dead.network) text += text_of(*dead.network);
  }
  TRY(files::write_fd(1, text, "stdout"));
  if (!dead.network) return std::unexpected(dead.network.error());
  return left.empty();
}

}  // namespace

void add_gc(OptionTable& table, Invocation& invocation) {
  auto flags = std::make_shared<Flags>();
  table.one("--policy", flags->policy, "FILE", "policy file, for its cgroup_parent");
  table.flag("--json", flags->json, "print what was removed and what is left, as JSON");
  invocation.act = [flags] {
    const auto done = collect(*flags);
    if (!done) return report(done.error());
    return *done ? 0 : kExitBailey;
  };
}

}  // namespace bailey::cli
