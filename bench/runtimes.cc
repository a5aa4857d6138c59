#include "bench/runtimes.h"

#include <unistd.h>

#include "base/files.h"
#include "bench/bundles.h"

namespace bailey::bench {

namespace {

std::string find(const std::string& name) {
  for (const char* directory : {"/usr/local/bin/", "/usr/bin/", "/usr/sbin/", "/usr/local/sbin/"})
    if (std::string path = directory + name; ::access(path.c_str(), X_OK) == 0) return path;
  return {};
}

// An id per run, which the shell draws: a runtime refuses one twice, and Bailey draws one as well.
Runtime with_fresh_id(std::string name, const std::string& command, std::vector<std::string> baselines) {
  return {std::move(name), {"/bin/sh", "-c", "exec " + command + " bench-$$"}, std::move(baselines)};
}

Result<> add_oci_runtimes(const Comparison& c, const std::string& root, std::vector<Runtime>& all) {
  if (find("crun").empty() && find("runc").empty()) return {};
  const std::string plain = TRY(create_oci_bundle(c.directory, root, "/bin/true", Hardening::namespaces));
  const std::string full = TRY(create_oci_bundle(c.directory, root, "/bin/true", Hardening::full));
  for (const std::string name : {"crun", "runc"}) {
    const std::string path = find(name);
    if (path.empty()) continue;
    const std::string state = " --root " + c.directory + "/" + name;
    all.push_back(with_fresh_id(name, path + state + " run --bundle " + plain, {"fork+exec"}));
    all.push_back(with_fresh_id(name + " full", path + state + " run --bundle " + full, {"fork+exec"}));
  }
  return {};
}

}  // namespace

Result<std::vector<Runtime>> native_runtimes(const Comparison& c) {
  const bool host = c.busybox.empty();
  const std::string root = host ? "/" : TRY(create_busybox_root(c.directory, c.busybox));
  const std::string command = "/bin/true";
  std::vector<Runtime> all;
  all.push_back({"fork+exec", {host ? command : root + command}});
  if (const std::string bwrap = find("bwrap"); !bwrap.empty())
    all.push_back({"bwrap",
                   {bwrap, "--unshare-all", "--ro-bind", root, "/", "--dev", "/dev", "--proc", "/proc", command},
                   {"fork+exec"}});
  std::vector<std::string> run{c.bailey, "run", "--trust", "trusted"};
  if (!host) run.insert(run.end(), {"--rootfs", root});
  std::vector<std::string> bridged = run;
  run.insert(run.end(), {"--", command});
  bridged.insert(bridged.end(), {"--net", "bridge", "--", command});
  // It knows cgroup version 1 alone.
  const bool floor = !host && ::access("/sys/fs/cgroup/memory/tasks", W_OK) == 0;
  if (floor) all.push_back({"floor", {c.floor, root, command}, {"fork+exec", "bwrap"}});
  if (c.bridge) all.push_back({"bailey, bridge", std::move(bridged), {"bailey native"}});
  all.push_back({"bailey native", std::move(run), {"fork+exec", "bwrap", "floor", "crun full", "runc full"}});
  if (!host) TRY(add_oci_runtimes(c, root, all));
  return all;
}

Result<std::vector<Runtime>> gvisor_runtimes(const Comparison& c) {
  const std::string bundle = TRY(create_runsc_bundle(c.directory, c.bailey, c.runsc, "/bin/true"));
  const std::string bare =
      c.runsc + " --root=" + c.directory + "/state --network=none --ignore-cgroups --overlay2=none run --bundle " + bundle;
  std::vector<Runtime> all;
  all.push_back(with_fresh_id("runsc run", bare, {}));
  all.push_back({"bailey gvisor", {c.bailey, "run", "--runsc", c.runsc, "--", "/bin/true"}, {"runsc run"}});
  return all;
}

}  // namespace bailey::bench
