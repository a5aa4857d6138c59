// bailey network show|check|gc: who has an address, whether the networks work here, and what killed sandboxes left of a bridge.
#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/command_line.h"
#include "cli/network_trial.h"
#include "cli/probes.h"
#include "dispatcher/policy.h"
#include "dispatcher/state_store.h"
#include "network/lease.h"

namespace bailey::cli {

namespace {

constexpr int kExitSick = 1;
constexpr size_t kColumn = 34;

struct Flags {
  std::string policy;
  bool json = false;
};

Result<> say(const std::string& text) { return files::write_fd(1, text, "stdout"); }

Result<> show(const Flags& flags) {
  const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const std::vector<std::string> ids = TRY(store.living());
  std::string text;
  json::Array list;
  for (const std::string& id : ids) {
    const auto record = store.read(id);  // one that ended meanwhile has none
    if (!record || record->address.empty()) continue;
    json::Object one;
    one.set("id", id);
    one.set("address", record->address);
    if (!record->address6.empty()) one.set("address6", record->address6);
    if (!record->shared_network.empty()) one.set("shared_network", record->shared_network);
    one.set("published", json::Array(record->published.begin(), record->published.end()));
    list.emplace_back(std::move(one));
    std::string line = id;
    line.resize(std::max(line.size() + 1, kColumn), ' ');
    line += record->address;
    if (!record->address6.empty()) line += " " + record->address6;
    if (!record->shared_network.empty()) line += " bridge:" + record->shared_network;
    for (const std::string& port : record->published) line += " " + port;
    text += log::printable(line) + "\n";
  }
  json::Object document;
  document.set("sandboxes", std::move(list));
  return say(flags.json ? json::write(document, json::Layout::indented) + "\n" : text);
}

Result<bool> check(const Flags& flags) {
  const dispatcher::Policy policy = TRY(dispatcher::load_policy(flags.policy));
  const auto probes = try_network(policy);
  std::string text;
  json::Array list;
  for (const host::Probe& probe : probes) {
    text += line(probe);
    list.emplace_back(to_json(probe));
  }
  json::Object document;
  document.set("network", std::move(list));
  TRY(say(flags.json ? json::write(document, json::Layout::indented) + "\n" : text));
  return std::ranges::all_of(probes, [](const host::Probe& probe) { return probe.state == host::Probe::State::ok; });
}

Result<> collect(const Flags& flags) {
  const dispatcher::StateStore store = TRY(dispatcher::StateStore::open());
  const network::Remains removed = TRY(network::collect(store.directory()));
  json::Object document;
  describe(removed, document);
  return say(flags.json ? json::write(document) + "\n" : text_of(removed));
}

int exit_of(const Result<>& done) { return done ? 0 : report(done.error()); }

std::shared_ptr<Flags> add_flags(OptionTable& table) {
  auto flags = std::make_shared<Flags>();
  table.flag("--json", flags->json, "print it as JSON");
  return flags;
}

void add_show(OptionTable& table, Invocation& invocation) {
  invocation.act = [flags = add_flags(table)] { return exit_of(show(*flags)); };
}

void add_check(OptionTable& table, Invocation& invocation) {
  const auto flags = add_flags(table);
  table.one("--policy", flags->policy, "FILE", "policy file in place of /etc/bailey/policy.json");
  invocation.act = [flags] {
    const auto fine = check(*flags);
    return fine ? (*fine ? 0 : kExitSick) : report(fine.error());
  };
}

void add_collect(OptionTable& table, Invocation& invocation) {
  invocation.act = [flags = add_flags(table)] { return exit_of(collect(*flags)); };
}

}  // namespace

std::span<const Command> network_commands() {
  static constexpr std::array kCommands = {
      Command{"show", "the living sandboxes with an address, their shared network and published ports", add_show, nullptr},
      Command{"check", "try whether the bridge and userspace networks work here; exit 0 when all of it does, else 1", add_check,
              nullptr},
      Command{"gc", "remove ports and filters of sandboxes whose bailey was killed", add_collect, nullptr},
  };
  return kCommands;
}

}  // namespace bailey::cli
