// The network's guard: what egress, limits and published ports go with.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dispatcher/names.h"
#include "dispatcher/networks.h"
#include "tests/unit/dispatcher_wishes.h"

namespace bailey::dispatcher {
namespace {

TEST(GuardNetwork, GivesTheUserspaceNetworkToEverybody) {
  for (const char* level : {"trusted", "untrusted"}) {
    Request request = wish(level);
    HostFacts facts = host();
    facts.euid = 1000;
    request.network = NetworkMode::userspace;
    EXPECT_TRUE(guard_network(request, builtin_policy(false), facts).allowed) << level;
    request.network = NetworkMode::bridge;
    EXPECT_NE(guard_network(request, builtin_policy(false), facts).remedy.find("--net userspace"), std::string::npos);
  }
}

// Level x mode x egress. A word of egress stands for one of each kind; "-" is none named: the level's default.
TEST(GuardNetwork, HoldsEgressBelowTheLevelsCeiling) {
  const std::vector<const char*> words = {
      "-", "any", "private", "dns", "10.88.0.2:80", "203.0.113.2", "169.254.169.254:80", "a.example:443"};
  const auto any = network::parse_grant("any"), port = network::parse_grant("203.0.113.0/24:80");
  struct Row {
    const char* level;
    std::optional<std::vector<network::Grant>> ceiling;
    std::string allowed;  // one character for each word
  };
  const std::vector<Row> rows = {{"untrusted", builtin_policy(true).levels.at("untrusted").egress_ceiling, "yyyyyy.y"},
                                 {"trusted", std::nullopt, "yyyyyyyy"},
                                 {"untrusted", {{}}, "y......."},
                                 {"untrusted", {{*any}}, "yy...y.y"},
                                 {"trusted", {{*any}}, ".y...y.y"},  // its default has dns, which the ceiling lacks
                                 {"untrusted", {{*port}}, "y......."}};
  for (const Row& row : rows)
    for (const NetworkMode mode : {NetworkMode::none, NetworkMode::bridge, NetworkMode::host, NetworkMode::userspace})
      for (size_t i = 0; i < words.size(); ++i) {
        Policy policy = builtin_policy(true);
        policy.levels.at(row.level).egress_ceiling = row.ceiling;
        Request request = wish(row.level);
        request.network = mode;
        request.unsafe_opt_ins.host_network = true;
        const bool named = *words[i] != '-';
        if (named) request.egress = {*network::parse_grant(words[i])};
        bool expected = false;
        if (mode == NetworkMode::none) expected = !named;
        if (mode == NetworkMode::host) expected = !named && request.trust == "trusted";
        if (is_filtered(mode)) expected = row.allowed[i] == 'y';
        const Verdict verdict = guard_network(request, policy, host());
        EXPECT_EQ(verdict.allowed, expected) << row.level << " " << to_text(mode) << " " << words[i] << ": " << verdict.reason;
        EXPECT_EQ(verdict.remedy.empty(), expected);
        if (is_filtered(mode) && !expected && named) {
          EXPECT_NE(verdict.reason.find(std::string("\'") + network::to_text(request.egress->front()) + "\'"),
                    std::string::npos);
        }
      }
}

// Level x list x name: `bridge` lists no shared one, nor does a shared one list `bridge`.
TEST(GuardNetwork, GivesASharedNetworkWhereTheLevelListsIt) {
  struct Row {
    std::vector<std::string> listed;
    std::string allowed;  // one character for each name
  };
  const std::vector<std::string> names = {"", "db", "db2", "*", "Db", "-db", "d/b", std::string(33, 'x')};
  const std::vector<Row> rows = {{{}, "y......."}, {{"db"}, "yy......"}, {{"*"}, "yyy....."}, {{"web", "db2"}, "y.y....."}};
  for (const char* trust : {"trusted", "untrusted"})
    for (const bool plain : {true, false})
      for (const Row& row : rows)
        for (size_t i = 0; i < names.size(); ++i) {
          Policy policy = builtin_policy(true);
          Level& level = policy.levels.at(trust);
          level.networks = {NetworkMode::none};
          if (plain) level.networks.push_back(NetworkMode::bridge);
          level.shared_networks = row.listed;
          Request request = wish(trust);
          request.network = NetworkMode::bridge;
          request.shared_network = names[i];
          const bool expected = row.allowed[i] == 'y' && (plain || !names[i].empty());
          const Verdict verdict = guard_network(request, policy, host());
          EXPECT_EQ(verdict.allowed, expected) << trust << " '" << names[i] << "': " << verdict.reason;
          EXPECT_EQ(verdict.remedy.empty(), expected);
          for (const NetworkMode mode : {NetworkMode::none, NetworkMode::host, NetworkMode::userspace}) {
            request.network = mode;
            request.unsafe_opt_ins.host_network = true;
            level.networks = {NetworkMode::none, NetworkMode::host, NetworkMode::userspace};
            if (!names[i].empty()) {
              EXPECT_FALSE(guard_network(request, policy, host()).allowed) << to_text(mode) << ":" << names[i];
            }
          }
        }
}

// A platform that passes a tenant's words on lets no tenant into another's network, unless its operator says so.
TEST(GuardNetwork, BuiltInGivesSharedNetworksToTrustedCodeOnly) {
  for (const char* trust : {"trusted", "untrusted"}) {
    Request request = wish(trust);
    request.network = NetworkMode::bridge;
    request.shared_network = "db";
    const Verdict verdict = guard_network(request, builtin_policy(true), host());
    EXPECT_EQ(verdict.allowed, request.trust == "trusted") << verdict.reason;
    EXPECT_EQ(verdict.remedy.find("levels.untrusted.networks") != std::string::npos, !verdict.allowed) << verdict.remedy;
  }
}

TEST(GuardNetwork, LimitsOnlyWhatIsFiltered) {
  for (const NetworkMode mode : {NetworkMode::none, NetworkMode::bridge, NetworkMode::host}) {
    Request request = wish("trusted");
    request.network = mode;
    request.unsafe_opt_ins.host_network = true;
    EXPECT_TRUE(guard_network(request, builtin_policy(true), host()).allowed);
    for (const bool rate : {true, false}) {
      request.limits = {};
      (rate ? request.limits.network_rate_bytes : request.limits.network_connections) = 1 << 20;
      EXPECT_EQ(guard_network(request, builtin_policy(true), host()).allowed, mode == NetworkMode::bridge);
    }
  }
}

TEST(GuardNetwork, PublishesWhereTheLevelSays) {
  for (const PublishRule rule : {PublishRule::none, PublishRule::loopback, PublishRule::any})
    for (const char* port :
         {"8080:80", "127.9.9.9:8080:80", "0.0.0.0:8080:80", "192.0.2.1::80/udp", "[::1]:8080:80", "[::]:8080:80"})
      for (const NetworkMode mode : {NetworkMode::none, NetworkMode::bridge, NetworkMode::host}) {
        Policy policy = builtin_policy(true);
        policy.levels.at("trusted").publish = rule;
        Request request = wish("trusted");
        request.network = mode;
        request.unsafe_opt_ins.host_network = true;
        request.publish = {*network::parse_publish(port)};
        const bool loopback =
            (request.publish[0].address.ip == network::Ip::v4 && request.publish[0].address.value >> 24 == 127) ||
            network::to_text(request.publish[0].address) == "::1";
        const bool expected =
            mode == NetworkMode::bridge && (rule == PublishRule::any || (rule == PublishRule::loopback && loopback));
        const Verdict verdict = guard_network(request, policy, host());
        EXPECT_EQ(verdict.allowed, expected) << name_of(rule, kPublishRuleNames) << " " << port << ": " << verdict.reason;
        EXPECT_EQ(verdict.remedy.empty(), expected);
      }
}

TEST(GuardNetwork, RefusesIpv6ThatTheSandboxDoesNotHave) {
  for (const auto& [word, allowed] : {std::pair("2001:db8::1", false), {"any", true}, {"10.0.0.1", true}, {"dns", true}}) {
    Request request = wish("trusted");
    request.network = NetworkMode::bridge;
    request.egress = {*network::parse_grant(word)};
    EXPECT_EQ(guard_network(request, builtin_policy(true), host()).allowed, allowed) << word;
    request.ipv6 = true;
    EXPECT_TRUE(guard_network(request, builtin_policy(true), host()).allowed) << word;
  }
}

TEST(GuardNetwork, GivesIpv6OnTheBridgeOnly) {
  for (const NetworkMode mode : {NetworkMode::none, NetworkMode::bridge, NetworkMode::host, NetworkMode::userspace}) {
    Request request = wish("trusted");
    request.network = mode;
    request.ipv6 = true;
    request.unsafe_opt_ins.host_network = true;
    const Verdict verdict = guard_network(request, builtin_policy(true), host());
    EXPECT_EQ(verdict.allowed, mode == NetworkMode::bridge) << verdict.reason;
  }
}

// A ceiling is for both families: what lies in a closed range of IPv6 is below none that does not say so.
TEST(GuardNetwork, HoldsIpv6BelowTheCeiling) {
  for (const auto& [word, allowed] : {std::pair("2001:db8::1", true),
                                      {"fd00:1::2", true},
                                      {"64:ff9b::a00:1", false},
                                      {"2002:a00:1::", false},
                                      {"::/0", true}}) {
    Request request = wish("untrusted");
    request.network = NetworkMode::bridge;
    request.ipv6 = true;
    request.egress = {*network::parse_grant(word)};
    EXPECT_EQ(guard_network(request, builtin_policy(true), host()).allowed, allowed) << word;
  }
}

TEST(GuardNetwork, GivesTheBridgeToRootOnly) {
  Request request = wish("trusted");
  request.network = NetworkMode::bridge;
  HostFacts facts = host();
  facts.euid = 1000;
  const Verdict verdict = guard_network(request, builtin_policy(true), facts);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_NE(verdict.reason.find("root"), std::string::npos);
}

}  // namespace
}  // namespace bailey::dispatcher
