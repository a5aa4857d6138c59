// Streams between pipes of the test, which plays both the caller and the workload.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "tests/support/run_bailey.h"
#include "tests/unit/dispatcher_streams.h"

namespace bailey::dispatcher {
namespace {

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

TEST(Pump, FillsAPipeThatNobodyReadsByBytesAndNotByLines) {
  Pipe source = create_pipe().value(), sink = create_pipe().value();
  Fd sink_end = sink.write.duplicate().value();
  Pump pump(std::move(source.read), std::move(sink_end), Pump::Way::splice);
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    put(source.write.get(), line);
    pump.serve(1 << 20, false);
    expected += line;
  }
  EXPECT_EQ(take(sink.read.get()), expected);
}

TEST(Pump, TakesNothingThatComesAtItsLimitForTheEnd) {
  constexpr int kTimes = 2000;
  std::atomic<int> wanted = -1, written = -1;
  for (int i = 0; i < kTimes; ++i) {
    Pipe source = create_pipe().value(), sink = create_pipe().value();
    const int fd = source.write.get();
    Pump pump(std::move(source.read), std::move(sink.write), Pump::Way::splice);
    put(fd, "x");
    pump.serve(1, false);
    ASSERT_EQ(pump.taken(), 1U);
    std::thread writer([&, fd, i] {
      while (wanted != i) {}
      for (int pause = 0; pause < i % 97; ++pause) (void)wanted.load();
      (void)!::write(fd, "y", 1);
      written = i;
    });
    wanted = i;
    while (written != i) pump.serve(0, false);
    writer.join();
    pump.serve(0, false);
    ASSERT_FALSE(pump.finished()) << "after " << i;
    ASSERT_TRUE(pump.has_input());
  }
}

TEST(Streams, KeepStdoutAndStderrApart) {
  Caller caller;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  put(ends.out.get(), "to out");
  put(ends.err.get(), "to err");
  ends = Stdio();
  streams.workload_ended();
  serve_until(streams, [&] { return streams.drained(); });
  EXPECT_EQ(take(caller.out.read.get()), "to out");
  EXPECT_EQ(take(caller.err.read.get()), "to err");
  EXPECT_EQ(streams.out().taken(), 6U);
  EXPECT_EQ(streams.err().taken(), 6U);
  EXPECT_FALSE(streams.truncated());
}

TEST(Streams, GiveOnePipeForBothWhenTheCallerHasOneFile) {
  Caller caller;
  Fd same = caller.out.write.duplicate().value();
  caller.options.err = same.get();
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    put(i % 3 == 0 ? ends.err.get() : ends.out.get(), std::to_string(i) + "\n");
    expected += std::to_string(i) + "\n";
  }
  ends = Stdio();
  streams.workload_ended();
  serve_until(streams, [&] { return streams.drained(); });
  EXPECT_TRUE(streams.merged());
  EXPECT_EQ(take(caller.out.read.get()), expected);
}

TEST(Streams, EndStdinAtOnceUnlessItIsAttached) {
  Caller caller;
  put(caller.in.write.get(), "secret of the caller");
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  char byte;
  EXPECT_EQ(::read(ends.in.get(), &byte, 1), 0);
  EXPECT_EQ(take(caller.in.read.get()), "secret of the caller");
}

TEST(Streams, PassStdinOnAndItsEnd) {
  Caller caller;
  caller.options.attach_stdin = true;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  put(caller.in.write.get(), "line\n");
  std::string got;
  serve_until(streams, [&] { return (got += take(ends.in.get())) == "line\n"; });
  caller.in.write.reset();
  serve_until(streams, [&] {
    pollfd one{ends.in.get(), POLLIN, 0};
    return ::poll(&one, 1, 0) > 0 && (one.revents & POLLHUP) != 0;
  });
}

TEST(Streams, PassOnExactlyTheCapOverBothStreams) {
  for (const size_t extra : {0, 1, 100'000}) {
    Caller caller;
    caller.options.cap = 1000;
    Streams streams = Streams::create(caller.options).value();
    Stdio ends = streams.take_workload_ends();
    ::fcntl(ends.out.get(), F_SETPIPE_SZ, 1 << 20);
    put(ends.err.get(), std::string(300, 'e'));
    serve_until(streams, [&] { return streams.err().taken() == 300; });
    put(ends.out.get(), std::string(700 + extra, 'o'));
    ends = Stdio();
    serve_until(streams, [&] { return streams.over_cap() || streams.drained(); });
    EXPECT_EQ(streams.over_cap(), extra > 0) << extra;
    EXPECT_EQ(take(caller.out.read.get()), std::string(700, 'o'));
    EXPECT_EQ(take(caller.err.read.get()), std::string(300, 'e'));
    EXPECT_EQ(streams.truncated(), extra > 0);
  }
}

TEST(Streams, PassOnExactlyTheCapToASlowSocketToo) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const Fd reader(pair[0]), writer(pair[1]);
  const int small = 8192;
  ASSERT_EQ(::setsockopt(writer.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  Caller caller;
  caller.options.out = writer.get();
  caller.options.cap = 200'000;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  ::fcntl(ends.out.get(), F_SETPIPE_SZ, 1 << 20);
  put(ends.out.get(), std::string(300'000, 'x'));
  for (int i = 0; i < 100; ++i) streams.serve();
  EXPECT_FALSE(streams.over_cap()) << "the socket has not got all of it yet";
  size_t seen = 0;
  serve_until(streams, [&] {
    seen += take(reader.get()).size();
    return streams.over_cap();
  });
  streams.abandon();
  for (std::string more; !(more = take(reader.get())).empty();) seen += more.size();
  EXPECT_EQ(seen, 200'000U);
}

TEST(Streams, HoldBackTheWorkloadWhenNobodyReads) {
  Caller caller;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  ::fcntl(ends.out.get(), F_SETFL, O_NONBLOCK);
  const std::string block(64 << 10, 'x');
  uint64_t written = 0;
  int idle = 0;
  for (int i = 0; i < 1000 && idle < 20; ++i) {
    const ssize_t got = ::write(ends.out.get(), block.data(), block.size());
    if (got > 0) written += static_cast<uint64_t>(got);
    const bool moved = streams.serve();
    idle = got < 0 && !moved ? idle + 1 : 0;
  }
  EXPECT_EQ(idle, 20) << "the pump went on without a reader";
  EXPECT_LE(written, 4U << 20);  // the pipes, and no memory of ours
  std::vector<pollfd> set;
  streams.add_interest(set);
  EXPECT_EQ(::poll(set.data(), set.size(), 0), 0) << "it would spin";

  std::string seen;  // and nothing is lost once somebody reads
  ends = Stdio();
  streams.workload_ended();
  serve_until(streams, [&] {
    seen += take(caller.out.read.get());
    return streams.drained();
  });
  for (std::string more; !(more = take(caller.out.read.get())).empty();) seen += more;
  EXPECT_EQ(seen.size(), written);
}

TEST(Streams, LeaveTheCallersDescriptorsBlocking) {
  Caller caller;
  caller.options.attach_stdin = true;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  EXPECT_FALSE(is_nonblocking(caller.in.read.get()));
  EXPECT_FALSE(is_nonblocking(caller.out.write.get()));
  EXPECT_FALSE(is_nonblocking(caller.err.write.get()));
  EXPECT_FALSE(is_nonblocking(ends.in.get()));
  EXPECT_FALSE(is_nonblocking(ends.out.get()));
}

TEST(Streams, MoveEveryByteOfALotToEveryKindOfReader) {
  constexpr size_t kBytes = 64 << 20;
  const tests::TempDir directory;
  for (const std::string kind : {"pipe", "socket", "file", "appended file", "/dev/null"}) {
    SCOPED_TRACE(kind);
    Caller caller;
    Fd sockets[2], file;
    int reader = caller.out.read.get();
    if (kind == "socket") {
      int pair[2];
      ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
      sockets[0] = Fd(pair[0]);
      sockets[1] = Fd(pair[1]);
      caller.options.out = sockets[1].get();
      reader = sockets[0].get();
    } else if (kind != "pipe") {
      const std::string path = kind == "/dev/null" ? kind : directory.file(kind);
      file = files::open(path, O_RDWR | O_CREAT | (kind == "appended file" ? O_APPEND : 0), 0600).value();
      caller.options.out = file.get();
      reader = -1;
    }
    Streams streams = Streams::create(caller.options).value();
    Stdio ends = streams.take_workload_ends();
    std::thread writer([fd = ends.out.get(), &ends] {
      std::string block(100'003, '\0');
      for (size_t at = 0; at < kBytes;) {
        for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>((at + i) % 251);
        const size_t size = std::min(block.size(), kBytes - at);
        for (size_t done = 0; done < size;) {
          const ssize_t got = ::write(fd, block.data() + done, size - done);
          if (got < 0) return;
          done += static_cast<size_t>(got);
        }
        at += size;
      }
      ends.out.reset();
    });
    size_t seen = 0;
    bool right = true;
    const auto look = [&](const std::string& text) {
      for (const char c : text) right &= c == static_cast<char>(seen++ % 251);
    };
    serve_until(streams, [&] {
      if (reader >= 0) look(take(reader));
      return streams.out().finished();
    });
    writer.join();
    if (reader >= 0)
      for (std::string more; !(more = take(reader)).empty();) look(more);
    if (file && kind != "/dev/null") look(files::read(directory.file(kind), kBytes + 1).value());
    EXPECT_EQ(streams.out().taken(), kBytes);
    EXPECT_EQ(seen, kind == "/dev/null" ? 0 : kBytes);
    EXPECT_TRUE(right);
    EXPECT_FALSE(streams.truncated());
  }
}

TEST(Streams, SayThatAFullDiskLostOutput) {
  Caller caller;
  Fd full = files::open("/dev/full", O_WRONLY).value();
  caller.options.out = full.get();
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  put(ends.out.get(), "x");
  serve_until(streams, [&] { return streams.out().finished(); });
  EXPECT_EQ(streams.out().sink_errno(), ENOSPC);
  EXPECT_TRUE(streams.truncated());
  ASSERT_TRUE(streams.failure());
  EXPECT_EQ(streams.failure()->sys, ENOSPC);
  EXPECT_NE(streams.failure()->message.find("stdout"), std::string::npos) << streams.failure()->message;
}

TEST(Streams, SayThatStdinCouldNotBeRead) {
  Caller caller;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  const Fd input(pair[0]);
  Fd peer(pair[1]);
  caller.options.attach_stdin = true;
  caller.options.in = input.get();
  Streams streams = Streams::create(caller.options).value();
  const Stdio ends = streams.take_workload_ends();
  put(input.get(), "what the peer does not read before it closes makes the next read fail");
  peer.reset();
  serve_until(streams, [&] { return streams.failure().has_value(); });
  EXPECT_EQ(streams.failure()->sys, ECONNRESET);
  EXPECT_NE(streams.failure()->message.find("stdin"), std::string::npos) << streams.failure()->message;
}

TEST(Streams, CaptureEveryByte) {
  Caller caller;
  caller.options.output = StreamOptions::Output::capture;
  Streams streams = Streams::create(caller.options).value();
  Stdio ends = streams.take_workload_ends();
  const std::string bytes("\0\xff\x80 \n", 5);
  put(ends.out.get(), bytes);
  put(ends.err.get(), "e");
  ends = Stdio();
  streams.workload_ended();
  serve_until(streams, [&] { return streams.drained(); });
  EXPECT_EQ(streams.out().captured, bytes);
  EXPECT_EQ(streams.err().captured, "e");
  EXPECT_EQ(take(caller.out.read.get()), "");
}

TEST(Streams, AreDoneAfterTheEndThoughAnEndIsHeldOpen) {
  Caller caller;
  Streams streams = Streams::create(caller.options).value();
  const Stdio ends = streams.take_workload_ends();
  put(ends.out.get(), "last words");
  streams.workload_ended();
  serve_until(streams, [&] { return streams.drained(); });
  EXPECT_EQ(take(caller.out.read.get()), "last words");
}

TEST(Streams, TypeTheEndOfInputIntoATerminal) {
  int master = -1, slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  const Fd tty(slave);
  Caller caller;
  caller.options.attach_stdin = true;
  caller.options.terminal = true;
  Streams streams = Streams::create(caller.options).value();
  ASSERT_TRUE(streams.attach_terminal(Fd(master)));
  put(caller.in.write.get(), "no newline");
  caller.in.write.reset();
  std::string got;
  serve_until(streams, [&] { return (got += take(tty.get())) == "no newline"; });
  bool ended = false;  // the second ^D, on an empty line, is the end
  serve_until(streams, [&] {
    pollfd one{tty.get(), POLLIN, 0};
    char byte;
    return ended = ended || (::poll(&one, 1, 0) > 0 && ::read(tty.get(), &byte, 1) == 0);
  });
}

}  // namespace
}  // namespace bailey::dispatcher
