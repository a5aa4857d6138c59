// Secrets: only the workload can read them, and only while it runs.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/files.h"
#include "tests/contract/contract.h"
#include "tests/support/process_memory.h"

namespace bailey::tests {
namespace {

namespace fs = std::filesystem;

// Another one each time, so that the log of an earlier failure is no find.
const std::string kSecret = "correct horse battery staple " + std::to_string(std::random_device()());

class SecretsContract : public Contract {
 protected:
  // A file that only root may read: it must be opened before any user namespace.
  std::string secret_file(const TempDir& directory) const { return directory.write("db.pass", kSecret, 0600); }
};

TEST_F(SecretsContract, ShowsASecretToTheWorkloadOnly) {
  const TempDir directory;
  const Outcome got = shell(with_probes({"--secret", "db=" + secret_file(directory)}),
                            "cat /run/secrets/db; echo; cd /run/secrets; echo *; " + probe("stat") + " db");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, kSecret + "\ndb\n400 0 0 " + std::to_string(kSecret.size()) + "\n") << got;
}

TEST_F(SecretsContract, GivesItToTheUserOfTheWorkload) {
  if (differs_here()) return;
  const TempDir directory;
  const Outcome got = shell(with_probes({"--secret", "db=" + secret_file(directory), "--user", "1234:1234"}),
                            "cat /run/secrets/db; echo; " + probe("stat") + " /run/secrets/db");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, kSecret + "\n400 1234 1234 " + std::to_string(kSecret.size()) + "\n") << got;
}

TEST_F(SecretsContract, ReadsADescriptorAndHonoursPlaceAndMode) {
  Pipe pipe = std::move(*create_pipe());
  ASSERT_EQ(write(pipe.write.get(), kSecret.data(), kSecret.size()), static_cast<ssize_t>(kSecret.size()));
  pipe.write.reset();
  RunOptions wish = options(with_probes({"--secret", "token=fd:23:/run/elsewhere/token:0444"}),
                            {"/bin/sh", "-c", "cat /run/elsewhere/token; echo; " + probe("stat") + " /run/elsewhere/token"});
  wish.pass = {{pipe.read.get(), 23}};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.out.substr(0, kSecret.size() + 7), kSecret + "\n444 0 ") << got;
}

TEST_F(SecretsContract, ReadsADescriptorAndHonoursPlaceModeAndOwner) {
  if (differs_here()) return;
  Pipe pipe = std::move(*create_pipe());
  ASSERT_EQ(write(pipe.write.get(), kSecret.data(), kSecret.size()), static_cast<ssize_t>(kSecret.size()));
  pipe.write.reset();
  RunOptions wish = options(with_probes({"--secret", "token=fd:23:/run/elsewhere/token:0444:77"}),
                            {"/bin/sh", "-c", "cat /run/elsewhere/token; echo; " + probe("stat") + " /run/elsewhere/token"});
  wish.pass = {{pipe.read.get(), 23}};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.out.substr(0, kSecret.size() + 8), kSecret + "\n444 77 ") << got;
}

// Elsewhere: a secret at another path failed on a read-only root.
TEST_F(SecretsContract, PutsASecretIntoAReadOnlyRoot) {
  const TempDir directory;
  const Outcome got = shell({"--secret", "db=" + secret_file(directory) + ":/opt/app/secret"}, "cat /opt/app/secret");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, kSecret) << got;
}

TEST_F(SecretsContract, LetsNobodyChangeIt) {
  const TempDir directory;
  const Outcome got = shell(
      {"--secret", "db=" + secret_file(directory)},
      "echo x > /run/secrets/db && echo WRITTEN; chmod 777 /run/secrets/db && echo WRITTEN; rm -f /run/secrets/db && echo WRITTEN; touch /run/secrets/new && echo WRITTEN; true");
  EXPECT_EQ(got.out, "") << got;
}

TEST_F(SecretsContract, TakesSeveralOfAnyBytes) {
  const TempDir directory;
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes += static_cast<char>(i);
  directory.write("binary", bytes, 0600);
  directory.write("empty", "", 0600);
  const Outcome got = shell({"--secret", "binary=" + directory.file("binary"), "--secret", "empty=" + directory.file("empty")},
                            "cat /run/secrets/binary /run/secrets/empty");
  EXPECT_EQ(got.exit_code, 0) << got.err;
  EXPECT_TRUE(got.out == bytes);
}

// While it runs: not in a state directory, a temporary file, a mount of the host, a command line or an environment.
TEST_F(SecretsContract, LeavesNoTraceOnTheHost) {
  const TempDir directory;
  Pipe source = std::move(*create_pipe());
  ASSERT_EQ(write(source.write.get(), kSecret.data(), kSecret.size()), static_cast<ssize_t>(kSecret.size()));
  source.write.reset();
  const std::string events = directory.file("events");
  RunOptions wish =
      options({"--secret", "db=fd:23", "--events", events}, {"/bin/sh", "-c", "wc -c < /run/secrets/db; sleep 600"});
  wish.pass = {{source.read.get(), 23}};
  BaileyProcess process(std::move(wish));
  ASSERT_TRUE(process.wait_for_output(std::to_string(kSecret.size()) + "\n"));

  const auto expect_clean_file = [](const fs::path& path) {
    std::error_code error;
    if (fs::is_regular_file(fs::symlink_status(path, error))) {
      EXPECT_EQ(read_file(path).find(kSecret), std::string::npos) << path;
    }
  };
  for (const char* place : {"/run/bailey", "/tmp", "/dev/shm", "/var/tmp"}) {
    std::error_code error;
    for (fs::recursive_directory_iterator it(place, fs::directory_options::skip_permission_denied, error), end;
         !error && it != end; it.increment(error)) {
      if (it.depth() > 4) it.disable_recursion_pending();
      if (fs::file_size(it->path(), error) < (1 << 20)) expect_clean_file(it->path());
      error.clear();
    }
  }
  for (const auto& entry : fs::directory_iterator("/proc")) {
    if (!isdigit(entry.path().filename().string()[0])) continue;
    EXPECT_EQ(read_file(entry.path() / "cmdline").find(kSecret), std::string::npos) << entry;
    EXPECT_EQ(read_file(entry.path() / "environ").find(kSecret), std::string::npos) << entry;
  }
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    EXPECT_EQ(line.find("secrets"), std::string::npos) << line;
  }

  if (differs_here()) {
    EXPECT_FALSE(files::open("/proc/" + std::to_string(process.pid()) + "/mem", O_RDONLY));
  } else {
    EXPECT_EQ(memory_of(process.pid()).find(kSecret), std::string::npos) << "bailey itself still holds it";
    EXPECT_NE(memory_of(process.pid()).find("/run/secrets"), std::string::npos) << "this way of looking finds nothing";
  }

  process.signal(SIGTERM);
  process.signal(SIGTERM);
  const Outcome got = process.finish();
  EXPECT_EQ((got.out + got.err).find(kSecret), std::string::npos) << got;
  EXPECT_EQ(json::write(*got.record).find(kSecret), std::string::npos);
  EXPECT_EQ(read_file(events).find(kSecret), std::string::npos);
}

// A number that the caller has not opened must not mean one of bailey's own descriptors.
TEST_F(SecretsContract, TakesNoDescriptorThatTheCallerDidNotOpen) {
  for (int fd = 3; fd < 16; ++fd) {
    if (fcntl(fd, F_GETFD) == 0) continue;  // whoever started this test left it open, for bailey as well
    const Outcome got = run({"--secret", "db=fd:" + std::to_string(fd)}, {"/bin/true"});
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find("no such descriptor is open for reading"), std::string::npos) << got;
  }
}

}  // namespace
}  // namespace bailey::tests
