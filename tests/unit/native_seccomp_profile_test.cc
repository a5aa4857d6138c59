// The text of our own profile: every fault of a person who edits it is found by the build.
#include <gtest/gtest.h>

#include "base/files.h"
#include "seccomp/names.h"
#include "seccomp/profile.h"
#include "tests/unit/native_bpf.h"

namespace bailey::native {

using namespace seccomp;
namespace {

std::string profile_text() { return files::read(BAILEY_DEFAULT_PROFILE, 1 << 20).value(); }

std::string error_of(const std::string& text) {
  const auto rules = parse_profile(text, "p", *arch_named("x86_64"));
  return rules ? std::string() : rules.error().message;
}

TEST(SeccompProfile, DecidesEveryCallOfBothArchitectures) {
  for (const char* arch : {"x86_64", "aarch64"}) {
    const auto rules = parse_profile(profile_text(), "default.seccomp", *arch_named(arch));
    EXPECT_TRUE(rules) << rules.error().message;
  }
}

TEST(SeccompProfile, NamesTheCallsThatNobodyDecided) {
  EXPECT_EQ(error_of("[allow]\nread\n").find("p: no verdict for: write open close"), 0u);
  EXPECT_TRUE(error_of("[allow]\nread\n").ends_with("file_setattr"));
}

TEST(SeccompProfile, NamesTheLineOfEachFault) {
  EXPECT_EQ(error_of("read\n"), "p:1: 'read' stands before the first group");
  EXPECT_EQ(error_of("# x\n\n[permit]\n"), "p:3: a group is [allow] or [deny ERRNO]");
  EXPECT_EQ(error_of("[deny]\n"), "p:1: a group is [allow] or [deny ERRNO]");
  EXPECT_EQ(error_of("[deny EWHAT]\n"), "p:1: 'EWHAT' is no errno that a profile may use");
  EXPECT_EQ(error_of("[allow]\nread write\nopen red\n"), "p:3: no architecture has a system call 'red'");
  EXPECT_EQ(error_of("[allow]\nread\n[deny EPERM]\nread\n"), "p:4: read has a verdict already");
  EXPECT_EQ(error_of("[allow]\nclone when arg6 == 0 else EPERM\n"), "p:2: 'arg6' is not arg0 to arg5");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 = 0 else EPERM\n"), "p:2: expected '=='");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 == 0y else EPERM\n"), "p:2: '0y' is not a number");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 == 08 else EPERM\n"), "p:2: '08' is not a number");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 == 0x1ffffffffffffffff else EPERM\n"),
            "p:2: '0x1ffffffffffffffff' is not a number");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 & 6 == 1 else EPERM\n"),
            "p:2: the value has bits outside the mask: it could never be equal");
  EXPECT_EQ(error_of("[allow]\nclone when arg0.low == 0x100000000 else EPERM\n"),
            "p:2: the value has bits outside the mask: it could never be equal");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 == 0\n"), "p:2: expected 'and', 'or' or 'else ERRNO' after the condition");
  EXPECT_EQ(error_of("[allow]\nclone when arg0 == 0 else EPERM read\n"), "p:2: nothing may follow 'else ERRNO'");
  EXPECT_EQ(error_of("[allow]\nwhen arg0 == 0 else EPERM\n"), "p:2: a condition needs the name of a call before it");
}

TEST(SeccompProfile, ReadsConditionsAndContinuedLines) {
  // The whole profile, with one call's line replaced.
  std::string text = profile_text();
  const size_t at = text.find("\nuname") == std::string::npos ? text.find(" uname") : text.find("\nuname");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 6, "");
  text += "\n[allow]\nuname when arg0.low == 1 and arg1 & 0xf0 == 16\n  or arg2 == 010 # eight\n  else EACCES\n";
  const auto rules = parse_profile(text, "p", *arch_named("x86_64"));
  ASSERT_TRUE(rules) << rules.error().message;
  const CallRule expected = {{{{{0, Comparison::equal, UINT32_MAX, 1}, {1, Comparison::equal, 0xf0, 16}}, SECCOMP_RET_ALLOW},
                              {{{2, Comparison::equal, UINT64_MAX, 8}}, SECCOMP_RET_ALLOW}},
                             SECCOMP_RET_ERRNO | EACCES};
  EXPECT_EQ(rules->arches[0].at(63), expected);
}

}  // namespace
}  // namespace bailey::native
