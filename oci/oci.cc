#include "oci/oci.h"

#include <algorithm>
#include <iterator>

#include "base/files.h"
#include "bundle/config.h"
#include "oci/arguments.h"
#include "oci/commands.h"
#include "oci/words.h"

namespace bailey::oci {

namespace {

struct Verb {
  const char* name;
  Result<int> (*act)(const Call& call, const Runtime& runtime);
};
constexpr Verb kVerbs[] = {{"create", create}, {"start", start}, {"state", state}, {"kill", kill},
                           {"delete", remove}, {"list", list},   {"exec", exec},   {"pause", pause},
                           {"resume", resume}, {"ps", ps},       {"run", run}};

// As runc prints it, which podman reads.
int print_version(const std::string& version) {
  const std::string text = "bailey-oci version " + version + "\nspec: " + bundle::kOciVersion + "\n";
  return files::write_fd(1, text, "stdout") ? 0 : 1;
}

}  // namespace

bool is_runtime_name(const std::string& program) {
  constexpr const char* kNames[] = {"bailey-oci", "runc", "crun", "runsc"};
  const std::string name = program.substr(program.rfind('/') + 1);
  return std::ranges::find(kNames, name) != std::end(kNames);
}

int perform(std::span<const std::string> words, const dispatcher::BackendFactory& make_backend, const std::string& version,
            int64_t started_ns) {
  if (!words.empty() && (words.front() == "--version" || words.front() == "-v")) return print_version(version);
  auto call = parse_call(words);
  if (!call) return tell(call.error(), {});
  const auto verb = std::ranges::find(kVerbs, call->command, &Verb::name);
  const auto done = verb->act(*call, {make_backend, started_ns});
  return done ? *done : tell(done.error(), *call);
}

}  // namespace bailey::oci
