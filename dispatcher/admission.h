// Admission: runs every guard and is the only maker of a Spec.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dispatcher/spec.h"

namespace bailey::dispatcher {

class Admission {
 public:
  explicit Admission(const Policy& policy) : policy_(policy) {}

  struct Decision {
    std::string id;                    // the request's, or the one that was drawn
    std::vector<Verdict> verdicts;     // all guards', refusals included
    std::shared_ptr<const Spec> spec;  // none when any refused
  };
  // Draws the id when the request has none (32 hexadecimal digits of getrandom(2)). Error only when that fails.
  Result<Decision> judge(Request request, HostFacts facts) const;

 private:
  const Policy& policy_;
};

// All refusals of a decision as one error: message with every reason, remedy with every remedy; Fault::refused.
Error refusal(const std::vector<Verdict>& verdicts);

}  // namespace bailey::dispatcher
