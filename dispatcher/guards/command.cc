// Rule: there is a command, unless one is to come later, and everything about it is what it seems: an id that is a name, no NUL
// that would cut an argument short, KEY=VALUE in the environment, names that a kernel takes and a line of /etc/hosts holds, a
// working directory that leads through nothing of the host (CVE-2024-21626 went in by a working directory of /proc/self/fd/N).
#include <algorithm>

#include "base/units.h"
#include "dispatcher/guards/findings.h"
#include "dispatcher/guards/paths.h"

namespace bailey::dispatcher {

namespace {

constexpr uint32_t kNoUser = UINT32_MAX;  // (uid_t)-1 means "leave it"

bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

// uname(2): 64 bytes. A blank or a newline would make another line or word of /etc/hosts and /etc/hostname.
void judge_host_name(const std::string& what, const std::string& name, Findings& findings) {
  constexpr size_t kMaxBytes = 64;
  const auto breaks_a_line = [](unsigned char c) { return c <= ' ' || c == 0x7f; };
  if (name.size() > kMaxBytes)
    findings.add(what + " of " + std::to_string(name.size()) + " bytes", "the kernel takes at most 64");
  else if (std::ranges::any_of(name, breaks_a_line))
    findings.add(what + " with a blank or control character in it", "letters, digits, '-' and '.'");
}

void judge_process(const bundle::Process& process, bool needs_command, Findings& findings) {
  if (process.args.empty() ? needs_command : process.args.front().empty()) findings.add("no command", "give one behind --");
  if (std::ranges::any_of(process.args, has_nul))
    findings.add("an argument with a NUL in it", "take it out: exec would cut the argument there");
  // By its number and name only: a value may be a secret, and the audit shows this.
  for (size_t i = 0; i < process.env.size(); ++i) {
    const std::string& entry = process.env[i];
    const size_t name = entry.find('=');
    if (name == std::string::npos || name == 0)
      findings.add("environment entry " + std::to_string(i + 1) + " is not KEY=VALUE", "--env KEY=VALUE");
    else if (has_nul(entry)) findings.add("environment entry '" + entry.substr(0, name) + "' has a NUL in it", "take it out");
  }
  if (!process.cwd.starts_with('/') || has_nul(process.cwd))
    findings.add("working directory '" + process.cwd + "' is not absolute", "an absolute path inside the sandbox");
  else if ((process.cwd + "/").find("/../") != std::string::npos || is_at_or_below(process.cwd, "/proc"))
    findings.add("working directory '" + process.cwd + "' leads through .. or /proc", "a plain path inside the sandbox");
  if (process.user.uid == kNoUser || process.user.gid == kNoUser ||
      std::ranges::any_of(process.user.additional_gids, [](uint32_t gid) { return gid == kNoUser; }))
    findings.add("a user or group id above 4294967294", "--user UID:GID with smaller numbers");
  if (process.user.umask.value_or(0) > 0777) findings.add("a umask above 0777", "permission bits only");
}

}  // namespace

Verdict guard_command(const Request& request, const Policy&, const HostFacts&) {
  Findings findings;
  if (!request.id.empty())
    if (auto name = units::check_name("id", request.id); !name) findings.add(name.error().message, name.error().remedy);
  judge_host_name("a host name", request.config.hostname, findings);
  judge_host_name("a domain name", request.config.domainname, findings);
  judge_process(request.config.process.value_or(bundle::Process{}), !request.awaits_job, findings);
  return findings.verdict("command", request.config.process && !request.config.process->args.empty()
                                         ? request.config.process->args.front()
                                         : "none");
}

}  // namespace bailey::dispatcher
