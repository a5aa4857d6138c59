#include "gvisor/answers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/files.h"
#include "base/json.h"

namespace bailey::gvisor {

namespace {

constexpr int64_t kFormat = 3;
constexpr size_t kFileCap = 64 * 1024;
constexpr std::pair<std::string_view, PlatformAnswer> kPlatformAnswers[] = {
    {"works", PlatformAnswer::works}, {"no such platform", PlatformAnswer::no_such_platform}};

std::string file_name(const Identity& identity) {
  return std::to_string(identity.device) + "-" + std::to_string(identity.inode) + ".json";
}

// The directory, made when it is missing. Not a link, this user's, closed to others: what is in it is believed. The one
// above it is not made here (the state store does that), and nothing is made in one that may be another user's trap.
Result<Fd> open_directory(const std::string& runtime_directory) {
  const Fd above = TRY(files::open(runtime_directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const struct stat holder = TRY(files::stat_fd(above.get(), runtime_directory));
  if (holder.st_uid != ::geteuid() || (holder.st_mode & 022) != 0)
    return fail(Fault::unavailable, runtime_directory + " is not this user's alone", "remove it");
  const std::string path = runtime_directory + "/.runsc";
  if (::mkdirat(above.get(), ".runsc", 0700) < 0 && errno != EEXIST) return sys_error("mkdir " + path, errno);
  Fd directory = TRY(files::open_at(above.get(), ".runsc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const struct stat info = TRY(files::stat_fd(directory.get(), path));
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return fail(Fault::unavailable, path + " is not this user's alone", "remove it");
  return directory;
}

json::Array names(const std::set<std::string, std::less<>>& from) {
  json::Array out;
  for (const std::string& name : from) out.emplace_back(name);
  return out;
}

std::string encode(const Identity& identity, const Answers& answers) {
  json::Object top, id, platforms;
  id.set("device", identity.device);
  id.set("inode", identity.inode);
  id.set("size", identity.size);
  id.set("modified_ns", identity.modified_ns);
  id.set("changed_ns", identity.changed_ns);
  id.set("kernel", identity.kernel);
  for (const auto& [name, answer] : answers.platforms)
    platforms.set(name, answer == PlatformAnswer::works ? "works" : "no such platform");
  top.set("format", kFormat);
  top.set("identity", std::move(id));
  top.set("version", answers.traits.version);
  top.set("oci_version", answers.traits.oci_version);
  top.set("flags", names(answers.traits.flags));
  top.set("run_flags", names(answers.traits.run_flags));
  top.set("caps_overlay", answers.traits.caps_overlay);
  top.set("platforms", std::move(platforms));
  return json::write(std::move(top));
}

struct Decoded {
  int64_t format = 0;
  Identity identity;
  Answers answers;
};

Result<Decoded> decode(std::string_view text) {
  const json::Value value = TRY(json::parse(text, "runsc's answers"));
  Decoded out;
  json::Decoder decoder(json::UnknownKeys::refuse);
  decoder.object(value, [&](json::ObjectView& top) {
    top.require("format", out.format);
    top.require("version", out.answers.traits.version);
    top.require("oci_version", out.answers.traits.oci_version);
    top.require("caps_overlay", out.answers.traits.caps_overlay);
    std::vector<std::string> flags, run_flags;
    top.require("flags", flags);
    top.require("run_flags", run_flags);
    out.answers.traits.flags.insert(flags.begin(), flags.end());
    out.answers.traits.run_flags.insert(run_flags.begin(), run_flags.end());
    top.object("identity", [&](json::ObjectView& id) {
      id.require("device", out.identity.device);
      id.require("inode", out.identity.inode);
      id.require("size", out.identity.size);
      id.require("modified_ns", out.identity.modified_ns);
      id.require("changed_ns", out.identity.changed_ns);
      id.require("kernel", out.identity.kernel);
    });
    top.object("platforms", [&](json::ObjectView& platforms) {
      platforms.each([&](const std::string& name, const json::Value&) {
        PlatformAnswer answer{};
        if (platforms.get_enum(name, answer, kPlatformAnswers)) out.answers.platforms[name] = answer;
      });
    });
  });
  TRY(decoder.finish("runsc's answers"));
  return out;
}

}  // namespace

std::optional<Answers> load_answers(const std::string& runtime_directory, const Identity& identity) {
  if (runtime_directory.empty()) return {};
  const auto directory = open_directory(runtime_directory);
  if (!directory) return {};
  const auto file = files::open_at(directory->get(), file_name(identity), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return {};
  struct stat info{};
  if (::fstat(file->get(), &info) < 0 || !S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    return {};
  const auto text = files::read_fd(file->get(), kFileCap, "runsc's answers");
  if (!text) return {};
  auto decoded = decode(*text);
  if (!decoded || decoded->format != kFormat || decoded->identity != identity) return {};
  return std::move(decoded->answers);
}

Result<> keep_answers(const std::string& runtime_directory, const Identity& identity, const Answers& answers) {
  if (runtime_directory.empty()) return {};
  const Fd directory = TRY(open_directory(runtime_directory));
  return files::write_atomically(directory.get(), file_name(identity), encode(identity, answers), 0600);
}

}  // namespace bailey::gvisor
