#include "tests/support/run_bailey.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ostream>

#include "base/clock.h"

namespace bailey::tests {
namespace {

constexpr int kRecordFd = 19;  // its number in bailey

Pipe make_pipe() {
  auto pipe = create_pipe();
  if (!pipe) ADD_FAILURE() << "pipe: " << strerror(errno);
  return pipe ? std::move(*pipe) : Pipe{};
}

// Reads what is there. false at the end of file.
bool drain(Fd& fd, std::string& into) {
  char buffer[65536];
  while (true) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n > 0) {
      into.append(buffer, static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return true;
    fd.reset();
    return false;
  }
}

void set_nonblocking(const Fd& fd) {
  if (fd) fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

// In the child. Sources are first lifted out of the way, so that no target number hits a source that is still needed.
void place_descriptors(std::vector<std::pair<int, int>> map, const std::vector<int>& closed) {
  for (auto& [source, target] : map) source = fcntl(source, F_DUPFD_CLOEXEC, 100);
  for (const auto& [source, target] : map)
    if (dup2(source, target) < 0) _exit(99);
  for (int fd : closed) close(fd);
}

}  // namespace

std::string bailey_binary() {
  const char* given = std::getenv("BAILEY");
  return given && *given ? given : BAILEY_BINARY;
}

BaileyProcess::BaileyProcess(RunOptions options) : timeout_ms_(options.timeout_ms) {
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe(), record;
  std::vector<std::pair<int, int>> map;
  if (options.terminal) {
    for (int number : {0, 1, 2}) map.emplace_back(*options.terminal, number);
  } else {
    map = {{in.read.get(), 0}, {out.write.get(), 1}, {err.write.get(), 2}};
  }
  if (options.record) {
    record = make_pipe();
    map.emplace_back(record.write.get(), kRecordFd);
    options.arguments.insert(options.arguments.begin() + 1, {"--result", "fd:" + std::to_string(kRecordFd)});
  }
  map.insert(map.end(), options.pass.begin(), options.pass.end());

  std::string binary = bailey_binary();
  std::vector<char*> argv{binary.data()};
  for (std::string& argument : options.arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  pid_ = fork();
  if (pid_ == 0) {
    if (options.terminal) setsid();
    place_descriptors(std::move(map), options.closed);
    if (options.terminal) ioctl(0, TIOCSCTTY, 0);
    for (std::string& pair : options.environment) putenv(pair.data());
    if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(99);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2})
      ::signal(number, SIG_DFL);  // whatever the caller of the tests ignores
    if (options.before_exec) options.before_exec();
    execv(binary.c_str(), argv.data());
    dprintf(2, "%s: %s\n", binary.c_str(), strerror(errno));
    _exit(98);
  }
  if (pid_ < 0) ADD_FAILURE() << "fork: " << strerror(errno);
  pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  if (!options.terminal) in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  record_ = std::move(record.read);
  for (const Fd* fd : {&in_, &out_, &err_, &record_}) set_nonblocking(*fd);
  pending_input_ = std::move(options.input);
  keep_input_open_ = options.keep_input_open;
  if (pending_input_.empty() && !keep_input_open_) in_.reset();
}

BaileyProcess::BaileyProcess(BaileyProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      record_(std::move(other.record_)),
      pending_input_(std::move(other.pending_input_)),
      keep_input_open_(other.keep_input_open_),
      record_text_(std::move(other.record_text_)),
      timeout_ms_(other.timeout_ms_),
      outcome_(std::move(other.outcome_)) {}

BaileyProcess::~BaileyProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
}

void BaileyProcess::signal(int number) const {
  if (pid_ > 0) kill(pid_, number);
}

bool BaileyProcess::ended() const {
  pollfd wait{pidfd_.get(), POLLIN, 0};
  return poll(&wait, 1, 0) == 1;
}

bool BaileyProcess::pump(int timeout_ms) {
  if (pending_input_.empty() && !keep_input_open_) in_.reset();
  const bool writing = in_ && !pending_input_.empty();
  pollfd wait[] = {{pidfd_.get(), POLLIN, 0},
                   {out_.get(), POLLIN, 0},
                   {err_.get(), POLLIN, 0},
                   {record_.get(), POLLIN, 0},
                   {writing ? in_.get() : -1, POLLOUT, 0}};
  const bool was_over = ended();  // what is in the pipes after the end is all there will be from bailey itself
  if (!was_over) poll(wait, 5, timeout_ms);
  if (out_) drain(out_, outcome_.out);
  if (err_) drain(err_, outcome_.err);
  if (record_) drain(record_, record_text_);
  if (writing && (wait[4].revents != 0)) {
    ::signal(SIGPIPE, SIG_IGN);
    const ssize_t n = write(in_.get(), pending_input_.data(), pending_input_.size());
    if (n > 0) pending_input_.erase(0, static_cast<size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) {  // the reader has gone
      pending_input_.clear();
      in_.reset();
    }
  }
  return !was_over;
}

bool BaileyProcess::wait_for_output(std::string_view text, int64_t timeout_ms) {
  const auto deadline = clock::Deadline::in_ms(timeout_ms);
  while (outcome_.out.find(text) == std::string::npos) {
    if (deadline.passed()) return false;
    if (!pump(std::min(deadline.poll_ms(), 200))) return outcome_.out.find(text) != std::string::npos;
  }
  return true;
}

void BaileyProcess::send(std::string_view input) {
  pending_input_ += input;
  while (!pending_input_.empty() && pump(200)) {}
}

void BaileyProcess::close_input() {
  keep_input_open_ = false;
  if (pending_input_.empty()) in_.reset();
}

Outcome BaileyProcess::finish() {
  close_input();
  const auto deadline = clock::Deadline::in_ms(timeout_ms_);
  while (pump(std::min(deadline.poll_ms(), 200))) {
    if (!deadline.passed() || outcome_.timed_out) continue;
    outcome_.timed_out = true;
    kill(pid_, SIGKILL);
  }
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
  pid_ = -1;
  if (WIFEXITED(status)) outcome_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome_.signal = WTERMSIG(status);
  if (!record_text_.empty()) {
    auto parsed = json::parse(record_text_, "result record");
    if (parsed) outcome_.record = std::move(*parsed);
    else ADD_FAILURE() << "result record is not JSON: " << record_text_;
  }
  return std::move(outcome_);
}

Outcome run_bailey(RunOptions options) { return BaileyProcess(std::move(options)).finish(); }

const json::Value* Outcome::find(std::string_view path) const {
  const json::Value* at = record ? &*record : nullptr;
  while (at && !path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    const auto* object = at->as<json::Object>();
    at = object ? object->find(path.substr(0, dot)) : nullptr;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return at;
}

std::string Outcome::text(std::string_view path) const {
  const json::Value* value = find(path);
  const auto* text = value ? value->as<std::string>() : nullptr;
  return text ? *text : "";
}

std::optional<int64_t> Outcome::number(std::string_view path) const {
  const json::Value* value = find(path);
  if (!value) return std::nullopt;
  if (const auto* i = value->as<int64_t>()) return *i;
  if (const auto* u = value->as<uint64_t>()) return static_cast<int64_t>(*u);
  if (const auto* d = value->as<double>()) return static_cast<int64_t>(*d);
  return std::nullopt;
}

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  const auto shown = [](const std::string& text) { return text.substr(0, 4000); };
  stream << "exit code " << outcome.exit_code;
  if (outcome.signal) stream << ", signal " << outcome.signal;
  if (outcome.timed_out) stream << ", killed by the test's own timeout";
  stream << "\nstdout (" << outcome.out.size() << " bytes): " << shown(outcome.out) << "\nstderr: " << shown(outcome.err);
  if (outcome.record) stream << "\nrecord: " << json::write(*outcome.record, json::Layout::compact);
  return stream << "\n";
}

}  // namespace bailey::tests
