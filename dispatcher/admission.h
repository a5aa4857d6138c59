// Admission: runs every guard and is the only maker of a Spec and of a Job.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "dispatcher/job.h"
#include "dispatcher/spec.h"

namespace bailey::dispatcher {

class Admission {
 public:
  explicit Admission(const Policy& policy) : policy_(policy) {}

  struct Decision {
    std::string id;                    // the request's, or the one that was drawn
    std::vector<Verdict> verdicts;     // all guards', refusals included
    std::shared_ptr<const Spec> spec;  // none when anything was refused
    std::optional<Job> job;            // none when anything was refused, or without a command (Request::awaits_job)
  };
  // Draws the id when the request has none (32 hexadecimal digits of getrandom(2)). Error: that fails, or `facts` are another
  // request's.
  Result<Decision> judge(Request request, HostFacts facts) const;

  struct JobDecision {
    std::vector<Verdict> verdicts;
    std::optional<Job> job;  // none when anything was refused
  };
  // A job for a sandbox that is there: every guard judges the sandbox's request as it would be with this command, by the policy
  // of now. Pure.
  JobDecision judge(const Spec& spec, const JobRequest& wish) const;

 private:
  static Job make_job(bundle::Process process, LimitValues limits, const Request& request);
  const Policy& policy_;
};

// All refusals of a decision as one error: message with every reason, remedy with every remedy; Fault::refused.
Error refusal(const std::vector<Verdict>& verdicts);

}  // namespace bailey::dispatcher
