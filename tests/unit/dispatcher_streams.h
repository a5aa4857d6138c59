// What the tests of streams share: pipes of the test, which plays both the caller and the workload.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dispatcher/streams.h"

namespace bailey::dispatcher {

inline constexpr int64_t kPatienceMs = 60'000;

// The caller's ends: `in` is read by Streams, `out` and `err` are written by it; the other ends are the
// test's.
struct Caller {
  Pipe in = create_pipe().value();
  Pipe out = create_pipe().value();
  Pipe err = create_pipe().value();
  StreamOptions options;

  Caller() {
    struct sigaction quiet{};
    quiet.sa_handler = [](int) {};
    ::sigaction(SIGPIPE, &quiet, nullptr);
    options.in = in.read.get();
    options.out = out.write.get();
    options.err = err.write.get();
  }
};

inline std::string take(int fd) {  // what is there now
  std::string text(1 << 20, '\0');
  pollfd one{fd, POLLIN, 0};
  if (::poll(&one, 1, 0) <= 0 || (one.revents & POLLIN) == 0) return {};
  const ssize_t got = ::read(fd, text.data(), text.size());
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

inline void put(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

// Serves until `done` or nothing more happens by itself.
template <typename F>
void serve_until(Streams& streams, F&& done) {
  const auto deadline = clock::Deadline::in_ms(kPatienceMs);
  bool finished = done();
  for (; !finished && !deadline.passed(); finished = done()) {
    std::vector<pollfd> set;
    streams.add_interest(set);
    ::poll(set.data(), set.size(), 10);
    streams.serve();
  }
  EXPECT_TRUE(finished);
}

}  // namespace bailey::dispatcher
