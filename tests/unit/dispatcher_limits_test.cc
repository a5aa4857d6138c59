#include <gtest/gtest.h>

#include "tests/unit/dispatcher_wishes.h"

namespace bailey::dispatcher {
namespace {

Verdict judge(const Request& request) { return guard_limits(request, builtin_policy(true), host()); }

Request with_memory() {  // so that swap has something to be beyond of
  Request request = wish();
  find_limit("memory")->ask(request, 64 << 20);
  return request;
}

TEST(Limits, RefuseAboveTheCeilingAndNeverClamp) {
  const Level level = builtin_policy(true).levels.at("untrusted");
  for (const Limit& limit : limits()) {
    SCOPED_TRACE(limit.name);
    const uint64_t ceiling = *limit.get(level.ceilings);
    Request request = with_memory();
    limit.ask(request, ceiling);
    EXPECT_TRUE(judge(request).allowed) << judge(request).reason;
    EXPECT_EQ(limit.get(resolve_limits(request, level)), ceiling);
    // One step of the coarsest unit in which a limit is kept: the quota counts hundred-thousandths of a CPU.
    limit.ask(request, ceiling + (limit.unit == LimitUnit::cpus ? 10 : 1));
    const Verdict verdict = judge(request);
    EXPECT_FALSE(verdict.allowed);
    for (const std::string& part : {std::string(limit.name), format_limit(limit, ceiling), std::string("'untrusted'")})
      EXPECT_NE(verdict.reason.find(part), std::string::npos) << verdict.reason;
    EXPECT_NE(verdict.remedy.find(limit.flag), std::string::npos) << verdict.remedy;
    limit.ask(request, kUnlimited);
    EXPECT_FALSE(judge(request).allowed) << "unlimited is above every ceiling";
  }
}

TEST(Limits, RefuseWhatNothingCanRunWith) {
  for (const Limit& limit : limits()) {
    if (limit.least == 0) continue;
    Request request = wish("trusted");
    request.config.linux.resources.memory.limit = 64 << 20;
    limit.ask(request, limit.least - (limit.unit == LimitUnit::cpus ? 10 : 1));
    if (limit.unit == LimitUnit::milliseconds) continue;  // below one is nothing asked
    EXPECT_FALSE(judge(request).allowed) << limit.name;
    limit.ask(request, limit.least);
    if (limit.name != "memory" || limit.least >= (32 << 20)) {
      EXPECT_TRUE(judge(request).allowed) << limit.name << ": " << judge(request).reason;
    }
  }
}

TEST(Limits, TakeUnlimitedSwapWithUnlimitedMemory) {
  Request request = wish("trusted");
  find_limit("memory")->ask(request, kUnlimited);
  find_limit("swap")->ask(request, kUnlimited);
  EXPECT_TRUE(judge(request).allowed) << judge(request).reason;
  find_limit("swap")->ask(request, 1 << 30);
  const Verdict verdict = judge(request);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_TRUE(verdict.remedy.contains("leave --swap out")) << verdict.remedy;
}

TEST(Limits, AskAndAskedAgree) {
  for (const Limit& limit : limits()) {
    for (const uint64_t value : {limit.least + 1'000'000, kUnlimited}) {
      Request request = with_memory();
      EXPECT_EQ(limit.asked(wish()), std::nullopt) << limit.name;
      limit.ask(request, value);
      EXPECT_EQ(limit.asked(request), value) << limit.name;
    }
  }
}

TEST(Limits, FormatAndParseAgree) {
  for (const Limit& limit : limits())
    for (const uint64_t value : {uint64_t{1}, uint64_t{1000}, uint64_t{1024}, uint64_t{60'000}, uint64_t{90'000},
                                 uint64_t{1536} << 20, uint64_t{3'600'000}, uint64_t{123'456'789}, kUnlimited}) {
      const Result<uint64_t> back = parse_limit(limit, format_limit(limit, value));
      ASSERT_TRUE(back) << limit.name << " " << format_limit(limit, value) << ": " << back.error().message;
      EXPECT_EQ(*back, value) << limit.name << " " << format_limit(limit, value);
    }
}

TEST(Limits, TakeTheDefaultElseTheCeilingWhenNothingIsAsked) {
  Level level;
  level.defaults.pids = 10;
  level.ceilings.pids = 20;
  level.ceilings.memory_bytes = 1 << 30;
  LimitValues values = resolve_limits(wish(), level);
  EXPECT_EQ(values.pids, 10u);
  EXPECT_EQ(values.memory_bytes, 1u << 30);
  EXPECT_EQ(values.cpus, std::nullopt);
  Request request = wish();
  find_limit("pids")->ask(request, 15);
  EXPECT_EQ(resolve_limits(request, level).pids, 15u);
}

TEST(Limits, UnlimitedIsTheAbsenceOfALimitWhereThereIsNoCeiling) {
  const Level level = builtin_policy(true).levels.at("trusted");
  for (const Limit& limit : limits()) {
    Request request = wish("trusted");
    if (limit.name == "swap") request = with_memory(), request.trust = "trusted";
    limit.ask(request, kUnlimited);
    EXPECT_TRUE(judge(request).allowed) << limit.name << ": " << judge(request).reason;
    EXPECT_EQ(limit.get(resolve_limits(request, level)), std::nullopt) << limit.name;
  }
}

TEST(Limits, SwapIsWhatLiesBeyondMemory) {
  Request request = wish("trusted");
  auto& memory = request.config.linux.resources.memory;
  memory.swap = 300;
  EXPECT_FALSE(judge(request).allowed) << "swap without memory";
  memory.limit = 64 << 20;
  EXPECT_FALSE(judge(request).allowed) << "less than memory alone";
  memory.swap = 96 << 20;
  EXPECT_TRUE(judge(request).allowed) << judge(request).reason;
  EXPECT_EQ(resolve_limits(request, builtin_policy(true).levels.at("trusted")).swap_bytes, 32u << 20);
  request.limits.swap_bytes = 1;
  EXPECT_FALSE(judge(request).allowed) << "said twice";
  memory.swap.reset();
  memory.limit = -1;
  EXPECT_FALSE(judge(request).allowed) << "beyond nothing";
}

TEST(Limits, CpusFollowQuotaAndPeriod) {
  Request request = wish();
  request.config.linux.resources.cpu = {.quota = 25'000, .period = 50'000};
  EXPECT_EQ(find_limit("cpus")->asked(request), 500'000u);
  request.config.linux.resources.cpu = {.quota = 300'000};
  EXPECT_EQ(find_limit("cpus")->asked(request), 3'000'000u);
  EXPECT_TRUE(judge(request).allowed);
  request.config.linux.resources.cpu = {.quota = INT64_MAX, .period = 1};
  EXPECT_FALSE(judge(request).allowed);
}

TEST(Limits, NothingGoesRoundTheTable) {
  using Change = void (*)(bundle::Config&);
  const std::pair<const char*, Change> kSideDoors[] = {
      {"unified", [](bundle::Config& c) { c.linux.resources.unified["memory.max"] = "max"; }},
      {"oom killer", [](bundle::Config& c) { c.linux.resources.memory.disable_oom_killer = true; }},
      {"soft above hard", [](bundle::Config& c) { c.process->rlimits = {{"RLIMIT_STACK", 2, 1}}; }},
      {"twice", [](bundle::Config& c) { c.process->rlimits = {{"RLIMIT_NOFILE", 1024, 1024}, {"RLIMIT_NOFILE", 64, 64}}; }},
      {"files by rlimit", [](bundle::Config& c) { c.process->rlimits = {{"RLIMIT_NOFILE", 16, 1 << 20}}; }},
      {"core", [](bundle::Config& c) { c.process->rlimits = {{"RLIMIT_CORE", 0, 1}}; }},
      {"real time", [](bundle::Config& c) { c.linux.resources.cpu.realtime_runtime = 1000; }},
  };
  for (const auto& [name, change] : kSideDoors) {
    Request request = wish();
    EXPECT_TRUE(judge(request).allowed) << judge(request).reason;
    change(request.config);
    EXPECT_FALSE(judge(request).allowed) << name;
  }
}

TEST(Limits, EveryBuiltInLevelHoldsItself) {
  for (const bool root : {true, false})
    for (const auto& [name, level] : builtin_policy(root).levels) {
      for (const Limit& limit : limits()) {
        const auto normal = limit.get(level.defaults), ceiling = limit.get(level.ceilings);
        if (normal) {
          EXPECT_GE(*normal, limit.least) << name << " " << limit.name;
        }
        if (normal && ceiling) {
          EXPECT_LE(*normal, *ceiling) << name << " " << limit.name;
        }
        if (level.untrusted) {
          EXPECT_TRUE(normal && ceiling) << name << " has no " << limit.name;
        }
      }
      EXPECT_TRUE(judge(wish(name)).allowed);
    }
}

}  // namespace
}  // namespace bailey::dispatcher
