// The bridge: what is granted is reached, and nothing else; on a "host" of the test's own (tests/network/networks.h).
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "base/clock.h"
#include "base/json.h"
#include "tests/contract/bridge_contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

TEST_F(BridgeContract, ReachesWhatIsGrantedAndNothingElse) {
  for (const char* port : {"listen:8080", "listen:8081"}) serve(outside_, port);
  serve(outside_, "echo:7");
  serve(host_, "listen:22");
  const Answers got =
      try_from_inside({"--egress", "203.0.113.2:8080/tcp", "--egress", "203.0.113.2:7/udp", "--egress", "10.77.0.2:8080"},
                      {"tcp:203.0.113.2:8080", "tcp:203.0.113.2:8081", "tcp:198.51.100.9:8080", "udp:203.0.113.2:7",
                       "udp:198.51.100.9:7", "tcp:10.77.0.2:8080", "tcp:10.77.0.2:8081", "tcp:203.0.113.1:22",
                       "tcp:10.201.0.1:22", "ping:203.0.113.2", "tcp:169.254.169.254:8080"});
  for (const auto& [what, answer] : got)
    EXPECT_EQ(reached(got, what), what == "tcp:203.0.113.2:8080" || what == "udp:203.0.113.2:7" || what == "tcp:10.77.0.2:8080")
        << what << " " << answer;
  EXPECT_EQ(got.size(), 11u) << last_;
  EXPECT_EQ(last_.text("network"), "bridge");
  EXPECT_NE(last_.text("network_address"), "");
  EXPECT_GE(last_.number("network_denied.packets").value_or(0), 7);
  const std::string record = json::write(*last_.find("network_denied"));
  for (const char* denied :
       {R"("address":"203.0.113.2","protocol":"tcp","port":8081)", R"("address":"198.51.100.9","protocol":"udp","port":7)",
        R"("address":"169.254.169.254","protocol":"tcp","port":8080)"})
    EXPECT_NE(record.find(denied), std::string::npos) << denied << " is not in " << record;
}

TEST_F(BridgeContract, LetsAnyOutToNoClosedRange) {
  for (const char* what : {"listen:80", "echo:7"}) serve(outside_, what);
  serve(host_, "listen:80");
  const Answers got = try_from_inside({"--egress", "any"},
                                      {"tcp:203.0.113.2:80", "tcp:198.51.100.9:80", "udp:203.0.113.2:7", "ping:203.0.113.2",
                                       "tcp:10.77.0.2:80", "tcp:192.168.5.5:80", "tcp:172.16.9.9:80", "tcp:169.254.169.254:80",
                                       "udp:10.77.0.2:7", "ping:10.77.0.2", "tcp:203.0.113.1:80", "tcp:10.201.0.1:80"});
  const std::set<std::string> open = {"tcp:203.0.113.2:80", "tcp:198.51.100.9:80", "udp:203.0.113.2:7", "ping:203.0.113.2"};
  for (const auto& [what, answer] : got) EXPECT_EQ(reached(got, what), open.contains(what)) << what << " " << answer;
  EXPECT_EQ(got.size(), 12u) << last_;
  const Answers inside = try_from_inside(
      {"--egress", "private"},
      {"tcp:10.77.0.2:80", "tcp:192.168.5.5:80", "tcp:172.16.9.9:80", "tcp:169.254.169.254:80", "tcp:203.0.113.2:80"});
  for (const auto& [what, answer] : inside)
    EXPECT_EQ(reached(inside, what), what != "tcp:169.254.169.254:80" && what != "tcp:203.0.113.2:80") << what << " " << answer;
}

// Connections that are open at one time. The rate is tests/network/firewall_test's: only time could tell it here.
TEST_F(BridgeContract, LimitsConnections) {
  serve(outside_, "listen:80");
  const std::string open =
      "import socket\nheld = []\nfor i in range(5):\n  s = socket.socket(); s.settimeout(20)\n"
      "  try: s.connect(('203.0.113.2', 80)); held.append(s); print('connected')\n"
      "  except OSError as e: print('refused')\n";
  const Outcome some = run({"--net", "bridge", "--egress", "any", "--network-connections", "3"}, {"python3", "-c", open});
  EXPECT_EQ(some.out, "connected\nconnected\nconnected\nrefused\nrefused\n") << some;
  const Outcome all = run({"--net", "bridge", "--egress", "any"}, {"python3", "-c", open});
  EXPECT_EQ(all.out, "connected\nconnected\nconnected\nconnected\nconnected\n") << all;
}

TEST_F(BridgeContract, PublishesPorts) {
  const std::string address =
      start_server("bailey-contract-server", {"-p", "8080:80", "-p", "203.0.113.1:8081:80"}, "listen:80");
  const Outcome shown = run_bailey({.arguments = {"network", "show"}});
  EXPECT_EQ(shown.exit_code, 0) << shown;
  EXPECT_NE(shown.out.find("bailey-contract-server "), std::string::npos) << shown;
  EXPECT_NE(shown.out.find(" " + address + " 127.0.0.1:8080:80/tcp 203.0.113.1:8081:80/tcp\n"), std::string::npos) << shown;
  const auto greeting = [&](const network::Netns& from, const std::string& port) {
    return network::tests::run(from, {"python3", "-c",
                                      "import socket; print(socket.create_connection(('" + port.substr(0, port.find(':')) +
                                          "', " + port.substr(port.find(':') + 1) + "), 20).recv(5).decode())"});
  };
  EXPECT_EQ(greeting(host_, "127.0.0.1:8080"), "hello\n");
  EXPECT_EQ(greeting(host_, "203.0.113.1:8081"), "hello\n");
  EXPECT_EQ(greeting(outside_, "203.0.113.1:8081"), "hello\n");
  EXPECT_NE(network::tests::connect_to(outside_, "203.0.113.1", 8080), 0) << "that one is the host's own";
  // Another one may not have them, and is refused before anything starts.
  const Outcome got = run({"--net", "bridge", "-p", "8080:80"}, {"/bin/echo", "started"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.out, "");
  EXPECT_NE(got.err.find("127.0.0.1:8080"), std::string::npos) << got;
  const Outcome chosen = run({"--net", "bridge", "-p", "80"}, {"/bin/true"});
  EXPECT_NE(json::write(*chosen.find("published")).find("127.0.0.1:"), std::string::npos) << chosen;
}

TEST_F(BridgeContract, ShowsTheHostsAddressOutside) {
  Running& server = serve(outside_, "listen:80");
  EXPECT_TRUE(reached(try_from_inside({"--egress", "any"}, {"tcp:203.0.113.2:80"}), "tcp:203.0.113.2:80"));
  EXPECT_NE(server.said("from ").find("from 203.0.113.1\n"), std::string::npos);
}

// Neither across the bridge nor by way of the host, which routes to both.
TEST_F(BridgeContract, KeepsSandboxesApart) {
  const std::string server = start_server("bailey-contract-server", {"--egress", "any"}, "listen:80");
  const std::string theirs = "tcp:" + server + ":80";
  const Answers got = try_from_inside({"--egress", "any", "--egress", "private", "--egress", "10.201.0.0/16"},
                                      {theirs, "udp:" + server + ":80", "ping:" + server});
  for (const auto& [what, answer] : got) EXPECT_FALSE(reached(got, what)) << what << " " << answer;
  EXPECT_EQ(got.size(), 3u) << last_;
  EXPECT_NE(last_.text("network_address"), server);
  // Nor is it reached from the host or from beyond it, where a way to it is.
  for (const network::Netns* from : {&host_, &outside_}) EXPECT_NE(network::tests::connect_to(*from, server, 80, 2000), 0);
}

// What a name leads to is open for whoever asked, and only that.
TEST_F(BridgeContract, ReachesNamesThatAreGranted) {
  serve(outside_, "listen:80");
  start_names(
      "host-record=good.example,198.51.100.9,300\nhost-record=bad.example,203.0.113.2,300\n"
      "host-record=a.wild.example,203.0.113.2,300\nhost-record=inside.example,10.77.0.2,300\n");
  const std::string script =
      "for name in good.example bad.example a.wild.example inside.example; do"
      " python3 -c 'import socket, sys; s = socket.create_connection((sys.argv[1], 80), 20); print(sys.argv[1], s.recv(9).decode().strip())' $name"
      " 2>&1 | tail -n 1; done; " +
      probe("reach") + " tcp:203.0.113.2:81 udp:203.0.113.2:53";
  const Outcome got = run_with_names({"--egress", "good.example:80", "--egress", "*.wild.example:80"}, script);
  EXPECT_NE(got.out.find("good.example hello\n"), std::string::npos) << got;
  EXPECT_NE(got.out.find("a.wild.example hello\n"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("bad.example hello"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("inside.example hello"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("connected"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("answered"), std::string::npos) << "a name server that nobody granted: " << got;
  const std::string record = json::write(*got.find("network_denied"));
  for (const char* name : {"\"bad.example\"", "\"inside.example\""}) EXPECT_NE(record.find(name), std::string::npos) << record;
}

// An answer of the name server's comes when the workload has ended, and nobody reads what it wrote.
TEST_F(BridgeContract, EndsInTimeWhateverNamesAreUnderWay) {
  const std::string late =
      "import socket, threading, time\n"
      "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('203.0.113.2', 53)); print('serving', flush=True)\n"
      "def answer(q, a):\n"
      "  end = q.index(b'\\0', 12) + 5\n"
      "  s.sendto(q[:2] + b'\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0' + q[12:end] + b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4' + "
      "bytes([198, 51, 100, 9]), a)\n"
      "while True:\n"
      "  q, a = s.recvfrom(2000); threading.Timer(1.8, answer, (q, a)).start()\n";
  const Running server(outside_, {"python3", "-c", late}, "serving");
  resolv_conf_.write("resolv.conf", "nameserver 203.0.113.2\n");
  // Questions all the while, so that some answer comes after the end, whenever that is.
  const BaileyProcess unread(with_names({"--egress", "*.late.example:80", "--timeout", "3s"},
                                        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do getent hosts n$i.late.example & "
                                        "sleep 0.2; done & exec cat /dev/zero"));
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (!unread.ended() && !deadline.passed()) usleep(10'000);
  EXPECT_TRUE(unread.ended());
}

TEST_F(BridgeContract, AnswersEveryNameWhereDnsIsGranted) {
  start_names("host-record=any.example,198.51.100.9,300\ntxt-record=any.example,words\n");
  const Outcome got = run_with_names(
      {"--egress", "dns"}, "cat /etc/resolv.conf; getent hosts any.example; " + probe("reach") + " tcp:198.51.100.9:80");
  EXPECT_EQ(got.out.find("nameserver 10.201.0.1\n"), 0u) << got;
  EXPECT_NE(got.out.find("198.51.100.9"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("connected"), std::string::npos) << "a name opens nothing by itself: " << got;
  // Without a grant there is no resolver at all.
  const Outcome none =
      run_with_names({"--egress", "203.0.113.2:80"}, "cat /etc/resolv.conf; getent hosts any.example; echo $?");
  EXPECT_EQ(none.out, "2\n") << none;
}

TEST_F(BridgeContract, ReachesNamesByTheHostsOwnShortOnes) { expect_names_of_the_host(); }

TEST_F(BridgeContract, KnowsItsNameAndAddress) {
  const Outcome got =
      shell({"--net", "bridge", "--hostname", "job"}, "cat /etc/hosts /etc/hostname; hostname; cat /etc/resolv.conf");
  EXPECT_EQ(got.out.substr(0, got.out.find("::1")), "127.0.0.1\tlocalhost\n") << got;
  EXPECT_NE(got.out.find("\n" + got.text("network_address") + "\tjob\njob\njob\n"), std::string::npos) << got;
}

TEST_F(BridgeContract, GivesARootOfTheCallersOurNames) {
  BAILEY_REQUIRE("busybox");
  const TempDir root;
  make_busybox_root(root.path());
  root.write("etc/hosts", "198.51.100.1 theirs\n");
  fs::create_symlink("/etc/passwd", root.file("etc/resolv.conf"));
  const std::string before = list_tree(root.path());
  const Outcome got = shell({"--net", "bridge", "--rootfs", root.path()},
                            "cat /etc/hosts /etc/resolv.conf; ls -l /etc/hosts; echo x >>/etc/hosts");
  EXPECT_EQ(got.out.find("theirs"), std::string::npos) << got;
  EXPECT_NE(got.out.find(got.text("network_address") + "\tbailey\n"), std::string::npos) << got;
  EXPECT_NE(got.exit_code, 0) << "/etc is read-only: " << got;
  EXPECT_EQ(list_tree(root.path()), before);
}

TEST_F(BridgeContract, LetsAWorkloadTakeLowPorts) {
  start_server("bailey-contract-server", {"--user", "1000:1000"}, "listen:80");  // which expects that it serves
}

TEST_F(BridgeContract, SaysWhetherItWorksHere) {
  const Outcome fine = run_bailey({.arguments = {"network", "check"}});
  EXPECT_EQ(fine.exit_code, 0) << fine;
  EXPECT_NE(fine.out.find("bailey0 would get 10.201.0.0/22"), std::string::npos) << fine;
  EXPECT_EQ(network::tests::run(host_, {"ip", "-brief", "link", "show", "type", "bridge"}), "") << "it made nothing here";
  EXPECT_EQ(run({"--net", "bridge"}, {"/bin/true"}).exit_code, 0);
  EXPECT_NE(run_bailey({.arguments = {"network", "check"}}).out.find("bailey0 is there, with 10.201.0.0/22"),
            std::string::npos);
  write_sysctl("ipv4/ip_forward", "0");
  const Outcome sick = run_bailey({.arguments = {"network", "check"}});
  EXPECT_EQ(sick.exit_code, 1) << sick;
  EXPECT_NE(sick.out.find("remedy: sysctl -w net.ipv4.ip_forward=1"), std::string::npos) << sick;
}

TEST_F(BridgeContract, RefusesWhatTheHostDoesNotForward) {
  write_sysctl("ipv4/ip_forward", "0");
  const Outcome got = run({"--net", "bridge", "--egress", "any"}, {"/bin/true"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("ip_forward"), std::string::npos) << got;
  EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
}

TEST_F(BridgeContract, ExplainsItsRulesAndMakesNone) {
  const auto explained = [this](const Arguments& flags) {
    RunOptions wish = options(joined(flags, {"--explain"}), {"/bin/true"});
    wish.record = false;
    return run_bailey(std::move(wish));
  };
  const std::string rule = "ip daddr 203.0.113.2 meta l4proto 6 th dport 8080 goto allowed";
  const Outcome text = explained({"--net", "bridge", "--egress", "203.0.113.2:8080"});
  EXPECT_EQ(text.exit_code, 0) << text;
  EXPECT_NE(text.out.find("\n  add rule inet bailey-0 from " + rule + "\n"), std::string::npos) << text;
  const Outcome document = explained({"--net", "userspace", "--egress", "203.0.113.2:8080", "--json"});
  const auto parsed = json::parse(document.out, "explain");
  ASSERT_TRUE(parsed && parsed->as<json::Object>()) << document;
  const json::Value* filter = parsed->as<json::Object>()->find("filter");
  ASSERT_TRUE(filter) << document;
  EXPECT_NE(json::write(*filter).find("\"add rule inet bailey-0 from " + rule + "\""), std::string::npos) << document;
  EXPECT_EQ(explained({"--net", "none"}).out.find("add rule"), std::string::npos);
  EXPECT_EQ(network::tests::run(host_, {"ip", "-brief", "link", "show", "type", "bridge"}), "") << "it made nothing here";
}

TEST_F(BridgeContract, RefusesEgressOfANetworkThatNobodyFilters) {
  for (const Arguments& flags : {Arguments{}, Arguments{"--net", "host", "--allow-host-network"}}) {
    const Outcome got = run(joined(flags, {"--egress", "any"}), {"/bin/true"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find("--net bridge"), std::string::npos) << got;
  }
}

}  // namespace
}  // namespace bailey::tests
