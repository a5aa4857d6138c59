// Further processes in a running container.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "bundle/writer.h"
#include "tests/oci/container.h"

namespace bailey::tests {
namespace {

class OciExec : public OciContainer {
 protected:
  void SetUp() override {
    OciContainer::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    run("sleep 100");
  }
  void begin() {
    ASSERT_EQ(create().exit_code, 0) << output();
    ASSERT_EQ(oci({"start", id_}).exit_code, 0);
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, OciExec, testing::Values("native", "gvisor"), name_of_backend);

TEST_P(OciExec, GivesBackItsOutputAndItsCode) {
  begin();
  const Outcome got = oci({"exec", id_, "/bin/sh", "-c", "cat; echo $0 $X; exit 6"}, "from outside\n");
  EXPECT_EQ(got.exit_code, 6) << got;
  EXPECT_EQ(got.out, "from outside\n/bin/sh\n");
}

TEST_P(OciExec, IsInTheContainer) {
  config_.hostname = "inside";
  begin();
  const Outcome got = oci({"exec", id_, "/bin/sh", "-c", "hostname; ls /; ls /proc | grep -c '^[0-9]*$'"});
  EXPECT_EQ(got.out.substr(0, 7), "inside\n") << got;
  EXPECT_NE(got.out.find("\nproc\n"), std::string::npos) << got;
  EXPECT_EQ(got.out.find("\nroot\n"), std::string::npos) << "the host's: " << got;
}

TEST_P(OciExec, TakesEnvironmentDirectoryAndUser) {
  begin();
  const Outcome got = oci({"exec", "--env", "A=b", "--cwd", "/tmp", "--user", "1000:1001", "--additional-gids", "7", id_,
                           "/bin/sh", "-c", "echo $A $PWD $PATH; id -u; id -g; id -G"});
  EXPECT_EQ(got.out, "b /tmp /bin\n1000\n1001\n1001 7\n") << got;
}

TEST_P(OciExec, TakesAProcessAsADocument) {
  begin();
  bundle::Config holder;
  holder.process = config_.process;
  holder.process->args = {"/bin/sh", "-c", "id -u; umask; ulimit -n"};
  holder.process->user = {.uid = 5, .gid = 5, .umask = 077};
  holder.process->rlimits = {{"RLIMIT_NOFILE", 100, 100}};
  const json::Value whole = bundle::encode_config(holder);
  directory_.write("process.json", json::write(*whole.as<json::Object>()->find("process")));
  const Outcome got = oci({"exec", "--process", directory_.file("process.json"), id_});
  EXPECT_EQ(got.out, "5\n0077\n100\n") << got;
}

TEST_P(OciExec, DetachesAndTellsThePid) {
  begin();
  const std::string file = directory_.file("exec-pid");
  const Outcome got = oci_with_file({"exec", "--detach", "--pid-file", file, id_, "/bin/sh", "-c", "echo there; exit 9"});
  EXPECT_EQ(got.exit_code, 0) << output();
  const int pid = std::atoi(read_file(file).c_str());
  ASSERT_GT(pid, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid) << "this process is its reaper";
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT_EQ(output(), "there\n");
}

// podman exits with 127 and 126 by these words.
TEST_P(OciExec, SaysWhatIsWrongWithTheCommand) {
  begin();
  const Outcome missing = oci({"exec", id_, "no-such-program"});
  EXPECT_EQ(missing.exit_code, 255);
  EXPECT_NE(missing.err.find("executable file not found in $PATH"), std::string::npos) << missing;
  const Outcome directory = oci({"exec", id_, "/tmp"});
  EXPECT_EQ(directory.exit_code, 255);
  EXPECT_NE(directory.err.find("/tmp"), std::string::npos) << directory;
}

TEST_P(OciExec, NeedsARunningContainer) {
  EXPECT_NE(oci({"exec", id_, "/bin/true"}).exit_code, 0);
  ASSERT_EQ(create().exit_code, 0) << output();
  EXPECT_NE(oci({"exec", id_, "/bin/true"}).exit_code, 0) << "it is only created";
  ASSERT_EQ(oci({"kill", id_, "KILL"}).exit_code, 0);
  wait_for_end();
  const Outcome ended = oci({"exec", id_, "/bin/true"});
  EXPECT_NE(ended.err.find("stopped container"), std::string::npos) << ended;
}

TEST_P(OciExec, EndsWithTheContainer) {
  begin();
  const std::string file = directory_.file("exec-pid");
  ASSERT_EQ(oci_with_file({"exec", "--detach", "--pid-file", file, id_, "/bin/sleep", "100"}).exit_code, 0) << output();
  RunOptions options;
  options.arguments = {"oci", "--root", directory_.file("state"), "delete", "--force", id_};
  BaileyProcess deleting(std::move(options));
  const int pid = std::atoi(read_file(file).c_str());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid) << "the container's own end waits for its reaper";
  wait_for_end();
  EXPECT_EQ(deleting.finish().exit_code, 0);
}

}  // namespace
}  // namespace bailey::tests
