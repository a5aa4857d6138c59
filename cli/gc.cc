// bailey gc: removes what sandboxes left whose Bailey was killed: cgroups, state and networks.
#include <memory>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "cli/cli11.h"
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

Result<> collect(const Flags& flags) {
  const dispatcher::Policy policy = TRY(dispatcher::load_policy(flags.policy));
  dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const dispatcher::Collected dead = TRY(dispatcher::collect_garbage(store, policy.cgroup_parent));
  std::string text;
  if (flags.json) {
    json::Object document;
    document.set("removed", json::Array(dead.ids.begin(), dead.ids.end()));
    describe(dead.network, document);
    text = json::write(document) + "\n";
  } else {
    for (const std::string& id : dead.ids) text += "removed " + id + "\n";
    text += text_of(dead.network);
  }
  return files::write_fd(1, text, "stdout");
}

}  // namespace

void add_gc(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<Flags>();
  app.add_option("--policy", flags->policy, "policy file, for its cgroup_parent")->type_name("FILE");
  app.add_flag("--json", flags->json, "print the removed ids as JSON");
  invocation.act = [flags] {
    if (auto done = collect(*flags); !done) return report(done.error());
    return 0;
  };
}

}  // namespace bailey::cli
