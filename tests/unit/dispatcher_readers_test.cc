// Streams whose reader is slow, or gone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <string>

#include "base/files.h"
#include "tests/support/run_bailey.h"
#include "tests/unit/dispatcher_streams.h"

namespace bailey::dispatcher {
namespace {

// A source that has gone silent and a reader that takes something only when everything else stands still. Serves when poll(2)
// says so, as Bailey does.
template <typename Interest, typename Serve>
std::string read_slowly(int reader, size_t expected, Interest&& interest, Serve&& serve) {
  std::string got;
  const auto ready = [&] {
    std::vector<pollfd> set;
    interest(set);
    return ::poll(set.data(), set.size(), 0) > 0;
  };
  const auto deadline = clock::Deadline::in_ms(kPatienceMs);
  while (got.size() < expected && !deadline.passed()) {
    if (ready()) {
      serve();
      continue;
    }
    const std::string more = take(reader);
    if (more.empty() && !ready()) break;  // nobody waits for anything that could still happen
    got += more;
  }
  return got;
}

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

// Sizes around what is read at once, what a pipe takes at once, and what one turn moves.
constexpr size_t kTailSizes[] = {1,      4096,   4097,    57'344,  61'440,  65'535,  65'536,
                                 65'537, 69'632, 131'072, 178'304, 194'688, 300'001, 900'000};

TEST(Pump, WaitsForItsReaderWhileTheSourceIsSilent) {
  for (const Pump::Way way : {Pump::Way::copy, Pump::Way::splice}) {
    for (const std::string kind : {"pipe", "non-blocking pipe", "socket", "terminal"}) {
      if (way == Pump::Way::splice && !kind.ends_with("pipe")) continue;  // those are never spliced to: it would block
      for (const size_t size : kTailSizes) {
        SCOPED_TRACE(kind + (way == Pump::Way::copy ? ", copied, " : ", spliced, ") + std::to_string(size));
        Pipe source = create_pipe().value(), pipe = create_pipe().value();
        ::fcntl(source.write.get(), F_SETPIPE_SZ, 1 << 20);
        Fd reader = std::move(pipe.read), writer = std::move(pipe.write);
        if (kind == "non-blocking pipe") ::fcntl(writer.get(), F_SETFL, O_WRONLY | O_NONBLOCK);
        int pair[2] = {-1, -1};
        if (kind == "socket") {
          ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        }
        if (kind == "terminal") {
          ASSERT_EQ(::openpty(&pair[0], &pair[1], nullptr, nullptr, nullptr), 0);
          ::fcntl(pair[1], F_SETFL, O_RDWR | O_NONBLOCK);
        }
        if (pair[0] >= 0) reader = Fd(pair[0]), writer = Fd(pair[1]);
        Pump pump(std::move(source.read), std::move(writer), way);
        put(source.write.get(), pattern(size));
        const std::string got = read_slowly(
            reader.get(), size, [&](std::vector<pollfd>& set) { set.push_back(pump.interest()); },
            [&] { pump.serve(UINT64_MAX, false); });
        EXPECT_TRUE(got == pattern(size)) << got.size();
      }
    }
  }
}

TEST(Pump, WritesItsTrailerThoughTheTurnEndedBeforeIt) {
  for (size_t pieces = 0; pieces < 40; ++pieces) {
    Pipe source = create_pipe().value(), sink = create_pipe().value();
    ::fcntl(source.write.get(), F_SETPIPE_SZ, 1 << 20);
    Pump pump(std::move(source.read), std::move(sink.write), Pump::Way::copy);
    pump.set_trailer("END");
    put(source.write.get(), std::string(pieces * 4096, '\n'));
    source.write.reset();
    const std::string expected = std::string(pieces * 4096, '\n') + "END";
    const std::string got = read_slowly(
        sink.read.get(), expected.size(), [&](std::vector<pollfd>& set) { set.push_back(pump.interest()); },
        [&] { pump.serve(UINT64_MAX, false); });
    EXPECT_TRUE(got == expected) << pieces << ": " << got.size();
  }
}

TEST(Streams, WithholdNothingFromASlowReaderInEitherDirection) {
  for (const bool capped : {false, true}) {
    for (const size_t size : kTailSizes) {
      SCOPED_TRACE(std::to_string(size) + (capped ? ", capped" : ""));
      Caller caller;
      caller.options.attach_stdin = true;
      if (capped) caller.options.cap = size;
      Streams streams = Streams::create(caller.options).value();
      Stdio ends = streams.take_workload_ends();
      const auto interest = [&](std::vector<pollfd>& set) { streams.add_interest(set); };
      const auto serve = [&] { streams.serve(); };
      for (const Fd* end : {&caller.in.write, &ends.out}) ::fcntl(end->get(), F_SETPIPE_SZ, 1 << 20);
      put(caller.in.write.get(), pattern(size));
      EXPECT_TRUE(read_slowly(ends.in.get(), size, interest, serve) == pattern(size)) << "stdin";
      put(ends.out.get(), pattern(size));
      EXPECT_TRUE(read_slowly(caller.out.read.get(), size, interest, serve) == pattern(size)) << "stdout";
      EXPECT_FALSE(streams.over_cap());
    }
  }
}

TEST(Streams, CloseTheWorkloadsEndWhenTheReaderIsGone) {
  Caller caller;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  caller.out.read.reset();
  put(ends.out.get(), "nobody reads this");
  serve_until(streams, [&] { return streams.out().finished(); });
  EXPECT_EQ(::write(ends.out.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  put(ends.err.get(), "err");  // the other stream lives on
  serve_until(streams, [&] { return take(caller.err.read.get()) == "err"; });
  EXPECT_TRUE(streams.truncated());
  EXPECT_FALSE(streams.failure()) << "it wanted no more";
}

// The workload is silent when its reader goes; its next write is the first to fail.
TEST(Streams, NoticeThatTheReaderIsGoneBeforeTheNextWrite) {
  for (const std::string kind : {"pipe", "socket", "terminal", "pipe at the cap"}) {
    SCOPED_TRACE(kind);
    Caller caller;
    if (kind == "pipe at the cap") caller.options.cap = 6;
    int pair[2] = {-1, -1};
    if (kind == "socket") {
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    }
    if (kind == "terminal") {
      ASSERT_EQ(::openpty(&pair[0], &pair[1], nullptr, nullptr, nullptr), 0);
    }
    if (pair[0] >= 0) caller.out.read = Fd(pair[0]), caller.out.write = Fd(pair[1]);
    caller.options.out = caller.out.write.get();
    Streams streams = Streams::create(caller.options).value();
    Stdio ends = streams.take_workload_ends();
    put(ends.out.get(), "taken\n");
    std::string got;
    serve_until(streams, [&] { return (got += take(caller.out.read.get())).size() >= 6; });
    caller.out.read.reset();
    const auto deadline = clock::Deadline::in_ms(kPatienceMs);
    while (!streams.out().finished() && !deadline.passed()) {
      std::vector<pollfd> set;
      streams.add_interest(set);
      ASSERT_GT(::poll(set.data(), set.size(), kPatienceMs), 0) << "nobody would notice";
      streams.serve();
    }
    EXPECT_EQ(::write(ends.out.get(), "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
    EXPECT_FALSE(streams.truncated()) << "it got all that was written";
    EXPECT_FALSE(streams.failure());
    EXPECT_FALSE(streams.over_cap());
  }
}

// A FIFO's next reader may come after the last one has gone.
TEST(Streams, LeaveAFifoToItsNextReader) {
  const tests::TempDir directory;
  const std::string path = directory.file("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  Fd reader = files::open(path, O_RDONLY | O_NONBLOCK).value();
  const Fd writer = files::open(path, O_WRONLY).value();
  Caller caller;
  caller.options.out = writer.get();
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  reader.reset();
  std::vector<pollfd> set;
  streams.add_interest(set);
  EXPECT_EQ(::poll(set.data(), set.size(), 0), 0);
  streams.serve();
  reader = files::open(path, O_RDONLY | O_NONBLOCK).value();
  put(ends.out.get(), "for the next one");
  std::string got;
  serve_until(streams, [&] { return (got += take(reader.get())) == "for the next one"; });
}

TEST(Streams, HangUpTheTerminalThatNobodyLooksAt) {
  int master = -1, slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  const Fd tty(slave);
  Caller caller;
  caller.options.attach_stdin = true;
  caller.options.terminal = true;
  Streams streams = Streams::create(caller.options).value();
  ASSERT_TRUE(streams.attach_terminal(Fd(master)));
  caller.out.read.reset();
  pollfd one{tty.get(), 0, 0};
  serve_until(streams, [&] { return ::poll(&one, 1, 0) > 0 && (one.revents & POLLHUP) != 0; });
  EXPECT_LT(streams.terminal(), 0);
}

}  // namespace
}  // namespace bailey::dispatcher
