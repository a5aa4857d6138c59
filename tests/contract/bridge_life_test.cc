// The bridge's parts from their making to their end, whatever ends a run, and whose they are.
#include <fcntl.h>
#include <sys/file.h>
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

// The child of a run that keeps its port and filter; 0: there is none, or not yet.
pid_t wiring_process_of(pid_t bailey) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string stat = read_file(entry.path() / "stat");
    if (stat.find(" (bailey-network) ") == std::string::npos) continue;
    if (stat.find(") S " + std::to_string(bailey) + " ") != std::string::npos) return std::atoi(stat.c_str());
  }
  return 0;
}

// All of them alive, in a range that has room for 61: two who did not see each other would share one.
TEST_F(BridgeContract, GivesFiftyAtOnceAnAddressEach) {
  serve(outside_, "listen:80");
  TempDir directory;
  directory.write("policy.json", R"({"bridge": {"subnet": "10.201.0.0/26"}})");
  const std::string script = probe("reach") + " tcp:203.0.113.2:80 tcp:203.0.113.2:81; echo alive; cat";
  std::vector<std::unique_ptr<BaileyProcess>> runs;
  for (int i = 0; i < 50; ++i) {
    RunOptions wish =
        options(with_probes({"--policy", directory.file("policy.json"), "--net", "bridge", "--egress", "203.0.113.2:80", "-i"}),
                {"/bin/sh", "-c", script});
    wish.keep_input_open = true;
    runs.push_back(std::make_unique<BaileyProcess>(std::move(wish)));
  }
  for (const auto& one : runs) EXPECT_TRUE(one->wait_for_output("alive"));
  std::set<std::string> addresses;
  for (const auto& one : runs) {
    one->close_input();
    const Outcome got = one->finish();
    EXPECT_EQ(got.out.find("tcp:203.0.113.2:80 connected\ntcp:203.0.113.2:81 E"), 0u) << got;
    addresses.insert(got.text("network_address"));
  }
  EXPECT_EQ(addresses.size(), 50u);
}

// Killed at any time, with what would take its network away: what it leaves is found by its slot.
TEST_F(BridgeContract, LeavesNothingThatGcDoesNotFind) {
  for (int i = 0; i < (gvisor() ? 8 : 30); ++i) {
    BaileyProcess killed(options({"--net", "bridge", "--egress", "any"}, {"/bin/sleep", "600"}));
    usleep(static_cast<useconds_t>(i) * (gvisor() ? 3000 : 500));
    if (const pid_t wiring_process = wiring_process_of(killed.pid())) kill(wiring_process, SIGKILL);
    killed.signal(SIGKILL);
    killed.finish();
  }
  collect_garbage();
  EXPECT_EQ(run_bailey({.arguments = {"network", "gc"}}).exit_code, 0);
}

TEST_F(BridgeContract, LeavesNoPortOrFilterWhenItIsKilled) {
  for (int i = 0; i < 3; ++i) {
    BaileyProcess killed(options({"--net", "bridge", "--egress", "any"}, {"/bin/sh", "-c", "echo up; exec sleep 600"}));
    EXPECT_TRUE(killed.wait_for_output("up"));
    EXPECT_NE(network::tests::run(host_, {"nft", "list", "tables"}), "");
    killed.signal(SIGKILL);
    killed.finish();
  }
  wait_until_given_back();
  EXPECT_EQ(network::tests::run(host_, {"nft", "list", "tables"}), "");
  collect_garbage();
}

TEST_F(BridgeContract, ShowsTheLivingAlone) {
  RunOptions wish = options({"--name", "alive", "--net", "bridge", "-i"}, {"/bin/sh", "-c", "echo up; cat"});
  wish.keep_input_open = true;
  BaileyProcess alive(std::move(wish));
  EXPECT_TRUE(alive.wait_for_output("up"));
  BaileyProcess killed(options({"--name", "killed", "--net", "bridge"}, {"/bin/sh", "-c", "echo up; exec sleep 600"}));
  EXPECT_TRUE(killed.wait_for_output("up"));
  const auto shown = [] { return run_bailey({.arguments = {"network", "show"}}).out; };
  EXPECT_NE(shown().find("killed"), std::string::npos) << shown();
  killed.signal(SIGKILL);
  killed.finish();
  EXPECT_EQ(shown().find("killed"), std::string::npos) << shown();
  EXPECT_NE(shown().find("alive"), std::string::npos) << shown();
  const std::string json = run_bailey({.arguments = {"network", "show", "--json"}}).out;
  EXPECT_EQ(json.find("killed"), std::string::npos) << json;
  EXPECT_EQ(run_bailey({.arguments = {"network", "gc"}}).exit_code, 0);
  EXPECT_NE(shown().find("alive"), std::string::npos) << shown();
  alive.close_input();
  EXPECT_EQ(alive.finish().exit_code, 0);
  EXPECT_EQ(shown(), "");
  wait_until_given_back();
  collect_garbage();
}

TEST_F(BridgeContract, RemovesItsPortAndFilterItselfWhenNobodyElseDoes) {
  RunOptions wish = options({"--net", "bridge", "--egress", "any", "-i"}, {"/bin/sh", "-c", "echo up; cat"});
  wish.keep_input_open = true;
  BaileyProcess bailey(std::move(wish));
  EXPECT_TRUE(bailey.wait_for_output("up"));
  const pid_t wiring_process = wiring_process_of(bailey.pid());
  ASSERT_GT(wiring_process, 0);
  kill(wiring_process, SIGKILL);
  const std::string gone = "/proc/" + std::to_string(wiring_process) + "/fd";  // a zombie's is empty
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (fs::exists(gone) && !fs::is_empty(gone) && !deadline.passed()) usleep(1000);
  bailey.close_input();
  const Outcome got = bailey.finish();
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(network::tests::run(host_, {"nft", "list", "tables"}), "");
}

TEST_F(BridgeContract, RefusesABridgeThatIsNotOurs) {
  network::tests::run(host_, {"ip", "link", "add", "bailey0", "type", "bridge"});
  const Outcome got = run({"--net", "bridge"}, {"/bin/true"});
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("bailey0"), std::string::npos) << got;
}

// As in a mount namespace with a /run of its own.
TEST_F(BridgeContract, RefusesABridgeOfAnotherRuntimeDirectory) {
  EXPECT_EQ(run({"--net", "bridge"}, {"/bin/true"}).exit_code, 0);
  RunOptions wish = options({"--net", "bridge"}, {"/bin/true"});
  wish.before_exec = [before = std::move(wish.before_exec)] {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", "/run/bailey", "tmpfs", 0, "mode=0700") != 0)
      _exit(97);
    if (before) before();
  };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_NE(got.err.find("another runtime directory (/run/bailey to them)"), std::string::npos) << got;
  EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
}

TEST_F(BridgeContract, WaitsForTheBridgeThatSomebodyIsMaking) {
  EXPECT_EQ(run({"--net", "bridge"}, {"/bin/true"}).exit_code, 0);
  const auto list = json::parse(network::tests::run(host_, {"ip", "-j", "link", "show", "bailey0"}), "ip");
  ASSERT_TRUE(list && list->as<json::Array>() && list->as<json::Array>()->size() == 1);
  const std::string alias = text_of(list->as<json::Array>()->front(), "ifalias");
  ASSERT_NE(alias, "");
  const Fd lock(open("/run/bailey/.network-bridge", O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX), 0);
  network::tests::run(host_, {"ip", "link", "set", "bailey0", "alias", "nobody's yet"});
  BaileyProcess waiting(options({"--net", "bridge"}, {"/bin/true"}));
  // proc_locks(5): "1: -> FLOCK  ADVISORY  WRITE 4711 ..." waits.
  const std::string waits = "WRITE " + std::to_string(waiting.pid()) + " ";
  const auto deadline = clock::Deadline::in_ms(60'000);
  const auto is_waiting = [&] {
    std::istringstream lines(read_file("/proc/locks"));
    for (std::string line; std::getline(lines, line);)
      if (line.find("-> FLOCK") != std::string::npos && line.find(waits) != std::string::npos) return true;
    return false;
  };
  while (!is_waiting() && !deadline.passed()) usleep(1000);
  EXPECT_TRUE(is_waiting());
  network::tests::run(host_, {"ip", "link", "set", "bailey0", "alias", alias});
  flock(lock.get(), LOCK_UN);
  const Outcome got = waiting.finish();
  EXPECT_EQ(got.exit_code, 0) << got;
}

// Whatever slot a start gets, somebody else's link or table is there by that name.
TEST_F(BridgeContract, TakesNothingAwayThatIsSomebodyElses) {
  using network::tests::run;
  TempDir directory;
  const std::string policy = directory.write("policy.json", R"({"bridge": {"subnet": "10.201.0.0/29"}})");
  const auto expect_refused = [&](const std::string& what) {
    const Outcome got = this->run({"--policy", policy, "--net", "bridge"}, {"/bin/true"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find(what), std::string::npos) << got;
    EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
    const Outcome checked = run_bailey({.arguments = {"network", "check", "--policy", policy}});
    EXPECT_EQ(checked.exit_code, 1) << checked;
    const Outcome collected = run_bailey({.arguments = {"network", "gc"}});
    EXPECT_EQ(collected.exit_code, 0) << collected;
    for (const Outcome* said : {&checked, &collected}) EXPECT_NE(said->out.find(what + "0"), std::string::npos) << *said;
  };
  const auto each = [this](const std::string& before, const std::string& behind) {
    for (int slot = 0; slot < 5; ++slot) run(host_, {"sh", "-c", before + std::to_string(slot) + behind});
  };
  EXPECT_EQ(this->run({"--policy", policy, "--net", "bridge"}, {"/bin/true"}).exit_code, 0);
  wait_until_given_back();
  each("ip link add bly", " type bridge");
  expect_refused("link bly");
  each("ip link delete bly", "");
  each("nft add table inet bailey-", "");
  expect_refused("table inet bailey-");
  each("nft delete table inet bailey-", "");
  EXPECT_EQ(this->run({"--policy", policy, "--net", "bridge"}, {"/bin/true"}).exit_code, 0);
  EXPECT_EQ(run_bailey({.arguments = {"network", "check", "--policy", policy}}).exit_code, 0);
}

}  // namespace
}  // namespace bailey::tests
