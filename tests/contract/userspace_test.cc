// The userspace network: the same promises as the bridge's, and nothing of ours on the host, by each uplink and for an ordinary
// user.
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "tests/contract/ordinary_user.h"
#include "tests/contract/sandbox_network.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

struct Way {
  const char* name;
  const char* uplink;
  bool user;
};
std::ostream& operator<<(std::ostream& stream, const Way& way) { return stream << way.name; }

// A program below `pid` of that name; -1: there is none.
pid_t find_below(pid_t pid, const std::string& name) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    if (!std::getline(stat, line)) continue;
    const size_t open = line.find('('), close = line.rfind(')');
    std::istringstream rest(line.substr(close + 1));
    std::string state;
    pid_t parent = 0;
    rest >> state >> parent;
    if (parent != pid || state == "Z") continue;
    const pid_t child = std::atoi(line.c_str());
    if (line.substr(open + 1, close - open - 1).starts_with(name)) return child;
    if (const pid_t deeper = find_below(child, name); deeper > 0) return deeper;
  }
  return -1;
}

class UserspaceContract : public SandboxNetwork, public testing::WithParamInterface<Way> {
 protected:
  std::string net() const override { return "userspace"; }
  std::string state_directory() const override {
    return GetParam().user ? directory_.file("run") + "/bailey" : SandboxNetwork::state_directory();
  }
  std::string path_of_uplink() const { return find_program(GetParam().uplink); }

  void SetUp() override {
    BAILEY_REQUIRE(GetParam().uplink);
    SandboxNetwork::SetUp();
    if (IsSkipped()) return;
    write_sysctl("ipv4/ip_forward", "0");  // nothing of this is the host's
    links_ = links();
    chmod(directory_.path().c_str(), 0755);
    directory_.write("policy.json", std::string(R"({"uplink": ")") + path_of_uplink() + R"("})");
    if (!GetParam().user) return;
    fs::copy_file(bailey_binary(), directory_.file("bailey"));
    chmod(directory_.file("bailey").c_str(), 0755);
    before_ = bailey_binary();
    setenv("BAILEY", directory_.file("bailey").c_str(), 1);
    mkdir(directory_.file("run").c_str(), 0700);
    ASSERT_EQ(chown(directory_.file("run").c_str(), kTestUid, kTestGid), 0);
  }
  void TearDown() override {
    if (!before_.empty()) setenv("BAILEY", before_.c_str(), 1);
    if (real_) {
      EXPECT_EQ(links(), links_) << "the host has another link than before";
    }
    SandboxNetwork::TearDown();
  }
  std::string links() {
    std::string names;
    for (const network::link::Link& one : network::tests::must(network::link::all(socket_))) names += one.name + " ";
    return names;
  }

  RunOptions on_network(const Arguments& flags, const Arguments& command) const override {
    RunOptions wish = SandboxNetwork::on_network(joined({"--policy", directory_.file("policy.json")}, flags), command);
    if (!GetParam().user) return wish;
    for (const std::string& flag : flags)
      if (const size_t end = flag.find(":/probes:ro"); end != flag.npos) chmod(flag.substr(0, end).c_str(), 0755);
    wish.environment.push_back("XDG_RUNTIME_DIR=" + directory_.file("run"));
    wish.before_exec = become_user;
    return wish;
  }
  // With a tun device as most hosts have it.
  static void become_user() {
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", "/dev/net", "tmpfs", 0, "mode=0755") != 0 || mknod("/dev/net/tun", S_IFCHR, makedev(10, 200)) != 0 ||
        chmod("/dev/net/tun", 0666) != 0 || setgroups(0, nullptr) != 0 || setresgid(kTestGid, kTestGid, kTestGid) != 0 ||
        setresuid(kTestUid, kTestUid, kTestUid) != 0)
      _exit(98);
  }

  TempDir directory_;
  std::string links_;
  std::string before_;  // the binary of the others
};

INSTANTIATE_TEST_SUITE_P(By, UserspaceContract,
                         testing::Values(Way{"pasta", "pasta", false}, Way{"slirp4netns", "slirp4netns", false},
                                         Way{"pasta_user", "pasta", true}, Way{"slirp4netns_user", "slirp4netns", true}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(UserspaceContract, ReachesWhatIsGrantedAndNothingElse) {
  for (const char* port : {"listen:8080", "listen:8081"}) serve(outside_, port);
  serve(outside_, "echo:7");
  serve(host_, "listen:22");
  // Grants of what is the host's or the uplink's own open nothing: there its loopback would be.
  const Answers got = try_from_inside(
      {"--egress", "203.0.113.2:8080/tcp", "--egress", "203.0.113.2:7/udp", "--egress", "10.77.0.2:8080", "--egress",
       "203.0.113.1:22", "--egress", "10.201.4.0/22", "--egress", "10.201.0.0/22"},
      {"tcp:203.0.113.2:8080", "tcp:203.0.113.2:8081", "tcp:198.51.100.9:8080", "udp:203.0.113.2:7", "udp:198.51.100.9:7",
       "tcp:10.77.0.2:8080", "tcp:10.77.0.2:8081", "tcp:203.0.113.1:22", "tcp:10.201.0.1:22", "tcp:10.201.4.2:22",
       "tcp:10.201.4.3:22", "tcp:10.201.4.100:22", "tcp:169.254.169.254:8080"});
  for (const auto& [what, answer] : got)
    EXPECT_EQ(reached(got, what), what == "tcp:203.0.113.2:8080" || what == "udp:203.0.113.2:7" || what == "tcp:10.77.0.2:8080")
        << what << " " << answer;
  EXPECT_EQ(got.size(), 13u) << last_;
  EXPECT_EQ(last_.text("network"), "userspace");
  EXPECT_NE(last_.text("network_address"), "");
  EXPECT_GE(last_.number("network_denied.packets").value_or(0), 9);
  const std::string record = json::write(last_.find("network_denied") ? *last_.find("network_denied") : json::Value());
  for (const char* denied :
       {R"("address":"203.0.113.2","protocol":"tcp","port":8081)", R"("address":"203.0.113.1","protocol":"tcp","port":22)",
        R"("address":"169.254.169.254","protocol":"tcp","port":8080)"})
    EXPECT_NE(record.find(denied), std::string::npos) << denied << " is not in " << record;
}

TEST_P(UserspaceContract, LetsAnyOutToNoClosedRange) {
  Running& server = serve(outside_, "listen:80");
  serve(outside_, "echo:7");
  serve(host_, "listen:80");
  const Answers got = try_from_inside({"--egress", "any"},
                                      {"tcp:203.0.113.2:80", "tcp:198.51.100.9:80", "udp:203.0.113.2:7", "tcp:10.77.0.2:80",
                                       "tcp:192.168.5.5:80", "tcp:172.16.9.9:80", "tcp:169.254.169.254:80", "udp:10.77.0.2:7",
                                       "tcp:203.0.113.1:80", "tcp:10.201.0.1:80", "tcp:10.201.4.2:80"});
  const std::set<std::string> open = {"tcp:203.0.113.2:80", "tcp:198.51.100.9:80", "udp:203.0.113.2:7"};
  for (const auto& [what, answer] : got) EXPECT_EQ(reached(got, what), open.contains(what)) << what << " " << answer;
  EXPECT_EQ(got.size(), 11u) << last_;
  EXPECT_NE(server.said("from ").find("from 203.0.113.1\n"), std::string::npos) << "the host's address outside";
}

// The host's name server may be on its loopback: it is asked from the host, and the sandbox has no way to it.
TEST_P(UserspaceContract, ReachesNamesByTheHostsOwnNameServer) {
  serve(outside_, "listen:80");
  start_names(
      "host-record=good.example,198.51.100.9,300\nhost-record=bad.example,203.0.113.2,300\n"
      "host-record=mine.example,203.0.113.1,300\n",
      host_, "127.0.0.53");
  serve(host_, "listen:80");
  const std::string script =
      "for name in good.example bad.example mine.example; do"
      " python3 -c 'import socket, sys; s = socket.create_connection((sys.argv[1], 80), 20); print(sys.argv[1], s.recv(9).decode().strip())' $name"
      " 2>&1 | tail -n 1; done; " +
      probe("reach") + " udp:127.0.0.53:53 tcp:203.0.113.1:80";
  const Outcome got = run_with_names({"--egress", "good.example:80", "--egress", "mine.example:80"}, script);
  EXPECT_NE(got.out.find("good.example hello\n"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("bad.example hello"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("mine.example hello"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("connected"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("answered"), std::string::npos) << got;
  EXPECT_NE(json::write(got.find("network_denied") ? *got.find("network_denied") : json::Value()).find("\"bad.example\""),
            std::string::npos)
      << got;
}

TEST_P(UserspaceContract, ReachesNamesByTheHostsOwnShortOnes) { expect_names_of_the_host(); }

TEST_P(UserspaceContract, PublishesPortsAndMakesNothingOnTheHost) {
  start_server("bailey-userspace-server", {"-p", "8080:80", "-p", "203.0.113.1:8081:80"}, "listen:80");
  EXPECT_EQ(links(), links_);
  EXPECT_EQ(network::tests::run(host_, {"nft", "list", "tables"}), "");
  const auto greeting = [&](const network::Netns& from, const std::string& address, const std::string& port) {
    return network::tests::run(
        from, {"python3", "-c",
               "import socket; print(socket.create_connection(('" + address + "', " + port + "), 20).recv(5).decode())"});
  };
  EXPECT_EQ(greeting(host_, "127.0.0.1", "8080"), "hello\n");
  EXPECT_EQ(greeting(outside_, "203.0.113.1", "8081"), "hello\n");
  for (const int port : {80, 8080}) EXPECT_NE(network::tests::connect_to(outside_, "203.0.113.1", port), 0) << port;
  const Outcome got = run_bailey(on_network({"-p", "8080:80"}, {"/bin/echo", "started"}));
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.out, "");
  EXPECT_NE(got.err.find("127.0.0.1:8080"), std::string::npos) << got;
}

TEST_P(UserspaceContract, SaysWhenItHasNoWayOutAnyMore) {
  serve(outside_, "listen:80");
  RunOptions wish = on_network(with_probes({"--egress", "any", "-i"}),
                               {"/bin/sh", "-c", "echo up; read line; timeout 5 " + probe("reach") + " tcp:203.0.113.2:80"});
  wish.keep_input_open = true;
  BaileyProcess process(std::move(wish));
  ASSERT_TRUE(process.wait_for_output("up"));
  const pid_t uplink = find_below(process.pid(), GetParam().uplink == std::string("pasta") ? "pass" : "slirp");
  ASSERT_GT(uplink, 0);
  const pid_t guard = find_below(process.pid(), "bailey-uplink");
  kill(uplink, SIGKILL);
  const auto deadline = clock::Deadline::in_ms(60'000);
  while (find_below(process.pid(), "bailey-uplink") == guard && !deadline.passed()) usleep(5'000);
  process.send("go\n");
  const Outcome got = process.finish();
  EXPECT_EQ(got.out.find("connected"), std::string::npos) << got;
  EXPECT_NE(got.err.find("no way out"), std::string::npos) << got;
  EXPECT_NE(got.text("network_lost").find(GetParam().uplink), std::string::npos) << got;
}

// User namespaces tell: what it may, it may in its own, and there it is nobody or the caller.
TEST_P(UserspaceContract, GivesItsUplinkNoRightsOnTheHost) {
  RunOptions wish = on_network({"--egress", "any", "-i"}, {"/bin/sh", "-c", "echo up; read line"});
  wish.keep_input_open = true;
  BaileyProcess process(std::move(wish));
  ASSERT_TRUE(process.wait_for_output("up"));
  for (const char* name : {"bailey-uplink", GetParam().uplink == std::string("pasta") ? "pass" : "slirp"}) {
    const pid_t pid = find_below(process.pid(), name);
    ASSERT_GT(pid, 0) << name;
    const std::string directory = "/proc/" + std::to_string(pid);
    const std::string uid = std::to_string(GetParam().user ? kTestUid : 65534), all = uid + "\t" + uid + "\t" + uid;
    EXPECT_NE(read_file(directory + "/status").find("Uid:\t" + all), std::string::npos) << name;
    EXPECT_NE(fs::read_symlink(directory + "/ns/user"), fs::read_symlink("/proc/self/ns/user")) << name;
    EXPECT_NE(fs::read_symlink(directory + "/ns/pid"), fs::read_symlink("/proc/self/ns/pid")) << name;
    EXPECT_EQ(read_file(directory + "/environ").find("PATH="), std::string::npos) << name;
  }
  process.send("go\n");
  EXPECT_EQ(process.finish().exit_code, 0);
}

// The leak check sees what the killed one leaves.
TEST_P(UserspaceContract, EndsWithItsBaileyHoweverThatEnds) {
  for (int i = 0; i < (gvisor() ? 6 : 12); ++i) {
    BaileyProcess killed(on_network({"--egress", "any", "--egress", "dns"}, {"/bin/sh", "-c", "echo up; sleep 600"}));
    if (i == 0) {
      ASSERT_TRUE(killed.wait_for_output("up"));
      EXPECT_GT(find_below(killed.pid(), "bailey-uplink"), 0);
    } else {
      usleep(static_cast<useconds_t>(i) * 1500);
    }
    killed.signal(SIGKILL);
    killed.finish();
  }
  if (!GetParam().user) collect_garbage();
}

TEST_P(UserspaceContract, RunsManyAtOnce) {
  serve(outside_, "listen:80");
  std::vector<std::unique_ptr<BaileyProcess>> runs;
  for (int i = 0; i < 8; ++i)
    runs.push_back(std::make_unique<BaileyProcess>(
        on_network(with_probes({"--egress", "203.0.113.2:80"}), {probe("reach"), "tcp:203.0.113.2:80", "tcp:203.0.113.2:81"})));
  for (const auto& one : runs) {
    const Outcome got = one->finish();
    EXPECT_EQ(got.out.find("tcp:203.0.113.2:80 connected\ntcp:203.0.113.2:81 E"), 0u) << got;
  }
}

TEST_P(UserspaceContract, TakesTheUplinkThatIsNamedOrNone) {
  const std::string copy = directory_.file(GetParam().uplink);
  fs::copy_file(fs::canonical(path_of_uplink()), copy);
  chmod(copy.c_str(), 0777);
  for (const auto& [path, why] : {std::pair<std::string, std::string>{copy, "writable"},
                                  {"/nowhere/" + std::string(GetParam().uplink), "/nowhere"},
                                  {"/bin/true", "neither"}}) {
    directory_.write("policy.json", R"({"uplink": ")" + path + R"("})");
    const Outcome got = run_bailey(on_network({}, {"/bin/echo", "STARTED"}));
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "");
    EXPECT_NE(got.err.find(why), std::string::npos) << got;
    EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
  }
}

// Where a program that makes namespaces is killed for it, as by a service manager's filter.
TEST_P(UserspaceContract, ATrialThatIsKilledSaysSo) {
  if (GetParam().user) return;  // the same code
  RunOptions wish{.arguments = {"network", "check", "--policy", directory_.file("policy.json")}};
  const Outcome fine = run_bailey(wish);
  EXPECT_NE(fine.out.find(std::string(GetParam().uplink) + " at "), std::string::npos) << fine;
  wish.before_exec = [] {
    sock_filter kill_clone3[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{static_cast<unsigned short>(std::size(kill_clone3)), kill_clone3};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(97);
  };
  const Outcome killed = run_bailey(wish);
  EXPECT_EQ(killed.exit_code, 1) << killed;
  EXPECT_NE(killed.out.find("userspace network       the child that tried it was ended by signal 31"), std::string::npos)
      << killed;
}

}  // namespace
}  // namespace bailey::tests
