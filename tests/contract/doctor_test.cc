// `bailey doctor` against what then happens: what it calls ok works, what it does not call ok is refused, for whoever asks.
#include <sys/prctl.h>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

class DoctorContract : public Contract {
 protected:
  void ask(const Arguments& flags = {}) {
    Arguments arguments = {"doctor", "--json"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    if (!runsc_path().empty()) arguments.insert(arguments.end(), {"--runsc", runsc_path()});
    told_ = run_bailey({.arguments = std::move(arguments)});
    auto parsed = json::parse(told_.out, "doctor");
    ASSERT_TRUE(parsed) << told_;
    document_ = std::move(*parsed);
  }
  // "ok", "degraded", "missing"; "" when it says nothing of that name. Whatever is not ok has a price and a remedy.
  std::string state(const std::string& name) const {
    for (const char* list : {"host", "runs"})
      for (const json::Value& one : *document_.as<json::Object>()->find(list)->as<json::Array>()) {
        if (text_of(one, "name") != name) continue;
        const std::string found = text_of(one, "state");
        if (found != "ok") {
          EXPECT_NE(text_of(one, "cost"), "") << name;
          EXPECT_NE(text_of(one, "remedy"), "") << name;
        }
        return found;
      }
    return "";
  }
  bool works(const Arguments& flags) const {
    const Outcome got = run(flags, {"/bin/echo", "STARTED"});
    EXPECT_TRUE(got.exit_code == 0 || got.exit_code == 125) << got;
    EXPECT_EQ(got.out, got.exit_code == 0 ? "STARTED\n" : "") << got;
    return got.exit_code == 0;
  }

  Outcome told_;
  json::Value document_;
};

TEST_F(DoctorContract, SaysOfLimitsAndIdsWhatRunThenDoes) {
  ask();
  EXPECT_EQ(state("cgroup memory") == "ok", works({"--memory", "64M"})) << told_;
  EXPECT_EQ(state("cgroup pids") == "ok", works({"--pids", "64"})) << told_;
  EXPECT_EQ(state("cgroup cpu") == "ok", works({"--cpus", "1"})) << told_;
  EXPECT_EQ(state("id ranges") == "ok", works({"--user", "1:2,3"})) << told_;
  EXPECT_EQ(state("runtime directory"), "ok") << told_;
  if (caller() != Caller::root) {  // root: as the file system of /usr has it
    EXPECT_EQ(state("id-mapped mounts"), "ok") << told_;
  }
  EXPECT_EQ(state("run, trusted, native"), "ok") << told_;
  // Both answers are seen: by root and with a range, and by a bare user.
  const char* expected = caller() == Caller::bare ? "missing" : "ok";
  EXPECT_EQ(state("cgroup memory"), expected) << told_;
  EXPECT_EQ(state("id ranges"), caller() == Caller::bare ? "degraded" : "ok") << told_;
}

TEST_F(DoctorContract, SaysWhichLevelsWork) {
  BAILEY_REQUIRE("runsc");
  ask();
  const Outcome untrusted = run_bailey({.arguments = {"run", "--runsc", runsc_path(), "--", "/bin/echo", "STARTED"}});
  EXPECT_EQ(state("run, untrusted, gvisor") == "ok", untrusted.exit_code == 0) << told_ << untrusted;
  EXPECT_EQ(told_.exit_code, untrusted.exit_code == 0 ? 0 : 1) << told_;
  EXPECT_EQ(untrusted.exit_code, caller() == Caller::bare ? 125 : 0) << untrusted;
}

// newuidmap is set-user-id: where nothing gains privileges there is one id, and doctor knows why.
TEST_F(DoctorContract, KnowsThatNewuidmapMayGainNoPrivileges) {
  RunOptions wish{.arguments = {"doctor", "--json"}};
  wish.before_exec = [] { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); };
  told_ = run_bailey(wish);
  auto parsed = json::parse(told_.out, "doctor");
  ASSERT_TRUE(parsed) << told_;
  document_ = std::move(*parsed);
  EXPECT_EQ(state("id ranges"), caller() == Caller::root ? "ok" : "degraded") << told_;
  RunOptions run_wish = options({}, {"/bin/echo", "STARTED"});
  run_wish.before_exec = wish.before_exec;
  const Outcome got = run_bailey(std::move(run_wish));
  EXPECT_EQ(got.out, "STARTED\n") << got;
}

}  // namespace
}  // namespace bailey::tests
