#include "bench/bundles.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "base/command.h"
#include "base/files.h"
#include "bundle/config.h"
#include "bundle/reader.h"
#include "bundle/writer.h"
#include "seccomp/names.h"

namespace bailey::bench {

namespace {

constexpr size_t kExplainCap = 1 << 20;

Result<> create_directory(const std::string& path) { return files::create_directories(path, 0755); }

Result<> create_link(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) < 0) return sys_error("linking " + path, errno);
  return {};
}

Result<> write_config(const std::string& bundle, const bundle::Config& config) {
  const Fd directory = TRY(files::open(bundle, O_RDONLY | O_DIRECTORY));
  return files::write_atomically(directory.get(), "config.json", json::write(bundle::encode_config(config)), 0644);
}

Result<> bind_host_path(const std::string& root, const std::string& path) {
  const std::string target = root + path;
  if (std::filesystem::is_directory(path)) {
    TRY(create_directory(target));
  } else {
    TRY(create_directory(target.substr(0, target.rfind('/'))));
    const Fd file = TRY(files::open(target, O_WRONLY | O_CREAT));
  }
  if (::mount(path.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) < 0) return sys_error("binding " + path, errno);
  return {};
}

// The member of an object, or an error that names it.
Result<const json::Value*> member_of(const json::Value& value, std::string_view key) {
  const json::Object* object = value.as<json::Object>();
  const json::Value* found = object ? object->find(key) : nullptr;
  if (!found) return fail(Fault::failed, "bailey's plan has no " + std::string(key));
  return found;
}

Result<json::Value> explain(const std::string& bailey, const std::string& runsc, const std::string& command) {
  Command ask;
  ask.program = bailey;
  ask.arguments = {"run", "--runsc", runsc, "--explain", "--json", "--", command};
  ask.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  const CommandOutcome said = TRY(run_command(ask));
  if (said.exit_code != 0) return fail(Fault::failed, "bailey run --explain: " + said.err);
  return json::parse(said.out, "bailey run --explain");
}

// Docker's profile allows about 350 calls and refuses what administers a machine.
bundle::Seccomp create_docker_sized_filter() {
  static const std::set<std::string, std::less<>> kRefused = {"acct",
                                                              "add_key",
                                                              "bpf",
                                                              "clock_adjtime",
                                                              "clock_settime",
                                                              "create_module",
                                                              "delete_module",
                                                              "finit_module",
                                                              "init_module",
                                                              "io_uring_enter",
                                                              "io_uring_register",
                                                              "io_uring_setup",
                                                              "kexec_file_load",
                                                              "kexec_load",
                                                              "keyctl",
                                                              "mount",
                                                              "mount_setattr",
                                                              "move_mount",
                                                              "open_by_handle_at",
                                                              "open_tree",
                                                              "perf_event_open",
                                                              "pivot_root",
                                                              "quotactl",
                                                              "reboot",
                                                              "request_key",
                                                              "setns",
                                                              "settimeofday",
                                                              "swapoff",
                                                              "swapon",
                                                              "syslog",
                                                              "umount2",
                                                              "unshare",
                                                              "userfaultfd",
                                                              "vhangup"};
  bundle::Seccomp filter;
  filter.default_action = "SCMP_ACT_ERRNO";
  filter.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  bundle::SeccompRule allowed;
  allowed.action = "SCMP_ACT_ALLOW";
  for (const auto& [number, name] : seccomp::calls_of(seccomp::native_arch()))
    if (!kRefused.contains(name) && number < 436) allowed.names.push_back(name);
  filter.syscalls.push_back(std::move(allowed));
  return filter;
}

void harden(bundle::Config& config) {
  config.linux.masked_paths = {"/proc/acpi",       "/proc/kcore",       "/proc/keys", "/proc/latency_stats",
                               "/proc/timer_list", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"};
  config.linux.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  config.linux.resources.memory.limit = 256 << 20;
  config.linux.resources.pids_limit = 256;
  config.linux.seccomp = create_docker_sized_filter();
}

}  // namespace

Result<std::string> create_busybox_root(const std::string& directory, const std::string& busybox) {
  const std::string root = directory + "/busybox";
  for (const char* name : {"bin", "etc", "proc", "dev", "sys", "tmp", "run", "root"}) TRY(create_directory(root + "/" + name));
  std::filesystem::copy_file(busybox, root + "/bin/busybox");
  for (const char* name : {"sh", "true"}) TRY(create_link("busybox", root + "/bin/" + name));
  return root;
}

Result<std::string> create_runsc_bundle(const std::string& directory, const std::string& bailey, const std::string& runsc,
                                        const std::string& command) {
  const json::Value explained = TRY(explain(bailey, runsc, command));
  const json::Value* plan = TRY(member_of(explained, "plan"));
  const json::Value* written = TRY(member_of(*plan, "config.json"));
  const json::Value* host_paths = TRY(member_of(*plan, "host_paths"));
  bundle::Config config = TRY(bundle::parse_config(json::write(*written), "bailey's config.json", json::UnknownKeys::refuse));

  const std::string bundle = directory + "/runsc", root = bundle + "/rootfs";
  for (const char* name : {"etc", "proc", "dev", "tmp", "run", "root", "sys"}) TRY(create_directory(root + "/" + name));
  constexpr std::array<std::pair<const char*, const char*>, 4> kLinks = {
      {{"bin", "usr/bin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib64"}, {"sbin", "usr/sbin"}}};
  for (const auto& [name, target] : kLinks) TRY(create_link(target, root + "/" + name));
  if (const json::Array* paths = host_paths->as<json::Array>())
    for (const json::Value& path : *paths)
      if (const std::string* text = path.as<std::string>()) TRY(bind_host_path(root, *text));
  config.root->path = root;
  config.process->args = {command};
  config.process->env = {"PATH=/usr/local/bin:/usr/bin:/bin"};
  TRY(write_config(bundle, config));
  return bundle;
}

Result<std::string> create_oci_bundle(const std::string& directory, const std::string& root, const std::string& command,
                                      Hardening hardening) {
  const std::string bundle = directory + (hardening == Hardening::full ? "/oci-full" : "/oci");
  TRY(create_directory(bundle));
  bundle::Config config;
  config.root = bundle::Root{root, true};
  config.oci_version = "1.0.2";  // crun of Debian 12 knows no newer one
  config.hostname = "bench";
  config.process = bundle::Process{};
  config.process->args = {command};
  config.process->env = {"PATH=/bin"};
  config.process->no_new_privileges = true;
  const auto add = [&](const char* destination, const char* type, std::vector<std::string> options) {
    config.mounts.push_back({destination, type, type, std::move(options), {}, {}});
  };
  add("/proc", "proc", {"nosuid", "noexec", "nodev"});
  add("/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
  add("/dev/pts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"});
  add("/dev/shm", "tmpfs", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"});
  add("/dev/mqueue", "mqueue", {"nosuid", "noexec", "nodev"});
  using enum bundle::NamespaceType;
  for (const auto type : {pid, network, mount, ipc, uts}) config.linux.namespaces.push_back({type, {}});
  if (hardening == Hardening::full) harden(config);
  TRY(write_config(bundle, config));
  return bundle;
}

}  // namespace bailey::bench
