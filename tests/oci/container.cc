#include "tests/oci/container.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/clock.h"
#include "base/files.h"
#include "bundle/writer.h"

namespace bailey::tests {

namespace {

constexpr int64_t kPatienceMs = 120'000;

template <typename Done>
bool eventually(const Done& done) {
  const auto deadline = clock::Deadline::in_ms(kPatienceMs);
  while (!done()) {
    if (deadline.passed()) return false;
    ::usleep(5000);
  }
  return true;
}

}  // namespace

std::string name_of_backend(const testing::TestParamInfo<const char*>& backend) { return backend.param; }

OciContainer::OciContainer()
    : id_("oci-test-" + std::to_string(::getpid())), other_id_("oci-other-" + std::to_string(::getpid())) {}

void OciContainer::SetUp() {
  BAILEY_REQUIRE("root", "busybox", "cgroup");
  if (gvisor()) {
    BAILEY_REQUIRE("runsc");
  }
  leaks_ = std::make_unique<LeakCheck>();
  for (const char* name :
       {"", "/rootfs", "/rootfs/bin", "/rootfs/proc", "/rootfs/dev", "/rootfs/sys", "/rootfs/tmp", "/rootfs/etc"})
    ASSERT_EQ(::mkdir((bundle() + name).c_str(), 0755), 0) << name;
  ASSERT_EQ(::mkdir(directory_.file("state").c_str(), 0700), 0);
  const std::string busybox = files::read(find_program("busybox"), 64 << 20).value();
  const Fd copy(::open((root() + "/bin/busybox").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
  ASSERT_TRUE(files::write_fd(copy.get(), busybox, "busybox"));
  for (const char* name :
       {"sh", "cat", "echo", "sleep", "id", "ls", "grep", "hostname", "tty", "stat", "touch", "mkdir", "true", "kill"})
    ASSERT_EQ(::symlink("busybox", (root() + "/bin/" + name).c_str()), 0);

  config_.root = bundle::Root{"rootfs", false};
  bundle::Process& process = config_.process.emplace();
  process.env = {"PATH=/bin"};
  process.args = {"/bin/true"};
  const std::vector<std::string> some{"CAP_KILL", "CAP_NET_BIND_SERVICE"};
  process.capabilities = {some, some, {}, some, {}};
  config_.mounts = {{"/proc", "proc", "proc", {}, {}, {}},
                    {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
                    {"/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}, {}, {}},
                    {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}}};
  using enum bundle::NamespaceType;
  for (const auto type : {pid, network, mount, ipc, uts}) config_.linux.namespaces.push_back({type, ""});
  config_.annotations["dev.bailey.trust"] = gvisor() ? "untrusted" : "trusted";
}

void OciContainer::TearDown() {
  if (!leaks_) return;
  for (const std::string& id : {id_, other_id_}) EXPECT_EQ(oci({"delete", "--force", id}).exit_code, 0);
  leaks_->expect_clean();
}

Outcome OciContainer::oci(Words words, std::string input) const {
  RunOptions options;
  options.arguments = {"oci", "--root", directory_.file("state")};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  options.input = std::move(input);
  return run_bailey(std::move(options));
}

Outcome OciContainer::oci_with_file(Words words) const {
  RunOptions options;
  options.arguments = {"oci", "--root", directory_.file("state"), "--log", directory_.file("log"), "--log-format=json"};
  options.arguments.insert(options.arguments.end(), words.begin(), words.end());
  options.before_exec = [path = directory_.file("output")] {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || ::dup2(file, 1) < 0 || ::dup2(file, 2) < 0) ::_exit(97);
  };
  return run_bailey(std::move(options));
}

void OciContainer::write_bundle() const { directory_.write("bundle/config.json", json::write(bundle::encode_config(config_))); }

Outcome OciContainer::create(Words flags, const std::string& id) {
  write_bundle();
  Words words{"create", "--bundle", bundle(), "--pid-file", directory_.file("pid")};
  words.insert(words.end(), flags.begin(), flags.end());
  words.push_back(id);
  return oci_with_file(std::move(words));
}

int OciContainer::run_through(const std::string& script) {
  run(script);
  const bool made = create().exit_code == 0;
  EXPECT_TRUE(made) << output() << read_file(directory_.file("log"));
  if (!made) return -1;
  EXPECT_EQ(oci({"start", id_}).exit_code, 0);
  return wait_for_end();
}

bool OciContainer::await_output(const std::string& text) const {
  return eventually([&] { return output().find(text) != std::string::npos; });
}

json::Value OciContainer::state() const {
  const Outcome got = oci({"state", id_});
  EXPECT_EQ(got.exit_code, 0) << got;
  auto parsed = json::parse(got.out, "state");
  return parsed ? std::move(*parsed) : json::Value();
}

std::string OciContainer::status() const {
  const json::Value document = state();
  const auto* object = document.as<json::Object>();
  const json::Value* member = object ? object->find("status") : nullptr;
  return member && member->as<std::string>() ? *member->as<std::string>() : "";
}

bool OciContainer::await_status(const std::string& wanted) const {
  return eventually([&] { return status() == wanted; });
}

int OciContainer::pid() const { return std::atoi(read_file(directory_.file("pid")).c_str()); }

int OciContainer::wait_for_end() const {
  int status = -1;
  EXPECT_GT(pid(), 0);
  if (pid() <= 0) return status;
  EXPECT_TRUE(eventually([&] { return ::waitpid(pid(), &status, WNOHANG) == pid(); })) << output();
  return status;
}

}  // namespace bailey::tests
