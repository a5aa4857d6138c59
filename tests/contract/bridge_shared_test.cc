// Shared networks (--net bridge:NAME): who names the same one is reached, and nobody else.
#include "tests/contract/bridge_contract.h"

namespace bailey::tests {
namespace {

TEST_F(BridgeContract, MembersOfASharedNetworkReachEachOther) {
  add_ipv6();
  net_ = "bridge:db";
  const std::string name = "bailey-contract-member";
  const std::string server = start_server(name, {"--ipv6", "--egress", "dns"}, "listen:80");
  const auto record = json::parse(read_file("/run/bailey/" + name + "/record.json"), name);
  const std::string server6 = record ? text_of(*record, "address6") : "";
  const Outcome shown = run_bailey({.arguments = {"network", "show"}});
  EXPECT_NE(shown.out.find(" " + server + " " + server6 + " bridge:db\n"), std::string::npos) << shown;
  Arguments wanted = {"tcp:" + server + ":80", "tcp:[" + server6 + "]:80", "tcp:" + server + ":81", "tcp:203.0.113.2:80",
                      "ping:" + server};
  serve(outside_, "listen:80");
  for (const std::string net : {"bridge:db", "bridge:web", "bridge:d", "bridge"}) {
    net_ = net;
    const Answers got = try_from_inside({"--ipv6", "--egress", "dns"}, wanted);
    EXPECT_EQ(got.size(), wanted.size()) << last_;
    for (const auto& [what, answer] : got)
      EXPECT_EQ(reached(got, what), net == "bridge:db" && what != wanted[2] && what != wanted[3])
          << net << ": " << what << " " << answer;
    EXPECT_EQ(last_.text("network"), net) << last_;
    wanted.resize(4);  // that no ping comes back takes seconds
    EXPECT_EQ(last_.number("network_denied.frames"), 0) << last_;
  }
  for (const network::Netns* from : {&host_, &outside_}) EXPECT_NE(network::tests::connect_to(*from, server, 80, 2000), 0);
}

TEST_F(BridgeContract, BothBackendsShareANetwork) {
  net_ = "bridge:mixed";
  const std::string server = start_server("bailey-contract-member", {"--runtime", "native"}, "listen:80");
  EXPECT_TRUE(reached(try_from_inside({}, {"tcp:" + server + ":80"}), "tcp:" + server + ":80")) << last_;
}

// Who was there before is called by its host name.
TEST_F(BridgeContract, AMemberKnowsTheNamesOfThoseBefore) {
  net_ = "bridge:db";
  const std::string server = start_server("bailey-contract-member", {"--hostname", "Db"}, "listen:80");
  const std::string script =
      "cat /etc/hosts; python3 -c 'import socket; print(socket.create_connection((\"db\", 80), 20).recv(5).decode())'";
  const Outcome got = shell({"--net", "bridge:db", "--hostname", "client"}, script);
  EXPECT_NE(got.out.find("\n" + got.text("network_address") + "\tclient\n" + server + "\tdb\nhello\n"), std::string::npos)
      << got;
  for (const Arguments& flags : {Arguments{"--net", "bridge:web"}, Arguments{"--net", "bridge"}}) {
    const Outcome stranger = shell(flags, "cat /etc/hosts");
    EXPECT_EQ(stranger.out.find("db"), std::string::npos) << stranger;
  }
  const Outcome namesake = shell({"--net", "bridge:db", "--hostname", "db"}, "cat /etc/hosts");
  EXPECT_EQ(namesake.out.find(server), std::string::npos) << "its own name is its own: " << namesake;
}

// What egress, limits and published ports of a member say holds as for everybody.
TEST_F(BridgeContract, AMembersOtherRulesStayAsTheyAre) {
  for (const char* what : {"listen:80", "listen:81"}) serve(outside_, what);
  net_ = "bridge:db";
  const std::string server = start_server("bailey-contract-member", {"-p", "8080:80"}, "listen:80");
  const std::string theirs = "tcp:" + server + ":80", granted = "tcp:203.0.113.2:80", other = "tcp:203.0.113.2:81";
  const Answers got = try_from_inside({"--egress", "203.0.113.2:80"}, {theirs, granted, other, "tcp:10.201.0.1:8080"});
  for (const auto& [what, answer] : got) EXPECT_EQ(reached(got, what), what == theirs || what == granted) << what << answer;
  EXPECT_EQ(network::tests::connect_to(host_, "127.0.0.1", 8080), 0) << "published";
  const std::string open =
      "import socket\nheld = []\nfor i in range(3):\n  s = socket.socket(); s.settimeout(20)\n"
      "  try: s.connect(('" +
      server +
      "', 80)); held.append(s); print('connected')\n"
      "  except OSError as e: print('refused')\n";
  const Outcome some = run({"--net", "bridge:db", "--network-connections", "2"}, {"python3", "-c", open});
  EXPECT_EQ(some.out, "connected\nconnected\nrefused\n") << some;
}

// The one who is killed leaves its address to whoever comes next, and not its place in the network.
TEST_F(BridgeContract, AKilledMembersSuccessorIsNoMember) {
  TempDir directory;
  const Arguments policy = {"--policy", directory.write("policy.json", R"({"bridge": {"subnet": "10.201.0.0/28"}})")};
  net_ = "bridge:db";
  const std::string server = start_server("bailey-contract-member", policy, "listen:80");
  const std::string address = start_server("bailey-contract-killed", policy, "listen:80");
  const std::string theirs = "tcp:" + server + ":80";
  EXPECT_TRUE(reached(try_from_inside(policy, {theirs}), theirs)) << last_;
  sandboxes_.back()->signal(SIGKILL);
  sandboxes_.back()->finish();
  sandboxes_.pop_back();
  net_ = "bridge";
  const auto deadline = clock::Deadline::in_ms(120'000);
  do {
    EXPECT_FALSE(reached(try_from_inside(policy, {theirs}), theirs)) << last_;
  } while (last_.text("network_address") != address && !deadline.passed());  // drawn at random; with few slots all were ending
  EXPECT_EQ(last_.text("network_address"), address);
  net_ = "bridge:db";
  EXPECT_TRUE(reached(try_from_inside(policy, {theirs}), theirs)) << "a new member is one: " << last_;
  sandboxes_.back()->signal(SIGTERM);
  sandboxes_.back()->finish();
  sandboxes_.pop_back();
  collect_garbage();
}

TEST_F(BridgeContract, RefusesASharedNetworkThatTheLevelDoesNotList) {
  const std::pair<Arguments, std::string> refused[] = {
      {{"--trust", "untrusted", "--runtime", "gvisor", "--net", "bridge:db"}, "levels.untrusted.networks"},
      {{"--net", "userspace:db"}, "bridge:db"},
      {{"--net", "bridge:Data"}, "lower-case"},
      {{"--net", "bridge:"}, "lower-case"},
      {{"--net", "bridge:*"}, "lower-case"}};
  for (const auto& [flags, remedy] : refused) {
    RunOptions wish = options(flags, {"/bin/echo", "started"});
    wish.record = false;
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "");
    EXPECT_NE(got.err.find(remedy, got.err.find("remedy: ")), std::string::npos) << got;
  }
}

}  // namespace
}  // namespace bailey::tests
