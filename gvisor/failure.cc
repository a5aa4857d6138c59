#include "gvisor/failure.h"

#include <optional>

namespace bailey::gvisor {

namespace {

constexpr const char* kTooSmall = "a limit is too small for gVisor itself";
constexpr const char* kTooSmallRemedy = "raise --memory, --pids, or the limits that Bailey itself runs under (ulimit -v, -u)";

struct Known {
  std::string_view words;
  const char* cause;
  const char* remedy;
};
constexpr Known kKnown[] = {
    {"unable to remap stdios", "there are more volumes than gVisor takes, which is about 230",
     "mount a directory above them in place of many"},
    {"dup3 of stdios failed", "it moves descriptors beyond 256, and the hard limit of open files is lower",
     "raise the limit that Bailey itself runs under (ulimit -Hn, LimitNOFILE=) to 1024"},
    {"unable to attach: operation not permitted",
     "its kernel has to trace the sandbox's processes, and may not: somebody traces Bailey, or this host forbids it",
     "do not run bailey itself under strace or gdb (inside the sandbox both work); 'bailey doctor' tries the platforms"},
    {"failed to reserve page summary memory", kTooSmall, kTooSmallRemedy},
    {"failed to create new OS thread", kTooSmall, kTooSmallRemedy},
    {"newosproc", kTooSmall, kTooSmallRemedy},
    {"cannot allocate memory", kTooSmall, kTooSmallRemedy},
    {"resource temporarily unavailable", kTooSmall, kTooSmallRemedy},
};

std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin + before.size());
  return text.substr(0, text.find(after));
}

// error setting up FS: mounting {Destination:/data/x Type:bind ...}: mkdir("...") failed: mkdir ...: read-only file system
std::optional<StartFailure> explain_mount(std::string_view words) {
  const std::string place(between(words, "mounting {Destination:", " Type:"));
  if (place.empty()) return std::nullopt;
  if (words.contains("read-only file system"))
    return StartFailure{"the mount point " + place + " is missing, and what it lies in is read-only",
                        "make it there first: a directory for a directory, a file for a file"};
  if (words.contains("not a directory"))
    return StartFailure{place + " is a file, or lies below one, and a directory is to be mounted there", "name another place"};
  if (words.contains("is a directory"))
    return StartFailure{place + " is a directory, and a file is to be mounted there", "name a place in that directory"};
  const std::string_view first = words.substr(0, words.find("; "));
  return StartFailure{"mounting " + place + " failed: " + std::string(first.substr(first.rfind(": ") + 2)),
                      "see 'bailey run --explain' for what is mounted where"};
}

}  // namespace

bool is_noise(std::string_view message) {
  return message.starts_with("Error reading mounts file") || message.ends_with("waiting for sandbox to start: EOF");
}

StartFailure explain_failure(std::string_view words) {
  if (auto mount = explain_mount(words)) return *std::move(mount);
  for (const Known& known : kKnown)
    if (words.contains(known.words)) return {known.cause, known.remedy};
  if (words.empty())
    return {"it left no word in its log", "run 'bailey doctor'; a limit that is too small for gVisor itself is one cause"};
  return {std::string(words), "run 'bailey doctor'"};
}

}  // namespace bailey::gvisor
