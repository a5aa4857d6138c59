// Any bytes: a request that equals itself after writing and reading, or an error. Whatever the request, admission under the
// built-in policy gives untrusted code gVisor, new namespaces and its limits, or nothing.
#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"
#include "dispatcher/admission.h"
#include "dispatcher/limits.h"
#include "dispatcher/request_json.h"
#include "tests/fuzz/check.h"

using namespace bailey;

namespace {

// Facts as if every path that the request names were a plain directory of that name: nothing of the host is opened by name.
dispatcher::OpenedSource pretend(const std::string& path) {
  dispatcher::OpenedSource source;
  source.fd = std::move(*files::open("/", O_PATH));
  source.given = source.real_path = path;
  source.mode = S_IFDIR | 0755;
  return source;
}

dispatcher::HostFacts facts_for(const dispatcher::Request& request) {
  dispatcher::HostFacts facts;
  facts.homes = {{"/root", 0}};
  for (const bundle::Mount& mount : request.config.mounts)
    facts.volumes.push_back(dispatcher::is_bind(mount) ? pretend(mount.source) : dispatcher::OpenedSource{});
  if (request.config.root) facts.rootfs = pretend(request.config.root->path);
  return facts;
}

void check_untrusted(const dispatcher::Spec& spec) {
  CHECK(spec.backend() == dispatcher::BackendKind::gvisor);
  CHECK(spec.request().network == dispatcher::NetworkMode::none);
  const bundle::Config& config = spec.config();
  CHECK(config.hooks.empty() && config.linux.devices.empty() && config.process->capabilities.empty());
  CHECK(config.process->no_new_privileges && !config.linux.seccomp && config.linux.resources.unified.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = dispatcher::parse_request(text, "input");
  if (!request) {
    CHECK(request.error().message.starts_with("input:"));
    return 0;
  }
  const auto again = dispatcher::parse_request(json::write(dispatcher::to_json(*request)), "input");
  CHECK(again && *again == *request);

  static const dispatcher::Policy policy = dispatcher::builtin_policy(true);
  const auto decision = dispatcher::Admission(policy).judge(*request, facts_for(*request));
  CHECK(decision);
  if (!decision->spec) {
    CHECK(!dispatcher::refusal(decision->verdicts).message.empty());
    return 0;
  }
  const dispatcher::Spec& spec = *decision->spec;
  for (const dispatcher::Limit& limit : dispatcher::limits()) {
    const auto value = limit.get(spec.limits()), ceiling = limit.get(spec.level().ceilings);
    CHECK(!ceiling || (value && *value <= *ceiling));
  }
  if (spec.level().untrusted) check_untrusted(spec);
  return 0;
}
