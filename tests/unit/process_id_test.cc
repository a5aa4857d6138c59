#include "base/process_id.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pidfd.h"

namespace bailey {
namespace {

TEST(ProcessIdTest, FindsAProcessAgainAsLongAsItRuns) {
  const Pipe hold = create_pipe().value();
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::_exit(::read(hold.read.get(), &byte, 1) == 1 ? 0 : 1);
  }
  const ProcessId id = ProcessId::of(child).value();
  EXPECT_EQ(id.pid, child);
  EXPECT_EQ(id.boot_id.size(), 36u);
  EXPECT_EQ(ProcessId::of(child).value(), id);
  const Fd pidfd = id.open().value();
  ASSERT_TRUE(pidfd);
  EXPECT_EQ(pid_of(pidfd.get()), child);

  ASSERT_EQ(::write(hold.write.get(), "x", 1), 1);
  ASSERT_TRUE(await_end(pidfd.get(), clock::Deadline::in_ms(60'000)));
  EXPECT_FALSE(id.open().value()) << "a zombie has ended";
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(id.open().value());
  EXPECT_FALSE(ProcessId::of(child));
}

TEST(ProcessIdTest, IsNotAnotherProcessOfThatNumber) {
  const ProcessId own = ProcessId::of(::getpid()).value();
  EXPECT_TRUE(own.open().value());
  ProcessId later = own;
  ++later.start_time;
  EXPECT_FALSE(later.open().value());
  ProcessId before_a_reboot = own;
  before_a_reboot.boot_id.back() ^= 1;
  EXPECT_FALSE(before_a_reboot.open().value());
  EXPECT_FALSE(ProcessId{}.open().value());
}

}  // namespace
}  // namespace bailey
