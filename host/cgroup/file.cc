#include "host/cgroup/file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "base/files.h"

namespace bailey::host {

namespace {

constexpr size_t kFileCap = 16 << 20;  // cgroup.procs: seven bytes a process

}  // namespace

Result<Fd> open_cgroup(const std::string& path, bool v2) {
  auto opened = files::open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!opened && opened.error().sys == ENOENT) {  // mountinfo also lists what another mount covers
    opened.error().fault = Fault::unavailable;
    opened.error().remedy = kCgroupsNotVisible;
  }
  Fd fd = TRY(std::move(opened));
  const uint64_t type = TRY(files::file_system_type(fd.get()));
  if (type == static_cast<uint64_t>(v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC)) return fd;
  return fail(Fault::unavailable, path + " is an ordinary directory, not a cgroup: a limit written there would do nothing",
              std::string("mount the ") + (v2 ? "cgroup2 file system" : "controller") + " there");
}

Result<std::string> read_cgroup_file(int directory, const std::string& file) {
  const Fd fd = TRY(files::open_at(directory, file, O_RDONLY));
  return files::read_fd(fd.get(), kFileCap, file);
}

Result<> write_cgroup_file(int directory, const std::string& file, std::string_view value) {
  return files::write_existing(directory, file, value);
}

std::optional<uint64_t> find_number(std::string_view text, std::string_view key) {
  while (!key.empty() && !(text.starts_with(key) && text.substr(key.size()).starts_with(' '))) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(end + 1);
  }
  if (!key.empty()) text.remove_prefix(key.size() + 1);
  uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

std::optional<uint64_t> read_cgroup_number(int directory, const char* file, std::string_view key) {
  const Fd fd(::openat(directory, file, O_RDONLY | O_CLOEXEC));
  char text[4096];
  const ssize_t length = fd ? ::read(fd.get(), text, sizeof text) : -1;
  if (length <= 0) return std::nullopt;
  return find_number({text, static_cast<size_t>(length)}, key);
}

}  // namespace bailey::host
