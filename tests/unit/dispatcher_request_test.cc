#include <gtest/gtest.h>

#include "dispatcher/request_json.h"
#include "tests/unit/dispatcher_wishes.h"

namespace bailey::dispatcher {
namespace {

std::string faults_of(std::string_view text) {
  const Result<Request> request = parse_request(text, "r");
  return request ? "" : request.error().message;
}

Request full() {
  Request request = wish("judge");
  request.id = "job-7";
  request.runtime = BackendKind::gvisor;
  request.network = NetworkMode::bridge;
  request.shared_network = "db.test_1-2";
  request.egress = {*network::parse_grant("dns"), *network::parse_grant("10.88.0.2:8080-8090/udp")};
  request.ipv6 = true;
  request.publish = {*network::parse_publish("8080:80"), *network::parse_publish("0.0.0.0::53/udp")};
  request.unsafe_opt_ins = {.native_for_untrusted = true, .host_network = true};
  request.config.process->args = {"/bin/echo", "a b", "\n", "\xc3\xa9", ""};
  request.config.process->env = {"A=1"};
  request.config.process->user.umask = 077;
  request.config.mounts = {volume("/srv/x", "/work", {"rbind"})};
  request.config.root = bundle::Root{"/srv/rootfs", true};
  request.config.linux.resources.memory.limit = 256 << 20;
  request.root_writes = Writes::memory;
  request.limits = {.swap_bytes = 0,
                    .wall_ms = 1500,
                    .output_bytes = 1 << 20,
                    .tmpfs_bytes = 123'457,
                    .tmpfs_inodes = 99,
                    .network_rate_bytes = 1 << 20,
                    .network_connections = 7};
  request.secrets = {{.name = "db", .file = "./db.pass", .destination = "/etc/app/db", .mode = 0440, .uid = 1000},
                     {.name = "fd", .fd = 7, .mode = 0}};
  request.backend_settings = {{"platform", "systrap"}, {"runsc", "/opt/runsc"}};
  return request;
}

TEST(RequestDocument, ReadsWhatItWrites) {
  Request unlimited = wish();
  for (const Limit& limit : limits())
    if (limit.in_config.empty()) limit.ask(unlimited, kUnlimited);
  for (const Request& request : {Request{}, wish(), full(), unlimited}) {
    const std::string text = json::write(to_json(request), json::Layout::indented);
    const Result<Request> back = parse_request(text, "r");
    ASSERT_TRUE(back) << back.error().message << "\n" << text;
    EXPECT_EQ(*back, request) << text;
  }
}

TEST(RequestDocument, IsUntrustedWhenItSaysNothing) {
  const Result<Request> request = parse_request("{}", "r");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(*request, Request{});
  EXPECT_EQ(request->trust, "untrusted");
}

TEST(RequestDocument, TakesLimitsAsPeopleWriteThem) {
  const Result<Request> request = parse_request(
      R"({"limits": {"timeout": "2m", "output": "1M", "tmpfs": 4096, "tmpfs_inodes": 64, "swap": "unlimited"},
          "config": {"linux": {"resources": {"memory": {"limit": 1048576}}}}})",
      "r");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_EQ(request->limits.wall_ms, 120'000);
  EXPECT_EQ(request->limits.output_bytes, 1u << 20);
  EXPECT_EQ(request->limits.tmpfs_bytes, 4096u);
  EXPECT_EQ(request->limits.swap_bytes, kUnlimited);
  EXPECT_EQ(request->config.linux.resources.memory.limit, 1 << 20);
}

TEST(RequestDocument, SaysWhereTheOtherLimitsStand) {
  const std::string faults = faults_of("{\"limits\":\n {\"memory\": \"1G\"}}");
  EXPECT_NE(faults.find("r:2: $.limits.memory: is in the configuration: $.config.linux.resources.memory.limit"),
            std::string::npos)
      << faults;
}

TEST(RequestDocument, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"",
                           "[]",
                           "{",
                           R"({"trust": 1})",
                           R"({"Trust": "trusted"})",
                           R"({"trust": "a", "trust": "b"})",
                           R"({"runtime": "runc"})",
                           R"({"network": "lan"})",
                           R"({"network": "bridge:*"})",
                           R"({"network": "userspace:db"})",
                           R"({"unsafe": {"everything": true}})",
                           R"({"unsafe": true})",
                           R"({"root_writes": "disk"})",
                           R"({"limits": {"timeout": "soon"}})",
                           R"({"limits": {"timeout": 0}})",
                           R"({"limits": {"output": -1}})",
                           R"({"limits": {"pids": 1}})",
                           R"({"secrets": {}})",
                           R"({"secrets": [{}]})",
                           R"({"secrets": [{"name": "a", "mode": "999"}]})",
                           R"({"secrets": [{"name": "a", "fd": -1}]})",
                           R"({"secrets": [{"name": "a", "value": "s3cret"}]})",
                           R"({"config": {"process": {"arg": ["x"]}}})",
                           R"({"config": {"hook": {}}})",
                           R"({"config": {"mounts": [{"destination": "/x", "from": "/"}]}})",
                           R"({"id": "a\u0000b"})",
                           "{} // comment"})
    EXPECT_NE(faults_of(text), "") << text;
}

}  // namespace
}  // namespace bailey::dispatcher
