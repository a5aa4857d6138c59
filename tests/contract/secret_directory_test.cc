// --secret-dir: every file of a directory, in the layout that platforms write (Kubernetes, systemd), and nothing from outside.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

class SecretDirectoryContract : public Contract {
 protected:
  // As the kubelet writes one: NAME -> ..data/NAME, ..data -> a directory that is replaced as a whole.
  static void make_projected(const TempDir& directory) {
    fs::create_directory(directory.file("..2024_10_01"));
    for (const char* name : {"user", "password", "tls.key"}) {
      directory.write(std::string("..2024_10_01/") + name, std::string(name) + "-value", 0600);
      fs::create_symlink(std::string("..data/") + name, directory.file(name));
    }
    fs::create_symlink("..2024_10_01", directory.file("..data"));
  }
  void expect_refusal(const Arguments& flags, const std::vector<std::string>& says) {
    const Outcome got = run(flags, {"/bin/echo", "STARTED"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_EQ(got.out, "") << got;
    for (const std::string& text : says)
      EXPECT_NE(got.err.find(text), std::string::npos) << "does not say " << text << ": " << got;
    EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
  }
};

TEST_F(SecretDirectoryContract, TakesEveryFileOfAProjectedDirectory) {
  const TempDir directory;
  make_projected(directory);
  const Outcome got =
      shell(with_probes({"--secret-dir", directory.path()}),
            "cd /run/secrets; echo * .*; cat password; echo; " + probe("stat") + " user; echo x > user && echo WRITTEN");
  EXPECT_EQ(got.out, "password tls.key user . ..\npassword-value\n400 0 0 10\n") << got;
  EXPECT_EQ(shell({"--secret-dir", directory.path() + "/:/run/secrets/"}, "cat /run/secrets/user").out, "user-value");
}

TEST_F(SecretDirectoryContract, PutsThemWhereTheCallerSays) {
  const TempDir directory;
  make_projected(directory);
  for (const std::string place : {":/opt/app/keys", ":/opt/app/keys/:0444", ":/opt/app/keys::0"}) {
    const Outcome got = shell(with_probes({"--secret-dir", directory.path() + place}),
                              "cat /opt/app/keys/user /opt/app/keys/password; echo; " + probe("stat") + " /opt/app/keys/user");
    const std::string mode = place.ends_with("0444") ? "444" : "400";
    EXPECT_EQ(got.out, "user-valuepassword-value\n" + mode + " 0 0 10\n") << got;
  }
}

TEST_F(SecretDirectoryContract, GoesTogetherWithOtherSecretsAndWithADocument) {
  const TempDir directory, other;
  make_projected(directory);
  const std::string file = other.write("file", "single", 0600);
  const Arguments flags = {"--secret-dir", directory.path(), "--secret", "one=" + file};
  EXPECT_EQ(shell(flags, "cat /run/secrets/one /run/secrets/user").out, "singleuser-value");
  RunOptions explain = options({"--secret-dir", directory.path() + "::0440", "--secret", "one=" + file},
                               {"/bin/sh", "-c", "cat /run/secrets/*; [ -r /run/secrets/user ] && echo \" $(umask)\""});
  explain.record = false;
  explain.arguments.insert(explain.arguments.begin() + 1, {"--explain", "--json"});
  const Outcome plan = run_bailey(std::move(explain));
  const auto parsed = json::parse(plan.out, "explain");
  ASSERT_TRUE(parsed) << plan;
  const json::Value* request = parsed->as<json::Object>()->find("request");
  ASSERT_TRUE(request) << plan;
  const std::string document = other.write("request.json", json::write(*request));
  const Outcome got = run_bailey({.arguments = {"run", "--request", document}});
  EXPECT_EQ(got.out, "singlepassword-valuetls.key-valueuser-value 0022\n") << got;
}

TEST_F(SecretDirectoryContract, FollowsNoLinkOutOfTheDirectory) {
  const std::pair<const char*, const char*> links[] = {{"/etc/hostname", "leads out"},
                                                       {"../outside", "leads out"},
                                                       {"/proc/self/environ", "leads out"},
                                                       {"loop", "leads nowhere"},
                                                       {"missing", "ENOENT"}};
  for (const auto& [target, word] : links) {
    const TempDir top;
    top.write("outside", "OUTSIDE", 0600);
    fs::create_directory(top.file("in"));
    fs::create_symlink(target, top.file("in/loop"));
    const std::string path = top.file("in");
    const Outcome got = run({"--secret-dir", path}, {"/bin/cat", "/run/secrets/loop"});
    EXPECT_EQ(got.exit_code, 125) << target << ": " << got;
    EXPECT_EQ(got.out, "") << target << ": " << got;
    for (const std::string& text : {path + "/loop", std::string(word)})
      EXPECT_NE(got.err.find(text), std::string::npos) << text << ": " << got;
  }
}

TEST_F(SecretDirectoryContract, NamesWhatItCannotTake) {
  const TempDir directory;
  const auto made = [&](const char* name) {
    fs::create_directory(directory.file(name));
    return directory.file(name);
  };
  const std::string bad = made("bad"), nested = made("nested"), many = made("many"), empty = made("empty"), big = made("big"),
                    fifo = made("fifo"), good = made("good");
  directory.write("bad/a b", "x");
  fs::create_directory(directory.file("nested/deeper"));
  for (int i = 0; i < 257; ++i) directory.write("many/s" + std::to_string(i), "x");
  directory.write("empty/.hidden", "x");
  directory.write("big/large", std::string((1 << 20) + 1, 'x'));
  ASSERT_EQ(mkfifo(directory.file("fifo/pipe").c_str(), 0600), 0);
  const std::string file = directory.write("good/user", "x");
  fs::create_directory_symlink(good, directory.file("link"));
  expect_refusal({"--secret-dir", bad}, {bad, "'a b'"});
  expect_refusal({"--secret-dir", nested}, {nested + "/deeper", "a directory"});
  expect_refusal({"--secret-dir", many}, {many, "256"});
  expect_refusal({"--secret-dir", empty}, {empty, "no file"});
  expect_refusal({"--secret-dir", big}, {big + "/large", "bytes"});
  expect_refusal({"--secret-dir", fifo}, {fifo + "/pipe", "FIFO"});
  expect_refusal({"--secret-dir", file}, {file, "--secret NAME=FILE"});
  expect_refusal({"--secret-dir", directory.file("link")}, {directory.file("link"), "link"});
  expect_refusal({"--secret-dir", "/no/such/place"}, {"/no/such/place"});
  expect_refusal({"--secret-dir", ""}, {"--secret-dir"});
  expect_refusal({"--secret-dir", good + ":keys"}, {"--secret-dir", "'keys'", "absolute"});
  expect_refusal({"--secret-dir", good + ":/keys:999"}, {"--secret-dir", "'999'"});
  expect_refusal({"--secret-dir", good + ":/keys:0666"}, {"'user'", "mode"});
  expect_refusal({"--secret-dir", good + ":/usr/keys"}, {"'user'", "/usr/keys"});
  expect_refusal({"--secret-dir", good + ":/run/secrets/x"}, {"'user'", "/run/secrets/x"});
  expect_refusal({"--secret-dir", good, "--secret", "user=" + file}, {"'user'", "twice"});
  expect_refusal({"--secret-dir", good + ":/data", "-v", directory.path() + ":/data"}, {"'user'", "/data"});
  const Outcome untrusted = run_bailey({.arguments = {"run", "--secret-dir", good, "--", "/bin/echo", "STARTED"}});
  EXPECT_EQ(untrusted.exit_code, 125) << untrusted;
  EXPECT_NE(untrusted.err.find("untrusted"), std::string::npos) << untrusted;
}

}  // namespace
}  // namespace bailey::tests
