#include "bundle/host_tree.h"

#include <sys/file.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/unit/host_root.h"

namespace bailey::bundle {
namespace {

using HostTreeTest = HostRoot;

TEST_F(HostTreeTest, ShowsEveryChangeAtTheNextStart) {
  make_directory("/etc/R");
  make_file("/etc/R/Renviron", "one");
  EXPECT_EQ(shown("etc/R/Renviron"), "one");
  let_it_settle();
  const std::string before = tree_.path;
  EXPECT_EQ(tree().path, before) << "made again although nothing changed";
  make_file("/etc/R/Renviron", "two");  // in place: no directory changes
  EXPECT_EQ(shown("etc/R/Renviron"), "two");
  make_directory("/etc/perl");
  make_file("/etc/perl/sitecustomize.pl", "new");
  EXPECT_EQ(shown("etc/perl/sitecustomize.pl"), "new");
  make_link("/etc/timezone", "/usr/share/zone");
  EXPECT_EQ(link_shown("etc/timezone"), "/usr/share/zone");
  ASSERT_EQ(::unlink(on_host("/etc/R/Renviron").c_str()), 0);
  EXPECT_EQ(shown("etc/R/Renviron"), "-");
}

TEST_F(HostTreeTest, KeepsACopyThatIsInUseAndRemovesTheOthers) {
  make_file("/etc/magic", "one");
  auto first = open_host_tree({inputs_, runtime_, common_files()});
  ASSERT_TRUE(first);
  make_file("/etc/magic", "two");
  EXPECT_EQ(shown("etc/magic"), "two");
  EXPECT_EQ(files::read(first->path + "/etc/magic", 100).value_or("-"), "one");
  const std::string path = first->path;
  first->lock.reset();
  make_file("/etc/magic", "three");
  EXPECT_EQ(shown("etc/magic"), "three");
  EXPECT_EQ(::access(path.c_str(), F_OK), -1);
}

TEST_F(HostTreeTest, LeavesNothingOfACopyThatCouldNotBeMade) {
  make_directory("/etc/R");
  make_file("/etc/R/small", "small");
  make_file("/etc/R/too-large", std::string(200'000, 'x'));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit less{100'000, before.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &less), 0);
  const auto failed = open_host_tree({inputs_, runtime_, common_files()});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_FALSE(failed);
  const auto top = files::open(runtime_ + "/.default-root", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(top);
  EXPECT_EQ(files::list(top->get()).value_or(std::vector<std::string>{"?"}), std::vector<std::string>{});
  EXPECT_EQ(shown("etc/R/small"), "small");
}

TEST_F(HostTreeTest, IsMadeAgainWhenTheCopyIsNotWhole) {
  make_file("/etc/magic", "one");
  let_it_settle();
  const auto copy = files::open(tree_.path + "/..", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(copy && files::remove_tree(copy->get(), "root"));
  EXPECT_EQ(shown("etc/magic"), "one");
}

// As one that was stopped does (SIGSTOP).
TEST_F(HostTreeTest, DoesNotWaitForAMakerThatDoesNotGetOn) {
  make_file("/etc/magic", "one");
  tree();
  const std::string before = tree_.path;
  Fd maker = std::move(*files::open(runtime_ + "/.default-root", O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(::flock(maker.get(), LOCK_EX), 0);
  make_file("/etc/magic", "two");
  EXPECT_EQ(shown("etc/magic"), "two");
  const std::string own = tree_.path;
  EXPECT_NE(own, before);
  EXPECT_EQ(shown("etc/magic"), "two");
  EXPECT_NE(tree_.path, own) << "of that run alone";
  maker.reset();
  EXPECT_EQ(shown("etc/magic"), "two");
  EXPECT_EQ(::access(own.c_str(), F_OK), -1) << "nobody uses it";
}

TEST_F(HostTreeTest, ChecksWhatIsCopiedAndNotOnlyWhatWasLookedAt) {
  make_file("/etc/npmrc", "fund=false\n");
  make_file("/etc/magic", "magic");
  for (const HostItem& item : scan_host(inputs_).items)
    if (item.kind == HostItem::Kind::copy) {
      EXPECT_EQ(item.check, item.path == "etc/npmrc") << item.path;
    }
}

TEST_F(HostTreeTest, IsNotMadeAgainForNamesThatAreNotItsOwn) {
  make_file("/etc/magic", "one");
  let_it_settle();
  const std::string before = tree_.path;
  make_file("/etc/resolv.conf", "nameserver 192.0.2.1\n");
  EXPECT_EQ(tree().path, before);
}

TEST_F(HostTreeTest, RefusesADirectoryThatOthersMayUse) {
  ASSERT_TRUE(files::create_directories(runtime_, 0755));
  const auto opened = open_host_tree({inputs_, runtime_, common_files()});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(runtime_), std::string::npos) << opened.error().message;
}

// As a backend holds it.
TEST_F(HostTreeTest, IsComparedAfterItWasOpened) {
  make_file("/etc/magic", "one");
  let_it_settle();
  KeptHostTree kept({inputs_, runtime_, common_files()});
  EXPECT_EQ(kept.renew().value_or(true), false) << "nobody wanted it yet";
  const auto shows = [&] { return files::read(kept.get().value()->path + "/etc/magic", 100).value_or("-"); };
  EXPECT_EQ(shows(), "one");
  EXPECT_EQ(kept.renew().value_or(true), false);
  make_file("/etc/magic", "two");
  EXPECT_EQ(shows(), "one");
  EXPECT_EQ(kept.renew().value_or(false), true);
  EXPECT_EQ(shows(), "two");
  let_it_settle();
  make_directory("/etc/R");
  make_file("/etc/R/Renviron", "R");
  EXPECT_EQ(kept.renew().value_or(false), true) << "again, for the next sandbox";
  EXPECT_EQ(shows(), "two");
}

TEST_F(HostTreeTest, ThatWasMadeJustNowNeedsNoComparing) {
  make_file("/etc/magic", "one");  // within the clock's tick: the next one would find it to be looked at again
  KeptHostTree kept({inputs_, runtime_, common_files()});
  ASSERT_TRUE(kept.get());
  EXPECT_EQ(kept.renew().value_or(true), false);
}

}  // namespace
}  // namespace bailey::bundle
