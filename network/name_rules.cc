#include "network/name_rules.h"

#include <algorithm>

namespace bailey::network {

namespace {

bool in_any(std::span<const Subnet> ranges, const Address& address) {
  return std::ranges::any_of(ranges, [&](const Subnet& range) { return range.contains(address); });
}

}  // namespace

Verdict judge(const dns::Question& question, std::span<const Grant> egress, bool ipv6) {
  if (question.type == dns::type::kAxfr || question.type == dns::type::kIxfr || question.type == dns::type::kOpt) return {};
  Verdict verdict;
  bool all = false;
  // glibc writes a dot within a label, and what is no printable character, with a backslash: no host name has one.
  const bool host = question.name.find('\\') == question.name.npos;
  for (uint32_t i = 0; i < egress.size(); ++i) {
    if (egress[i].kind == Grant::Kind::dns) all = true;
    if (egress[i].kind == Grant::Kind::name && host && matches(egress[i], question.name) && first_of_name(egress, i) == i)
      verdict.grants.push_back(i);
  }
  if (!verdict.grants.empty() && (question.type == dns::type::kA || (ipv6 && question.type == dns::type::kAaaa))) {
    verdict.kind = Verdict::Kind::addresses;
    return verdict;
  }
  if (all) verdict.kind = Verdict::Kind::forwarded;
  else if (!verdict.grants.empty()) verdict.kind = Verdict::Kind::empty;
  verdict.grants.clear();
  return verdict;
}

bool may_open(const Address& address) { return !in_any(closed_ranges(), address) && !in_any(never_ranges(), address); }

bool may_tell(const Address& address, std::span<const Grant> egress) {
  if (may_open(address)) return true;
  return std::ranges::any_of(egress, [&](const Grant& grant) {
    if (grant.kind == Grant::Kind::private_ranges) return in_any(private_ranges(), address);
    if (grant.kind != Grant::Kind::addresses || !grant.to.contains(address)) return false;
    return std::ranges::any_of(closed_ranges(), [&](const Subnet& closed) { return closed.contains(grant.to); });
  });
}

uint32_t open_seconds(uint32_t ttl) { return std::clamp(ttl, kShortestOpen, kLongestOpen) + kGrace; }

}  // namespace bailey::network
