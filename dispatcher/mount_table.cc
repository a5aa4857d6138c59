#include "dispatcher/mount_table.h"

#include <algorithm>
#include <charconv>

#include "base/files.h"
#include "dispatcher/guards/paths.h"

namespace bailey::dispatcher {

namespace {

constexpr size_t kMaxMountinfoBytes = 64 << 20;
constexpr size_t kUsualMounts = 64;

// The kernel writes blank, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
  if (text.find('\\') == text.npos) return std::string(text);
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    const char* digits = text.data() + i + 1;
    if (text[i] == '\\' && i + 3 < text.size() && std::from_chars(digits, digits + 3, code, 8).ptr == digits + 3) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string_view next_field(std::string_view& line) {
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

// What of `path` lies below `top`, with its leading slash; empty for `top` itself.
std::string_view below(std::string_view path, std::string_view top) { return top == "/" ? path : path.substr(top.size()); }

std::string join(std::string_view top, std::string_view rest) {
  if (top == "/") return rest.empty() ? "/" : std::string(rest);
  return std::string(top).append(rest == "/" ? "" : rest);
}

void add_other_names(std::string_view path, const std::vector<MountEntry>& mounts, std::vector<OtherName>& names) {
  const MountEntry* own = nullptr;  // the deepest mount above it; of two at one place the later one covers the earlier
  for (const MountEntry& mount : mounts)
    if (is_at_or_below(path, mount.point) && (!own || mount.point.size() >= own->point.size())) own = &mount;
  if (!own) return;
  const std::string inside = join(own->root, below(path, own->point));
  for (const MountEntry& mount : mounts) {
    if (mount.device != own->device || !is_at_or_below(inside, mount.root)) continue;
    OtherName name{join(mount.point, below(inside, mount.root)), mount.point};
    if (name.path != path && std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
}

}  // namespace

// 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/sda1 rw,errors=continue          (proc_pid_mountinfo(5))
std::vector<MountEntry> parse_mount_table(std::string_view mountinfo) {
  std::vector<MountEntry> entries;
  entries.reserve(kUsualMounts);
  while (!mountinfo.empty()) {
    const size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
    std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    const size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) continue;
    std::string_view type = line.substr(separator + 3);
    next_field(line), next_field(line);
    MountEntry entry;
    entry.device = next_field(line);
    entry.root = unescape(next_field(line));
    entry.point = unescape(next_field(line));
    entry.type = next_field(type);
    if (entry.point.starts_with('/') && entry.root.starts_with('/')) entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::vector<MountEntry>> read_mount_table() {
  return parse_mount_table(TRY(files::read("/proc/self/mountinfo", kMaxMountinfoBytes)));
}

std::vector<OtherName> other_names(std::string_view real_path, const std::vector<MountEntry>& mounts) {
  std::vector<OtherName> names;
  add_other_names(real_path, mounts, names);
  for (const MountEntry& mount : mounts)
    if (mount.point != real_path && is_at_or_below(mount.point, real_path)) add_other_names(mount.point, mounts, names);
  return names;
}

}  // namespace bailey::dispatcher
