#include "network/dns/name_rules.h"

#include <algorithm>

namespace bailey::network {

namespace {

bool in_any(std::span<const Subnet> ranges, const Address& address) {
  return std::ranges::any_of(ranges, [&](const Subnet& range) { return range.contains(address); });
}

// What stands before a domain: "db" of "db.corp.example" where that is "corp.example"; nothing when it is not below it.
std::string_view before(std::string_view name, std::string_view domain) {
  if (name.size() <= domain.size() + 1 || !name.ends_with(domain) || name[name.size() - domain.size() - 1] != '.') return {};
  return name.substr(0, name.size() - domain.size() - 1);
}

bool is_granted(const Grant& grant, std::string_view name, std::span<const std::string> search) {
  if (grant.kind != Grant::Kind::name) return false;
  if (matches(grant, name)) return true;
  if (grant.name.find('.') != grant.name.npos) return false;
  return std::ranges::any_of(search, [&](const std::string& domain) { return before(name, domain) == grant.name; });
}

bool is_step_of_search(std::string_view name, std::span<const Grant> egress, std::span<const std::string> search) {
  return std::ranges::any_of(search, [&](const std::string& domain) {
    const std::string_view rest = before(name, domain);
    return !rest.empty() && std::ranges::any_of(egress, [&](const Grant& grant) { return is_granted(grant, rest, search); });
  });
}

}  // namespace

Verdict judge(const dns::Question& question, std::span<const Grant> egress, bool ipv6, std::span<const std::string> search) {
  if (question.type == dns::type::kAxfr || question.type == dns::type::kIxfr || question.type == dns::type::kOpt) return {};
  Verdict verdict;
  bool all = false;
  // glibc writes a dot within a label, and what is no printable character, with a backslash: no host name has one.
  const bool host = question.name.find('\\') == question.name.npos;
  for (uint32_t i = 0; i < egress.size(); ++i) {
    if (egress[i].kind == Grant::Kind::dns) all = true;
    if (host && is_granted(egress[i], question.name, search) && first_of_name(egress, i) == i) verdict.grants.push_back(i);
  }
  if (!verdict.grants.empty() && (question.type == dns::type::kA || (ipv6 && question.type == dns::type::kAaaa))) {
    verdict.kind = Verdict::Kind::addresses;
    return verdict;
  }
  if (all) verdict.kind = Verdict::Kind::forwarded;
  else if (!verdict.grants.empty()) verdict.kind = Verdict::Kind::empty;
  else if (is_step_of_search(question.name, egress, search)) verdict.kind = Verdict::Kind::no_such;
  verdict.grants.clear();
  return verdict;
}

bool may_be_asked(std::string_view name, std::span<const Grant> egress, std::span<const std::string> search) {
  return std::ranges::any_of(
      egress, [&](const Grant& grant) { return grant.kind == Grant::Kind::dns || is_granted(grant, name, search); });
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
