#include "gvisor/platform.h"

#include <algorithm>

#include "base/clock.h"
#include "base/pidfd.h"
#include "base/units.h"
#include "gvisor/instance.h"

namespace bailey::gvisor {

namespace {

constexpr const char* kDefault = "systrap";  // 20 times ptrace's speed in system calls (docs/gvisor.md)
constexpr const char* kFallback = "ptrace";

// The plumbing of a trial; nobody reads what it prints.
Result<dispatcher::Ending> run_trial(const Binary& binary, const Traits& traits, const std::string& platform,
                                     int64_t limit_ms) {
  const std::string id = TRY(draw_runsc_id());
  Plan plan = TRY(compile_trial({&traits, platform, id}));
  Pipe in = TRY(create_pipe());
  Pipe out = TRY(create_pipe());
  LaunchInputs inputs;
  inputs.plan = &plan;
  inputs.binary = &binary;
  inputs.stdio.in = std::move(in.read);
  inputs.stdio.err = TRY(out.write.duplicate());
  inputs.stdio.out = std::move(out.write);
  dispatcher::Steps steps;
  Launched launched = TRY(launch(std::move(inputs), steps));
  SandboxInstance instance(std::move(plan), OutputPipes::none, std::move(launched));
  const clock::Deadline deadline = clock::Deadline::in_ms(limit_ms);
  dispatcher::PatienceUntil patience(deadline);
  const auto started = [&]() -> Result<> {
    TRY(instance.await_created(patience, steps));
    return instance.start_process(trial_process(), false, patience, steps);
  }();
  if (started && await_end(instance.exit_fd(), deadline)) return instance.reap();
  if (!started && !deadline.passed()) return std::unexpected(started.error());
  return fail(Fault::failed, "a first sandbox has not ended within " + units::format_milliseconds(limit_ms));
}

}  // namespace

PlatformTrial try_platform(const Binary& binary, const Traits& traits, const std::string& platform, int64_t limit_ms) {
  PlatformTrial trial;
  const auto ending = run_trial(binary, traits, platform, limit_ms);
  if (!ending) trial.why = ending.error().message, trial.remedy = ending.error().remedy;
  else if (ending->kind == dispatcher::Ending::Kind::exited) trial.works = true;
  else if (ending->kind == dispatcher::Ending::Kind::signaled) trial.why = "a first sandbox was killed";
  else trial.why = ending->error.message;
  trial.no_such_platform = trial.why.contains("unknown platform") || trial.why.contains("invalid platform");
  return trial;
}

Result<ChosenPlatform> choose_platform(const Binary& binary, Answers& answers, const std::string& wanted, Trials trials) {
  constexpr std::string_view kKnown[] = {"systrap", "ptrace", "kvm"};
  if (!wanted.empty() && std::ranges::find(kKnown, wanted) == std::end(kKnown))
    return fail(Fault::bad_input, "platform '" + wanted + "' is not known", "use systrap, ptrace or kvm");
  std::string platform = wanted.empty() ? kDefault : wanted;
  for (;;) {
    auto known = answers.platforms.find(platform);
    std::string why = "this build of runsc has no such platform";
    std::string remedy =
        wanted.empty() ? "see 'bailey doctor'; --platform names another one" : "name another one with --platform, or none";
    if (known == answers.platforms.end()) {
      if (trials == Trials::none) return ChosenPlatform{std::move(platform), false};
      PlatformTrial trial = try_platform(binary, answers.traits, platform);
      if (trial.works || trial.no_such_platform)
        known =
            answers.platforms.emplace(platform, trial.works ? PlatformAnswer::works : PlatformAnswer::no_such_platform).first;
      else why = std::move(trial.why);
      if (!trial.remedy.empty()) remedy = std::move(trial.remedy);
    }
    if (known != answers.platforms.end() && known->second == PlatformAnswer::works) return ChosenPlatform{std::move(platform)};
    if (wanted.empty() && platform == kDefault && known != answers.platforms.end()) {
      platform = kFallback;
      continue;
    }
    return fail(Fault::unavailable, "gVisor's platform " + platform + " does not work with " + binary.path + ": " + why,
                std::move(remedy));
  }
}

}  // namespace bailey::gvisor
