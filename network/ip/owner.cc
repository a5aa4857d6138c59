#include "network/ip/owner.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/files.h"
#include "base/units.h"

namespace bailey::network {

namespace {

constexpr std::string_view kBailey = "bailey ";
constexpr size_t kMostWords = 200;  // an alias of a link has 255 bytes at most (IFALIASZ)

}  // namespace

Result<Owner> Owner::of(int directory) {
  const struct stat info = TRY(files::stat_fd(directory, "the runtime directory"));
  return Owner{std::string(kBailey) + std::to_string(major(info.st_dev)) + ":" + std::to_string(minor(info.st_dev)) + ":" +
                   std::to_string(info.st_ino),
               directory};
}

std::string Owner::words() const {
  const auto path = files::readlink("/proc/self/fd/" + std::to_string(directory));
  return path ? (mark + " " + *path).substr(0, kMostWords) : mark;
}

bool Owner::made(std::string_view words) const {
  return words.starts_with(mark) && (words.size() == mark.size() || words[mark.size()] == ' ');
}

std::unexpected<Error> in_the_way(const std::string& what, const std::string& command) {
  return fail(Fault::unavailable, what + " is in the way: Bailey did not make it, or one with another runtime directory did",
              "`" + command + "` when nobody needs it; `bailey network check` names all there is");
}

std::optional<uint32_t> slot_in(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  const auto number = units::parse_unsigned(name);
  if (!number || *number > UINT32_MAX || name != std::to_string(*number)) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

bool made_by_bailey(std::string_view words) { return words.starts_with(kBailey); }

std::string_view directory_in(std::string_view words) {
  const size_t at = made_by_bailey(words) ? words.find(' ', kBailey.size()) : words.npos;
  return at == words.npos ? std::string_view() : words.substr(at + 1);
}

}  // namespace bailey::network
