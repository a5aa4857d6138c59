// The words of requests and policies for the domain's enumerations: one table each, used to read and to write (the
// backends: backend_kinds.h).
#pragma once

#include <string_view>
#include <utility>

#include "dispatcher/policy.h"
#include "dispatcher/request.h"

namespace bailey::dispatcher {

inline constexpr std::pair<std::string_view, NetworkMode> kNetworkNames[] = {{"none", NetworkMode::none},
                                                                             {"host", NetworkMode::host},
                                                                             {"bridge", NetworkMode::bridge},
                                                                             {"userspace", NetworkMode::userspace}};
inline constexpr std::pair<std::string_view, Writes> kWritesNames[] = {{"refuse", Writes::refuse}, {"memory", Writes::memory}};
inline constexpr std::pair<std::string_view, PublishRule> kPublishRuleNames[] = {
    {"none", PublishRule::none}, {"loopback", PublishRule::loopback}, {"any", PublishRule::any}};
inline constexpr std::pair<std::string_view, VolumeRule> kVolumeRuleNames[] = {
    {"none", VolumeRule::none}, {"read_only", VolumeRule::read_only}, {"read_write", VolumeRule::read_write}};

inline constexpr std::pair<std::string_view, SeccompRule> kSeccompRuleNames[] = {
    {"builtin", SeccompRule::builtin}, {"narrow", SeccompRule::narrow}, {"replace", SeccompRule::replace}};
inline constexpr std::pair<std::string_view, SeccompLog> kSeccompLogNames[] = {
    {"off", SeccompLog::off}, {"denied", SeccompLog::denied}, {"all", SeccompLog::all}};

template <typename E, size_t N>
constexpr const char* name_of(E enumerator, const std::pair<std::string_view, E> (&names)[N]) {
  for (const auto& [name, value] : names)
    if (value == enumerator) return name.data();
  return "?";
}

}  // namespace bailey::dispatcher
