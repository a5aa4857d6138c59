// bailey seccomp show|check|trace: the built-in profile of system calls, whether a file would be one, and the least one that a
// command needs.
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "base/files.h"
#include "bundle/reader.h"
#include "bundle/writer.h"
#include "cli/command_line.h"
#include "cli/options.h"
#include "cli/run.h"
#include "dispatcher/seccomp_oci.h"
#include "dispatcher/sink.h"
#include "native/seccomp_plan.h"
#include "native/seccomp_trace.h"
#include "seccomp/builtin.h"

namespace bailey::cli {

namespace {

using dispatcher::SeccompLog;
using dispatcher::SeccompRule;

constexpr size_t kMaxProfileBytes = 4 << 20;
constexpr const char* kTraceGroup = "This trace";
constexpr int kWritePatienceMs = 10'000;

struct ShowOptions {
  bool floor = false, hash_only = false;
};

int show(const ShowOptions& options) {
  const std::string hash = options.floor ? seccomp::kFloor.hash : seccomp::kWorkload.hash;
  if (options.hash_only) return print(hash + "\n");
  return print("# " + std::string(options.floor ? "Below every profile of a caller's" : "The built-in profile") + ", program " +
               hash + "\n\n" + (options.floor ? seccomp::kFloor.text : seccomp::kWorkload.text));
}

// The line of the value at a path such as ".syscalls[3].args[0]", 0 when there is none.
int line_of(const json::Value& document, std::string_view path) {
  const json::Value* at = &document;
  int line = at->line;
  while (!path.empty() && at) {
    const bool element = path[0] == '[';
    const size_t end = element ? path.find(']') : path.find_first_of(".[", 1);
    const std::string_view key = path.substr(1, end == std::string_view::npos ? end : end - 1);
    if (element) {
      const auto* list = at->as<json::Array>();
      const size_t index = static_cast<size_t>(std::stoul(std::string(key)));
      at = list && index < list->size() ? &(*list)[index] : nullptr;
    } else {
      const auto* object = at->as<json::Object>();
      at = object ? object->find(key) : nullptr;
    }
    if (at) line = at->line;
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + (element ? 1 : 0));
  }
  return line;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

// What the profile would come to, by each rule that a level may have.
Result<std::string> describe(const bundle::Seccomp& profile) {
  std::string text;
  for (const auto& [rule, what] : {std::pair{SeccompRule::narrow, "narrowing the built-in profile: "},
                                   {SeccompRule::replace, "in its place, above the floor:  "}}) {
    const native::SeccompPlan plan = TRY(native::compile_seccomp_plan(profile, rule, SeccompLog::off));
    text += std::string("  ") + what + plan.about.hash + "\n";
    if (!plan.about.allows_more.empty()) text += "    allows more: " + joined(plan.about.allows_more) + "\n";
  }
  return text;
}

int check(const std::string& file) {
  const Result<std::string> text = read_source("seccomp check", file, kMaxProfileBytes);
  if (!text) return report(text.error());
  const Result<bundle::Seccomp> profile = bundle::parse_seccomp(*text, file);
  if (!profile) return report(profile.error());
  std::vector<dispatcher::OciFault> faults;
  const auto rules = dispatcher::read_oci_seccomp(*profile, faults);
  if (!rules) {
    const Result<json::Value> document = json::parse(*text, file);
    std::vector<json::Fault> told;
    for (const dispatcher::OciFault& fault : faults)
      told.push_back({document ? line_of(*document, fault.path) : 0, "$" + fault.path, fault.error.message});
    return report({json::describe(told, file), faults.front().error.remedy, Fault::bad_input, 0, {}});
  }
  const Result<std::string> description = describe(*profile);
  if (!description) return report(Error(description.error()).with(file));
  std::string out = file + ": good\n" + *description;
  if (!rules->ignored_names.empty()) out += "  calls that this machine does not have: " + joined(rules->ignored_names) + "\n";
  return print(out);
}

struct TraceOptions {
  RunFlags run;
  std::optional<std::string> output;
};

int trace(TraceOptions& options, Invocation& invocation) {
  if (options.run.request.seccomp)
    return report({"--seccomp with trace: the profile to be made is of what the built-in one lets pass",
                   "leave --seccomp out",
                   Fault::bad_input,
                   0,
                   {}});
  if (options.run.request.runtime && *options.run.request.runtime != "native")
    return report({"--runtime " + *options.run.request.runtime + " with trace: only native's calls can be seen",
                   "leave --runtime out",
                   Fault::bad_input,
                   0,
                   {}});
  options.run.request.runtime = "native";
  options.run.request.seccomp_log = SeccompLog::all;
  if (!options.output) options.run.stdout_to = 2;  // stdout is the profile's
  const auto sink = dispatcher::Sink::open(options.output.value_or("fd:1"), dispatcher::Sink::Writing::whole);
  if (!sink) return report(Error(sink.error()).with("--output"));
  return perform_run(options.run, invocation, [&](const dispatcher::Record& record, int exit_code) {
    if (record.started_wall_ns == 0) return exit_code;
    const auto profile = native::least_profile(record.calls);
    if (!profile) return report(profile.error());
    const std::string text = json::write(bundle::encode_seccomp(*profile), json::Layout::indented);
    if (auto written = sink->write(text, kWritePatienceMs); !written) return report(Error(written.error()).with("--output"));
    return exit_code;
  });
}

void add_show(OptionTable& table, Invocation& invocation) {
  const auto options = std::make_shared<ShowOptions>();
  table.flag("--floor", options->floor, "what holds below every profile of a caller's instead");
  table.flag("--hash", options->hash_only, "the hash alone");
  invocation.act = [options] { return show(*options); };
}

void add_check(OptionTable& table, Invocation& invocation) {
  const auto file = std::make_shared<std::string>();
  table.operand("FILE", *file, "an OCI seccomp object (linux.seccomp)");
  invocation.act = [file] { return check(*file); };
}

void add_trace(OptionTable& table, Invocation& invocation) {
  const auto options = std::make_shared<TraceOptions>();
  add_request_flags(table, options->run.request);
  table.group(kTraceGroup);
  table.one("-o,--output", options->output, "FILE|fd:N",
            "write the profile there (default stdout; the command's then goes to stderr)");
  table.flag("-i,--interactive", options->run.attach_stdin, "pass stdin on");
  table.one("--policy", options->run.policy, "FILE", "policy (default /etc/bailey/policy.json, else built in)");
  table.one("--result", options->run.result, "FILE|fd:N", "write the result record there");
  table.ends_at_command();
  invocation.act = [options, &invocation] { return trace(*options, invocation); };
}

}  // namespace

std::span<const Command> seccomp_commands() {
  static constexpr std::array kCommands = {
      Command{"show", "print the built-in profile and the hash of its program", add_show, nullptr},
      Command{"check", "say whether a file is a profile for --seccomp: every fault with line and JSON path", add_check,
              nullptr},
      Command{"trace", "run a command natively and write the least OCI profile that it needs", add_trace, nullptr},
  };
  return kCommands;
}

}  // namespace bailey::cli
