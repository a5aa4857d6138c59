#include "base/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/files.h"
#include "base/protection.h"

namespace bailey {

namespace {

std::unexpected<Error> unusable(std::string_view name, const std::string& path, std::string_view why, std::string remedy) {
  return fail(Fault::unavailable, std::string(name) + " at " + path + ": " + std::string(why), std::move(remedy));
}

bool is_elf(int file) {
  const Fd readable(::open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDONLY | O_CLOEXEC));
  char magic[4] = {};
  return readable && ::read(readable.get(), magic, sizeof magic) == sizeof magic &&
         std::memcmp(magic, "\177ELF", sizeof magic) == 0;
}

}  // namespace

Result<std::string> find_program(const ProgramSearch& search) {
  std::string tried;
  const auto exists = [&](const std::string& candidate) {
    tried.append(tried.empty() ? "" : ", ").append(candidate);
    struct stat info{};
    return ::stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  };
  std::string_view rest = search.search_path;
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    // A relative element would make the choice depend on where the caller stands.
    const std::string candidate = std::string(directory) + "/" + std::string(search.name);
    if (directory.starts_with('/') && exists(candidate)) return candidate;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  for (const char* candidate : search.usual_places)
    if (exists(candidate)) return std::string(candidate);
  return fail(Fault::unavailable, "no " + std::string(search.name) + " found; looked for " + tried, search.install);
}

Result<Program> open_program(const std::string& path, std::string_view name, const std::string& install) {
  if (!path.starts_with('/')) return unusable(name, path, "the path is not absolute", "name it with its absolute path");
  Program program{path, {}, Fd(::open(path.c_str(), O_PATH | O_CLOEXEC))};
  if (!program.file) {
    auto failed = sys_error(std::string(name) + " at " + path, errno);
    failed.error().fault = Fault::unavailable;
    if (failed.error().remedy.empty()) failed.error().remedy = install;
    return failed;
  }
  if (::fstat(program.file.get(), &program.info) < 0) return sys_error("looking at " + path, errno);
  if (!S_ISREG(program.info.st_mode)) return unusable(name, path, "is not a regular file", install);
  if (::faccessat(program.file.get(), "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
    return unusable(name, path, "is not executable", "chmod 755 " + path);
  if (!is_elf(program.file.get()))
    return unusable(name, path, "is not a program but a script or data",
                    "name " + std::string(name) + " itself, not a wrapper around it");
  if (const auto weakness = weakness_of(program.info, path))
    return unusable(name, path, "it " + weakness->why, "chown root:root and chmod 755 it, if you trust its contents");
  program.real_path = TRY(files::readlink("/proc/self/fd/" + std::to_string(program.file.get())));
  if (const auto above = TRY(weakness_above(program.file.get())))
    return unusable(name, path, "its directory " + above->path + " " + above->why + ", who could replace it",
                    "install " + std::string(name) + " in a directory that only root may write, such as /usr/local/bin");
  struct stat again{};
  if (::lstat(program.real_path.c_str(), &again) < 0 || again.st_dev != program.info.st_dev ||
      again.st_ino != program.info.st_ino)
    return unusable(name, path, "it was replaced while it was being checked", "try again");
  return program;
}

}  // namespace bailey
