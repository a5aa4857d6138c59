// Every way in which a program called runsc can let its caller down: a clear error in bounded time, and nothing left.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "gvisor/backend.h"
#include "gvisor/platform.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/temp_dir.h"

namespace bailey::gvisor {
namespace {

constexpr int64_t kShortMs = 500;

class FakeRunsc : public testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root");
    ::signal(SIGPIPE, SIG_IGN);  // as every user of a Backend
    leaks_ = std::make_unique<tests::LeakCheck>();
    char path[] = "/run/bailey-test-XXXXXX";  // in /tmp it would not be trusted
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
  }
  void TearDown() override {
    if (directory_.empty()) return;
    EXPECT_TRUE(files::remove_tree(std::move(*files::open("/run", O_RDONLY | O_DIRECTORY)).get(), directory_.substr(5)));
    leaks_->expect_clean();
  }

  std::string make(const std::string& behaviour) const {
    const std::string contents = *files::read(BAILEY_FAKE_RUNSC, 64 << 20) + "#" + behaviour;
    const std::string path = directory_ + "/" + behaviour;
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
    EXPECT_TRUE(files::write_fd(file.get(), contents, path));
    return path;
  }
  Result<Traits> ask(const std::string& behaviour) const {
    const Binary binary = TRY(open_runsc(make(behaviour), ""));
    return ask_traits(binary, kShortMs);
  }
  PlatformTrial try_run(const std::string& behaviour) const {
    const auto binary = open_runsc(make(behaviour), "");
    EXPECT_TRUE(binary) << binary.error().message;
    const auto traits = ask_traits(*binary, 60'000);
    EXPECT_TRUE(traits) << traits.error().message;
    return try_platform(*binary, *traits, "systrap", kShortMs);
  }

  std::unique_ptr<tests::LeakCheck> leaks_;
  std::string directory_;
};

TEST_F(FakeRunsc, IsRefusedByNameWhenItDoesNotAnswerAsRunsc) {
  const std::pair<const char*, const char*> cases[] = {{"hangs", "has not answered"}, {"closes", "has not answered"},
                                                       {"exits7", "ended with 7"},    {"crashes", "died of signal 11"},
                                                       {"garbage", "--version"},      {"noflags", "do not list"}};
  for (const auto& [behaviour, words] : cases) {
    const auto traits = ask(behaviour);
    ASSERT_FALSE(traits) << behaviour;
    EXPECT_EQ(traits.error().fault, Fault::unavailable) << behaviour;
    EXPECT_NE(traits.error().message.find(directory_ + "/" + behaviour), std::string::npos) << traits.error().message;
    EXPECT_NE(traits.error().message.find(words), std::string::npos) << traits.error().message;
    EXPECT_FALSE(traits.error().remedy.empty()) << behaviour;
  }
}

TEST_F(FakeRunsc, IsNotWaitedForBeyondItsEndWhenItLeftAChildBehind) {
  const auto traits = ask("forks");
  ASSERT_TRUE(traits) << traits.error().message;
  EXPECT_EQ(traits->version, "fake");
}

TEST_F(FakeRunsc, WorksOnlyWhenASandboxHasRun) {
  EXPECT_NE(try_run("run128").why.find("no luck today"), std::string::npos);
  EXPECT_NE(try_run("run0").why.find("ended with 0"), std::string::npos);
  EXPECT_NE(try_run("runhangs").why.find("has not ended"), std::string::npos);
  EXPECT_NE(try_run("forks").why.find("ended with 0"), std::string::npos);
  EXPECT_TRUE(try_run("unknown").no_such_platform);
  for (const char* behaviour : {"run128", "run0", "runhangs", "forks", "unknown"}) EXPECT_FALSE(try_run(behaviour).works);
}

TEST_F(FakeRunsc, NeverTurnsIntoAnotherBackend) {
  const auto backend = create_backend(
      {.runsc = make("run128"), .search_path = "/usr/local/bin", .platform = "", .runtime_directory = directory_});
  const auto about = backend->about();
  ASSERT_FALSE(about);
  EXPECT_EQ(about.error().fault, Fault::unavailable);
  EXPECT_NE(about.error().message.find("systrap"), std::string::npos) << about.error().message;
  EXPECT_NE(about.error().message.find("run128"), std::string::npos) << about.error().message;
  EXPECT_FALSE(backend->about());  // nor the second time
}

}  // namespace
}  // namespace bailey::gvisor
