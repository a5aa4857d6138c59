#include "gvisor/runsc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/command.h"
#include "base/files.h"
#include "base/program.h"
#include "base/protection.h"
#include "base/units.h"

namespace bailey::gvisor {

namespace {

constexpr const char* kUsualPlaces[] = {"/usr/local/bin/runsc", "/usr/bin/runsc",        "/usr/local/sbin/runsc",
                                        "/usr/sbin/runsc",      "/opt/gvisor/bin/runsc", "/opt/gvisor/runsc"};
constexpr const char* kInstall = "install gVisor's runsc (README, 'Getting runsc') or name one with --runsc PATH";

std::unexpected<Error> unusable(const std::string& path, std::string_view why, std::string remedy = kInstall) {
  return fail(Fault::unavailable, "runsc at " + path + ": " + std::string(why), std::move(remedy));
}

int64_t nanoseconds(const struct timespec& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; }

Result<std::string> kernel_identity() {
  utsname names{};
  if (::uname(&names) < 0) return sys_error("uname", errno);
  std::string boot = TRY(files::read("/proc/sys/kernel/random/boot_id", 64));
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  return std::string(names.release) + " " + boot;
}

}  // namespace

Result<Binary> open_runsc(const std::string& wanted, std::string_view search_path) {
  const std::string path = wanted.empty() ? TRY(find_program({"runsc", search_path, kUsualPlaces, kInstall})) : wanted;
  Program program = TRY(open_program(path, "runsc", kInstall));
  const struct stat& info = program.info;
  Binary binary;
  binary.path = path;
  binary.file = std::move(program.file);
  const std::string directory = program.real_path.substr(0, program.real_path.rfind('/'));
  binary.sidecars = Fd(::open((directory + "/gvisor-bin").c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (binary.sidecars)
    if (const auto weakness = weakness_of(TRY(files::stat_fd(binary.sidecars.get(), "gvisor-bin")), "gvisor-bin"))
      return unusable(path, "its directory gvisor-bin " + weakness->why, "chown root:root and chmod 755 it");

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
