#include "bundle/host_rootfs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "bundle/builder.h"
#include "bundle/bundle_dir.h"
#include "tests/unit/host_root.h"

namespace bailey::bundle {
namespace {

using Kind = RootEntry::Kind;

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
  EXPECT_EQ(entry("etc").kind, Kind::bind_directory);
}

TEST_F(HostRoot, HasNoResolverWithoutTheHostsNetwork) {
  make_file("/etc/resolv.conf", "nameserver 192.0.2.1\n");
  config_.hostname = "box";
  config_.linux.namespaces = {{NamespaceType::network, ""}};
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
