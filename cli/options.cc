#include "cli/options.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/files.h"
#include "base/units.h"
#include "bundle/mount_options.h"
#include "bundle/reader.h"
#include "dispatcher/limits.h"
#include "dispatcher/names.h"
#include "dispatcher/networks.h"
#include "dispatcher/policy.h"
#include "dispatcher/sink.h"
#include "secrets/request.h"

namespace bailey::cli {

namespace {

constexpr const char* kRequestGroup = "The sandbox";
constexpr const char* kLimitGroup =
    "Limits (above the level's ceiling is refused; defaults are the level's: as built in here, in force by `bailey policy show`)";
constexpr size_t kMaxEnvFile = 1 << 20;
constexpr size_t kMaxSeccompFile = 4 << 20;

using dispatcher::Request;

std::unexpected<Error> bad(const std::string& flag, const std::string& value, const std::string& what, std::string remedy) {
  return fail(Fault::bad_input, flag + " " + value + ": " + what, std::move(remedy));
}

template <typename E, size_t N>
Result<E> parse_name(const std::string& flag, const std::string& value, const std::pair<std::string_view, E> (&names)[N]) {
  std::string known;
  for (const auto& [name, enumerator] : names) {
    if (name == value) return enumerator;
    known.append(known.empty() ? "one of: " : ", ").append(name);
  }
  return bad(flag, value, "not known", known);
}

Result<std::string> absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char here[PATH_MAX];
  if (!::getcwd(here, sizeof here) || here[0] != '/') return sys_error("making " + path + " absolute: getcwd", errno);
  return path == "." ? std::string(here) : std::string(here) + "/" + path;
}

Result<bundle::Mount> parse_volume(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ':') parts.emplace_back();
    else parts.back().push_back(c);
  }
  const char* remedy = "SRC:DST or SRC:DST:OPTION[,OPTION...], such as ro; a path with ':' in it needs a --request document";
  if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty())
    return bad("--volume", text, "not of the form SRC:DST[:OPTIONS]", remedy);
  if (parts[1][0] != '/')
    return bad("--volume", text, "the place inside, " + parts[1] + ", is not absolute", "begin it with /");
  bundle::Mount mount;
  mount.type = "bind";
  mount.source = TRY(absolute(parts[0]));
  mount.destination = parts[1];
  mount.options = {"rbind"};
  if (parts.size() == 2) mount.options.emplace_back("rw");
  for (std::string_view rest = parts.size() == 3 ? parts[2] : std::string_view(); parts.size() == 3;) {
    const size_t comma = rest.find(',');
    const std::string option(rest.substr(0, comma));
    if (const auto refused = bundle::refused_option(bundle::MountKind::bind, option))
      return bad("--volume", text, "option '" + option + "' " + refused->why, refused->remedy);
    mount.options.push_back(option);
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  return mount;
}

Result<uint32_t> parse_id(const std::string& flag, const std::string& whole, std::string_view text) {
  const auto number = units::parse_unsigned(text);
  if (!number || *number >= UINT32_MAX)
    return bad(flag, whole, "'" + std::string(text) + "' is no numeric id",
               "UID[:GID[,GID...]] in numbers from 0 to 4294967294, such as 1000:1000");
  return static_cast<uint32_t>(*number);
}

// Names are not looked up: the sandbox has a passwd file of its own. GID is UID when it is not given.
Result<bundle::User> parse_user(const std::string& text) {
  bundle::User user;
  const size_t colon = text.find(':');
  user.uid = TRY(parse_id("--user", text, std::string_view(text).substr(0, colon)));
  user.gid = user.uid;
  if (colon == std::string::npos) return user;
  std::string_view groups = std::string_view(text).substr(colon + 1);
  for (bool first = true;; first = false) {
    const size_t comma = groups.find(',');
    const uint32_t gid = TRY(parse_id("--user", text, groups.substr(0, comma)));
    if (first) user.gid = gid;
    else user.additional_gids.push_back(gid);
    if (comma == std::string_view::npos) return user;
    groups.remove_prefix(comma + 1);
  }
}

Result<uint32_t> parse_umask(const std::string& text) {
  uint32_t mask = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || text.size() > 4)
      return bad("--umask", text, "not an octal mode", "three octal digits, such as 022");
    mask = mask * 8 + static_cast<uint32_t>(c - '0');
  }
  if (text.empty() || mask > 0777) return bad("--umask", text, "not an octal mode", "three octal digits, such as 022");
  return mask;
}

// KEY=VALUE, or KEY alone for the caller's own value. A later one of the same key replaces the earlier.
Result<> set_environment(std::vector<std::string>& env, const std::string& flag, const std::string& entry) {
  const size_t equals = entry.find('=');
  const std::string key = entry.substr(0, equals);
  if (key.empty())
    return bad(flag, entry.substr(0, equals), "it has no name",
               "KEY=VALUE, or KEY to pass on a variable of your own environment");
  std::string full = entry;
  if (equals == std::string::npos) {
    const char* own = ::getenv(key.c_str());
    if (!own) return bad(flag, key, "your environment has no such variable", "set it, or give " + key + "=VALUE");
    full.append("=").append(own);
  }
  const auto same = std::ranges::find_if(env, [&](const std::string& other) { return other.starts_with(key + "="); });
  if (same != env.end()) *same = std::move(full);
  else env.push_back(std::move(full));
  return {};
}

// One line of a file of variables. No shell reads it: what follows the first '=' is the value, quotes and blanks included, as
// with the env files of other engines. A name with a blank in it is a line that was meant for a shell.
Result<> set_from_line(std::vector<std::string>& env, const std::string& where, std::string_view line) {
  constexpr std::string_view kBlanks = " \t\v\f\r";
  if (line.ends_with('\r')) line.remove_suffix(1);
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  if (line.empty() || line[0] == '#') return {};
  const std::string_view name = line.substr(0, line.find('='));
  if (name.find_first_of(kBlanks) != name.npos)
    return bad(
        where, std::string(name), "a name with a blank in it",
        name.starts_with("export") ? "leave 'export' out: no shell reads this file" : "KEY=VALUE, with no blank before the =");
  return set_environment(env, where, std::string(line));
}

// One entry a line; or, where the text holds a NUL, one entry up to each NUL and every byte meant, as in /proc/PID/environ.
Result<> read_env_file(std::vector<std::string>& env, const std::string& source) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  const std::string text = TRY(read_source("--env-file", source, kMaxEnvFile));
  const bool by_nul = text.find('\0') != std::string::npos;
  size_t at = !by_nul && text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  for (size_t number = 1; at < text.size(); ++number) {
    const size_t end = std::min(text.find(by_nul ? '\0' : '\n', at), text.size());
    const std::string entry = text.substr(at, end - at);
    const std::string where = "--env-file " + source + ":" + std::to_string(number) + ":";
    at = end + 1;
    if (!by_nul) TRY(set_from_line(env, where, entry));
    else if (!entry.empty()) TRY(set_environment(env, where, entry));
  }
  return {};
}

Result<> set_process(Request& request, const RequestFlags& flags, std::vector<std::string> command) {
  bundle::Process process;
  process.args = std::move(command);
  if (process.args.empty()) return fail(Fault::bad_input, "no command was given", "bailey run [OPTIONS] -- COMMAND [ARGS...]");
  if (flags.workdir) process.cwd = *flags.workdir;
  if (flags.user) process.user = TRY(parse_user(*flags.user));
  if (flags.umask) process.user.umask = TRY(parse_umask(*flags.umask));
  process.terminal = flags.terminal;
  for (const std::string& file : flags.env_files) TRY(read_env_file(process.env, file));
  for (const std::string& entry : flags.env) TRY(set_environment(process.env, "--env", entry));
  const bool has_term = std::ranges::any_of(process.env, [](const std::string& entry) { return entry.starts_with("TERM="); });
  if (flags.terminal && !has_term && ::getenv("TERM")) TRY(set_environment(process.env, "--tty", "TERM"));
  request.config.process = std::move(process);
  return {};
}

// " (default: untrusted 1G, at most 4G; trusted 4G)": what the help says of the built-in levels.
std::string built_in_defaults(const dispatcher::Limit& limit) {
  static const dispatcher::Policy policy = dispatcher::builtin_policy();
  std::string text;
  for (const char* name : {"untrusted", "trusted"}) {
    const dispatcher::Level* level = dispatcher::find_level(policy, name);
    if (!level) continue;
    const auto ceiling = limit.get(level->ceilings);
    const auto value = limit.get(level->defaults) ? limit.get(level->defaults) : ceiling;
    text.append(text.empty() ? " (default: " : "; ").append(name).append(" ");
    text += dispatcher::format_limit(limit, value.value_or(dispatcher::kUnlimited));
    if (ceiling) text += ", at most " + dispatcher::format_limit(limit, *ceiling);
  }
  return text + ")";
}

// An empty value would mean the default or the working directory. More likely it is an unset variable of a script, so it is
// refused.
Result<> refuse_empty(const RequestFlags& flags) {
  const std::pair<const char*, const std::optional<std::string>*> texts[] = {
      {"--trust", &flags.trust}, {"--runtime", &flags.runtime},   {"--net", &flags.network},    {"--rootfs", &flags.rootfs},
      {"--name", &flags.name},   {"--hostname", &flags.hostname}, {"--seccomp", &flags.seccomp}};
  const auto refuse = [](const std::string& flag) {
    return bad(flag, "''", "it is empty", "leave it out for the default, or give a value");
  };
  for (const auto& [flag, text] : texts)
    if (*text && (*text)->empty()) return refuse(flag);
  for (const auto& [name, value] : flags.backend_settings)
    if (value.empty()) return refuse("--" + name);
  return {};
}

Result<> set_limits(Request& request, const RequestFlags& flags) {
  for (const auto& [flag, value] : flags.limits) {
    const auto limit = std::ranges::find(dispatcher::limits(), flag, &dispatcher::Limit::flag);
    auto number = dispatcher::parse_limit(*limit, value);
    if (!number) return std::unexpected(std::move(number).error().with(flag));
    // In a configuration 0 means "not set" for some of them; who types it means it.
    if (*number < limit->least)
      return bad(flag, value, "less than anything needs",
                 flag + " " + dispatcher::format_limit(*limit, limit->least) + " or more");
    limit->ask(request, *number);
  }
  return {};
}

}  // namespace

void add_request_flags(OptionTable& table, RequestFlags& flags) {
  table.group(kRequestGroup);
  table.one("--trust", flags.trust, "LEVEL", "trust level of the policy: untrusted (default), trusted, ...");
  table.one("--runtime", flags.runtime, "native|gvisor|auto", "backend; auto (default) is the level's first");
  table.flag("--unsafe-native", flags.unsafe_native,
             "native for an untrusted level; the policy must allow it as well (default: refused)");
  table.one("--net", flags.network, "none|bridge[:NAME]|userspace|host",
            "network (default none); bridge:NAME is shared with all who say so");
  table.flag("--ipv6", flags.ipv6, "an IPv6 address as well, on a bridge (default: IPv4 only)");
  table.many(
      "--egress", flags.egress, "WHAT",
      "what bridge and userspace let through: any, private, dns, ADDRESS[/LEN][:PORT][/tcp|udp|icmp] ([IPV6]:PORT), NAME[:PORT] "
      "(default the level's: untrusted nothing; trusted any, dns)");
  table.many(
      "-p,--publish", flags.publish, "[[IP:]PORT:]PORT[/udp]",
      "port of the host (on 127.0.0.1 unless IP says otherwise) that leads to the sandbox's, with bridge and userspace (default none)");
  table.flag("--allow-host-network", flags.allow_host_network, "needed with --net host (default: refused)");
  table.one("--rootfs", flags.rootfs, "DIR", "root file system, read-only (default: made of the host's /usr)");
  table.flag("--writable", flags.writable,
             "put an in-memory layer over the root; what is written is lost at the end (default: read-only)");
  table.many("-v,--volume", flags.volumes, "SRC:DST[:OPTION,...]",
             "file or directory of the host to show inside: ro, rw (default), noexec, noatime, ... (default none)");
  table.many("--secret", flags.secrets, "NAME=FILE|fd:N[:PATH[:MODE[:UID]]]",
             "secret file, at /run/secrets/NAME or PATH (default none; MODE 0400, UID the workload's)");
  table.many("--secret-dir", flags.secret_directories, "DIR[:PATH[:MODE[:UID]]]",
             "each file of DIR as a secret, below /run/secrets or PATH (default none)");
  table.one("-w,--workdir", flags.workdir, "DIR", "working directory inside (default /)");
  table.many("-e,--env", flags.env, "KEY[=VALUE]",
             "environment variable; KEY alone passes on yours (default PATH, HOME and LANG only)");
  table.many("--env-file", flags.env_files, "FILE|fd:N",
             "one KEY[=VALUE] a line, all behind the = being the value; or NUL-separated (default none)");
  table.one("-u,--user", flags.user, "UID[:GID[,GID...]]", "numeric ids inside (default 0:0, which is nobody on the host)");
  table.one("--umask", flags.umask, "MODE", "octal (default 022)");
  table.one("--hostname", flags.hostname, "NAME", "host name inside (default bailey)");
  table.flag("-t,--tty", flags.terminal, "give the command a terminal (default: pipes)");
  table.one("--name", flags.name, "ID", "name of the sandbox (default: random)");
  for (const dispatcher::BackendSetting& setting : dispatcher::kRequestSettings)
    table.add(setting.flag, setting.value_name, setting.help,
              [&flags, &setting](std::string value) { flags.backend_settings.emplace_back(setting.name, std::move(value)); });
  table.one("--seccomp", flags.seccomp, "FILE|fd:N",
            "native: OCI seccomp profile; narrows or replaces the built-in one, as the level says (default: the built-in one)");
  table.flag(
      "--seccomp-log", [&flags] { flags.seccomp_log = dispatcher::SeccompLog::denied; },
      "native: count refused system calls by name in the result record (default: not counted)");
  table.group(kLimitGroup);
  for (const dispatcher::Limit& limit : dispatcher::limits()) {
    table
        .add(limit.flag, "LIMIT", limit.help,
             [&flags, &limit](std::string value) { flags.limits.emplace_back(limit.flag, std::move(value)); })
        .more_help = [&limit] { return built_in_defaults(limit); };
  }
}

std::vector<std::string> given_request_flags(const OptionTable& table) { return table.given({kRequestGroup, kLimitGroup}); }

Result<Request> make_request(const RequestFlags& flags, std::vector<std::string> command) {
  TRY(refuse_empty(flags));
  Request request;
  if (flags.name) request.id = *flags.name;
  if (flags.trust) request.trust = *flags.trust;
  if (flags.runtime) request.runtime = TRY(parse_name("--runtime", *flags.runtime, dispatcher::kRuntimeNames));
  if (flags.network) {
    dispatcher::NetworkWord word = TRY_WITH(dispatcher::parse_network(*flags.network, false), "--net " + *flags.network);
    request.network = word.mode;
    request.shared_network = std::move(word.shared);
  }
  request.ipv6 = flags.ipv6;
  for (const std::string& text : flags.egress) {
    if (!request.egress) request.egress.emplace();
    request.egress->push_back(TRY_WITH(network::parse_grant(text), "--egress"));
  }
  for (const std::string& text : flags.publish) request.publish.push_back(TRY_WITH(network::parse_publish(text), "--publish"));
  request.unsafe_opt_ins = {.native_for_untrusted = flags.unsafe_native, .host_network = flags.allow_host_network};
  if (flags.rootfs) request.config.root = bundle::Root{.path = TRY(absolute(*flags.rootfs)), .readonly = !flags.writable};
  if (flags.writable) request.root_writes = dispatcher::Writes::memory;
  for (const std::string& text : flags.volumes) request.config.mounts.push_back(TRY(parse_volume(text)));
  for (const std::string& text : flags.secrets) {
    secrets::Request secret = TRY(secrets::parse_request(text));
    if (!secret.file.empty()) secret.file = TRY(absolute(secret.file));
    request.secrets.push_back(std::move(secret));
  }
  for (const std::string& text : flags.secret_directories) {
    secrets::Directory directory = TRY(secrets::parse_directory(text));
    directory.directory = TRY(absolute(directory.directory));
    request.secret_directories.push_back(std::move(directory));
  }
  if (flags.hostname) request.config.hostname = *flags.hostname;
  for (const auto& [name, value] : flags.backend_settings) {
    const auto setting = std::ranges::find(dispatcher::kRequestSettings, name, &dispatcher::BackendSetting::name);
    const bool is_path = setting->type == dispatcher::BackendSetting::Type::path;
    request.backend_settings[name] = is_path ? TRY(absolute(value)) : value;
  }
  if (flags.seccomp) {
    const std::string text = TRY(read_source("--seccomp", *flags.seccomp, kMaxSeccompFile));
    request.config.linux.seccomp = TRY(bundle::parse_seccomp(text, *flags.seccomp));
  }
  request.seccomp_log = flags.seccomp_log;
  TRY(set_process(request, flags, std::move(command)));
  TRY(set_limits(request, flags));
  return request;
}

Result<std::string> read_source(const std::string& flag, const std::string& text, size_t cap) {
  const auto read = [&]() -> Result<std::string> {
    if (const auto number = TRY(dispatcher::parse_descriptor(text))) return files::read_fd(*number, cap, text);
    return files::read(text, cap);
  };
  auto contents = read();
  if (!contents) return std::unexpected(files::bad_path(std::move(contents).error(), flag));
  return contents;
}

}  // namespace bailey::cli
