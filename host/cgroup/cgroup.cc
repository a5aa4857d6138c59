#include "host/cgroup/cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "host/cgroup/file.h"
#include "host/cgroup/parent.h"
#include "host/cgroup/settings.h"
#include "host/cgroup/tasks.h"

namespace bailey::host {

namespace {

constexpr int64_t kRemoveMs = 10'000;

bool host_has_swap() {
  const auto swaps = files::read("/proc/swaps", 1 << 16);
  return !swaps || std::ranges::count(*swaps, '\n') > 1;  // the first line is the heading
}

// One open, one write, one read of the same file.
Result<> write_and_check(int directory, const CgroupSetting& setting) {
  const bool writes = !setting.value.empty();
  const Fd fd = TRY(files::open_at(directory, setting.file, writes ? O_RDWR : O_RDONLY));
  ssize_t put = 0;
  do {  // a pending signal ends the memory controller's change of a limit with EINTR (mm/memcontrol-v1.c)
    put = writes ? ::write(fd.get(), setting.value.data(), setting.value.size()) : 0;
  } while (put < 0 && errno == EINTR);
  if (put < 0) return sys_error("writing '" + setting.value + "' to " + setting.file, errno);
  if (setting.check == CgroupSetting::Check::none) return {};
  char text[4096];
  const ssize_t length = ::pread(fd.get(), text, sizeof text, 0);
  if (length < 0) return sys_error("reading back " + setting.file, errno);
  const std::string_view found(text, static_cast<size_t>(length));
  if (holds(setting, found)) return {};
  return fail(Fault::unavailable,
              setting.file + " should read " + setting.expected + " and reads " +
                  std::string(found.substr(0, found.find_last_not_of('\n') + 1)),
              "this host cannot give that much or that little: choose another value");
}

Error explain(Error error, const CgroupSetting& setting) {
  if (error.sys == ENOENT || error.sys == EACCES || error.sys == EPERM || error.sys == EOPNOTSUPP) {
    error.fault = Fault::unavailable;
    error.remedy = error.sys == ENOENT
                       ? "this kernel's " + setting.controller + " controller has no " + setting.file +
                             (setting.swap_only                     ? ": boot with swapaccount=1, or swapoff"
                              : setting.file.contains(".kmem.tcp.") ? ", and buffers of sockets would escape the memory limit: "
                                                                      "boot with cgroup v2, or run without a memory limit"
                                                                    : ": run without that limit")
                       : "run as root, or in a cgroup that was delegated to this user";
  } else if (error.sys == EINVAL || error.sys == ERANGE || error.sys == ENODEV) {
    error.fault = Fault::bad_input;
    error.remedy = "the kernel does not take this value: see cgroups(7) for what " + setting.file + " allows";
  } else if (error.sys == EBUSY) {
    error.remedy = "more is in use already than the new limit allows";
  }
  return std::move(error).with(setting.limit);
}

Result<std::vector<CgroupSetting>> plan(CgroupMounts& mounts, const bundle::Resources& resources) {
  auto settings = compile_cgroup_settings(mounts, resources);
  if (settings || mounts.layout != CgroupLayout::hybrid) return settings;
  mounts = read_unified_controllers(std::move(mounts));
  return compile_cgroup_settings(mounts, resources);
}

// Allowed to every container whatever its rules say, as runc has it: to make nodes, and to use the default devices and its
// terminals.
const bundle::DeviceRule kAlwaysAllowed[] = {
    {true, "c", {}, {}, "m"}, {true, "b", {}, {}, "m"},    {true, "c", 1, 3, "rwm"}, {true, "c", 1, 5, "rwm"},
    {true, "c", 1, 7, "rwm"}, {true, "c", 1, 8, "rwm"},    {true, "c", 1, 9, "rwm"}, {true, "c", 5, 0, "rwm"},
    {true, "c", 5, 2, "rwm"}, {true, "c", 136, {}, "rwm"},
};

Result<> check_memory(const Cgroup::Directory& memory, std::optional<int64_t> limit) {
  const auto used = read_cgroup_number(memory.fd.get(), memory.v2 ? "memory.current" : "memory.usage_in_bytes");
  if (!used || limit.value_or(-1) <= 0 || *used <= static_cast<uint64_t>(*limit)) return {};
  return fail(Fault::refused,
              "updating the memory limit to " + std::to_string(*limit) + ": " + std::to_string(*used) + " bytes are in use");
}

}  // namespace

bool Cgroup::Directory::has(std::string_view controller) const {
  return std::ranges::find(controllers, controller) != controllers.end();
}

Cgroup& Cgroup::operator=(Cgroup&& other) noexcept {
  if (this == &other) return *this;
  Cgroup old(std::move(*this));  // removed at the end of this scope
  parent_ = std::move(other.parent_);
  name_ = std::move(other.name_);
  is_engines_ = other.is_engines_;
  may_exist_ = other.may_exist_;
  directories_ = std::move(other.directories_);
  join_fds_ = std::move(other.join_fds_);
  oom_fd_ = std::move(other.oom_fd_);
  before_ = other.before_;
  memory_before_ = other.memory_before_;
  peak_ = std::move(other.peak_);
  return *this;
}

Cgroup::~Cgroup() {
  if (auto removed = remove(); !removed) log::warning(removed.error().message);
}

std::string cgroup_name(const std::string& id) { return "bailey-" + id; }

Result<Cgroup> Cgroup::create(const CgroupMounts& mounts, const std::string& parent, const std::string& id,
                              const bundle::Resources& resources) {
  if (id.empty() || id.find('/') != std::string::npos) return fail(Fault::bad_input, "'" + id + "' cannot name a cgroup");
  Cgroup made;
  made.parent_ = parent;
  made.name_ = cgroup_name(id);
  return build(std::move(made), mounts, resources);
}

Result<Cgroup> Cgroup::create_for_engine(const CgroupMounts& mounts, const CgroupPlace& place,
                                         const bundle::Resources& resources) {
  Cgroup made;
  made.parent_ = place.parent;
  made.name_ = place.name;
  made.is_engines_ = true;
  made.may_exist_ = place.may_exist;
  return build(std::move(made), mounts, resources);
}

Result<Cgroup> Cgroup::build(Cgroup made, CgroupMounts known, const bundle::Resources& resources) {
  const auto settings = TRY(plan(known, resources));
  auto built = [&]() -> Result<> {
    if (made.is_engines_) TRY(made.add_all_v1(known));
    TRY(made.add_directories(known, settings));
    TRY(made.apply(settings));
    return made.is_engines_ ? made.apply_devices(resources.devices) : Result<>();
  }();
  if (built) return made;
  const std::string context = "creating cgroup " + made.name_;
  if (auto removed = made.remove(); !removed) built.error().message += "; undoing it: " + removed.error().message;
  return std::unexpected(std::move(built).error().with(context));
}

const Cgroup::Directory* Cgroup::find(std::string_view controller) const {
  const auto found = std::ranges::find_if(directories_, [&](const Directory& d) { return d.has(controller); });
  return found == directories_.end() ? nullptr : &*found;
}

const Cgroup::Directory* Cgroup::find_v2() const {
  const auto found = std::ranges::find_if(directories_, &Directory::v2);
  return found == directories_.end() ? nullptr : &*found;
}

int Cgroup::clone_into_fd() const {
  const Directory* directory = find_v2();
  return directory ? directory->fd.get() : -1;
}

Result<> Cgroup::add_directories(const CgroupMounts& mounts, const std::vector<CgroupSetting>& settings) {
  std::vector<std::string> v2_controllers;
  auto add_once = [&](const std::string& name) {
    if (std::ranges::find(v2_controllers, name) == v2_controllers.end()) v2_controllers.push_back(name);
  };
  for (const CgroupSetting& setting : settings) {
    if (setting.v2) add_once(setting.controller);
    else if (!find(setting.controller)) TRY(add_v1(mounts, *mounts.find(setting.controller)));
  }
  // What only the record needs (peak memory, OOM kills, CPU time) is no reason to refuse a sandbox without
  // limits.
  const bool may_lack = settings.empty();
  for (const char* name : {"memory", "cpuacct"}) {
    const auto* where = mounts.find(name);
    if (!where || find(name)) continue;
    if (where->v2) {
      if (mounts.layout == CgroupLayout::v2) add_once(name);
    } else if (auto added = add_v1(mounts, *where); !added && !may_lack) {
      return added;
    }
  }
  if (mounts.layout != CgroupLayout::v2 && v2_controllers.empty()) return {};
  auto added = add_v2(mounts, v2_controllers);
  return may_lack ? Result<>() : added;
}

Result<> Cgroup::add_all_v1(const CgroupMounts& mounts) {
  for (const auto& controller : mounts.controllers)
    if (!controller.v2 && !find(controller.name)) TRY(add_v1(mounts, controller));
  return {};
}

// cgroup v1 (Documentation/admin-guide/cgroup-v1/devices.rst): each rule changes what the ones before have said.
Result<> Cgroup::apply_devices(const std::vector<bundle::DeviceRule>& rules) {
  if (rules.empty()) return {};
  const Directory* directory = find("devices");
  if (!directory)
    return fail(Fault::unavailable, "linux.resources.devices: this host has no devices controller",
                "mount the v1 devices hierarchy, or leave the rules out");
  const auto number = [](const std::optional<int64_t>& value) {
    return value && *value >= 0 ? std::to_string(*value) : std::string("*");
  };
  std::vector<bundle::DeviceRule> all = rules;
  all.insert(all.end(), std::begin(kAlwaysAllowed), std::end(kAlwaysAllowed));
  for (const bundle::DeviceRule& rule : all) {
    const std::string type = rule.type.empty() ? "a" : rule.type;
    const std::string access = rule.access.empty() ? "rwm" : rule.access;
    const std::string text = type == "a" ? "a" : type + " " + number(rule.major) + ":" + number(rule.minor) + " " + access;
    TRY_WITH(write_cgroup_file(directory->fd.get(), rule.allow ? "devices.allow" : "devices.deny", text),
             "linux.resources.devices: '" + text + "'");
  }
  return {};
}

Result<> Cgroup::add_v1(const CgroupMounts& mounts, const CgroupMounts::Controller& where) {
  std::vector<std::string> names;  // all that are mounted there
  for (const auto& other : mounts.controllers)
    if (other.directory == where.directory) names.push_back(other.name);
  CgroupParent below = TRY(open_parent_v1(where, parent_));
  TRY(add(std::move(below), std::move(names), false));
  const Directory& own = directories_.back();
  if (own.has("cpuset")) TRY(inherit_cpuset(own.parent.get(), own.fd.get()));
  join_fds_.push_back(TRY(files::open_at(own.fd.get(), "tasks", O_WRONLY)));
  return {};
}

Result<> Cgroup::add_v2(const CgroupMounts& mounts, const std::vector<std::string>& controllers) {
  CgroupParent below = TRY(open_parent_v2(*mounts.unified, parent_, controllers));
  return add(std::move(below), controllers, true);
}

Result<> Cgroup::add(CgroupParent below, std::vector<std::string> controllers, bool v2) {
  auto made = make_cgroup(below, name_);
  if (may_exist_ && !made && made.error().sys == EEXIST) {
    made = files::open_at(below.fd.get(), name_, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    for (const char* file : {"freezer.state", "cgroup.freeze"})
      if (const auto state = made ? read_cgroup_file(made->get(), file) : Result<std::string>("");
          state && (state->starts_with("FR") || state->starts_with("1")))
        return fail(Fault::refused, "the cgroup " + below.path + "/" + name_ + " is frozen", "thaw it, or name another one");
  }
  if (!made && made.error().sys == EEXIST)
    made.error().remedy = "a sandbox of that id is running, or died: `bailey gc` removes what is dead";
  Directory directory;
  directory.fd = TRY(std::move(made));
  directory.controllers = std::move(controllers);
  directory.path = below.path + "/" + name_;
  directory.name = name_;
  directory.parent = std::move(below.fd);
  directory.v2 = v2;
  directories_.push_back(std::move(directory));
  return {};
}

Result<> Cgroup::apply(const std::vector<CgroupSetting>& settings) {
  // Some values depend on each other (memory and memory+swap, quota and period), and which goes first depends
  // on what was set before: what the kernel refuses in the first pass is tried once more after the rest.
  std::vector<const CgroupSetting*> again;
  for (const bool last : {false, true}) {
    std::vector<const CgroupSetting*> now = std::exchange(again, {});
    if (!last)
      for (const CgroupSetting& setting : settings) now.push_back(&setting);
    for (const CgroupSetting* setting : now) {
      const Directory* directory = find(setting->controller);
      auto written = write_and_check(directory->fd.get(), *setting);
      if (written || (written.error().sys == ENOENT && setting->swap_only && !host_has_swap())) continue;
      if (!last && (written.error().sys == EINVAL || written.error().sys == EBUSY)) again.push_back(setting);
      else return std::unexpected(explain(std::move(written).error(), *setting));
    }
  }
  return {};
}

Result<> Cgroup::update(const bundle::Resources& resources) {
  if (empty()) return fail(Fault::failed, "updating limits: the sandbox has no cgroup");
  CgroupMounts mounts = TRY(find_cgroups());
  const auto settings = TRY(plan(mounts, resources));
  const Directory* memory = find("memory");
  if (memory && resources.memory.check_before_update.value_or(false)) TRY(check_memory(*memory, resources.memory.limit));
  for (const CgroupSetting& setting : settings) {
    if (find(setting.controller)) continue;
    if (setting.v2) {
      TRY(enable_v2(setting));
    } else {
      TRY(add_v1(mounts, *mounts.find(setting.controller)));
      TRY(move_all_into(directories_.back()));
    }
  }
  return apply(settings);
}

Result<> Cgroup::enable_v2(const CgroupSetting& setting) {
  const auto own = std::ranges::find_if(directories_, &Directory::v2);
  if (own == directories_.end())
    return fail(Fault::unavailable, setting.limit + ": the sandbox was made without a v2 cgroup",
                "give the limit when the sandbox is made");
  TRY_WITH(write_cgroup_file(own->parent.get(), "cgroup.subtree_control", "+" + setting.controller), setting.limit);
  own->controllers.push_back(setting.controller);
  return {};
}

Result<> Cgroup::attach(int pid) const {
  for (const Directory& directory : directories_)
    TRY_WITH(write_cgroup_file(directory.fd.get(), "cgroup.procs", std::to_string(pid)),
             "moving a process to " + directory.path);
  return {};
}

Result<> Cgroup::kill(clock::Deadline deadline) const { return kill_tasks(directories_, deadline); }

Result<std::vector<int>> Cgroup::processes() const {
  std::vector<int> pids = TRY(list_tasks(directories_));
  std::erase(pids, 0);
  return pids;
}

std::vector<std::string> Cgroup::paths() const {
  std::vector<std::string> paths;
  for (const Directory& directory : directories_) paths.push_back(directory.path);
  return paths;
}

void Cgroup::leave() {
  directories_.clear();
  join_fds_.clear();
  oom_fd_.reset();
}

Result<> Cgroup::remove() {
  join_fds_.clear();
  oom_fd_.reset();
  peak_.reset();
  const auto deadline = clock::Deadline::in_ms(kRemoveMs);
  Backoff backoff;
  while (!directories_.empty()) {
    auto removed = remove_directory(directories_.back());
    if (removed) {
      directories_.pop_back();
      continue;
    }
    const Error error = std::move(removed).error().with("removing cgroup " + directories_.back().path);
    if (error.sys != EBUSY || deadline.passed()) return std::unexpected(error);
    TRY(kill_tasks(directories_, deadline));
    backoff.wait();
  }
  return {};
}

}  // namespace bailey::host
