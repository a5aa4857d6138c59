// A sandbox on a network that Bailey filters, in a "host" of the test's own (tests/network/networks.h), with servers outside.
#pragma once

#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "network/bridge/link.h"
#include "network/filter/firewall.h"
#include "tests/contract/contract.h"
#include "tests/network/dns_talk.h"
#include "tests/network/networks.h"

namespace bailey::tests {

using network::tests::Running;
using Answers = std::map<std::string, std::string>;  // "tcp:203.0.113.2:80" -> "connected"

class SandboxNetwork : public Contract, protected network::tests::Surroundings {
 protected:
  virtual std::string net() const = 0;  // the word of --net
  // Every run of this fixture goes through it.
  virtual RunOptions on_network(const Arguments& flags, const Arguments& command) const {
    return options(joined({"--net", net()}, flags), command);
  }
  void SetUp() override {
    BAILEY_REQUIRE("root", "ip", "nft");
    Contract::SetUp();
    if (IsSkipped()) return;
    enter();
  }
  void TearDown() override {
    servers_.clear();
    names_.reset();
    for (const auto& sandbox : sandboxes_) {
      sandbox->signal(SIGTERM);
      sandbox->finish();
    }
    sandboxes_.clear();
    if (real_) {
      wait_until_given_back();
      EXPECT_EQ(network::tests::run(host_, {"nft", "list", "tables"}), "");
      EXPECT_EQ(network::tests::run(host_, {"ip", "-brief", "link"}).find("bly"), std::string::npos);
    }
    leave();
    Contract::TearDown();
  }

  // A child takes port and filter away after the run. nft fails while it looks at what changes, so it is not asked here.
  void wait_until_given_back() {
    auto filters = network::tests::must(network::NetlinkSocket::open(NETLINK_NETFILTER));
    const auto left = [&] {
      if (!network::tests::must(network::Firewall::tables(filters)).empty()) return true;
      return std::ranges::any_of(network::tests::must(network::link::all(socket_)),
                                 [](const auto& link) { return link.name.starts_with("bly"); });
    };
    const auto deadline = clock::Deadline::in_ms(60'000);
    while (left() && !deadline.passed()) usleep(10'000);
  }
  // reach's server in that namespace: "listen:80", "echo:53".
  Running& serve(const network::Netns& where, const std::string& what) {
    return *servers_.emplace_back(std::make_unique<Running>(where, Arguments{program_outside("reach"), what}, "serving"));
  }
  static Answers parse(const std::string& text) {
    Answers answers;
    std::istringstream lines(text);
    for (std::string what, answer; lines >> what >> answer;) answers[what] = answer;
    return answers;
  }
  Answers try_from_inside(const Arguments& flags, Arguments what) {
    what.insert(what.begin(), probe("reach"));
    last_ = run_bailey(on_network(with_probes(flags), what));
    EXPECT_EQ(last_.exit_code, 0) << last_;
    return parse(last_.out);
  }
  static Arguments joined(Arguments first, const Arguments& more) {
    first.insert(first.end(), more.begin(), more.end());
    return first;
  }
  // A name server, which Bailey finds in its own /etc/resolv.conf.
  void start_names(const std::string& zone) { start_names(zone, outside_, "203.0.113.2"); }
  void start_names(const std::string& zone, const network::Netns& where, const std::string& address) {
    BAILEY_REQUIRE("dnsmasq");
    names_ = std::make_unique<network::tests::Dnsmasq>(where, address, zone);
    resolv_conf_.write("resolv.conf", "nameserver " + address + "\n");
  }
  RunOptions with_names(const Arguments& flags, const std::string& script) {
    RunOptions wish = on_network(with_probes(flags), {"/bin/sh", "-c", script});
    wish.before_exec = [this, before = std::move(wish.before_exec)] {
      if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          mount(resolv_conf_.file("resolv.conf").c_str(), "/etc/resolv.conf", nullptr, MS_BIND, nullptr) != 0 ||
          (::access(resolv_conf_.file("hosts").c_str(), F_OK) == 0 &&
           mount(resolv_conf_.file("hosts").c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0))
        _exit(97);
      if (before) before();
    };
    return wish;
  }
  Outcome run_with_names(const Arguments& flags, const std::string& script) { return run_bailey(with_names(flags, script)); }
  // As with docker and podman: `db` is what the host calls so, by its search domains or its /etc/hosts.
  void expect_names_of_the_host() {
    serve(outside_, "listen:80");
    start_names("host-record=web.corp.example,198.51.100.9,300\n");
    resolv_conf_.write("resolv.conf", "search corp.example lab.example\noptions ndots:2\nnameserver 203.0.113.2\n");
    resolv_conf_.write(
        "hosts",
        "127.0.0.1 localhost\n127.0.1.1 box\n203.0.113.2 db\n203.0.113.2 other\n10.77.0.2 inner\n198.51.100.9 named.example\n");
    const std::string script =
        "cat /etc/resolv.conf; for name in web db named.example inner box other; do"
        " python3 -c 'import socket, sys; s = socket.create_connection((sys.argv[1], 80), 20); print(sys.argv[1], s.recv(9).decode().strip())' $name"
        " 2>&1 | tail -n 1; done";
    Arguments flags;
    for (const char* name : {"web:80", "db:80", "named.example:80", "inner:80", "box:80"})
      flags.insert(flags.end(), {"--egress", name});
    const Outcome got = run_with_names(flags, script);
    EXPECT_NE(got.out.find("\nsearch corp.example lab.example\noptions ndots:2\n"), std::string::npos) << got;
    for (const char* name : {"web", "db", "named.example"})
      EXPECT_NE(got.out.find("\n" + std::string(name) + " hello\n"), std::string::npos) << got;
    for (const char* name : {"inner", "box", "other"})
      EXPECT_EQ(got.out.find(std::string(name) + " hello"), std::string::npos) << got;
    const std::string record = json::write(*got.find("network_denied"));
    for (const char* name : {"\"inner (10.77.0.2)\"", "\"other\""}) EXPECT_NE(record.find(name), std::string::npos) << record;
    for (const char* name : {"named.example.", "web", "\"db"}) EXPECT_EQ(record.find(name), std::string::npos) << record;
  }
  static bool reached(const Answers& answers, const std::string& what) {
    const auto found = answers.find(what);
    EXPECT_NE(found, answers.end()) << what;
    return found != answers.end() && (found->second == "connected" || found->second == "answered");
  }
  virtual std::string state_directory() const { return "/run/bailey"; }
  // A sandbox of that name that serves; its address.
  std::string start_server(const std::string& name, const Arguments& flags, const std::string& what) {
    RunOptions wish = on_network(with_probes(joined({"--name", name}, flags)), {probe("reach"), what});
    sandboxes_.push_back(std::make_unique<BaileyProcess>(std::move(wish)));
    EXPECT_TRUE(sandboxes_.back()->wait_for_output("serving"));
    const auto record = json::parse(read_file(state_directory() + "/" + name + "/record.json"), name);
    EXPECT_TRUE(record) << name;
    return record ? text_of(*record, "address") : "";
  }

  Outcome last_;
  TempDir resolv_conf_;
  std::unique_ptr<network::tests::Dnsmasq> names_;
  std::vector<std::unique_ptr<Running>> servers_;
  std::vector<std::unique_ptr<BaileyProcess>> sandboxes_;
};

}  // namespace bailey::tests
