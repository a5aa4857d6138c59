// What --explain prints: every guard's verdict, the backend and why, the plan. Starts nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "dispatcher/guards.h"
#include "dispatcher/request.h"

namespace bailey::cli {

struct Explanation {
  dispatcher::Request request;
  std::vector<dispatcher::Verdict> verdicts;
  dispatcher::About about{};
  std::string why_backend{};
  std::optional<Error> backend_fault{};  // the guards let it pass, the backend cannot do it
  json::Value plan{};
  std::vector<std::string> filter{};  // of the network, if it has one: network::explain()

  bool would_run() const;
  std::string text() const;      // for people
  std::string document() const;  // {"request": ..., "verdicts": [...], "backend": ..., "plan": ..., "filter": [...]}
};

}  // namespace bailey::cli
