// `bailey doctor` as its users see it: lines, JSON, exit code; on a sound host, with a broken runsc, as an
// ordinary user.
#include <grp.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/json.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey {
namespace {

using tests::Outcome;
using tests::run_bailey;

std::string text_of(const json::Object& object, const char* key) {
  const json::Value* value = object.find(key);
  const auto* text = value ? value->as<std::string>() : nullptr;
  return text ? *text : "(no " + std::string(key) + ")";
}

struct Report {
  bool ok = false;
  std::vector<json::Object> host, runs;
  const json::Object* find(const std::string& name) const {
    for (const auto* list : {&host, &runs})
      for (const json::Object& entry : *list)
        if (text_of(entry, "name") == name) return &entry;
    return nullptr;
  }
};

Report parse(const Outcome& outcome) {
  Report report;
  const auto document = json::parse(outcome.out, "doctor");
  if (!document) {
    ADD_FAILURE() << document.error().message << "\n" << outcome;
    return report;
  }
  const auto* top = document->as<json::Object>();
  report.ok = *top->find("ok")->as<bool>();
  for (const json::Value& entry : *top->find("host")->as<json::Array>()) report.host.push_back(*entry.as<json::Object>());
  for (const json::Value& entry : *top->find("runs")->as<json::Array>()) report.runs.push_back(*entry.as<json::Object>());
  return report;
}

// Whatever the host: known states, nothing empty, and every fault with its price and its remedy.
void expect_well_formed(const Report& report) {
  EXPECT_GE(report.host.size(), 15u);
  std::set<std::string> names;
  for (const auto* list : {&report.host, &report.runs})
    for (const json::Object& entry : *list) {
      const std::string name = text_of(entry, "name"), state = text_of(entry, "state");
      EXPECT_TRUE(names.insert(name).second) << name << " twice";
      EXPECT_TRUE(state == "ok" || state == "degraded" || state == "missing") << name << ": " << state;
      EXPECT_FALSE(text_of(entry, "detail").empty()) << name;
      EXPECT_EQ(text_of(entry, "cost").empty(), state == "ok") << name;
      EXPECT_EQ(text_of(entry, "remedy").empty(), state == "ok") << name;
    }
}

TEST(Doctor, SoundHostRunsEveryLevel) {
  BAILEY_REQUIRE("root", "cgroup", "runsc");
  tests::LeakCheck leaks;
  const Outcome outcome = run_bailey({.arguments = {"doctor", "--json", "--runsc", tests::runsc_path()}});
  const Report report = parse(outcome);
  expect_well_formed(report);
  EXPECT_TRUE(report.ok) << outcome;
  EXPECT_EQ(outcome.exit_code, 0) << outcome;
  for (const char* name : {"run, trusted, native", "run, trusted, gvisor", "run, untrusted, gvisor"}) {
    ASSERT_TRUE(report.find(name)) << name;
    EXPECT_EQ(text_of(*report.find(name), "state"), "ok") << text_of(*report.find(name), "detail");
  }
}

TEST(Doctor, TextHasOneLineForEachThing) {
  const Outcome text = run_bailey({.arguments = {"doctor"}});
  const Report report = parse(run_bailey({.arguments = {"doctor", "--json"}}));
  EXPECT_EQ(static_cast<size_t>(std::ranges::count(text.out, '\n')), report.host.size() + report.runs.size() + 1) << text;
  for (const char* name : {"user namespaces", "mount API", "Landlock", "seccomp", "pidfd", "cgroups", "unswappable tmpfs"})
    EXPECT_NE(text.out.find(name), std::string::npos) << name;
}

TEST(Doctor, BrokenRunscIsMissingWithItsRemedy) {
  BAILEY_REQUIRE("root", "cgroup");
  const tests::TempDir dir;
  const std::string script = dir.write("runsc", "#!/bin/sh\necho runsc version release-1\n", 0755);
  for (const std::string& path : {std::string("/nonexistent/runsc"), script, std::string("/bin/false")}) {
    tests::LeakCheck leaks;
    const Outcome outcome = run_bailey({.arguments = {"doctor", "--json", "--runsc", path}});
    const Report report = parse(outcome);
    expect_well_formed(report);
    EXPECT_EQ(outcome.exit_code, 1) << outcome;
    EXPECT_FALSE(report.ok);
    const json::Object* untrusted = report.find("run, untrusted, gvisor");
    ASSERT_TRUE(untrusted) << outcome;
    EXPECT_EQ(text_of(*untrusted, "state"), "missing");
    EXPECT_NE(text_of(*untrusted, "detail").find("runsc"), std::string::npos) << text_of(*untrusted, "detail");
    EXPECT_EQ(text_of(*report.find("run, trusted, native"), "state"), "ok") << "native needs no runsc: " << outcome;
    EXPECT_EQ(text_of(*report.find("run, trusted, gvisor"), "state"), "degraded") << "not what auto takes there";
  }
}

TEST(Doctor, BrokenPolicyIsOneOfTheFindings) {
  const tests::TempDir dir;
  const std::string policy = dir.write("policy.json", "{\"levels\": {\"trusted\": {\"no_such_key\": 1}}}", 0644);
  const Outcome outcome = run_bailey({.arguments = {"doctor", "--json", "--policy", policy}});
  const Report report = parse(outcome);
  EXPECT_EQ(outcome.exit_code, 1);
  ASSERT_TRUE(report.find("policy"));
  EXPECT_EQ(text_of(*report.find("policy"), "state"), "missing");
  EXPECT_NE(text_of(*report.find("policy"), "detail").find("no_such_key"), std::string::npos);
}

TEST(Doctor, OrdinaryUserGetsAnAnswerToo) {
  BAILEY_REQUIRE("root");
  tests::LeakCheck leaks;
  const tests::TempDir dir;
  // The build may lie where this user may not go.
  const std::string copy = dir.file("bailey");
  std::filesystem::copy_file(tests::bailey_binary(), copy);
  ASSERT_EQ(::chmod(copy.c_str(), 0755), 0);
  const char* before = ::getenv("BAILEY");
  const std::string kept = before ? before : "";
  ::setenv("BAILEY", copy.c_str(), 1);
  const Outcome outcome = run_bailey({.arguments = {"doctor", "--json"}, .before_exec = [] {
                                        if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
                                            ::setresuid(65534, 65534, 65534) != 0)
                                          ::_exit(99);
                                      }});
  before ? ::setenv("BAILEY", kept.c_str(), 1) : ::unsetenv("BAILEY");
  std::filesystem::remove_all("/tmp/bailey-65534");  // that user's state directory, kept between runs
  const Report report = parse(outcome);
  expect_well_formed(report);
  EXPECT_EQ(outcome.exit_code, report.ok ? 0 : 1) << outcome;
  ASSERT_TRUE(report.find("id ranges"));
  EXPECT_TRUE(report.find("user namespaces"));
}

TEST(Doctor, LeavesTheHostAsItWas) {
  tests::LeakCheck leaks;
  run_bailey({.arguments = {"doctor"}});
}

}  // namespace
}  // namespace bailey
