#include "bundle/host_files.h"

#include <gtest/gtest.h>

#include <set>

namespace bailey::bundle {
namespace {

TEST(HostFiles, AreAbsoluteAndListedOnce) {
  std::set<std::string_view> seen;
  for (const HostFile& file : host_files()) {
    EXPECT_TRUE(seen.insert(file.pattern).second) << file.pattern;
    EXPECT_TRUE(file.pattern.starts_with('/') || file.rule == HostFile::Rule::never) << file.pattern;
    EXPECT_FALSE(file.pattern.ends_with('/')) << file.pattern;
    if (file.rule != HostFile::Rule::never) {
      EXPECT_FALSE(never_shown(file.pattern)) << file.pattern;
    }
  }
  for (const char* path : {"/etc/R", "/etc/fpc.cfg", "/var/lib/ghc/package.conf.d", "/etc/mono", "/etc/matplotlibrc",
                           "/etc/alternatives/awk", "/etc/java-17-openjdk", "/var/lib/texmf"})
    EXPECT_TRUE(in_table(path)) << path;
  for (const char* path : {"/etc", "/etc/shadow", "/etc/init.d", "/etc/mysql/debian.cnf", "/var/lib", "/etc/php/8.2/fpm"})
    EXPECT_FALSE(in_table(path)) << path;
}

TEST(HostFiles, MatchPatternsWithinOneName) {
  EXPECT_TRUE(matches("/etc/java-*", "/etc/java-17-openjdk"));
  EXPECT_FALSE(matches("/etc/java-*", "/etc/java-17-openjdk/security"));
  EXPECT_FALSE(matches("/etc/R", "/etc/Rx"));
  EXPECT_TRUE(matches("/etc/*-release", "/etc/debian-release"));
  EXPECT_TRUE(never_shown("/etc/R/server.key"));
  EXPECT_TRUE(never_shown("/etc/ssl/private/x"));
  EXPECT_TRUE(never_shown("/etc/shadow-"));
  EXPECT_FALSE(never_shown("/etc/ssl/certs/x.pem"));
}

TEST(HostFiles, KnowWhatGivesAPassword) {
  for (const char* text : {"password=x",
                           "  Password : x",
                           "<secret>x</secret>",
                           "url = ftp://u:p@h/",
                           "mysqli.default_pw = x",
                           "export API_KEY=x",
                           "//r/:_authToken=x",
                           "index-url = https://TOKEN@host/simple",
                           "extraheader = AUTHORIZATION: basic X",
                           "header = \"Authorization: Bearer x\"",
                           "PWD = X",
                           "user = \"joe:X\"",
                           "proxy-user=joe:X",
                           "defAuthPassphrase X",
                           "defCommunity X",
                           "<password>\n  X\n",
                           "-----BEGIN RSA PRIVATE KEY-----\nMII",
                           "# -----BEGIN PRIVATE KEY-----",
                           "pass=X",
                           "machine x login y password X",
                           "password\n  =X\n",
                           "password\n= X",
                           "a http://h/ http://u:p@h/"})
    EXPECT_TRUE(gives_secret(text)) << text;
  for (const char* text : {"# password=x", "; password=x", "password =", "password=\n", "<!--\n<password>x</password>\n-->",
                           "url = http://h:80/", "mysqli.default_pw =\nx = y", "tokenizer", "bypass=x", "user = nobody",
                           "oldpwd", "password\nport = 1", "<password>\n</password>", "The password is asked for",
                           "mail = a@example.org", "url = http://h/a@b", "export user=$a:$b", "cd $PWD: ${PWD:-x}"})
    EXPECT_FALSE(gives_secret(text)) << text;
}

}  // namespace
}  // namespace bailey::bundle
