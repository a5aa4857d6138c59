// An engine's configuration: nothing is added to it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/sandbox/live_sandbox.h"
#include "tests/support/require.h"

namespace bailey::tests {

using namespace dispatcher;

namespace {

class CompleteRequest : public OnEachBackend {
 protected:
  void SetUp() override {
    OnEachBackend::SetUp();
    if (IsSkipped()) return;
    BAILEY_REQUIRE("busybox");
    ASSERT_EQ(::chmod(root_.path().c_str(), 0755), 0);
    for (const char* name : {"/bin", "/proc", "/dev", "/tmp"}) ASSERT_EQ(::mkdir((root_.path() + name).c_str(), 0755), 0);
    const Fd copy(::open((root_.path() + "/bin/sh").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    ASSERT_TRUE(files::write_fd(copy.get(), files::read(find_program("busybox"), 64 << 20).value(), "busybox"));
  }
  Request request(std::string script) const {
    Request request = waiting_request(GetParam());
    request.awaits_job = false;
    request.as_pid_1 = true;
    request.shape = Shape::complete;
    request.config.root = bundle::Root{root_.path(), true};
    request.config.process.emplace().args = {"/bin/sh", "-c", std::move(script)};
    request.config.process->env = {"ONLY=this"};
    request.config.mounts = {
        {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755", "size=65536k"}, {}, {}},
        {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}, {}, {}},
        {"/tmp", "tmpfs", "tmpfs", {"size=1024k"}, {}, {}}};
    request.engine_mounts = {0, 1, 2, 3};
    using enum bundle::NamespaceType;
    for (const auto type : {pid, network, mount, ipc, uts}) request.config.linux.namespaces.push_back({type, ""});
    request.config.annotations["org.opencontainers.image.title"] = "an image";
    return request;
  }
  Record run(Request wanted) {
    LiveSandbox live(GetParam());
    live.create(std::move(wanted));
    live.start_own();
    EXPECT_TRUE(live.serve());
    return live.finish();
  }

  TempDir root_;
};
INSTANTIATE_TEST_SUITE_P(Backends, CompleteRequest, testing::Values("native", "gvisor"), name_of_backend);

TEST_P(CompleteRequest, GetsNothingThatItDoesNotSay) {
  const Record record =
      run(request("echo $$ $ONLY ${HOME-none} ${PATH-none} ${LANG-none}; [ -e /run ] || echo no run; exit 4"));
  EXPECT_EQ(record.exit_code, 4) << (record.error ? record.error->message : "");
  EXPECT_EQ(record.captured_stdout.value_or("-").substr(0, 11), "1 this none");
  EXPECT_NE(record.captured_stdout.value_or("-").find("no run"), std::string::npos);
  EXPECT_FALSE(record.limits.pids || record.limits.memory_bytes || record.limits.open_files);
}

TEST_P(CompleteRequest, WritesToItsOwnRoot) {
  Request wanted = request("echo kept > /file");
  wanted.config.root->readonly = false;
  EXPECT_EQ(run(std::move(wanted)).exit_code, 0);
  EXPECT_EQ(read_file(root_.path() + "/file"), "kept\n");
}

TEST_P(CompleteRequest, IsRefusedWhereNoBackendDoesWhatItSays) {
  Request wanted = request("true");
  wanted.config.linux.intel_rdt.emplace();
  LiveSandbox live(GetParam());
  const auto refused = live.plan(std::move(wanted));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::refused);
  EXPECT_NE(refused.error().message.find("ntelRdt"), std::string::npos) << refused.error().message;
}

TEST(CompleteRequest2022, IsRefusedByABuildThatPassesNoDescriptors) {
  BAILEY_REQUIRE("root", "runsc-2022");
  TempDir root;
  Request wanted = waiting_request("gvisor-2022");
  wanted.shape = Shape::complete;
  wanted.config.root = bundle::Root{root.path(), true};
  wanted.config.linux.namespaces = {{bundle::NamespaceType::network, ""}};
  const auto refused = LiveSandbox("gvisor-2022").plan(std::move(wanted));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("this build of runsc"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace bailey::tests
