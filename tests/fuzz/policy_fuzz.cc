// Any bytes: a policy that equals itself after writing and reading and whose levels hold the invariants, or an error.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "dispatcher/limits.h"
#include "dispatcher/networks.h"
#include "dispatcher/policy.h"
#include "tests/fuzz/check.h"

using namespace bailey;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = dispatcher::parse_policy(text, "input");
  if (!policy) {
    CHECK(policy.error().message.starts_with("input:"));
    return 0;
  }
  const auto again = dispatcher::parse_policy(json::write(dispatcher::to_json(*policy)), "input");
  CHECK(again && *again == *policy);
  CHECK(policy->levels.at("untrusted").untrusted);
  for (const auto& [name, level] : policy->levels) {
    CHECK(level.name == name && !level.runtimes.empty());
    const auto lists = [](const auto& list, auto item) { return std::ranges::find(list, item) != list.end(); };
    CHECK(!level.untrusted || !lists(level.runtimes, dispatcher::BackendKind::native));
    CHECK(!level.untrusted || !lists(level.networks, dispatcher::NetworkMode::host));
    for (const std::string& shared : level.shared_networks) CHECK(shared == "*" || dispatcher::is_network_name(shared));
    for (const dispatcher::Limit& limit : dispatcher::limits()) {
      const auto normal = limit.get(level.defaults), ceiling = limit.get(level.ceilings);
      CHECK(!normal || !ceiling || *normal <= *ceiling);
    }
  }
  return 0;
}
