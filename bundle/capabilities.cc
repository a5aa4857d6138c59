#include "bundle/capabilities.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <string_view>
#include <vector>

namespace bailey::bundle {

namespace {

constexpr int kMaskBits = 64;

uint64_t bit(int capability) { return uint64_t{1} << capability; }

Result<uint64_t> mask_of(const std::vector<std::string>& names, std::string_view set) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    cap_value_t number = 0;
    // cap_from_name takes numbers and small letters too; the specification does not.
    if (!name.starts_with("CAP_") || cap_from_name(name.c_str(), &number) != 0 || number < 0 || number >= kMaskBits) {
      return fail(Fault::bad_input, "'" + name + "' in the " + std::string(set) + " set is no capability",
                  "capabilities are written CAP_NET_BIND_SERVICE; capabilities(7) lists them");
    }
    if (prctl(PR_CAPBSET_READ, number, 0, 0, 0) < 0) {
      return fail(Fault::bad_input, name + " in the " + std::string(set) + " set is not known to this kernel",
                  "leave it out of the configuration");
    }
    mask |= bit(number);
  }
  return mask;
}

}  // namespace

Result<CapabilitySets> parse_capabilities(const Capabilities& capabilities) {
  CapabilitySets sets;
  sets.bounding = TRY(mask_of(capabilities.bounding, "bounding"));
  sets.effective = TRY(mask_of(capabilities.effective, "effective"));
  sets.permitted = TRY(mask_of(capabilities.permitted, "permitted"));
  sets.inheritable = TRY(mask_of(capabilities.inheritable, "inheritable"));
  sets.ambient = TRY(mask_of(capabilities.ambient, "ambient"));
  if (const uint64_t more = sets.effective & ~sets.permitted)
    return fail(Fault::bad_input, "effective but not permitted: " + capabilities_text(more), "add them to the permitted set");
  if (const uint64_t more = sets.inheritable & ~sets.bounding)
    return fail(Fault::bad_input, "inheritable but not in the bounding set: " + capabilities_text(more),
                "add them to the bounding set");
  if (const uint64_t more = sets.ambient & ~(sets.permitted & sets.inheritable))
    return fail(Fault::bad_input, "ambient but not permitted and inheritable: " + capabilities_text(more),
                "add them to both sets, or leave them out of the ambient set");
  return sets;
}

Result<CapabilitySets> parse_engine_capabilities(const Capabilities& capabilities) {
  Capabilities known = capabilities;
  for (auto* set : {&known.bounding, &known.effective, &known.permitted, &known.inheritable, &known.ambient})
    std::erase_if(*set, [](const std::string& name) { return !mask_of({name}, "").has_value(); });
  CapabilitySets sets;
  sets.bounding = TRY(mask_of(known.bounding, "bounding"));
  sets.effective = TRY(mask_of(known.effective, "effective"));
  sets.permitted = TRY(mask_of(known.permitted, "permitted"));
  sets.inheritable = TRY(mask_of(known.inheritable, "inheritable"));
  sets.ambient = TRY(mask_of(known.ambient, "ambient")) & sets.permitted & sets.inheritable;
  if (const uint64_t more = sets.effective & ~sets.permitted)
    return fail(Fault::bad_input, "effective but not permitted: " + capabilities_text(more), "add them to the permitted set");
  return sets;
}

Capabilities capabilities_of(const CapabilitySets& sets) {
  const auto names = [](uint64_t mask) {
    std::vector<std::string> list;
    for (int capability = 0; capability < kMaskBits; ++capability)
      if (mask & bit(capability)) list.push_back(capabilities_text(bit(capability)));
    return list;
  };
  return {names(sets.bounding), names(sets.effective), names(sets.inheritable), names(sets.permitted), names(sets.ambient)};
}

std::string capabilities_text(uint64_t mask) {
  std::string out;
  for (int capability = 0; capability < kMaskBits; ++capability) {
    if ((mask & bit(capability)) == 0) continue;
    char* name = cap_to_name(capability);
    if (!out.empty()) out += ',';
    for (const char* c = name; c != nullptr && *c != '\0'; ++c) out += static_cast<char>(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    cap_free(name);
  }
  return out.empty() ? "none" : out;
}

}  // namespace bailey::bundle
