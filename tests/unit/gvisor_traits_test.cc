#include <gtest/gtest.h>

#include "gvisor/instance.h"
#include "gvisor/private_root.h"
#include "gvisor/traits.h"

namespace bailey::gvisor {
namespace {

TEST(Traits, ReadsTheVersionThatBuildsOfAnyLabelPrint) {
  Traits traits;
  ASSERT_TRUE(parse_version("runsc version go-20260905\nspec: 1.2.1\n", traits));
  EXPECT_EQ(traits.version, "go-20260905");
  EXPECT_EQ(traits.oci_version, "1.2.1");
  ASSERT_TRUE(parse_version("runsc version VERSION_MISSING\nspec: 1.0.2-dev\n", traits));
  EXPECT_EQ(traits.version, "VERSION_MISSING");
}

TEST(Traits, RefusesAVersionThatIsNotRunscs) {
  const std::string cases[] = {"",
                               "runsc version go-1\n",
                               "spec: 1.2.1\n",
                               "crun version 1.8\nspec: 1.0.0\n",
                               "runsc version \x1b[31mred\nspec: 1.2.1\n",
                               "runsc version " + std::string(4000, 'x') + "\nspec: 1.2.1\n",
                               std::string(65536, '\xff')};
  for (const std::string& text : cases) {
    Traits traits;
    const auto parsed = parse_version(text, traits);
    ASSERT_FALSE(parsed) << text.substr(0, 60);
    EXPECT_EQ(parsed.error().fault, Fault::unavailable);
  }
}

TEST(Traits, ReadsFlagNamesAmongTheirDescriptions) {
  const auto flags = parse_flags(
      "Flags:\n  -directfs\n    \tdirectly access the -container filesystems (default true)\n  -overlay2 value\n"
      "    \twrap mounts\n  -h\tequivalent to the 'help' flag\nnot a flag -x\n  - \n");
  EXPECT_EQ(flags, (std::set<std::string, std::less<>>{"directfs", "overlay2", "h"}));
}

TEST(Traits, FindsTheOverlaysCapInItsDescriptionOnly) {
  const std::string lead = "  -host-uds value\n    \tsize=1\n  -overlay2 value\n    \twrap mounts: {mount}:{medium}";
  EXPECT_TRUE(parse_overlay_cap(lead + "[,size={size}], where\n    \tmore\n  -panic-log string\n"));
  EXPECT_TRUE(parse_overlay_cap(lead + "\n    \t[,size={size}]\n"));
  EXPECT_FALSE(parse_overlay_cap(lead + ", 'none' turns it off\n  -panic-log string\n    \tsize=1\n"));
  EXPECT_FALSE(parse_overlay_cap(""));
}

TEST(RunscLog, JoinsTheErrorsOfObjectsThatNothingSeparates) {
  EXPECT_EQ(parse_log_errors(""), "");
  EXPECT_EQ(
      parse_log_errors(R"({"msg":"one","level":"error","time":"t"}{"msg":"note","level":"info"}{"msg":"two","level":"error"})"),
      "one; two");
  EXPECT_EQ(parse_log_errors(R"({"msg":"a }{ and a \" and \\","level":"error"}{"msg":"b","level":"error"})"),
            "a }{ and a \" and \\; b");
  EXPECT_EQ(parse_log_errors("{\"msg\":\"cut off\",\"lev"), "");
  EXPECT_EQ(parse_log_errors(R"({"msg":7,"level":"error"}[]{"level":"error"})"), "");
  EXPECT_EQ(parse_log_errors(std::string(70000, '{')), "");
  const std::string end =
      R"({"msg":"running container: cannot create sandbox: waiting for sandbox to start: EOF","level":"error"})";
  EXPECT_EQ(parse_log_errors(R"({"msg":"the cause\nand more","level":"error"})" + end), "the cause");
  EXPECT_NE(parse_log_errors(end), "") << "better than nothing";
}

TEST(RunscLog, TakesTheLineOfAPanicAndNoMore) {
  EXPECT_EQ(parse_panic(""), "");
  EXPECT_EQ(parse_panic("goroutine 1\n"), "");
  EXPECT_EQ(parse_panic("x\nfatal error: newosproc\n\ngoroutine 1"), "fatal error: newosproc");
  EXPECT_EQ(parse_panic("panic: " + std::string(5000, 'x')).size(), 200u);
}

TEST(RunscEnd, IsAKillWhenItWasOneAndAFailureOtherwise) {
  using Kind = dispatcher::Ending::Kind;
  const auto judge = [](bool by_signal, int value, bool by_us, const char* words) {
    return judge_runsc_end({.status = {by_signal, value}, .killed_by_us = by_us, .words = words});
  };
  EXPECT_EQ(judge(true, 9, true, "cannot read client sync file").kind, Kind::signaled);
  EXPECT_EQ(judge(true, 9, false, "").kind, Kind::signaled);     // the kernel's OOM killer took runsc itself
  EXPECT_EQ(judge(false, 137, false, "").kind, Kind::signaled);  // or the sandbox
  EXPECT_EQ(judge(false, 137, false, "").value, 9);
  EXPECT_EQ(judge(false, 137, false, "urpc method failed: EOF").kind, Kind::signaled);
  const auto failed = judge(false, 128, false, "unknown platform");
  EXPECT_EQ(failed.kind, Kind::not_started);
  EXPECT_EQ(failed.error.fault, Fault::failed);
  EXPECT_EQ(failed.error.message, "gVisor did not start: runsc ended with 128: unknown platform");
  EXPECT_EQ(judge(false, 0, false, "").kind, Kind::not_started);  // no report, no success
}

TEST(RunscEnd, NamesTheCauseInOurWords) {
  const auto explain = [](const char* words) {
    const auto failed = judge_runsc_end({.status = {false, 128}, .words = words});
    EXPECT_NE(failed.error.remedy, "");
    return failed.error.message;
  };
  const std::string lead = "gVisor did not start: ";
  EXPECT_EQ(explain("error setting up FS: mounting {Destination:/a b/c Type:bind Source:/volumes/8 Options:[rbind rw]}: "
                    "mkdir(\"/rootfs/a b/c\") failed: mkdir /rootfs/a b/c: read-only file system"),
            lead + "the mount point /a b/c is missing, and what it lies in is read-only");
  EXPECT_TRUE(
      explain("error setting up FS: mounting {Destination:/x Type:bind}: open failed: is a directory").contains("/x is a dir"));
  EXPECT_TRUE(
      explain("error setting up FS: mounting {Destination:/x Type:bind}: mkdir: not a directory").contains("/x is a file"));
  EXPECT_EQ(explain("error setting up FS: mounting {Destination:/x Type:bind}: odd: it broke; more"),
            lead + "mounting /x failed: it broke");
  EXPECT_TRUE(explain("creating loader: unable to remap stdios, FD 253 is already in use").contains("volumes"));
  EXPECT_TRUE(explain("creating platform: initialize systrap: unable to attach: operation not permitted").contains("traces"));
  EXPECT_TRUE(explain("creating loader: dup3 of stdios failed: bad file descriptor").contains("open files"));
}

}  // namespace
}  // namespace bailey::gvisor
