// The built bailey binary as a child of the test: arguments, stdin, timeout in; exit code, output and result record out.
//
//   const Outcome got = run_bailey({.arguments = {"run", "--trust", "trusted", "--", "/bin/echo", "hello"}});
//   EXPECT_EQ(got.exit_code, 0) << got;
//
// The binary is the one in the environment variable BAILEY, else the one of this build. stdin, stdout and stderr are pipes.
// The child gets this process's environment; no descriptor but 0-2 and those in `pass`. The timeout is no part of a test's
// claim: it only keeps a hanging program from hanging the suite.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/json.h"
#include "tests/support/temp_dir.h"

namespace bailey::tests {

struct RunOptions {
  std::vector<std::string> arguments;     // after "bailey"
  std::string input;                      // written to stdin, which is then closed
  bool keep_input_open = false;           // stdin stays open until close_input() or finish()
  std::vector<std::string> environment;   // KEY=VALUE, added to this process's
  std::string directory;                  // working directory; empty: this process's
  std::vector<std::pair<int, int>> pass;  // {our descriptor, its number in bailey}
  std::vector<int> closed;                // of 0, 1, 2: closed in bailey
  std::optional<int> terminal;            // pty slave: becomes 0, 1, 2 and the controlling terminal of a new session
  bool record = false;                    // adds --result to `run` and fills Outcome::record
  std::function<void()> before_exec;      // in the child, after the descriptors are in place
  int64_t timeout_ms = 180'000;           // then SIGKILL
};

struct Outcome {
  bool timed_out = false;
  int exit_code = -1;  // -1 when a signal ended bailey itself
  int signal = 0;
  std::string out;
  std::string err;
  std::optional<json::Value> record;
  // A value of the record by dotted path ("memory.peak_bytes"); null when absent or of another type.
  const json::Value* find(std::string_view path) const;
  std::string text(std::string_view path) const;  // "" when absent
  std::optional<int64_t> number(std::string_view path) const;
};
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);  // all of it, for failure messages

// A running bailey. Killed and reaped by the destructor when finish() was not called.
class BaileyProcess {
 public:
  explicit BaileyProcess(RunOptions options);
  BaileyProcess(BaileyProcess&&) noexcept;
  ~BaileyProcess();

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Reads until stdout holds `text`; false when it ended or the time was over before.
  bool wait_for_output(std::string_view text, int64_t timeout_ms = 120'000);
  void send(std::string_view input);
  void close_input();
  bool ended() const;  // a zombie counts
  // Reads all output, waits for the end.
  Outcome finish();

 private:
  bool pump(int timeout_ms);  // one poll round; false when nothing is left to wait for

  pid_t pid_ = -1;
  Fd pidfd_, in_, out_, err_, record_;
  std::string pending_input_;
  bool keep_input_open_ = false;
  std::string record_text_;
  int64_t timeout_ms_;
  Outcome outcome_;
};

Outcome run_bailey(RunOptions options);

std::string bailey_binary();

}  // namespace bailey::tests
