#include "gvisor/destinations.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>

#include "base/files.h"
#include "dispatcher/guards/paths.h"

namespace bailey::gvisor {

namespace {

enum class Kind { directory, other };

std::optional<Kind> kind_of(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) < 0) return std::nullopt;
  return S_ISDIR(info.st_mode) ? Kind::directory : Kind::other;
}

// What lies at `path` below `top`. A file where `path` needs a directory counts as what is there. nullopt: nothing, or a link
// that would have to be followed.
std::optional<Kind> kind_below(int top, const std::string& path) {
  const auto there = files::open_in_root_without_links(top, path, O_PATH);
  if (there) return kind_of(there->get());
  return there.error().sys == ENOTDIR ? std::optional(Kind::other) : std::nullopt;
}

class Destinations {
 public:
  Destinations(const Plan& plan, const Sources& sources) : plan_(plan), sources_(sources) {}

  Result<> check() const {
    for (size_t i = 0; i < plan_.config.mounts.size(); ++i) {
      const bundle::Mount& mount = plan_.config.mounts[i];
      const auto wanted = kind_of_source(mount);
      const auto there = wanted ? kind_at(i) : std::nullopt;
      if (!there || *there == *wanted) continue;
      const std::string what = name_of(mount);
      const std::string problem =
          *wanted == Kind::directory
              ? what + " is to lie at " + mount.destination + ", and that, or a part of its path, is a file inside"
              : what + " is a file, and " + mount.destination + " inside is a directory";
      return fail(
          Fault::refused, problem,
          "a place inside where nothing is, or one of the same kind; for one file in a directory name the file: DIR/FILE");
    }
    return {};
  }

 private:
  // The bind behind a mount of config.json, by its source there: "/volumes/3".
  const Bind* bind_of(const bundle::Mount& mount) const {
    for (const Bind& bind : plan_.binds)
      if (bind.from == Bind::From::volume && mount.source == "/" + bind.target) return &bind;
    return nullptr;
  }

  std::optional<Kind> kind_of_source(const bundle::Mount& mount) const {
    if (mount.type != "bind") return std::nullopt;
    if (const Bind* bind = bind_of(mount)) return kind_of(sources_.volumes[bind->mount]);
    if (mount.source.starts_with("/secrets/")) return Kind::other;
    return std::nullopt;
  }

  std::string name_of(const bundle::Mount& mount) const {
    const Bind* bind = bind_of(mount);
    if (!bind) return "secret '" + mount.source.substr(sizeof "/secrets/" - 1) + "'";
    return files::readlink("/proc/self/fd/" + std::to_string(sources_.volumes[bind->mount])).value_or("the volume");
  }

  // What the mounts before it, or the root, have at its place.
  std::optional<Kind> kind_at(size_t index) const {
    const std::string& path = plan_.config.mounts[index].destination;
    const bundle::Mount* above = nullptr;
    for (size_t i = 0; i < index; ++i) {
      const bundle::Mount& mount = plan_.config.mounts[i];
      if (!dispatcher::is_at_or_below(path, mount.destination)) continue;
      if (!above || mount.destination.size() >= above->destination.size()) above = &mount;
    }
    if (!above) return kind_in_root(path);
    if (above->destination == path) return kind_of_source(*above).value_or(Kind::directory);
    const Bind* bind = bind_of(*above);
    return bind ? kind_below(sources_.volumes[bind->mount], path.substr(above->destination.size())) : std::nullopt;
  }

  std::optional<Kind> kind_in_root(const std::string& path) const {
    using Entry = bundle::RootEntry::Kind;
    if (plan_.root != RootKind::host) return kind_below(sources_.rootfs, path);
    for (const bundle::RootEntry& entry : plan_.entries) {
      const std::string place = "/" + entry.path;
      if (!dispatcher::is_at_or_below(path, place)) continue;
      if (entry.kind == Entry::bind_directory) {
        const auto source = files::open(entry.text, O_PATH | O_DIRECTORY);
        return source ? kind_below(source->get(), path == place ? "/" : path.substr(place.size())) : std::nullopt;
      }
      if (entry.kind == Entry::file || entry.kind == Entry::bind_file) return Kind::other;
      if (path == place) return entry.kind == Entry::directory ? std::optional(Kind::directory) : std::nullopt;
    }
    return std::nullopt;
  }

  const Plan& plan_;
  const Sources& sources_;
};

}  // namespace

Result<> check_destinations(const Plan& plan, const Sources& sources) { return Destinations(plan, sources).check(); }

}  // namespace bailey::gvisor
