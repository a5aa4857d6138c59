// Standard streams and the terminal.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using StdioContract = Contract;

TEST_F(StdioContract, KeepsStdoutAndStderrApart) {
  const Outcome got = shell("echo to-out; echo to-err >&2; echo out-again");
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "to-out\nout-again\n");
  EXPECT_EQ(got.err, "to-err\n");
}

TEST_F(StdioContract, KeepsTheOrderOfBothWhenTheyAreOneFile) {
  Pipe pipe = std::move(*create_pipe());
  RunOptions wish = options({}, {"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"});
  wish.pass = {{pipe.write.get(), 1}, {pipe.write.get(), 2}};
  const Outcome got = run_bailey(std::move(wish));
  pipe.write.reset();
  char buffer[4096];
  const ssize_t n = read(pipe.read.get(), buffer, sizeof buffer);
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))),
            "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\no6\ne6\no7\ne7\no8\ne8\no9\ne9\n");
}

// A reader that comes late: the command waits for it, whichever of the two it writes to.
TEST_F(StdioContract, WaitsForTheReaderOfBothStreamsInOne) {
  Pipe pipe = std::move(*create_pipe());
  RunOptions wish =
      options({}, {"/bin/sh", "-c", "set -e; head -c 3M /dev/zero; head -c 3M /dev/zero >&2; head -c 3M /dev/zero"});
  wish.pass = {{pipe.write.get(), 1}, {pipe.write.get(), 2}};
  BaileyProcess process(std::move(wish));
  pipe.write.reset();
  const auto deadline = clock::Deadline::in_ms(60'000);
  for (int waiting = 0; waiting < 60'000 && !deadline.passed(); usleep(5000)) ioctl(pipe.read.get(), FIONREAD, &waiting);
  size_t total = 0;
  std::string buffer(1 << 16, '\0');
  for (ssize_t n; (n = read(pipe.read.get(), buffer.data(), buffer.size())) > 0;) total += static_cast<size_t>(n);
  const Outcome got = process.finish();
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(total, size_t{9} << 20);
}

// The command has said something and waits; its reader comes late and must get all of it while it still waits.
TEST_F(StdioContract, WithholdsNothingFromALateReaderWhileTheCommandWaits) {
  for (const Arguments& flags : {Arguments{}, Arguments{"-t"}}) {
    // One turn of the pump moves eight pieces of a terminal's output: each remainder once.
    const size_t last = flags.empty() ? 178'304 : 178'304 + 8 * 4096;
    for (size_t size = 178'304; size <= last; size += 4096) {
      Pipe pipe = std::move(*create_pipe());
      RunOptions wish =
          options(flags, {"/bin/sh", "-c", "head -c " + std::to_string(size) + " /dev/zero | tr '\\0' x; exec sleep 600"});
      wish.pass = {{pipe.write.get(), 1}};
      BaileyProcess process(std::move(wish));
      pipe.write.reset();
      const auto deadline = clock::Deadline::in_ms(60'000);
      const auto patience = [&] { return deadline.poll_ms() > 0 && !process.ended(); };
      // Late: nothing moves any more.
      for (int waiting = 0, before = -1, same = 0; same < 30 && patience(); usleep(10'000)) {
        ioctl(pipe.read.get(), FIONREAD, &waiting);
        same = waiting > 0 && waiting == before ? same + 1 : 0;
        before = waiting;
      }
      size_t got = 0;
      std::string buffer(1 << 16, '\0');
      while (got < size && patience()) {
        pollfd one{pipe.read.get(), POLLIN, 0};
        if (poll(&one, 1, 100) > 0) got += static_cast<size_t>(read(pipe.read.get(), buffer.data(), buffer.size()));
      }
      EXPECT_EQ(got, size) << (flags.empty() ? "" : flags.front());
      process.signal(SIGTERM);
      EXPECT_EQ(process.finish().exit_code, 128 + SIGTERM);
    }
  }
}

TEST_F(StdioContract, LosesNothingOfALongOutput) {
  const Outcome got = shell("seq 1 300000; seq 1 300000 >&2");
  std::string expected;
  for (int i = 1; i <= 300000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(got.exit_code, 0);
  EXPECT_TRUE(got.out == expected) << got.out.size() << " bytes of " << expected.size();
  EXPECT_TRUE(got.err == expected) << got.err.size() << " bytes of " << expected.size();
  EXPECT_EQ(got.number("stdout_bytes"), expected.size());
  EXPECT_EQ(got.number("stderr_bytes"), expected.size());
}

TEST_F(StdioContract, PassesStdinByteByByte) {
  RunOptions wish = options({"-i"}, {"/bin/cat"});
  for (int i = 0; i < 2'000'000; ++i) wish.input += static_cast<char>(i * 7 + i / 251);
  const std::string expected = wish.input;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got.err;
  EXPECT_TRUE(got.out == expected) << got.out.size() << " bytes of " << expected.size();
}

// Fast input maps stdin, measures it, or goes back in it. The caller's file itself stays out of reach.
TEST_F(StdioContract, GivesAFileAsAFile) {
  std::string text(300'000, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 23);
  const TempDir directory;
  const std::string path = directory.write("input", "skipped" + text, 0666);
  for (const Arguments& user : {Arguments{}, Arguments{"--user", "1000:1000"}}) {
    Fd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(lseek(file.get(), 7, SEEK_SET), 7);
    Arguments flags = with_probes({"-i"});
    flags.insert(flags.end(), user.begin(), user.end());
    RunOptions wish = options(flags, {probe("stdin")});
    wish.pass = {{file.get(), 0}};
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_EQ(got.out.substr(0, got.out.find("write:")),
              "size: 300000\nmap: 300000\nread: 300000\nseek: 299993\nagain: 300000\n");
    EXPECT_EQ(got.out.find("done"), std::string::npos) << got;
    EXPECT_EQ(lseek(file.get(), 0, SEEK_CUR), 7) << "the caller's position";
    EXPECT_TRUE(read_file(path) == "skipped" + text);
  }
}

TEST_F(StdioContract, GivesALargeFileAsAStream) {
  const TempDir directory;
  const std::string path = directory.write("input", "");
  Fd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), off_t{65} << 20), 0);
  RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "wc -c"});
  wish.pass = {{file.get(), 0}};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(std::stoll("0" + got.out), 65LL << 20) << got;
}

TEST_F(StdioContract, RefusesAnInputThatCannotBeRead) {
  const TempDir directory;
  const std::string path = directory.write("file", "x");
  for (const auto& [name, flags] : {std::pair{std::string("/"), O_RDONLY}, {path, O_WRONLY}}) {
    Fd fd(open(name.c_str(), flags | O_CLOEXEC));
    RunOptions wish = options({"-i"}, {"/bin/cat"});
    wish.pass = {{fd.get(), 0}};
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.exit_code, 125) << got;
    EXPECT_NE(got.err.find("stdin"), std::string::npos) << got;
    EXPECT_NE(got.err.find("remedy: "), std::string::npos) << got;
  }
}

TEST_F(StdioContract, GivesAnEmptyStdinUnlessAsked) {
  RunOptions wish = options({}, {"/bin/cat"});
  wish.input = "not for the command\n";
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "");
}

TEST_F(StdioContract, TalksBothWaysWhileItRuns) {
  RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "while read line; do echo got $line; done; echo over"});
  wish.keep_input_open = true;
  BaileyProcess talk(std::move(wish));
  talk.send("one\n");
  EXPECT_TRUE(talk.wait_for_output("got one\n"));
  talk.send("two\n");
  EXPECT_TRUE(talk.wait_for_output("got two\n"));
  const Outcome got = talk.finish();
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, "got one\ngot two\nover\n");
}

// Servers log to /dev/stdout and scripts complain to /dev/stderr: by opening, not by the descriptor.
TEST_F(StdioContract, OpensItsStreamsAgainByName) {
  for (const Arguments& user :
       {Arguments{}, Arguments{"--user", "0"}, Arguments{"--user", "1000"}, Arguments{"--user", "1000:100"}}) {
    const Outcome got = shell(user, "echo out > /dev/stdout; echo err > /dev/stderr; echo again >> /proc/self/fd/1");
    EXPECT_EQ(got.out, "out\nagain\n") << got;
    EXPECT_EQ(got.err, "err\n") << got;
  }
}

// A command must not hang because nobody feeds its stdin to the end, and not because it does not read it.
TEST_F(StdioContract, EndsThoughStdinStaysOpen) {
  RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "exit 4"});
  wish.keep_input_open = true;
  BaileyProcess process(std::move(wish));
  const auto deadline = clock::Deadline::in_ms(120'000);
  while (!process.ended() && !deadline.passed()) usleep(5000);
  EXPECT_TRUE(process.ended());
  EXPECT_EQ(process.finish().exit_code, 4);
}

TEST_F(StdioContract, WorksWithClosedStreams) {
  for (const std::vector<int>& closed : std::vector<std::vector<int>>{{0}, {1}, {2}, {0, 1, 2}}) {
    RunOptions wish = options({}, {"/bin/sh", "-c", "cat; exit 6"});
    wish.closed = closed;
    const Outcome got = run_bailey(std::move(wish));
    EXPECT_EQ(got.exit_code, 6) << "closed from " << closed.front() << ", " << closed.size() << ": " << got;
    EXPECT_EQ(got.text("verdict"), "exited") << got;
  }
}

// runsc of 2022 chowns a stdin, stdout or stderr that is the host's /dev/null; the leak check sees the owner.
TEST_F(StdioContract, LeavesTheDeviceOfTheCallerAlone) {
  Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  RunOptions wish = options({"-i"}, {"/bin/sh", "-c", "echo x; echo y >&2; exit 8"});
  wish.pass = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 8) << got;
}

// A workload that gets the caller's file itself could reopen it for reading or overwrite earlier bytes of it.
TEST_F(StdioContract, AppendsToACallersFileAndDoesNotHandItOver) {
  const TempDir directory;
  const std::string path = directory.write("log", "earlier\n");
  Fd file(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  RunOptions wish = options({}, {"/bin/sh", "-c", "echo later; readlink /proc/self/fd/1 >&2"});
  wish.pass = {{file.get(), 1}};
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(read_file(path), "earlier\nlater\n");
  EXPECT_EQ(got.err.find("log"), std::string::npos) << got;
}

// --- terminal ----------------------------------------------------------------------------------------------------------

// A bailey on a pseudo-terminal of ours.
class TerminalContract : public Contract {
 protected:
  struct Session {
    Fd master, slave;
    std::string screen;

    void read_some(int timeout_ms) {
      pollfd wait{master.get(), POLLIN, 0};
      if (poll(&wait, 1, timeout_ms) <= 0) return;
      char buffer[65536];
      const ssize_t n = ::read(master.get(), buffer, sizeof buffer);
      if (n > 0) screen.append(buffer, static_cast<size_t>(n));
    }
    bool wait_for(const std::string& text) {
      const auto deadline = clock::Deadline::in_ms(120'000);
      while (screen.find(text) == std::string::npos && !deadline.passed()) read_some(100);
      return screen.find(text) != std::string::npos;
    }
    void type(const std::string& keys) {
      ASSERT_EQ(::write(master.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
    }
    void resize(unsigned short rows, unsigned short columns) {
      const winsize size{rows, columns, 0, 0};
      ioctl(master.get(), TIOCSWINSZ, &size);
    }
  };

  Session open_session() {
    int master = -1, slave = -1;
    const winsize size{33, 99, 0, 0};
    EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    return {Fd(master), Fd(slave), ""};
  }
  BaileyProcess start(Session& session, Arguments flags, const Arguments& command) {
    flags.insert(flags.end(), {"-i", "-t"});
    RunOptions wish = options(flags, command);
    wish.terminal = session.slave.get();
    return BaileyProcess(std::move(wish));
  }
  // Reads the screen until the process has ended; a full terminal would hold it up.
  Outcome finish(BaileyProcess& process, Session& session) {
    const auto deadline = clock::Deadline::in_ms(120'000);
    while (!process.ended() && !deadline.passed()) session.read_some(50);
    for (size_t before = session.screen.size() + 1; before != session.screen.size();) {
      before = session.screen.size();
      session.read_some(50);
    }
    return process.finish();
  }
};

TEST_F(TerminalContract, GivesARealTerminalOfTheCallersSize) {
  Session session = open_session();
  BaileyProcess process = start(session, with_probes(), {probe("self")});
  const Outcome got = finish(process, session);
  EXPECT_EQ(got.exit_code, 0) << got << session.screen;
  EXPECT_NE(session.screen.find("\"terminal\":true,\"rows\":33,\"columns\":99"), std::string::npos) << session.screen;
}

TEST_F(TerminalContract, PassesKeysAndResizes) {
  Session session = open_session();
  BaileyProcess process = start(session, with_probes(), {probe("terminal")});
  ASSERT_TRUE(session.wait_for("ready")) << session.screen;
  session.type("word\n");
  EXPECT_TRUE(session.wait_for("got word")) << session.screen;
  session.resize(20, 70);
  process.signal(SIGWINCH);  // as the kernel does for the foreground group
  EXPECT_TRUE(session.wait_for("size 20 70")) << session.screen;
  session.type("end\n");
  const Outcome got = finish(process, session);
  EXPECT_EQ(got.exit_code, 9) << got << session.screen;
}

TEST_F(TerminalContract, TurnsControlCIntoAnInterruptOfTheCommand) {
  Session session = open_session();
  BaileyProcess process = start(session, with_probes(), {probe("signals"), "handle"});
  ASSERT_TRUE(session.wait_for("ready")) << session.screen;
  session.type("\x03");
  const Outcome got = finish(process, session);
  EXPECT_EQ(got.exit_code, 3) << got << session.screen;
  EXPECT_NE(session.screen.find("INT 1"), std::string::npos) << session.screen;
}

TEST_F(TerminalContract, RestoresTheCallersTerminal) {
  Session session = open_session();
  termios before{}, after{};
  tcgetattr(session.slave.get(), &before);
  BaileyProcess process = start(session, {}, {"/bin/sh", "-c", "stty raw -echo; exit 0"});
  const Outcome got = finish(process, session);
  tcgetattr(session.slave.get(), &after);
  EXPECT_EQ(got.exit_code, 0) << got << session.screen;
  EXPECT_EQ(before.c_lflag, after.c_lflag);
  EXPECT_EQ(before.c_iflag, after.c_iflag);
  EXPECT_EQ(before.c_oflag, after.c_oflag);
}

}  // namespace
}  // namespace bailey::tests
