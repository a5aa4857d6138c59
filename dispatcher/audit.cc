#include "dispatcher/audit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "dispatcher/names.h"
#include "dispatcher/networks.h"

namespace bailey::dispatcher {

namespace {

json::Object line_of(const char* event, const std::string& id, const std::string& trust) {
  json::Object line;
  line.set("time", clock::wall_text(clock::wall_ns()));
  line.set("event", event);
  line.set("id", id);
  line.set("uid", static_cast<int64_t>(::getuid()));
  line.set("pid", static_cast<int64_t>(::getpid()));
  line.set("trust", trust);
  return line;
}

void describe_request(json::Object& line, const Request& request) {
  const auto& process = request.config.process;
  if (process && !process->args.empty()) line.set("command", process->args.front());
  line.set("runtime", name_of(request.runtime, kRuntimeNames));
  line.set("network", network_of(request));
  json::Array unsafe;
  if (request.unsafe_opt_ins.native_for_untrusted) unsafe.emplace_back("unsafe-native");
  if (request.unsafe_opt_ins.host_network) unsafe.emplace_back("allow-host-network");
  if (!unsafe.empty()) line.set("unsafe", std::move(unsafe));
}

void describe_backend(json::Object& line, const Spec& spec, const About& about, const FilterAbout& filter) {
  json::Object backend;
  backend.set("name", about.name);
  backend.set("version", about.version);
  backend.set("platform", about.platform);
  line.set("backend", std::move(backend));
  line.set("reason", spec.why_backend());
  if (!filter.profile.empty()) line.set("seccomp", to_json(filter));
}

}  // namespace

Result<Audit> Audit::open(const std::string& path) {
  Audit audit;
  if (path.empty()) return audit;
  const std::string what = "the policy's audit_file " + path;
  const std::string remedy = "make it a regular file that bailey may append to, or change audit_file in the policy";
  auto opened = files::open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
  if (!opened) {
    Error error = std::move(opened).error().with(what);
    error.remedy = remedy;
    return std::unexpected(std::move(error));
  }
  const struct stat info = TRY(files::stat_fd(opened->get(), path));
  if (!S_ISREG(info.st_mode)) return fail(Fault::failed, what + " is not a regular file", remedy);
  audit.fd_ = std::move(*opened);
  audit.path_ = path;
  return audit;
}

Result<> Audit::append(json::Object line) const {
  if (!fd_) return {};
  TRY_WITH(files::write_fd(fd_.get(), json::write(std::move(line)) + "\n", path_), "the audit line was not written");
  return {};
}

Result<> Audit::admit(const Spec& spec, const About& about, const FilterAbout& filter) const {
  if (!fd_) return {};
  json::Object line = line_of("admit", spec.id(), spec.request().trust);
  describe_request(line, spec.request());
  describe_backend(line, spec, about, filter);
  line.set("limits", to_json(spec.limits()));
  return append(std::move(line));
}

Result<> Audit::refuse(const Request& request, const Error& reason) const {
  if (!fd_) return {};
  json::Object line = line_of("refuse", request.id, request.trust);
  describe_request(line, request);
  line.set("reason", reason.message);
  return append(std::move(line));
}

Result<> Audit::start(const Spec& spec, const About& about, const FilterAbout& filter,
                      const std::vector<bundle::IdMapping>& uid_map) const {
  if (!fd_) return {};
  json::Object line = line_of("start", spec.id(), spec.request().trust);
  describe_backend(line, spec, about, filter);
  json::Array ranges;
  for (const bundle::IdMapping& range : uid_map)
    ranges.emplace_back(json::Array{json::Value(range.container_id), json::Value(range.host_id), json::Value(range.size)});
  if (!ranges.empty()) line.set("uid_map", std::move(ranges));
  return append(std::move(line));
}

Result<> Audit::exec(const Spec& spec, const Job& job) const {
  if (!fd_) return {};
  json::Object line = line_of("exec", spec.id(), spec.request().trust);
  line.set("command", job.process().args.front());
  return append(std::move(line));
}

Result<> Audit::exit(const Record& record) const {
  if (!fd_) return {};
  json::Object line = line_of("exit", record.id, record.trust);
  line.set("verdict", to_text(record.outcome));
  line.set("exit_code", exit_code(record));
  if (record.signal != 0) line.set("signal", record.signal);
  if (record.error) line.set("reason", record.error->message);
  line.set("wall_us", record.wall_us);
  return append(std::move(line));
}

}  // namespace bailey::dispatcher
