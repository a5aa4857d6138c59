// Specs and traits for the tests of gvisor/. Specs come from the real admission: there is no other way to make one.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "dispatcher/admission.h"
#include "dispatcher/limits.h"
#include "gvisor/traits.h"

namespace bailey::gvisor {

inline dispatcher::Request wish(std::vector<std::string> arguments = {"/bin/true"}) {
  dispatcher::Request request;
  request.id = "t";
  request.trust = "trusted";
  request.runtime = dispatcher::BackendKind::gvisor;
  request.config.process.emplace().args = std::move(arguments);
  return request;
}

inline dispatcher::Admission::Decision decide(dispatcher::Request request) {
  auto facts = dispatcher::gather_host_facts(request);
  if (!facts) {
    ADD_FAILURE() << facts.error().message;
    return {};
  }
  dispatcher::Policy policy = dispatcher::builtin_policy(true);
  // The tests' own sources lie below /tmp, and what the guards think of a request is not the matter here.
  auto decision = dispatcher::Admission(policy).judge(std::move(request), std::move(*facts));
  if (!decision) {
    ADD_FAILURE() << decision.error().message;
    return {};
  }
  if (!decision->spec) ADD_FAILURE() << dispatcher::refusal(decision->verdicts).message;
  return std::move(*decision);
}
inline std::shared_ptr<const dispatcher::Spec> admit(dispatcher::Request request) { return decide(std::move(request)).spec; }

// What the reference build and Debian's of 2022 list, as far as anything here asks for it.
inline Traits reference_traits() {
  return {"go-20260905",
          "1.2.1",
          {"directfs", "gofer-network-namespace", "host-settings", "ignore-cgroups", "log", "log-format", "network", "overlay2",
           "panic-log", "platform", "root"},
          {"bundle", "console-socket", "pass-fd"},
          true};
}
inline Traits old_traits() {
  return {"0.0~20221219.0",
          "1.0.2-dev",
          {"ignore-cgroups", "log", "log-format", "network", "overlay2", "panic-log", "platform", "root"},
          {"bundle", "console-socket"},
          false};
}

}  // namespace bailey::gvisor
