#include "bench/runtimes.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "base/files.h"
#include "bundle/config.h"
#include "bundle/writer.h"

namespace bailey::bench {

namespace {

std::string find(const char* name) {
  for (const char* directory : {"/usr/local/bin/", "/usr/bin/", "/usr/sbin/", "/usr/local/sbin/"})
    if (std::string path = std::string(directory) + name; ::access(path.c_str(), X_OK) == 0) return path;
  return {};
}

// A bundle with the root, the mounts and the process of `bailey run -- /bin/true`, for a runtime without Bailey around it.
Result<std::string> make_bundle(const std::string& directory) {
  constexpr std::array<const char*, 8> kDirectories = {"usr", "etc", "proc", "dev", "tmp", "run", "root", "sys"};
  constexpr std::array<std::pair<const char*, const char*>, 4> kLinks = {
      {{"bin", "usr/bin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib64"}, {"sbin", "usr/sbin"}}};
  const std::string root = directory + "/rootfs";
  for (const char* name : kDirectories) TRY(files::create_directories(root + "/" + name, 0755));
  for (const auto& [name, target] : kLinks)
    if (::symlink(target, (root + "/" + name).c_str()) < 0) return sys_error(std::string("linking ") + name, errno);
  bundle::Config config;
  config.root = {root, true};
  config.hostname = "bailey";
  config.process = bundle::Process{};
  config.process->args = {"/bin/true"};
  config.process->env = {"PATH=/usr/local/bin:/usr/bin:/bin"};
  config.process->no_new_privileges = true;
  const auto add = [&](const char* destination, const char* type, const char* source, std::vector<std::string> options) {
    config.mounts.push_back({destination, type, source, std::move(options), {}, {}});
  };
  add("/proc", "proc", "proc", {});
  add("/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755"});
  add("/dev/pts", "devpts", "devpts", {"nosuid", "noexec"});
  add("/dev/shm", "tmpfs", "tmpfs", {"nosuid", "nodev"});
  add("/tmp", "tmpfs", "tmpfs", {"nosuid", "nodev"});
  add("/root", "tmpfs", "tmpfs", {"nosuid", "nodev"});
  add("/run", "tmpfs", "tmpfs", {"nosuid", "nodev"});
  add("/usr", "bind", "/usr", {"rbind", "ro", "nosuid", "nodev"});
  using enum bundle::NamespaceType;
  for (const auto type : {pid, network, mount, ipc, uts}) config.linux.namespaces.push_back({type, {}});
  const Fd dir = TRY(files::open(directory, O_RDONLY | O_DIRECTORY));
  TRY(files::write_atomically(dir.get(), "config.json", json::write(bundle::encode_config(config)), 0644));
  return directory;
}

}  // namespace

Result<std::vector<Runtime>> runtimes(const Comparison& c) {
  std::vector<Runtime> all;
  all.push_back({"fork+exec", {"/bin/true"}, ""});
  if (const std::string bwrap = find("bwrap"); !bwrap.empty())
    all.push_back({"bwrap",
                   {bwrap, "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "/bin/true"},
                   "fork+exec"});
  all.push_back({"bailey native", {c.bailey, "run", "--trust", "trusted", "--", "/bin/true"}, "bwrap"});
  if (c.runsc.empty()) return all;
  const std::string bundle = TRY(make_bundle(c.directory));
  // A shell draws the id: runsc refuses one twice, and Bailey draws one as well.
  const std::string bare = "exec " + c.runsc + " --root=" + c.directory +
                           "/state --network=none --ignore-cgroups --overlay2=none run --bundle " + bundle + " bench-$$";
  all.push_back({"runsc run", {"/bin/sh", "-c", bare}, "fork+exec"});
  all.push_back({"bailey gvisor", {c.bailey, "run", "--runsc", c.runsc, "--", "/bin/true"}, "runsc run"});
  return all;
}

}  // namespace bailey::bench
