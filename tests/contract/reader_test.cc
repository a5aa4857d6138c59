// Output that nobody takes: lost to a full disk, or left by its reader.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using ReaderContract = Contract;

// A full disk, a closed descriptor: the loss shows, and the record still has the command's end.
TEST_F(ReaderContract, FailsWhenOutputIsLost) {
  Fd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  const struct {
    const char* error;
    int stream;
    const Fd* sink;
  } cases[] = {{"ENOSPC", 1, &full}, {"ENOSPC", 2, &full}, {"EBADF", 1, nullptr}};
  for (const auto& one : cases) {
    for (const int code : {0, 3}) {
      const std::string redirect = one.stream == 2 ? " >&2" : "";
      RunOptions wish =
          options({}, {"/bin/sh", "-c", "trap '' PIPE; head -c 10000 /dev/zero" + redirect + "; exit " + std::to_string(code)});
      if (one.sink) wish.pass = {{one.sink->get(), one.stream}};
      else wish.closed = {one.stream};
      const Outcome got = run_bailey(std::move(wish));
      EXPECT_EQ(got.exit_code, 125) << got;
      EXPECT_EQ(got.text("verdict"), "exited") << got;
      EXPECT_EQ(got.number("exit_code"), code) << got;
      EXPECT_EQ(got.number("bailey_exit_code"), 125) << got;
      EXPECT_EQ(got.text("error.errno"), one.error) << got;
      EXPECT_NE(got.text("error.message").find(one.stream == 1 ? "stdout" : "stderr"), std::string::npos) << got;
      if (one.stream == 1) {
        EXPECT_NE(got.err.find("stdout"), std::string::npos) << got;
      }
    }
  }
}

TEST_F(ReaderContract, EndsWhenItsReaderIsGone) {
  Pipe pipe = std::move(*create_pipe());
  RunOptions wish = options({}, {"/bin/sh", "-c", "yes | head -c 5M; exit 0"});
  wish.pass = {{pipe.write.get(), 1}};
  BaileyProcess process(std::move(wish));
  pipe.write.reset();
  pipe.read.reset();
  const Outcome got = process.finish();
  EXPECT_FALSE(got.timed_out) << got;
}

// As outside: the command's write after its reader has gone ends it, or fails when it ignores the signal. Not before: a command
// that writes no more is left alone.
TEST_F(ReaderContract, RaisesSigpipeInTheWriterWhenItsReaderIsGone) {
  for (const int stream : {1, 2}) {
    const std::string to = stream == 1 ? "" : " >&2";
    const struct {
      std::string script;
      int exit_code;
    } cases[] = {
        {"while :; do echo x" + to + "; sleep 0.05; done", 128 + SIGPIPE},
        {"echo x" + to + "; read gone; while :; do echo y" + to + "; sleep 0.05; done", 128 + SIGPIPE},
        {"(while :; do echo x" + to + "; sleep 0.05; done); exit $(($? == 141 ? 5 : 6))", 5},
        {"echo x" + to + "; read gone; exit 3", 3},
        {"trap '' PIPE; while echo x" + to + "; do sleep 0.05; done; exit 4", 4},
    };
    for (const auto& one : cases) {
      Pipe pipe = std::move(*create_pipe());
      RunOptions wish = options({"-i"}, {"/bin/sh", "-c", one.script});
      wish.keep_input_open = true;
      wish.pass = {{pipe.write.get(), stream}};
      BaileyProcess process(std::move(wish));
      pipe.write.reset();
      char first;
      EXPECT_EQ(read(pipe.read.get(), &first, 1), 1);
      pipe.read.reset();
      process.send("gone\n");
      const Outcome got = process.finish();
      EXPECT_FALSE(got.timed_out) << one.script;
      EXPECT_EQ(got.exit_code, one.exit_code) << one.script << "\n" << got;
      EXPECT_FALSE(got.find("error")) << got;
    }
  }
}

TEST_F(ReaderContract, HangsUpATerminalThatNobodyLooksAt) {
  Pipe pipe = std::move(*create_pipe());
  RunOptions wish = options({"-t"}, {"/bin/sh", "-c", "while :; do echo x; sleep 0.05; done"});
  wish.pass = {{pipe.write.get(), 1}};
  BaileyProcess process(std::move(wish));
  pipe.write.reset();
  char first;
  EXPECT_EQ(read(pipe.read.get(), &first, 1), 1);
  pipe.read.reset();
  const Outcome got = process.finish();
  EXPECT_FALSE(got.timed_out);
  EXPECT_EQ(got.exit_code, 128 + SIGHUP) << got;
}

}  // namespace
}  // namespace bailey::tests
