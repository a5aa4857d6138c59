// Capability plans, and what the kernel says of a child that applied one.
#include "native/identity/caps.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/support/require.h"
#include "tests/unit/native_child.h"

namespace bailey::native {
namespace {

using tests::in_child;

uint64_t bit(int capability) { return uint64_t{1} << capability; }

// One hexadecimal line of /proc/self/status, without an allocation that a child of a threaded parent could
// not make.
uint64_t status_mask(const char* name) {
  FILE* file = fopen("/proc/self/status", "re");
  char line[256];
  uint64_t mask = UINT64_MAX;
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, name, strlen(name)) == 0) mask = strtoull(line + strlen(name) + 1, nullptr, 16);
  if (file) fclose(file);
  return mask;
}

TEST(Caps, EmptyConfigurationIsTheStrictestPlan) {
  const auto plan = compile_caps({});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->bounding | plan->effective | plan->permitted | plan->inheritable | plan->ambient, 0u);
  EXPECT_EQ(plan->securebits, kLockedSecurebits);
}

TEST(Caps, ReadsTheFiveSetsByName) {
  bundle::Capabilities c;
  c.bounding = {"CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_KILL"};
  c.permitted = {"CAP_CHOWN", "CAP_KILL"};
  c.effective = {"CAP_KILL"};
  c.inheritable = {"CAP_CHOWN"};
  c.ambient = {"CAP_CHOWN"};
  const auto plan = compile_caps(c);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->bounding, bit(CAP_CHOWN) | bit(CAP_NET_BIND_SERVICE) | bit(CAP_KILL));
  EXPECT_EQ(plan->permitted, bit(CAP_CHOWN) | bit(CAP_KILL));
  EXPECT_EQ(plan->effective, bit(CAP_KILL));
  EXPECT_EQ(plan->inheritable, bit(CAP_CHOWN));
  EXPECT_EQ(plan->ambient, bit(CAP_CHOWN));
  EXPECT_EQ(plan->securebits, 0u);
  EXPECT_EQ(bundle::capabilities_text(plan->permitted), "CAP_CHOWN,CAP_KILL");
  EXPECT_EQ(bundle::capabilities_text(0), "none");
}

TEST(Caps, RefusesWhatCouldNotBeApplied) {
  const auto refused = [](auto fill) {
    bundle::Capabilities c;
    fill(c);
    const auto plan = compile_caps(c);
    return plan ? std::string() : plan.error().message;
  };
  EXPECT_NE(refused([](auto& c) { c.bounding = {"CAP_EVERYTHING"}; }).find("'CAP_EVERYTHING' in the bounding set"),
            std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.bounding = {"cap_chown"}; }), "");
  EXPECT_NE(refused([](auto& c) { c.bounding = {"7"}; }), "");
  EXPECT_NE(refused([](auto& c) { c.bounding = {""}; }), "");
  EXPECT_NE(refused([](auto& c) { c.effective = {"CAP_KILL"}; }).find("CAP_KILL"), std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.permitted = c.ambient = {"CAP_KILL"}; }).find("CAP_KILL"), std::string::npos);
  EXPECT_NE(refused([](auto& c) { c.inheritable = {"CAP_KILL"}; }).find("CAP_KILL"), std::string::npos);
}

TEST(Caps, DefaultPlanEmptiesAllFiveSetsAcrossAChangeOfUser) {
  BAILEY_REQUIRE("root");
  const CapsPlan plan;
  const std::string report = in_child([&](int out) {
    dprintf(out, "%d ", limit_bounding_set(plan) + keep_caps(plan));
    dprintf(out, "%d ", setresgid(1234, 1234, 1234) == 0 ? 0 : errno);
    dprintf(out, "%d ", setresuid(1234, 1234, 1234) == 0 ? 0 : errno);
    dprintf(out, "%d ", apply_caps(plan));
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) dprintf(out, "%lx ", status_mask(set));
    dprintf(out, "%x", prctl(PR_GET_SECUREBITS));
  });
  EXPECT_EQ(report, "0 0 0 0 0 0 0 0 0 ef");
}

TEST(Caps, UidZeroGainsNothingByExec) {
  BAILEY_REQUIRE("root");
  const CapsPlan plan;
  const std::string report = in_child([&](int out) {
    if (limit_bounding_set(plan) != 0 || keep_caps(plan) != 0 || apply_caps(plan) != 0) return;
    dup2(out, 1);
    execl("/bin/grep", "grep", "-h", "Cap[PE]", "/proc/self/status", nullptr);
  });
  EXPECT_EQ(report, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
}

TEST(Caps, APlanWithCapabilitiesSurvivesAChangeOfUserAndExec) {
  BAILEY_REQUIRE("root");
  bundle::Capabilities c;
  c.bounding = c.permitted = c.effective = c.inheritable = c.ambient = {"CAP_NET_BIND_SERVICE"};
  const auto plan = compile_caps(c);
  ASSERT_TRUE(plan);
  const std::string report = in_child([&](int out) {
    if (limit_bounding_set(*plan) != 0 || keep_caps(*plan) != 0 || setresuid(1234, 1234, 1234) != 0 || apply_caps(*plan) != 0)
      return;
    dup2(out, 1);
    execl("/bin/grep", "grep", "-h", "Cap", "/proc/self/status", nullptr);
  });
  std::string expected;
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    expected += std::string(set) + ":\t0000000000000400\n";
  EXPECT_EQ(report, expected);
}

TEST(Caps, NothingCanBeRaisedAgain) {
  BAILEY_REQUIRE("root");
  const CapsPlan plan;
  const std::string report = in_child([&](int out) {
    if (limit_bounding_set(plan) != 0 || keep_caps(plan) != 0 || apply_caps(plan) != 0) return;
    CapsPlan more = plan;
    more.permitted = bit(CAP_CHOWN);
    dprintf(out, "%d %d %d", apply_caps(more) == EPERM, prctl(PR_SET_SECUREBITS, 0) == -1, prctl(PR_SET_KEEPCAPS, 1) == -1);
  });
  EXPECT_EQ(report, "1 1 1");
}

}  // namespace
}  // namespace bailey::native
