#include "bundle/host_rootfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "base/files.h"
#include "bundle/builder.h"
#include "bundle/bundle_dir.h"
#include "tests/support/temp_dir.h"

namespace bailey::bundle {
namespace {

using Kind = RootEntry::Kind;

class HostRoot : public testing::Test {
 protected:
  void SetUp() override {
    runtime_ = directory_.path() + "/runtime";
    inputs_.host = directory_.path() + "/host";
    make_directory("/usr/lib");
    make_directory("/etc");
    make_directory("/var/lib");
    options_.host = inputs_.host;
    options_.file_over = true;
  }
  std::string on_host(const std::string& path) const { return inputs_.host + path; }
  void make_directory(const std::string& path) { ASSERT_TRUE(files::create_directories(on_host(path), 0755)); }
  void make_file(const std::string& path, const std::string& contents, mode_t mode = 0644) {
    const auto fd = files::open(on_host(path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(fd && files::write_fd(fd->get(), contents, path));
    ASSERT_EQ(::fchmod(fd->get(), mode), 0);
  }
  void make_link(const std::string& path, const std::string& target) {
    ASSERT_EQ(::symlink(target.c_str(), on_host(path).c_str()), 0);
  }
  const HostTree& tree() {
    auto opened = open_host_tree({inputs_, runtime_, common_files()});
    EXPECT_TRUE(opened) << opened.error().message;
    if (opened) tree_ = std::move(*opened);
    options_.tree = &tree_;
    return tree_;
  }
  // What the sandbox reads at that path of the copy; "-" when there is none.
  std::string shown(const std::string& path) {
    const auto text = files::read(tree().path + "/" + path, 1 << 20);
    return text ? *text : "-";
  }
  std::string link_shown(const std::string& path) { return files::readlink(tree().path + "/" + path).value_or("-"); }
  std::vector<RootEntry> entries() {
    auto made = host_root_entries(config_, {}, options_);
    EXPECT_TRUE(made) << made.error().message;
    return made.value_or(std::vector<RootEntry>{});
  }
  // The entry of that path; an empty one when there is none.
  RootEntry entry(const std::string& path) {
    for (RootEntry& made : entries())
      if (made.path == path) return made;
    return {};
  }
  // Files that changed just now may change again within the clock's tick, and are looked at again: until they are old.
  void let_it_settle() {
    for (std::string last;; last = tree_.path)
      if (tree(); tree_.path == last) return;
  }

  tests::TempDir directory_;
  std::string runtime_;
  HostScanInputs inputs_;
  HostTree tree_;
  HostRootOptions options_;
  Config config_;
};

TEST_F(HostRoot, FollowsMergedAndSeparateUsr) {
  make_directory("/lib64");
  make_link("/bin", "usr/bin");
  EXPECT_EQ(entry("usr"), (RootEntry{Kind::bind_directory, "usr", on_host("/usr")}));
  EXPECT_EQ(entry("bin"), (RootEntry{Kind::symlink, "bin", "usr/bin"}));
  EXPECT_EQ(entry("lib64"), (RootEntry{Kind::bind_directory, "lib64", on_host("/lib64")}));
  EXPECT_EQ(entry("lib32").path, "");
}

TEST_F(HostRoot, TakesFromEtcAndVarWhatProgramsNeedAndNothingElse) {
  make_directory("/etc/ssl/certs");
  make_directory("/etc/ssl/private");
  make_directory("/etc/java-17-openjdk/security");
  make_directory("/etc/R");
  make_directory("/var/lib/ghc/package.conf.d");
  make_file("/etc/ssl/openssl.cnf", "conf");
  make_file("/etc/ssl/certs/one.pem", "certificate");
  make_file("/etc/ssl/private/one.key", "key");
  make_file("/etc/java-17-openjdk/security/policy", "grant");
  make_file("/etc/R/Renviron", "R");
  make_file("/var/lib/ghc/package.conf.d/base.conf", "ghc");
  make_file("/var/lib/other", "other");
  make_file("/etc/unlisted.conf", "unlisted");
  make_file("/etc/shadow", "secret", 0644);
  make_file("/etc/passwd", "host user");
  EXPECT_EQ(shown("etc/ssl/openssl.cnf"), "conf");
  EXPECT_EQ(shown("etc/ssl/certs/one.pem"), "certificate");
  EXPECT_EQ(shown("etc/java-17-openjdk/security/policy"), "grant");
  EXPECT_EQ(shown("etc/R/Renviron"), "R");
  EXPECT_EQ(shown("var/lib/ghc/package.conf.d/base.conf"), "ghc");
  for (const char* path : {"etc/ssl/private", "etc/ssl/private/one.key", "var/lib/other", "etc/unlisted.conf", "etc/shadow"})
    EXPECT_EQ(::access((tree_.path + "/" + path).c_str(), F_OK), -1) << path;
  EXPECT_EQ(shown("etc/passwd").find("host user"), std::string::npos);
  EXPECT_EQ(entry("etc"), (RootEntry{Kind::bind_directory, "etc", tree_.path + "/etc"}));
  EXPECT_EQ(entry("var").kind, Kind::bind_directory);
}

TEST_F(HostRoot, ShowsOnlyWhatEverybodyMayRead) {
  make_directory("/etc/R/private-to-owner");
  make_directory("/etc/R/sub");
  make_file("/etc/R/public", "public");
  make_file("/etc/R/owner", "secret", 0600);
  make_file("/etc/R/group", "secret", 0640);
  make_file("/etc/R/private-to-owner/x", "secret");
  make_file("/etc/R/sub/deep", "secret", 0640);
  make_file("/etc/R/site.password", "secret");
  make_file("/etc/R/server.key", "secret");
  ASSERT_EQ(::chmod(on_host("/etc/R/private-to-owner").c_str(), 0750), 0);
  ASSERT_EQ(::mkfifo(on_host("/etc/R/fifo").c_str(), 0666), 0);
  EXPECT_EQ(shown("etc/R/public"), "public");
  for (const char* name : {"owner", "group", "private-to-owner", "sub/deep", "site.password", "server.key", "fifo"})
    EXPECT_EQ(::access((tree_.path + "/etc/R/" + name).c_str(), F_OK), -1) << name;
  // What becomes private is gone at the next start, and the other way round.
  make_file("/etc/R/public", "public", 0640);
  make_file("/etc/R/group", "no secret", 0644);
  EXPECT_EQ(shown("etc/R/public"), "-");
  EXPECT_EQ(shown("etc/R/group"), "no secret");
}

TEST_F(HostRoot, LeavesOutConfigurationThatGivesAPassword) {
  make_directory("/etc/mysql");
  make_directory("/etc/maven");
  make_file("/etc/mysql/my.cnf", "[client]\n# password = commented\nport = 3306\n");
  make_file("/etc/mysql/mine.cnf", "[client]\npassword = hunter2\n");
  make_file("/etc/mysql/debian.cnf", "[client]\nport = 3306\n");
  make_file("/etc/maven/settings.xml", "<!-- <password>example</password> -->\n<settings/>");
  make_file("/etc/maven/own.xml", "<settings><server>\n<password>hunter2</password></server></settings>");
  make_file("/etc/npmrc", "//registry/:_authToken=abc\n");
  make_file("/etc/wgetrc", "http_proxy = http://me:pw@proxy:3128\n");
  make_file("/etc/gitconfig", "[url \"https://host/\"]\n\tinsteadOf = x\n");
  EXPECT_NE(shown("etc/mysql/my.cnf"), "-");
  EXPECT_NE(shown("etc/maven/settings.xml"), "-");
  EXPECT_NE(shown("etc/gitconfig"), "-");
  for (const char* path : {"etc/mysql/mine.cnf", "etc/mysql/debian.cnf", "etc/maven/own.xml", "etc/npmrc", "etc/wgetrc"})
    EXPECT_EQ(shown(path), "-") << path;
}

TEST_F(HostRoot, KeepsLinksThatLeadToWhatIsShownAndFollowsTheRest) {
  make_directory("/etc/alternatives");
  make_directory("/etc/elsewhere");
  make_directory("/root");
  make_link("/etc/localtime", "/usr/share/zoneinfo/Europe/Berlin");
  make_link("/etc/fpc.cfg", "/etc/alternatives/fpc.cfg");
  make_link("/etc/alternatives/fpc.cfg", "/etc/fpc-3.2.2.cfg");
  make_file("/etc/fpc-3.2.2.cfg", "pascal");
  make_file("/etc/elsewhere/release", "ID=debian\n");
  make_link("/etc/os-release", "elsewhere/release");
  make_file("/etc/shadow", "secret", 0644);
  make_link("/etc/magic", "shadow");
  make_file("/etc/elsewhere/closed", "secret", 0640);
  make_link("/etc/screenrc", "elsewhere/closed");
  make_file("/root/inputrc", "secret");
  make_link("/etc/inputrc", "../root/inputrc");
  EXPECT_EQ(link_shown("etc/localtime"), "/usr/share/zoneinfo/Europe/Berlin");
  EXPECT_EQ(link_shown("etc/fpc.cfg"), "/etc/alternatives/fpc.cfg");
  EXPECT_EQ(link_shown("etc/alternatives/fpc.cfg"), "/etc/fpc-3.2.2.cfg");
  EXPECT_EQ(shown("etc/fpc-3.2.2.cfg"), "pascal");
  EXPECT_EQ(shown("etc/os-release"), "ID=debian\n");
  for (const char* path : {"etc/magic", "etc/screenrc", "etc/inputrc"}) {
    EXPECT_EQ(shown(path), "-") << path;
    EXPECT_EQ(link_shown(path), "-") << path;
  }
}

TEST_F(HostRoot, FollowsNoLinkOnTheWayToWhatIsNotToBeShown) {
  for (const char* path : {"/etc/X11", "/root/X11/app-defaults", "/root/pub", "/opt/php/8.9/fpm", "/opt/php/8.9/cli",
                           "/opt/maven/hideme", "/opt/closed/open", "/srv/tool"})
    make_directory(path);
  ASSERT_EQ(::rmdir(on_host("/etc/X11").c_str()), 0);
  for (const char* path :
       {"/root/X11/app-defaults/F", "/root/pub/f", "/opt/php/8.9/fpm/x", "/opt/maven/hideme/x", "/opt/closed/open/x"})
    make_file(path, "secret");
  for (const char* path : {"/opt/php/8.9/cli/php.ini", "/opt/maven/m2.conf", "/srv/tool/conf"}) make_file(path, "shown");
  make_link("/etc/X11", "/root/X11");
  make_link("/etc/lnk", "../root/pub");
  make_link("/etc/php", "/opt/php");
  make_link("/etc/maven", "/opt/maven");
  make_link("/etc/tools", "../srv");
  make_link("/etc/way", "/opt/closed/open");
  ASSERT_EQ(::chmod(on_host("/root").c_str(), 0700), 0);
  ASSERT_EQ(::chmod(on_host("/opt/closed").c_str(), 0700), 0);
  inputs_.add = {"/etc/lnk/f", "/etc/tools/tool", "/etc/way/x"};
  inputs_.remove = {"/etc/maven/hideme"};
  tree();
  for (const char* path : {"etc/X11/app-defaults/F", "etc/lnk/f", "etc/php/8.9/fpm/x", "etc/maven/hideme/x", "etc/way/x"})
    EXPECT_EQ(shown(path), "-") << path;
  for (const char* path : {"etc/php/8.9/cli/php.ini", "etc/maven/m2.conf", "etc/tools/tool/conf"})
    EXPECT_EQ(shown(path), "shown") << path;
}

// The second of two lines of the table about it found a directory that the first was kept out of.
TEST_F(HostRoot, ShowsNothingOfADirectoryThatOthersMayNotEnter) {
  make_directory("/etc/pki/tls/openssl.d");
  make_file("/etc/pki/tls/openssl.cnf", "secret");
  make_file("/etc/pki/tls/openssl.d/x", "secret");
  ASSERT_EQ(::chmod(on_host("/etc/pki/tls").c_str(), 0700), 0);
  for (const char* path : {"etc/pki/tls/openssl.cnf", "etc/pki/tls/openssl.d/x"}) EXPECT_EQ(shown(path), "-") << path;
}

TEST_F(HostRoot, NoticesWhatChangesOnTheWayOfALink) {
  make_directory("/opt/tool/etc");
  make_file("/opt/tool/etc/magic", "magic");
  make_link("/etc/magic", "/opt/tool/etc/magic");
  make_link("/etc/papersize", "/opt/later/papersize");
  make_link("/etc/fonts", "../opt/fonts");
  EXPECT_EQ(shown("etc/magic"), "magic");
  EXPECT_EQ(shown("etc/papersize"), "-");
  let_it_settle();
  ASSERT_EQ(::chmod(on_host("/opt/tool").c_str(), 0700), 0);
  EXPECT_EQ(shown("etc/magic"), "-");
  let_it_settle();
  make_directory("/opt/later");
  make_file("/opt/later/papersize", "a4");
  EXPECT_EQ(shown("etc/papersize"), "a4");
  let_it_settle();
  make_directory("/opt/fonts");
  make_file("/opt/fonts/fonts.conf", "fonts");
  EXPECT_EQ(shown("etc/fonts/fonts.conf"), "fonts");
}

TEST_F(HostRoot, ShowsEveryChangeAtTheNextStart) {
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

TEST_F(HostRoot, KeepsACopyThatIsInUseAndRemovesTheOthers) {
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

TEST_F(HostRoot, LeavesNothingOfACopyThatCouldNotBeMade) {
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

TEST_F(HostRoot, IsMadeAgainWhenTheCopyIsNotWhole) {
  make_file("/etc/magic", "one");
  let_it_settle();
  const auto copy = files::open(tree_.path + "/..", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(copy && files::remove_tree(copy->get(), "root"));
  EXPECT_EQ(shown("etc/magic"), "one");
}

// As one that was stopped does (SIGSTOP).
TEST_F(HostRoot, DoesNotWaitForAMakerThatDoesNotGetOn) {
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

TEST_F(HostRoot, ChecksWhatIsCopiedAndNotOnlyWhatWasLookedAt) {
  make_file("/etc/npmrc", "fund=false\n");
  make_file("/etc/magic", "magic");
  for (const HostItem& item : scan_host(inputs_).items)
    if (item.kind == HostItem::Kind::copy) {
      EXPECT_EQ(item.check, item.path == "etc/npmrc") << item.path;
    }
}

TEST_F(HostRoot, IsNotMadeAgainForNamesThatAreNotItsOwn) {
  make_file("/etc/magic", "one");
  let_it_settle();
  const std::string before = tree_.path;
  make_file("/etc/resolv.conf", "nameserver 192.0.2.1\n");
  EXPECT_EQ(tree().path, before);
}

TEST_F(HostRoot, BindsWhatIsTooLargeToCopyWhenAllOfItIsEverybodys) {
  make_directory("/var/lib/texmf/web2c");
  make_directory("/var/lib/aspell");
  const std::string large(3 << 20, 'x');
  make_file("/var/lib/texmf/web2c/pdflatex.fmt", large);
  make_file("/var/lib/aspell/en.rws", large);
  make_file("/var/lib/aspell/small", "small");
  make_file("/var/lib/aspell/private", "secret", 0600);
  tree();
  EXPECT_EQ(entry("var/lib/texmf"), (RootEntry{Kind::bind_directory, "var/lib/texmf", on_host("/var/lib/texmf")}));
  EXPECT_EQ(entry("var/lib/aspell/en.rws"),
            (RootEntry{Kind::bind_file, "var/lib/aspell/en.rws", on_host("/var/lib/aspell/en.rws")}));
  EXPECT_EQ(shown("var/lib/aspell/small"), "small");
  EXPECT_EQ(shown("var/lib/aspell/private"), "-");
}

TEST_F(HostRoot, BindsNothingThatBecamePrivateOrGivesAPassword) {
  make_directory("/var/lib/texmf");
  make_directory("/etc/R");
  const std::string large(3 << 20, 'x');
  for (const char* directory : {"/var/lib/texmf/", "/etc/R/"})
    for (int i = 0; i < 12; ++i)  // each small enough to be looked at
      make_file(directory + std::to_string(i), std::string(250 << 10, 'x'));
  make_file("/etc/magic", large);
  tree();
  for (const char* path : {"var/lib/texmf", "etc/R"}) EXPECT_EQ(entry(path).kind, Kind::bind_directory) << path;
  EXPECT_EQ(entry("etc/magic").kind, Kind::bind_file);
  let_it_settle();
  ASSERT_EQ(::chmod(on_host("/var/lib/texmf/3").c_str(), 0600), 0);
  tree();
  EXPECT_EQ(entry("var/lib/texmf").path, "");
  EXPECT_EQ(shown("var/lib/texmf/3"), "-");
  EXPECT_NE(shown("var/lib/texmf/4"), "-");
  let_it_settle();
  make_file("/etc/R/5", "password=hunter2\n");
  tree();
  EXPECT_EQ(entry("etc/R").path, "");
  EXPECT_EQ(shown("etc/R/5"), "-");
  EXPECT_NE(shown("etc/R/6"), "-");
  let_it_settle();
  ASSERT_EQ(::chmod(on_host("/etc/magic").c_str(), 0600), 0);
  tree();
  EXPECT_EQ(entry("etc/magic").path, "");
}

TEST_F(HostRoot, TakesAdditionsAndLeavesOutWhatAPolicyRemoves) {
  make_directory("/etc/mytool");
  make_directory("/opt/tool");
  make_directory("/etc/R");
  make_file("/etc/mytool/conf", "mine");
  make_file("/etc/mytool/private", "secret", 0600);
  make_file("/opt/tool/data", "data");
  make_file("/etc/R/Renviron", "R");
  make_file("/etc/hidden.conf", "secret", 0640);
  inputs_.add = {"/etc/mytool", "/opt/tool", "/etc/hidden.conf"};
  inputs_.remove = {"/etc/R"};
  EXPECT_EQ(shown("etc/mytool/conf"), "mine");
  EXPECT_EQ(shown("etc/mytool/private"), "-");
  EXPECT_EQ(shown("opt/tool/data"), "data");
  EXPECT_EQ(entry("opt").kind, Kind::bind_directory);
  EXPECT_EQ(shown("etc/R/Renviron"), "-");
  EXPECT_EQ(shown("etc/hidden.conf"), "-");
  ASSERT_EQ(scan_host(inputs_).notes.size(), 1u);
  EXPECT_NE(scan_host(inputs_).notes[0].find("/etc/hidden.conf"), std::string::npos);
}

TEST_F(HostRoot, RefusesADirectoryThatOthersMayUse) {
  ASSERT_TRUE(files::create_directories(runtime_, 0755));
  const auto opened = open_host_tree({inputs_, runtime_, common_files()});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find(runtime_), std::string::npos) << opened.error().message;
}

TEST_F(HostRoot, NamesTheWorkloadsUserInPasswd) {
  config_.process = Process{};
  config_.process->env = {"HOME=/home/me"};
  config_.process->user = {.uid = 1000, .gid = 100, .umask = {}, .additional_gids = {}};
  tree();
  EXPECT_EQ(entry("etc/passwd").kind, Kind::file_over);
  EXPECT_NE(entry("etc/passwd").text.find("\nuser:x:1000:100::/home/me:/bin/sh\n"), std::string::npos);
  EXPECT_NE(entry("etc/group").text.find("\nuser:x:100:\n"), std::string::npos);
  config_.process->env = {"HOME=/x\nevil:x:0:0::/:/bin/sh"};
  EXPECT_EQ(entry("etc/passwd").text.find("evil"), std::string::npos);
  config_.process->user = {.uid = 0, .gid = 0, .umask = {}, .additional_gids = {}};
  config_.process->env = {"HOME=/home/me"};
  EXPECT_TRUE(entry("etc/passwd").text.starts_with("root:x:0:0:root:/home/me:/bin/sh\nnobody:"));
}

TEST_F(HostRoot, NeedsNoFileOfItsOwnForTheUsualSandbox) {
  config_.process = Process{};
  add_run_defaults(config_, {});
  tree();
  for (const RootEntry& made : entries()) EXPECT_NE(made.kind, Kind::file_over) << made.path;
  options_.file_over = false;  // of gVisor
  EXPECT_EQ(entry("etc").kind, Kind::directory);
  EXPECT_EQ(entry("etc/passwd").kind, Kind::file);
}

TEST_F(HostRoot, HasNoResolverWithoutTheHostsNetwork) {
  make_file("/etc/resolv.conf", "nameserver 192.0.2.1\n");
  config_.hostname = "box";
  config_.linux.namespaces = {{NamespaceType::network, ""}};
  options_.file_over = false;
  EXPECT_EQ(entry("etc/resolv.conf"), (RootEntry{Kind::file, "etc/resolv.conf", "", 0644}));
  EXPECT_NE(entry("etc/hosts").text.find("localhost box\n"), std::string::npos);
  config_.linux.namespaces.clear();
  EXPECT_EQ(entry("etc/resolv.conf").text, "nameserver 192.0.2.1\n");
}

TEST_F(HostRoot, HasTheSearchDomainsOfItsNetwork) {
  const auto conf = [&](const NetworkNames& names) { return network_entries(config_, names).at(2).text; };
  const NetworkNames plain{.address = "10.201.0.2", .address6 = {}, .resolver = "10.201.0.1", .others = {}, .search = {}};
  EXPECT_EQ(conf(plain), "nameserver 10.201.0.1\n");
  NetworkNames names = plain;
  names.search = {"corp.example", "lab.example"};
  names.ndots = 5;
  EXPECT_EQ(conf(names), "nameserver 10.201.0.1\nsearch corp.example lab.example\noptions ndots:5\n");
  names.resolver.clear();
  EXPECT_EQ(conf(names), "") << "nobody to ask";
}

TEST_F(HostRoot, MakesDirectoriesForTheMountsThatLieInItself) {
  config_.process = Process{};
  config_.process->env = {"HOME=/srv/deep/home"};
  config_.mounts = {
      {.destination = "/data/in", .type = "bind", .source = "/s", .options = {}, .uid_mappings = {}, .gid_mappings = {}}};
  add_run_defaults(config_, {});
  for (const char* path : {"proc", "dev", "tmp", "run", "srv", "srv/deep", "srv/deep/home"})
    EXPECT_EQ(entry(path).kind, Kind::directory) << path;
  for (const char* path : {"srv/deep/home", "tmp"}) EXPECT_EQ(entry(path).path, path);
  for (const char* path : {"dev/pts", "dev/shm", "data", "data/in"}) EXPECT_EQ(entry(path).path, "") << path;
}

TEST_F(HostRoot, GivesRoomForWhatIsPutIntoEtcAndVar) {
  make_directory("/etc/R");
  make_file("/etc/R/Renviron", "R");
  make_file("/etc/magic", "magic");
  config_.process = Process{};
  config_.process->env = {"HOME=/var/lib/me"};
  options_.places = {"/etc/app/secret"};
  add_run_defaults(config_, {});
  tree();
  EXPECT_EQ(entry("etc").kind, Kind::directory);
  EXPECT_EQ(entry("etc/R").kind, Kind::bind_directory);
  EXPECT_EQ(entry("etc/magic"), (RootEntry{Kind::file, "etc/magic", "magic", 0644}));
  EXPECT_EQ(entry("etc/passwd").kind, Kind::file);
  EXPECT_EQ(entry("var/lib/me").kind, Kind::directory);
  EXPECT_EQ(entry("var/tmp"), (RootEntry{Kind::symlink, "var/tmp", "/tmp"}));
}

TEST_F(HostRoot, OfThisHostIsInTheOrderOfMaking) {
  config_.process = Process{};
  add_run_defaults(config_, {});
  inputs_.host = options_.host = "";
  options_.own_sys = true;
  tree();
  for (const bool file_over : {true, false}) {
    options_.file_over = file_over;
    std::set<std::string> seen = {""};
    for (const RootEntry& e : entries()) {
      EXPECT_FALSE(e.path.starts_with('/')) << e.path;
      EXPECT_TRUE(seen.insert(e.path).second) << e.path << " twice";
      const size_t slash = e.path.rfind('/');
      const std::string above = slash == e.path.npos ? "" : e.path.substr(0, slash);
      const bool there = seen.contains(above) || ::access((tree_.path + "/" + above).c_str(), F_OK) == 0;
      EXPECT_TRUE(there) << e.path << " before its directory";
      struct stat status{};
      if (e.kind != Kind::bind_directory && e.kind != Kind::bind_file) continue;
      EXPECT_EQ(::stat(e.text.c_str(), &status), 0) << e.text;
      EXPECT_EQ(S_ISDIR(status.st_mode), e.kind == Kind::bind_directory) << e.text;
    }
    for (const char* path : {"usr", "bin", "etc", "var", "sys", "run", "tmp"}) EXPECT_TRUE(seen.contains(path)) << path;
  }
  EXPECT_NE(shown("sys/devices/system/cpu/online"), "-");
}

TEST(BundleDirectory, HoldsTheConfigurationOnlyOnce) {
  const tests::TempDir directory;
  const auto dir = files::open(directory.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  Config config;
  config.root = Root{.path = "rootfs", .readonly = true};
  config.process = Process{};
  config.process->args = {"/bin/true"};
  ASSERT_TRUE(write_bundle(dir->get(), config));
  const auto again = read_bundle(dir->get(), directory.path());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, config);
  EXPECT_FALSE(write_bundle(dir->get(), config));
  struct stat status{};
  ASSERT_EQ(::fstatat(dir->get(), kConfigFile, &status, 0), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST(BundleDirectory, RefusesAConfigurationThatIsNoRegularFile) {
  for (const char* kind : {"missing", "link", "fifo", "directory"}) {
    const tests::TempDir directory;
    const std::string path = directory.path() + "/" + kConfigFile;
    if (kind == std::string_view("link")) {
      ASSERT_EQ(::symlink("/etc/passwd", path.c_str()), 0);
    }
    if (kind == std::string_view("fifo")) {
      ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    }
    if (kind == std::string_view("directory")) {
      ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    }
    const auto dir = files::open(directory.path(), O_RDONLY | O_DIRECTORY);
    const auto read = read_bundle(dir->get(), directory.path());
    ASSERT_FALSE(read) << kind;
    EXPECT_NE(read.error().message.find(directory.path()), std::string::npos) << read.error().message;
  }
}

}  // namespace
}  // namespace bailey::bundle
