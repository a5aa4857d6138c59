#include "init/encode.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace bailey::init {

namespace {

struct NamedLimit {
  std::string_view name;
  uint32_t number;
};
constexpr NamedLimit kLimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},       {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

constexpr size_t kLongestString = 128 << 10;  // with its NUL: MAX_ARG_STRLEN

template <typename T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

Result<> append_string(std::string& to, const std::string& text, std::string_view what) {
  if (text.find('\0') != std::string::npos)
    return fail(Fault::bad_input, std::string(what) + " holds a NUL byte, which no program can be given");
  to.append(text.c_str(), text.size() + 1);
  return {};
}

std::string limit_name(uint32_t number) {
  for (const NamedLimit& limit : kLimits)
    if (limit.number == number) return std::string(limit.name);
  return "RLIMIT " + std::to_string(number);
}

const char* step_name(Step step) {
  switch (step) {
    case Step::none: return "start";
    case Step::read_job: return "read_job";
    case Step::streams: return "streams";
    case Step::fork: return "fork";
    case Step::session: return "session";
    case Step::terminal: return "terminal";
    case Step::rlimit: return "rlimit";
    case Step::user: return "user";
    case Step::umask: return "umask";
    case Step::cwd: return "cwd";
    case Step::seccomp: return "seccomp";
    case Step::exec:
    case Step::interpreter: return "exec";
    case Step::init: return "init";
    case Step::protect: return "protect";
    case Step::privileges: return "privileges";
  }
  return "start";
}

std::string system_text(int error) { return std::string(std::strerror(error)) + " (" + errno_name(error) + ")"; }

size_t longest_string(const bundle::Process& process) {
  size_t longest = 0;
  for (const auto* list : {&process.args, &process.env})
    for (const std::string& text : *list) longest = std::max(longest, text.size());
  return longest;
}

// The command could not be executed: the caller's mistake, so no step of ours in the message.
Error exec_error(const Report& report, const bundle::Process& process) {
  const std::string command = process.args.empty() ? "" : process.args[0];
  const bool searched = command.find('/') == std::string::npos;
  Error error;
  error.fault = Fault::not_executable;
  if (report.step == Step::interpreter) {
    error.fault = Fault::not_found;
    error.message = command + ": the file is there, but its interpreter is not found in the sandbox";
    error.remedy = "look at the #! line of a script, or at `readelf -l` of a binary: what it names must exist inside";
    return error;
  }
  switch (report.value) {
    case ENOENT:
    case ENOTDIR:
      error.fault = Fault::not_found;
      if (searched) {
        const auto path =
            std::find_if(process.env.begin(), process.env.end(), [](const std::string& v) { return v.starts_with("PATH="); });
        error.message = command.empty() ? "the command is an empty string"
                                        : command + ": command not found in PATH (" +
                                              (path == process.env.end() ? "not set: /bin:/usr/bin" : path->substr(5)) + ")";
        error.remedy = "name an existing program, or its absolute path inside the sandbox";
      } else {
        error.message = command + ": no such file in the sandbox";
        error.remedy = "the path is looked up inside the sandbox, from its working directory " + process.cwd;
      }
      return error;
    case EISDIR: error.message = command + ": is a directory"; return error;
    case EACCES:
      error.message = command + ": permission denied";
      error.remedy = "it must be executable (chmod +x) for the sandbox's user, and its mount must not be noexec";
      return error;
    case ENOEXEC:
      error.message = command + ": not a program this machine can execute, and without a #! line";
      error.remedy = "run it by its interpreter, for example: sh " + command;
      return error;
    case ENAMETOOLONG:  // gVisor of a long argument
    case E2BIG:
      if (report.value == ENAMETOOLONG && longest_string(process) < kLongestString) break;
      error.message = command + ": the arguments and the environment are too large for the kernel (the longest has " +
                      std::to_string(longest_string(process)) + " bytes)";
      error.remedy = "a single string may have 128 KiB, all together a quarter of the stack limit";
      return error;
    default: break;
  }
  error.message = command + ": " + system_text(report.value);
  return error;
}

std::string number(uint64_t limit) { return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit); }

// " to 4096"; "" when nothing was asked for.
std::string asked_limit(uint32_t resource, const bundle::Process& process) {
  const auto asked = std::ranges::find(process.rlimits, limit_name(resource), &bundle::Rlimit::type);
  return asked == process.rlimits.end() ? "" : " to " + number(asked->hard);
}

// A sandbox may lower the hard limit that it comes with, and not raise it.
std::string lower_limit(uint32_t resource) {
  const char* flag = resource == RLIMIT_NOFILE  ? "--open-files"
                     : resource == RLIMIT_FSIZE ? "--file-size"
                                                : "process.rlimits of the request";
  rlimit own{};
  std::string most = "no more than Bailey's own hard limit";
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &own) == 0) most += ", which is " + number(own.rlim_max);
  return std::string(flag) + ": " + most + "; or raise that one ('ulimit -H', Limit*= of a systemd unit, limits.conf)";
}

std::string failed_attempt(const Report& report, const bundle::Process& process) {
  switch (report.step) {
    case Step::cwd:
      if (report.value == EXDEV) return "the working directory " + process.cwd + " lies outside the sandbox";
      return "entering the working directory " + process.cwd;
    case Step::rlimit: return "setting " + limit_name(report.detail) + asked_limit(report.detail, process);
    case Step::user: return "changing to user " + std::to_string(process.user.uid) + ":" + std::to_string(process.user.gid);
    case Step::terminal: return "taking the terminal";
    case Step::streams: return "making pipes for stdout and stderr";
    case Step::fork: return "starting the first process";
    case Step::read_job: return "init reading its job";
    case Step::session: return "making a session";
    case Step::seccomp: return "installing the seccomp filter";
    case Step::init: return "starting the sandbox's init";
    case Step::protect: return "giving init a user of its own";
    case Step::privileges: return "setting the command's capabilities";
    default: return "starting the command";
  }
}

void change_header(std::string& job, uint32_t flags, uint32_t number) {
  JobHeader header{};
  std::memcpy(&header, job.data(), sizeof header);
  header.flags |= flags;
  header.number |= number;
  std::memcpy(job.data(), &header, sizeof header);
}

}  // namespace

Result<uint32_t> parse_rlimit(std::string_view name) {
  for (const NamedLimit& limit : kLimits)
    if (limit.name == name) return limit.number;
  return fail(Fault::bad_input, "resource limit '" + std::string(name) + "' is not known",
              "names are as in getrlimit(2): RLIMIT_NOFILE, RLIMIT_FSIZE, ...");
}

JobPrivileges privileges_of(const bundle::CapabilitySets& sets, bool no_new_privileges) {
  return {sets.bounding, sets.permitted, sets.effective, sets.inheritable, sets.ambient, no_new_privileges, 0};
}

Result<std::string> encode_job(const bundle::Process& process, UserChange user_change, const JobFilter& filter,
                               const std::optional<JobPrivileges>& privileges) {
  if (process.args.empty()) return fail(Fault::bad_input, "there is no command to run");
  const bundle::User& user = process.user;
  if (process.rlimits.size() > kMaxRlimits) return fail(Fault::bad_input, "more than 64 resource limits");
  if (user.additional_gids.size() > kMaxGids) return fail(Fault::bad_input, "more than 65536 additional groups");

  JobHeader header{};
  header.magic = kJobMagic;
  header.argc = static_cast<uint32_t>(process.args.size());
  header.envc = static_cast<uint32_t>(process.env.size());
  header.rlimit_count = static_cast<uint32_t>(process.rlimits.size());
  header.flags = (user_change == UserChange::by_init ? kJobSetUser : 0u) | (user.umask ? kJobSetUmask : 0u) |
                 (process.terminal ? kJobTerminal : 0u) | (privileges ? kJobPrivileges : 0u);
  if (user_change == UserChange::by_init) {
    header.gid_count = static_cast<uint32_t>(user.additional_gids.size());
    header.uid = user.uid;
    header.gid = user.gid;
  }
  header.umask = user.umask.value_or(0);
  if (filter.program.size() > kMaxInstructions)
    return fail(Fault::bad_input, "a seccomp filter of more than 4096 instructions");
  header.filter_count = static_cast<uint32_t>(filter.program.size());
  header.filter_flags = filter.flags;

  std::string job;
  append(job, header);
  if (privileges) append(job, *privileges);
  for (const bundle::Rlimit& limit : process.rlimits)
    append(job, JobRlimit{TRY(parse_rlimit(limit.type)), limit.soft, limit.hard});
  if (header.gid_count)
    job.append(reinterpret_cast<const char*>(user.additional_gids.data()), header.gid_count * sizeof(uint32_t));
  static_assert(sizeof(JobInstruction) == sizeof(sock_filter));
  if (!filter.program.empty()) job.append(reinterpret_cast<const char*>(filter.program.data()), filter.program.size_bytes());
  TRY(append_string(job, process.cwd, "the working directory"));
  for (const std::string& argument : process.args) TRY(append_string(job, argument, "an argument"));
  for (const std::string& variable : process.env) TRY(append_string(job, variable, "an environment variable"));
  if (job.size() > kMaxJobBytes)
    return fail(Fault::bad_input, "arguments and environment have " + std::to_string(job.size()) + " bytes",
                "the kernel takes 2 MiB by default; hand large data over in a file or on stdin");
  header.total_bytes = static_cast<uint32_t>(job.size());
  std::memcpy(job.data(), &header, sizeof header);
  return job;
}

void relay_output(std::string& job, bool merged) { change_header(job, kJobRelay | (merged ? kJobMerged : 0u), 0); }
void become_pid_1(std::string& job) { change_header(job, kJobInPlace, 0); }
void hold(std::string& job) { change_header(job, kJobInPlace | kJobHeld, 0); }
std::string encode_begin() {
  std::string bytes;
  append(bytes, Begin{kBeginMagic, 0});
  return bytes;
}
void number_job(std::string& job, uint32_t number) { change_header(job, 0, number); }

Result<Report> parse_report(std::string_view bytes) {
  Report report;
  if (bytes.size() != sizeof report) return fail(Fault::failed, "init's report has " + std::to_string(bytes.size()) + " bytes");
  std::memcpy(&report, bytes.data(), sizeof report);
  if (report.magic != kReportMagic || report.kind < ReportKind::started || report.kind > ReportKind::held)
    return fail(Fault::failed, "init sent a malformed report");
  return report;
}

Error start_error(const Report& report, const bundle::Process& process) {
  if (report.step == Step::exec || report.step == Step::interpreter) {
    Error error = exec_error(report, process);
    error.sys = report.value;
    return std::move(error).in_step("exec");
  }
  Error error;
  error.sys = report.value;
  error.message = failed_attempt(report, process);
  if (report.value != EXDEV || report.step != Step::cwd) error.message += ": " + system_text(report.value);
  if (report.step == Step::cwd) {
    error.fault = Fault::bad_input;
    error.remedy = "the directory must exist inside the sandbox and be open to its user";
  }
  if (report.step == Step::rlimit && report.value == EPERM) error.remedy = lower_limit(report.detail);
  if (report.step == Step::seccomp && (report.value == EINVAL || report.value == ENOSYS))
    error.remedy = "this kernel may be too old for what the profile or --seccomp-log asks for: leave it out";
  if (report.step == Step::seccomp && report.value == EBUSY)
    error.remedy = "Bailey itself runs under a seccomp listener, and the kernel allows one only: leave --seccomp-log out";
  if (report.step == Step::init && report.value == EACCES)
    error.remedy = "the kernel may execute no memfd here: sysctl vm.memfd_noexec must not be 2";
  if (report.step == Step::fork && report.value == EAGAIN)
    error.remedy = "the limit of processes is too low to start the command";
  return std::move(error).in_step(step_name(report.step));
}

}  // namespace bailey::init
