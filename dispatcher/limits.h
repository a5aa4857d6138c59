// Limits: the table in limits.cc, one line per limit. The policy file, the request document, the flags of `run`, the guard and
// admission walk it. A new limit is one field of LimitValues (policy.h), one line there, and the code that enforces it.
//
// A limit's value is one number here whatever its unit: bytes, a count, milliseconds, or millionths of a CPU. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/policy.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

enum class LimitUnit { bytes, count, cpus, milliseconds };
inline constexpr uint64_t kUnlimited = UINT64_MAX;
// For output that is captured, and so kept in Bailey's memory, where the level gives none and the request says nothing.
inline constexpr uint64_t kCapturedOutputBytes = 64 << 20;

struct Limit {
  std::string_view name;  // in the policy file, in messages and records
  std::string_view flag;  // of `run`
  std::string_view help;
  LimitUnit unit;
  uint64_t least;  // below it nothing runs, or the kernel takes it for "unlimited"
  std::optional<uint64_t> (*get)(const LimitValues&);
  void (*set)(LimitValues&, std::optional<uint64_t>);
  // What the request asks for, kUnlimited included; nullopt when it says nothing. `ask` writes it there.
  std::optional<uint64_t> (*asked)(const Request&);
  void (*ask)(Request&, uint64_t);
  // Of the cgroup: those hold for an engine's configuration too. An engine sees to the time and the output of its containers,
  // and what a process may open or write there is bounded by their memory and their file systems.
  bool for_engines = false;
  std::string_view in_config = {};  // where it is in the OCI configuration; empty: in Request::limits
};

std::span<const Limit> limits();
const Limit* find_limit(std::string_view name);

// The limits in force: what the request asks for (its RunLimits and its configuration), otherwise the level's defaults; of a
// complete request the level's ceilings.
LimitValues resolve_limits(const Request& request, const Level& level);

// "256M", "64", "0.5", "10s" by the limit's unit, or "unlimited". The error says what was given and what would do.
Result<uint64_t> parse_limit(const Limit& limit, std::string_view text);
// What parse_limit reads back as the same value: "1536M", "64", "0.5", "90s", "unlimited".
std::string format_limit(const Limit& limit, uint64_t value);

// In documents: what parse_limit takes as a string; a number means the same as its digits ("10" is ten seconds). A fault goes
// to the decoder, and the answer is nullopt.
std::optional<uint64_t> decode_limit(json::Decoder& decoder, const json::Value& value, const std::string& path,
                                     const Limit& limit);
json::Value encode_limit(const Limit& limit, std::optional<uint64_t> value);  // absent: "unlimited"

}  // namespace bailey::dispatcher
