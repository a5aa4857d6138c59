// File systems that do not respond: the time limit and the signals end a run in whatever phase it is.
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "tests/contract/contract.h"
#include "tests/contract/hung_file_system.h"

namespace bailey::tests {
namespace {

constexpr uint32_t kStatx = 52;  // FUSE_STATX, Linux 6.6: Debian 12's headers have none

class HungContract : public Contract {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root");
    Contract::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto made = HungFileSystem::create();
    ASSERT_TRUE(made) << made.error().message;
    hung_.emplace(std::move(*made));
    mount_ = directory_.file("hung");
    ASSERT_EQ(mkdir(mount_.c_str(), 0755), 0);
  }

  void TearDown() override {
    hung_.reset();  // what hangs ends
    if (!IsSkipped()) collect_garbage();
    Contract::TearDown();
  }

  RunOptions options_with_mount(const Arguments& flags, const Arguments& command) {
    RunOptions wish = options(flags, command);
    wish.before_exec = [this] { hung_->mount_here(mount_); };
    return wish;
  }

  // For before_exec: stdout is a file on it.
  void write_to_the_hung_file() const {
    hung_->mount_here(mount_);
    const int file = open((mount_ + "/f").c_str(), O_WRONLY);
    if (file < 0 || dup2(file, 1) < 0) _exit(98);
    close(file);
  }

  static void wait_until_it_hangs(const HungFileSystem& file_system, const BaileyProcess& process) {
    const auto deadline = clock::Deadline::in_ms(120'000);
    while (file_system.hanging() == 0 && !process.ended() && !deadline.passed()) usleep(2000);
    EXPECT_GT(file_system.hanging(), 0) << "nothing has asked the file system for what hangs: the test shows nothing";
  }

  // One way to meet the file system, and what of it hangs.
  struct Way {
    const char* name;
    Arguments flags;
    Arguments command;
    std::vector<uint32_t> opcodes;
  };
  std::vector<Way> ways() const {
    const std::string volume = mount_ + ":/data";
    const Arguments truth = {"/bin/true"};
    return {
        {"the volume's attributes", {"-v", volume}, truth, {FUSE_GETATTR, kStatx, FUSE_LOOKUP}},
        {"a directory below", {"-v", mount_ + "/sub:/data"}, truth, {FUSE_LOOKUP}},
        {"the root", {"--rootfs", mount_}, truth, {FUSE_GETATTR, kStatx, FUSE_LOOKUP}},
        {"what is mounted in the root", {"--rootfs", mount_}, truth, {FUSE_LOOKUP}},
        {"the program", {"-v", volume}, {"/data/f"}, {FUSE_READ}},
        {"a file that the command opens", {"-v", volume}, {"/bin/cat", "/data/f"}, {FUSE_OPEN}},
        {"a file that the command reads", {"-v", volume}, {"/bin/cat", "/data/f"}, {FUSE_READ}},
        {"a secret", {"--secret", "key=" + mount_ + "/f"}, truth, {FUSE_READ}},
        {"the environment", {"--env-file", mount_ + "/f"}, truth, {FUSE_READ}},
        {"the events", {"--events", mount_ + "/f"}, truth, {FUSE_OPEN}},
    };
  }

  // All of them at once, each with a file system of its own, until each has ended. `meanwhile` while one of them has not.
  void expect_ends(const Arguments& flags, const std::function<void(BaileyProcess&)>& meanwhile,
                   const std::function<void(const Outcome&)>& expect) {
    struct Running {
      Way way;
      HungFileSystem file_system;
      std::optional<BaileyProcess> process;
    };
    std::vector<std::unique_ptr<Running>> running;
    for (const Way& way : ways()) {
      auto made = HungFileSystem::create();
      ASSERT_TRUE(made) << made.error().message;
      Running& one = *running.emplace_back(std::make_unique<Running>(way, std::move(*made), std::nullopt));
      one.file_system.hang(way.opcodes);
      Arguments all = flags;
      all.insert(all.end(), way.flags.begin(), way.flags.end());
      RunOptions wish = options(all, way.command);
      wish.before_exec = [&] { one.file_system.mount_here(mount_); };
      one.process.emplace(std::move(wish));
    }
    for (const auto& one : running) {
      SCOPED_TRACE(one->way.name);
      wait_until_it_hangs(one->file_system, *one->process);
    }
    const auto deadline = clock::Deadline::in_ms(120'000);
    const auto lives = [](const auto& one) { return !one->process->ended(); };
    while (std::ranges::any_of(running, lives) && !deadline.passed()) {
      for (const auto& one : running)
        if (lives(one)) meanwhile(*one->process);
      usleep(200'000);
    }
    for (const auto& one : running) {
      SCOPED_TRACE(one->way.name);
      const Outcome got = one->process->finish();
      EXPECT_FALSE(got.timed_out) << got;
      expect(got);
    }
  }

  std::optional<HungFileSystem> hung_;
  TempDir directory_;
  std::string mount_;
};

TEST_F(HungContract, EndsAtItsTimeLimitWhateverHangs) {
  expect_ends(
      {"--timeout", "2s"}, [](BaileyProcess&) {},
      [](const Outcome& got) {
        EXPECT_EQ(got.exit_code, 124) << got;
        EXPECT_EQ(got.text("verdict"), "timed_out") << got;
      });
}

// Before the command has started the first TERM or INT ends the run; then the command gets the first.
TEST_F(HungContract, EndsAtTheSecondTermWhateverHangs) {
  expect_ends(
      {}, [](BaileyProcess& process) { process.signal(SIGTERM); },
      [](const Outcome& got) {
        EXPECT_TRUE(got.exit_code == 128 + SIGTERM || got.exit_code == 128 + SIGKILL) << got;
        EXPECT_EQ(got.text("verdict"), "signaled") << got;
      });
}

TEST_F(HungContract, SaysThatAProcessCouldNotBeEnded) {
  hung_->hang({FUSE_READ});
  const Outcome got =
      run_bailey(options_with_mount({"-v", mount_ + ":/data", "--timeout", "2s"}, {"/bin/sh", "-c", "echo up; cat /data/f"}));
  EXPECT_EQ(got.exit_code, 124) << got;
  EXPECT_EQ(got.out, "up\n") << "what it wrote before is passed on: " << got;
  EXPECT_NE(got.text("error.message").find("could not be ended"), std::string::npos) << got;
  EXPECT_NE(got.err.find("could not be ended"), std::string::npos) << got;
  // gc names what it cannot remove yet, and removes it when the file system has given way.
  const Outcome collected = run_bailey({.arguments = {"gc"}});
  EXPECT_EQ(collected.exit_code, 125) << collected;
  EXPECT_NE(collected.out.find("left " + got.text("id")), std::string::npos) << collected;
}

// The worker sleeps where nothing reaches it, so it cannot end the sandbox: the watcher does.
TEST_F(HungContract, LeavesNoCommandRunningWhenItsOwnOutputHangs) {
  hung_->hang({FUSE_WRITE});
  const TempDir volume;
  RunOptions wish = options({"--timeout", "2s", "-v", volume.path() + ":/out"},
                            {"/bin/sh", "-c", "echo hello; while :; do echo x >> /out/alive; sleep 0.02; done"});
  wish.before_exec = [this] { write_to_the_hung_file(); };
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 124) << got;
  EXPECT_NE(read_file(volume.file("alive")), "") << "it has never run: the test shows nothing";
  const auto deadline = clock::Deadline::in_ms(60'000);
  std::string seen;
  do {
    seen = read_file(volume.file("alive"));
    usleep(500'000);
  } while (read_file(volume.file("alive")) != seen && !deadline.passed());
  EXPECT_EQ(read_file(volume.file("alive")), seen) << "somebody writes it still";
  // The worker holds what is its own, and does not live either.
  const Outcome collected = run_bailey({.arguments = {"gc"}});
  EXPECT_EQ(collected.exit_code, 125) << collected;
  EXPECT_NE(collected.out.find("left " + got.text("id")), std::string::npos) << collected;
}

TEST_F(HungContract, ExplainsWhatItCanInTime) {
  hung_->hang({FUSE_GETATTR, kStatx, FUSE_LOOKUP});
  RunOptions wish = options_with_mount({"--explain", "--timeout", "2s", "-v", mount_ + ":/data"}, {"/bin/true"});
  wish.record = false;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_FALSE(got.timed_out) << got;
  EXPECT_EQ(got.exit_code, 124) << got;
}

TEST_F(HungContract, EndsWhenItsOwnOutputHangs) {
  hung_->hang({FUSE_WRITE});
  RunOptions wish = options({"--timeout", "2s"}, {"/bin/echo", "hello"});
  wish.before_exec = [this] { write_to_the_hung_file(); };
  BaileyProcess process(std::move(wish));
  wait_until_it_hangs(*hung_, process);
  const Outcome got = process.finish();
  EXPECT_FALSE(got.timed_out) << got;
  EXPECT_EQ(got.exit_code, 124) << got;
  EXPECT_EQ(got.text("verdict"), "timed_out") << got;
}

TEST_F(HungContract, RunsAsEverWhereNothingHangs) {
  RunOptions wish = options_with_mount({"-v", mount_ + ":/data", "-i"}, {"/bin/sh", "-c", "cat /data/f; cat; exit 7"});
  wish.input = "from outside\n";
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 7) << got;
  EXPECT_EQ(got.out, "hello\nfrom outside\n") << got;
  EXPECT_EQ(got.text("verdict"), "exited") << got;
}

// A watched run is two processes, and a terminal's Ctrl-C is for both.
TEST_F(HungContract, BringsASignalToTheCommandOnceWhereItIsWatched) {
  BaileyProcess process(options_with_mount(with_probes({"-v", mount_ + ":/data"}), {probe("signals"), "handle"}));
  ASSERT_TRUE(process.wait_for_output("ready\n"));
  process.signal(SIGINT);
  const Outcome got = process.finish();
  EXPECT_EQ(got.exit_code, 3) << got;
  EXPECT_EQ(got.out, "ready\nINT 1\n") << got;
}

}  // namespace
}  // namespace bailey::tests
