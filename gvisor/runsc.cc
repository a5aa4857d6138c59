#include "gvisor/runsc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/command.h"
#include "base/files.h"
#include "base/units.h"

namespace bailey::gvisor {

namespace {

constexpr const char* kUsualPlaces[] = {"/usr/local/bin/runsc", "/usr/bin/runsc",        "/usr/local/sbin/runsc",
                                        "/usr/sbin/runsc",      "/opt/gvisor/bin/runsc", "/opt/gvisor/runsc"};
constexpr const char* kInstall = "install gVisor's runsc (README, 'Getting runsc') or name one with --runsc PATH";

std::unexpected<Error> unusable(const std::string& path, std::string_view why, std::string remedy = kInstall) {
  return fail(Fault::unavailable, "runsc at " + path + ": " + std::string(why), std::move(remedy));
}

// A script would run its interpreter, which nobody checked and which is not there in the private root (child.h).
bool is_program(int file) {
  const Fd readable(::open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDONLY | O_CLOEXEC));
  char magic[4] = {};
  return readable && ::read(readable.get(), magic, sizeof magic) == sizeof magic &&
         std::memcmp(magic, "\177ELF", sizeof magic) == 0;
}

int64_t nanoseconds(const struct timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; }

Result<std::string> kernel_identity() {
  utsname names{};
  if (::uname(&names) < 0) return sys_error("uname", errno);
  std::string boot = TRY(files::read("/proc/sys/kernel/random/boot_id", 64));
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  return std::string(names.release) + " " + boot;
}

// Why somebody else could change what this is; empty when nobody can.
std::string changeable_by(const struct stat& info, uid_t self) {
  if (info.st_uid != 0 && info.st_uid != self) return "belongs to user " + std::to_string(info.st_uid);
  if (info.st_mode & S_IWOTH) return "is writable by everybody";
  if ((info.st_mode & S_IWGRP) && info.st_gid != 0) return "is writable by group " + std::to_string(info.st_gid);
  return {};
}

// Every directory from the one that holds `real_path` up to "/".
Result<> check_directories(const std::string& path, const std::string& real_path) {
  std::string directory = real_path;
  while (directory != "/") {
    const size_t slash = directory.rfind('/');
    directory.resize(slash == 0 ? 1 : slash);
    struct stat info{};
    if (::lstat(directory.c_str(), &info) < 0) return sys_error("looking at " + directory, errno);
    if (!S_ISDIR(info.st_mode)) return unusable(path, directory + " is no directory any more");
    const std::string why = changeable_by(info, ::geteuid());
    if (!why.empty())
      return unusable(path, "its directory " + directory + " " + why + ", who could replace it",
                      "install runsc in a directory that only root may write, such as /usr/local/bin");
  }
  return {};
}

Result<std::string> find(const std::string& wanted, std::string_view search_path) {
  if (!wanted.empty()) {
    if (wanted.front() != '/') return unusable(wanted, "the path is not absolute", "name it with its absolute path");
    return wanted;
  }
  std::string tried;
  const auto exists = [&](const std::string& candidate) {
    tried.append(tried.empty() ? "" : ", ").append(candidate);
    struct stat info{};
    return ::stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  };
  while (!search_path.empty()) {
    const size_t colon = search_path.find(':');
    const std::string_view directory = search_path.substr(0, colon);
    // A relative element would make the choice depend on where the caller stands.
    if (directory.starts_with('/') && exists(std::string(directory) + "/runsc")) return std::string(directory) + "/runsc";
    if (colon == std::string_view::npos) break;
    search_path.remove_prefix(colon + 1);
  }
  for (const char* candidate : kUsualPlaces)
    if (exists(candidate)) return std::string(candidate);
  return fail(Fault::unavailable, "no runsc found; looked for " + tried, kInstall);
}

}  // namespace

Result<Binary> open_runsc(const std::string& wanted, std::string_view search_path) {
  Binary binary;
  binary.path = TRY(find(wanted, search_path));
  const std::string& path = binary.path;
  binary.file = Fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!binary.file) return unusable(path, std::strerror(errno));
  struct stat info{};
  if (::fstat(binary.file.get(), &info) < 0) return sys_error("looking at " + path, errno);
  if (!S_ISREG(info.st_mode)) return unusable(path, "is not a regular file");
  if (::faccessat(binary.file.get(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
    return unusable(path, "is not executable", "chmod 755 " + path);
  if (!is_program(binary.file.get()))
    return unusable(path, "is not a program but a script or data", "name runsc itself, not a wrapper around it");
  const std::string why = changeable_by(info, ::geteuid());
  if (!why.empty()) return unusable(path, "it " + why, "chown root:root and chmod 755 it, if you trust its contents");

  const std::string real_path = TRY(files::readlink("/proc/self/fd/" + std::to_string(binary.file.get())));
  TRY(check_directories(path, real_path));
  struct stat again{};
  if (::lstat(real_path.c_str(), &again) < 0 || again.st_dev != info.st_dev || again.st_ino != info.st_ino)
    return unusable(path, "it was replaced while it was being checked", "try again");

  binary.sidecars = Fd(::open((real_path.substr(0, real_path.rfind('/')) + "/gvisor-bin").c_str(),
                              O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat sidecars{};
  if (binary.sidecars && (::fstat(binary.sidecars.get(), &sidecars) < 0 || !changeable_by(sidecars, ::geteuid()).empty()))
    return unusable(path, "others may change its gvisor-bin directory", "chown root:root and chmod 755 it");

  binary.identity = {info.st_dev,
                     info.st_ino,
                     static_cast<uint64_t>(info.st_size),
                     nanoseconds(info.st_mtim),
                     nanoseconds(info.st_ctim),
                     TRY(kernel_identity())};
  return binary;
}

Result<Traits> ask_traits(const Binary& binary, int64_t limit_ms) {
  const auto ask = [&](std::vector<std::string> arguments) -> Result<std::string> {
    std::string question = arguments.back() == "-h" ? "run -h" : arguments.back();
    const CommandOutcome outcome =
        TRY_WITH(run_command({"/proc/self/fd/" + std::to_string(binary.file.get()), std::move(arguments), {}, limit_ms}),
                 "runsc at " + binary.path);
    if (outcome.timed_out)
      return unusable(binary.path, "'" + question + "' has not answered within " + units::format_milliseconds(limit_ms));
    // `run -h` ends with 0, 1 or 2, depending on the build; what it prints is the answer.
    if (outcome.signal != 0)
      return unusable(binary.path, "'" + question + "' died of signal " + std::to_string(outcome.signal));
    if (question == "--version" && outcome.exit_code != 0)
      return unusable(binary.path, "--version ended with " + std::to_string(outcome.exit_code));
    return outcome.out + "\n" + outcome.err;
  };
  Traits traits;
  const std::string version = TRY(ask({"--version"}));
  if (const auto parsed = parse_version(version, traits); !parsed) return unusable(binary.path, parsed.error().message);
  const std::string flags = TRY(ask({"flags"}));
  traits.flags = parse_flags(flags);
  traits.caps_overlay = parse_overlay_cap(flags);
  traits.run_flags = parse_flags(TRY(ask({"run", "-h"})));
  for (const char* needed : {"root", "network", "platform", "ignore-cgroups", "log", "log-format"})
    if (!traits.has_flag(needed)) return unusable(binary.path, "its `flags` do not list -" + std::string(needed));
  if (!traits.has_run_flag("bundle")) return unusable(binary.path, "its `run -h` does not list -bundle");
  return traits;
}

}  // namespace bailey::gvisor
