#include "tests/contract/differences.h"

#include <gtest/gtest.h>

namespace bailey::tests {

namespace {

constexpr const char* kNoCgroup = "nobody delegated a cgroup to this user: a limit that was asked for is refused";
constexpr const char* kNoCgroupOther = "nobody delegated a cgroup to this user: the test says what is different";
constexpr const char* kOneOwner = "gVisor: an ordinary user has one id, and it is 0 inside: nobody else can own a file";
constexpr const char* kOneGroup = "without a range in /etc/subgid there is one group id, and setgroups is closed";
constexpr const char* kSecretOwner = "a secret's file can belong to the caller only, who is the workload inside";
constexpr const char* kUnreadable = "bailey cannot be dumped, so its own user cannot read its memory either";
const std::vector<std::string> kMemory = {"--memory", "128M"}, kPids = {"--pids", "20"};
const std::vector<std::string> kCgroupWords = {"cgroup"};
const std::vector<std::string> kVolumeAsAnother = {"-v", "/tmp:/data", "--user", "1000:1000"};

// Rows without flags: the test itself has a branch for them.
const Difference kDifferences[] = {
    {"ExitContract.EndsACommandThatTakesMoreMemoryThanItMay", Caller::bare, "", kNoCgroup, kMemory, kCgroupWords},
    {"ExitContract.CountsTheMemoryOfTmpfs",
     Caller::bare,
     "",
     kNoCgroup,
     {"--memory", "128M", "--tmpfs-size", "2G"},
     kCgroupWords},
    {"ExitContract.LetsACommandUseTheMemoryItMayUse", Caller::bare, "", kNoCgroup, {"--memory", "256M"}, kCgroupWords},
    {"ExitContract.LimitsTheNumberOfProcesses", Caller::bare, "", kNoCgroup, kPids, kCgroupWords},
    {"ExitContract.HoldsAManyProcessCommandWithinItsLimit", Caller::bare, "", kNoCgroup, {"--pids", "128"}, kCgroupWords},
    {"AccountContract.CountsAndLimitsTheMemoryOfSockets", Caller::bare, "", kNoCgroup, {"--memory", "64M"}, kCgroupWords},
    {"DocumentsContract.WritesAResultThatAddsUp", Caller::bare, "", kNoCgroupOther, {}, {}},
    {"DocumentsContract.TellsOfMemoryAndOutputInTheEvents", Caller::bare, "", kNoCgroup, kMemory, kCgroupWords},
    {"DocumentsContract.ReadsBackTheRequestThatItPrints", Caller::bare, "", kNoCgroup, {"--cpus", "1"}, kCgroupWords},
    {"LifecycleContract.CollectsWhatAnotherPolicyPutElsewhere", Caller::bare, "", kNoCgroupOther, {}, {}},

    {"NativeSeccomp.ALevelMayTakeNoneAndAnUntrustedOneNeverReplaces", Caller::bare, "native", kNoCgroupOther, {}, {}},
    {"NativeSeccomp.TheListenerStaysWithTheDispatcher", Caller::ranges, "native", kUnreadable, {}, {}},
    {"NativeSeccomp.TheListenerStaysWithTheDispatcher", Caller::bare, "native", kUnreadable, {}, {}},

    {"ProcessContract.HasTheGroupsAskedFor", Caller::bare, "native", kOneGroup, {"--user", "1234:2345,3000"}, {"group"}},

    {"FilesContract.LeavesFilesOfTheCallerAsAnotherUserInside",
     Caller::ranges,
     "gvisor",
     kOneOwner,
     kVolumeAsAnother,
     {"1000", "/data"}},
    {"FilesContract.LeavesFilesOfTheCallerAsAnotherUserInside",
     Caller::bare,
     "gvisor",
     kOneOwner,
     kVolumeAsAnother,
     {"1000", "/data"}},
    {"FilesContract.LeavesNoSetuidProgramOfRootThatRuns",
     Caller::ranges,
     "gvisor",
     kOneOwner,
     kVolumeAsAnother,
     {"1000", "/data"}},
    {"FilesContract.LeavesNoSetuidProgramOfRootThatRuns",
     Caller::bare,
     "gvisor",
     kOneOwner,
     kVolumeAsAnother,
     {"1000", "/data"}},
    {"FilesContract.LeavesNoSetIdFileOrDeviceInAVolumeAsAnotherUser",
     Caller::ranges,
     "gvisor",
     kOneOwner,
     kVolumeAsAnother,
     {"1000", "/data"}},
    {"FilesContract.LeavesNoSetIdFileOrDeviceInAVolumeAsAnotherUser",
     Caller::bare,
     "gvisor",
     kOneOwner,
     kVolumeAsAnother,
     {"1000", "/data"}},

    {"SecretsContract.GivesItToTheUserOfTheWorkload",
     Caller::ranges,
     "gvisor",
     kSecretOwner,
     {"--secret", "db=/etc/hostname", "--user", "1234:1234"},
     {"'db'", "1234"}},
    {"SecretsContract.GivesItToTheUserOfTheWorkload",
     Caller::bare,
     "gvisor",
     kSecretOwner,
     {"--secret", "db=/etc/hostname", "--user", "1234:1234"},
     {"'db'", "1234"}},
    {"SecretsContract.ReadsADescriptorAndHonoursPlaceModeAndOwner",
     Caller::ranges,
     "",
     kSecretOwner,
     {"--secret", "db=/etc/hostname:/run/elsewhere/token:0444:77"},
     {"'db'", "77"}},
    {"SecretsContract.ReadsADescriptorAndHonoursPlaceModeAndOwner",
     Caller::bare,
     "",
     kSecretOwner,
     {"--secret", "db=/etc/hostname:/run/elsewhere/token:0444:77"},
     {"'db'", "77"}},
    {"SecretsContract.LeavesNoTraceOnTheHost", Caller::ranges, "", kUnreadable, {}, {}},
    {"SecretsContract.LeavesNoTraceOnTheHost", Caller::bare, "", kUnreadable, {}, {}},
};

}  // namespace

std::span<const Difference> differences() { return kDifferences; }

const Difference* find_difference(const std::string& backend) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  if (!test) return nullptr;
  const std::string name = std::string(test->test_suite_name()) + "." + test->name();
  for (const Difference& row : kDifferences)
    if (row.who == caller() && name == row.test && (*row.backend == '\0' || backend == row.backend)) return &row;
  return nullptr;
}

}  // namespace bailey::tests
