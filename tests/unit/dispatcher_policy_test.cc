#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/limits.h"
#include "dispatcher/policy.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::dispatcher {
namespace {

using tests::TempDir;

std::string faults_of(std::string_view text) {
  const Result<Policy> policy = parse_policy(text, "p");
  return policy ? "" : policy.error().message;
}

TEST(Policy, IsTheBuiltInOneWhenTheDocumentSaysNothing) {
  Policy empty = *parse_policy("{}", "p");
  EXPECT_EQ(empty.source, "p");
  empty.source = builtin_policy().source;
  EXPECT_EQ(empty, builtin_policy());
}

TEST(Policy, ReadsWhatItWrites) {
  for (const bool root : {true, false}) {
    Policy policy = builtin_policy(root);
    policy.source = "p";
    policy.unsafe_native_for_untrusted = true;
    policy.backend_settings = {{"runsc", "/usr/local/bin/runsc"}};
    policy.audit_file = "/var/log/bailey/audit.jsonl";
    policy.cgroup_parent = "/bailey";
    policy.engines = {"trusted", {"trusted"}};
    policy.default_root = {.add = {"/etc/mytool", "/opt/data"}, .remove = {"/etc/php"}};
    policy.bridge = {"br-jobs", network::Subnet::v4(0xc0a8c800, 24), *network::parse_subnet("fd00:9::/64")};
    Level level = policy.levels.at("untrusted");
    level.name = "judge";
    level.volumes = VolumeRule::read_only;
    level.volume_roots = {"/srv/judge", "/srv/tests"};
    level.secrets = true;
    level.backend_settings = {{"directfs", "false"}};
    level.publish = PublishRule::none;
    level.shared_networks = {"db", "web-1"};
    level.egress = {*network::parse_grant("10.0.0.7:5432"), *network::parse_grant("*.example:443")};
    level.egress_ceiling.reset();
    level.defaults.cpus = 0.25;
    level.defaults.wall_ms = 1500;
    level.defaults.memory_bytes.reset();
    level.ceilings.open_files.reset();
    policy.levels["judge"] = level;
    const std::string text = json::write(to_json(policy), json::Layout::indented);
    const Result<Policy> back = parse_policy(text, "p");
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, policy) << text;
  }
}

TEST(Policy, GivesEnginesNoLevelThatItDoesNotKnow) {
  const auto parsed = parse_policy(R"({"levels": {"build": {}}, "oci": {"default_level": "build", "levels": ["build"]}})", "p");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->engines, (EngineRule{"build", {"build"}}));
  EXPECT_NE(faults_of(R"({"oci": {"levels": ["untrusted", "nobody's"]}})").find("$.oci.levels"), std::string::npos);
  EXPECT_NE(faults_of(R"({"oci": {"default_level": "nobody's"}})").find("$.oci.default_level"), std::string::npos);
  EXPECT_NE(faults_of(R"({"oci": {"levels": ["trusted"]}})").find("give both"), std::string::npos);
}

TEST(Policy, AddsNoSecretsToTheDefaultRoot) {
  const auto adding = [](const std::string& path) { return faults_of(R"({"default_root": {"add": [")" + path + R"("]}})"); };
  for (const char* good : {"/etc/mytool", "/etc/mytool.conf", "/opt/tool", "/var/lib/mydata", "/srv/data", "/etc/ssl/other"})
    EXPECT_EQ(adding(good), "") << good;
  for (const char* bad : {"/etc/shadow",
                          "/etc/shadow-",
                          "/etc/ssh",
                          "/etc/ssh/ssh_host_rsa_key",
                          "/etc/ssl/private",
                          "/etc/ssl/private/x.pem",
                          "/etc/mytool/server.key",
                          "/etc",
                          "/var",
                          "/var/lib",
                          "/",
                          "etc/mytool",
                          "/etc/../root",
                          "/etc/mytool/",
                          "/etc/my*",
                          "/root",
                          "/root/x",
                          "/home",
                          "/home/ann/x",
                          "/proc/1",
                          "/sys/class",
                          "/dev/sda",
                          "/run/x",
                          "/boot",
                          "/usr/share",
                          "/var/lib/docker",
                          "/var/lib/docker/volumes",
                          "/etc/passwd",
                          "/etc/resolv.conf",
                          "/etc/bailey/policy.json",
                          "/tmp/x",
                          "/etc/sudoers.d",
                          "/etc/environment",
                          "/etc/machine-id",
                          "/var/lib/mysql"}) {
    const std::string fault = adding(bad);
    EXPECT_NE(fault.find("$.default_root.add"), std::string::npos) << bad << ": " << fault;
    EXPECT_NE(fault.find(bad), std::string::npos) << bad << ": " << fault;
  }
  EXPECT_NE(faults_of(R"({"default_root": {"remove": ["php"]}})").find("$.default_root.remove"), std::string::npos);
  EXPECT_NE(faults_of(R"({"default_root": {"append": []}})").find("$.default_root"), std::string::npos);
}

TEST(Policy, RemovesOnlyWhatTheDefaultRootWouldShow) {
  const auto removing = [](const std::string& path) {
    return faults_of(R"({"default_root": {"add": ["/opt/data/all"], "remove": [")" + path + R"("]}})");
  };
  for (const char* good : {"/etc", "/etc/php", "/etc/no-such", "/etc/passwd.d", "/var/lib/texmf", "/sys/devices",
                           "/opt/data/all/one", "/opt/data/all", "/opt"})
    EXPECT_EQ(removing(good), "") << good;
  for (const char* idle :
       {"/usr", "/usr/share/doc", "/bin", "/etc/passwd", "/etc/hosts", "/opt/other", "/home", "/proc", "/tmp"}) {
    const std::string fault = removing(idle);
    EXPECT_NE(fault.find("$.default_root.remove"), std::string::npos) << idle << ": " << fault;
    EXPECT_NE(fault.find(idle), std::string::npos) << idle << ": " << fault;
  }
}

TEST(Policy, ListsSharedNetworksBesideTheOthers) {
  const auto levels = [](const std::string& networks) {
    return R"({"levels": {"untrusted": {"networks": )" + networks + "}}}";
  };
  const Result<Policy> policy = parse_policy(levels(R"(["none", "bridge:db", "bridge:a.b_c-1"])"), "p");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->levels.at("untrusted").networks, std::vector<NetworkMode>{NetworkMode::none});
  EXPECT_EQ(policy->levels.at("untrusted").shared_networks, (std::vector<std::string>{"db", "a.b_c-1"}));
  EXPECT_EQ(policy->levels.at("trusted").shared_networks, std::vector<std::string>{"*"});
  EXPECT_TRUE(builtin_policy(true).levels.at("untrusted").shared_networks.empty());
  EXPECT_TRUE(parse_policy(levels(R"(["bridge", "bridge:*"])"), "p"));
  for (const char* bad : {R"(["bridge:"])", R"(["bridge:A"])", R"(["bridge:a*"])", R"(["userspace:a"])", R"(["host:a"])",
                          R"(["none:"])", R"(["bridge:a", "bridge:a"])", R"(["bridge", "bridge"])"})
    EXPECT_NE(faults_of(levels(bad)).find("$.levels.untrusted.networks: "), std::string::npos) << bad;
}

TEST(Policy, OverridesKeyByKeyAndStartsNewLevelsFromUntrusted) {
  const Result<Policy> policy = parse_policy(R"({
    // judges get less
    "levels": {
      "untrusted": {"secrets": true, "limits": {"memory": {"default": "256M"}, "timeout": {"default": 10, "ceiling": "unlimited"}}},
      "judge": {"limits": {"cpus": {"default": 0.5}, "pids": {"default": 64}}},
      "ci": {"untrusted": false, "runtimes": ["native"]}
    }})",
                                             "p");
  ASSERT_TRUE(policy) << policy.error().message;
  const Level& untrusted = policy->levels.at("untrusted");
  EXPECT_EQ(untrusted.defaults.memory_bytes, 256u << 20);
  EXPECT_EQ(untrusted.ceilings.memory_bytes, 4ull << 30);
  EXPECT_EQ(untrusted.defaults.wall_ms, 10'000);
  EXPECT_EQ(untrusted.ceilings.wall_ms, std::nullopt);
  EXPECT_TRUE(untrusted.secrets);
  const Level& judge = policy->levels.at("judge");
  EXPECT_EQ(judge.defaults.cpus, 0.5);
  EXPECT_EQ(judge.defaults.pids, 64u);
  EXPECT_TRUE(judge.untrusted);
  EXPECT_FALSE(judge.secrets) << "from the built-in one, not from the file's";
  EXPECT_EQ(policy->levels.at("ci").runtimes, std::vector{BackendKind::native});
  EXPECT_EQ(policy->levels.at("trusted"), builtin_policy().levels.at("trusted"));
}

TEST(Policy, NamesLineAndPathOfEveryFault) {
  const std::string faults = faults_of(
      "{\n"
      "  \"audit_file\": \"log\",\n"
      "  \"runsc\": \"/usr/../bin/runsc\",\n"
      "  \"zone\": 1, \"bridge\": {\"name\": \"a/b\", \"subnet\": \"10.0.0.0/8\", \"subnet6\": \"10.9.0.0/24\"},\n"
      "  \"levels\": {\n"
      "    \"trusted\": {\"networks\": [\"none\", \"lan\"], \"volumes\": \"some\", \"egress\": {\"default\": [\"10.1\"]}},\n"
      "    \"untrusted\": {\"egress\": {\"default\": [\"10.1.1.1\"], \"ceiling\": [\"dns\"]}, \"limits\": {\n"
      "      \"memory\": {\"default\": \"8G\"},\n"
      "      \"pids\": {\"default\": -1},\n"
      "      \"timeout\": {\"default\": true},\n"
      "      \"tmpfs\": {\"most\": 1},\n"
      "      \"disk\": {}}}\n"
      "  }\n"
      "}");
  for (const char* part :
       {"p:2: $.audit_file: ", "p:3: $.runsc: ", "p:4: $.zone: is not a known key", "p:4: $.bridge.name: 'a/b'",
        "p:4: $.bridge.subnet: the bridge's range 10.0.0.0/8", "p:4: $.bridge.subnet6: '10.9.0.0/24' is no range of IPv6",
        "p:6: $.levels.trusted.egress.default: egress '10.1'",
        "p:7: $.levels.untrusted.egress.default: '10.1.1.1' is not below the ceiling",
        "p:6: $.levels.trusted.networks: 'lan' is not known; known are: none, host", "p:6: $.levels.trusted.volumes: 'some'",
        "p:8: $.levels.untrusted.limits.memory: the default 8G is above the ceiling 4G",
        "p:9: $.levels.untrusted.limits.pids.default: '-1'", "p:10: $.levels.untrusted.limits.timeout.default: expected",
        "p:11: $.levels.untrusted.limits.tmpfs.most: is not a known key",
        "p:12: $.levels.untrusted.limits.disk: is not a known key"})
    EXPECT_NE(faults.find(part), std::string::npos) << part << "\nis not in\n" << faults;
}

TEST(Policy, CannotLiftTheInvariants) {
  for (const char* text :
       {R"({"levels": {"untrusted": {"untrusted": false}}})", R"({"levels": {"untrusted": {"networks": ["host"]}}})",
        R"({"levels": {"untrusted": {"runtimes": ["native"]}}})", R"({"levels": {"new": {"runtimes": ["gvisor", "native"]}}})",
        R"({"unsafe_native_for_untrusted": true, "levels": {"untrusted": {"runtimes": ["native"]}}})"})
    EXPECT_NE(faults_of(text), "") << text;
}

TEST(Policy, RefusesBrokenDocuments) {
  const std::string whole = json::write(to_json(builtin_policy()));
  for (size_t length = 0; length < whole.size(); length += 7) EXPECT_NE(faults_of(whole.substr(0, length)), "") << length;
  for (const char* text :
       {"", "[]", "null", "{} x", R"({"levels": []})", R"({"levels": {"a/b": {}}})", R"({"levels": {"": {}}})",
        R"({"levels": {"x": {"runtimes": []}}})", R"({"levels": {"x": {"runtimes": ["gvisor", "gvisor"]}}})",
        R"({"levels": {"x": {"volume_roots": ["srv"]}}})", R"({"levels": {"x": {"volume_roots": ["/srv/"]}}})",
        R"({"levels": {"x": {"secrets": "yes"}}})", R"({"runsc": "/a", "runsc": "/b"})", R"({"audit_file": null})"})
    EXPECT_NE(faults_of(text), "") << text;
}

TEST(Policy, TheExampleIsOne) {
  const Result<Policy> policy = parse_policy(tests::read_file(BAILEY_EXAMPLE_POLICY), "packaging/policy.json");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->levels.size(), 4u);
  EXPECT_TRUE(policy->levels.at("agent").untrusted);
  EXPECT_EQ(policy->levels.at("judge").volume_roots, std::vector<std::string>{"/srv/judge"});
}

TEST(PolicyFile, IsTakenWhenOnlyItsOwnerCouldChangeIt) {
  const TempDir dir;
  const std::string path = dir.write("policy.json", "{/* empty */}");
  const Result<Policy> policy = load_policy(path);
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->source, path);
}

TEST(PolicyFile, IsRefusedWhenOthersCouldChangeIt) {
  const TempDir dir;
  const std::string path = dir.write("policy.json", "{}");
  for (const mode_t mode : {0666, 0664, 0646}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const Result<Policy> policy = load_policy(path);
    ASSERT_FALSE(policy);
    EXPECT_EQ(policy.error().fault, Fault::refused);
    EXPECT_NE(policy.error().message.find(path), std::string::npos);
    EXPECT_NE(policy.error().remedy.find("chmod"), std::string::npos);
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  for (const mode_t mode : {0777, 0775}) {
    ASSERT_EQ(::chmod(dir.path().c_str(), mode), 0);
    EXPECT_FALSE(load_policy(path)) << std::oct << mode;
  }
  ASSERT_EQ(::chmod(dir.path().c_str(), 01777), 0);
  EXPECT_TRUE(load_policy(path)) << "in a sticky directory nobody else can replace it";
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
}

TEST(PolicyFile, IsRefusedWhenItBelongsToSomebodyElse) {
  BAILEY_REQUIRE("root");
  const TempDir dir;
  const std::string path = dir.write("policy.json", "{}");
  ASSERT_EQ(::chown(path.c_str(), 12345, 0), 0);
  const Result<Policy> policy = load_policy(path);
  ASSERT_FALSE(policy);
  EXPECT_NE(policy.error().message.find("12345"), std::string::npos);
  ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  ASSERT_EQ(::chown(dir.path().c_str(), 12345, 0), 0);
  EXPECT_FALSE(load_policy(path)) << "its directory does";
}

TEST(PolicyFile, IsRefusedWhenItIsNoPlainFile) {
  const TempDir dir;
  const std::string path = dir.write("policy.json", "{}");
  ASSERT_EQ(::symlink(path.c_str(), dir.file("link").c_str()), 0);
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0644), 0);
  ASSERT_EQ(::truncate(dir.write("big", "").c_str(), 2 << 20), 0);
  for (const char* name : {"link", "fifo", "big", ".", "missing"}) EXPECT_FALSE(load_policy(dir.file(name))) << name;
}

}  // namespace
}  // namespace bailey::dispatcher
