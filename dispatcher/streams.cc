#include "dispatcher/streams.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/files.h"
#include "dispatcher/input_file.h"

namespace bailey::dispatcher {

namespace {

constexpr size_t kCopyBytes = 64 << 10;
constexpr size_t kPipeBytes = 1 << 20;  // what /proc/sys/fs/pipe-max-size allows everybody by default
constexpr int kStepsPerServe = 16;      // then the other streams, signals and the deadline have their turn

bool polls(int fd, short events) {
  pollfd one{fd, events, 0};
  return ::poll(&one, 1, 0) > 0 && (one.revents & (events | POLLHUP | POLLERR)) != 0;
}

void set_nonblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

struct Sink {
  Fd fd;
  Pump::Way way;
};

// A descriptor of the caller to write to. A terminal is opened anew, because writing to a stopped one
// (Ctrl-S) blocks whatever poll(2) said, and O_NONBLOCK on the caller's own description would outlive us.
// splice(2) refuses O_APPEND; sockets have MSG_DONTWAIT, which splice has not on older kernels.
Result<Sink> sink_of_caller(int fd, const char* name) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return sys_error(std::string("fstat ") + name, errno);
  if (S_ISCHR(info.st_mode) && ::isatty(fd)) {
    auto reopened = files::open("/proc/self/fd/" + std::to_string(fd), O_WRONLY | O_NONBLOCK | O_NOCTTY);
    if (reopened) return Sink{std::move(*reopened), Pump::Way::copy};
  }
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return sys_error(std::string("duplicating ") + name, errno);
  if (S_ISCHR(info.st_mode) && ::isatty(fd)) return Sink{Fd(copy), Pump::Way::copy};
  const bool plain_file = S_ISREG(info.st_mode) && (::fcntl(fd, F_GETFL) & O_APPEND) == 0;
  return Sink{Fd(copy), S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode) || plain_file ? Pump::Way::splice : Pump::Way::copy};
}

bool same_file(int a, int b) {
  struct stat first{}, second{};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino && first.st_rdev == second.st_rdev;
}

}  // namespace

Pump::Pump(Fd source, Fd sink, Way way) : source_(std::move(source)), sink_(std::move(sink)), way_(way) {
  struct stat info{};
  if (::fstat(sink_.get(), &info) != 0) return;
  if (S_ISREG(info.st_mode)) sink_kind_ = Kind::file;
  if (S_ISSOCK(info.st_mode)) sink_kind_ = Kind::socket;
  if (S_ISCHR(info.st_mode) && ::isatty(sink_.get())) sink_kind_ = Kind::terminal;
  struct statfs system{};
  const bool nameless = S_ISFIFO(info.st_mode) && ::fstatfs(sink_.get(), &system) == 0 && system.f_type == PIPEFS_MAGIC;
  watches_sink_ = nameless || sink_kind_ == Kind::socket || sink_kind_ == Kind::terminal;
}

Pump Pump::capturing(Fd source) {
  Pump pump;
  pump.source_ = std::move(source);
  pump.captured.emplace();
  return pump;
}

Pump Pump::discarding(Fd source) {
  Pump pump;
  pump.source_ = std::move(source);
  pump.discards_ = true;
  return pump;
}

pollfd Pump::interest() const {
  if (finished()) return {-1, 0, 0};
  // Bytes that were taken are waited for at the sink: the source may say nothing more for as long as it likes.
  if (sink_full_ || !pending_.empty()) return {sink_.get(), POLLOUT, 0};
  return {source_.get(), POLLIN, 0};
}

pollfd Pump::sink_watch() const {
  if (finished() || !watches_sink_ || interest().fd == sink_.get()) return {-1, 0, 0};
  return {sink_.get(), 0, 0};
}

bool Pump::notice_gone_reader() {
  pollfd one{sink_.get(), 0, 0};
  if (!watches_sink_ || ::poll(&one, 1, 0) <= 0) return false;
  // An error of a socket may pass; it would be reported again and again.
  if (sink_kind_ == Kind::socket && (one.revents & POLLHUP) == 0) return watches_sink_ = false;
  const bool lost = !pending_.empty() || has_input();
  fail_sink(EPIPE);
  lost_ = lost;
  return true;
}

// By one look: between two of them there may come something, which is no end.
Pump::Source Pump::look_at_source() const {
  pollfd one{source_.get(), POLLIN, 0};
  if (::poll(&one, 1, 0) <= 0) return Source::empty;
  return (one.revents & POLLIN) != 0 ? Source::has_input : Source::ended;
}

bool Pump::has_input() const { return look_at_source() == Source::has_input; }

void Pump::close() {
  source_.reset();
  pending_.clear();
  if (sink_kind_ != Kind::file || !sink_) return sink_.reset();
  // Network and user-space file systems tell at the close what they could not write.
  if (::close(sink_.release()) == 0 || errno == EINTR || sink_errno_ != 0) return;
  sink_errno_ = errno;
  lost_ = true;
}

Pump::Step Pump::fail_sink(int err) {
  sink_errno_ = err;
  reader_is_gone_ = err == EPIPE || err == ECONNRESET || (err == EIO && sink_kind_ == Kind::terminal);
  lost_ = true;
  close();
  return Step::ended;
}

Pump::Step Pump::splice_some(uint64_t budget) {
  const ssize_t moved = ::splice(source_.get(), nullptr, sink_.get(), nullptr, std::min<uint64_t>(budget, kPipeBytes),
                                 SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  const int err = errno;
  if (moved > 0) {
    taken_ += static_cast<uint64_t>(moved);
    if (moved >= static_cast<ssize_t>(kCopyBytes) && !enlarged_) {  // the pipe was full: this workload writes a lot
      ::fcntl(source_.get(), F_SETPIPE_SZ, kPipeBytes);
      enlarged_ = true;
    }
    return Step::moved;
  }
  if (moved == 0) return close(), Step::ended;
  if (err == EINTR) return Step::moved;
  if (err == EAGAIN) return has_input() ? Step::sink_full : Step::source_empty;
  if (err == EINVAL) return way_ = Way::copy, Step::moved;  // a sink that cannot be spliced to
  // A sink that is not open for writing says so before there is anything to write, which is no loss yet.
  switch (look_at_source()) {
    case Source::has_input: return fail_sink(err);
    case Source::ended: return close(), Step::ended;
    case Source::empty: break;
  }
  return Step::source_empty;
}

Pump::Step Pump::write_pending() {
  // A blocking pipe that polls writable takes PIPE_BUF bytes without waiting, no more for sure.
  const bool may_block = sink_kind_ == Kind::stream && (::fcntl(sink_.get(), F_GETFL) & O_NONBLOCK) == 0;
  if (may_block && !polls(sink_.get(), POLLOUT)) return Step::sink_full;
  const size_t left = pending_.size() - written_;
  const size_t size = may_block ? std::min<size_t>(left, PIPE_BUF) : left;
  const char* data = pending_.data() + written_;
  const ssize_t written = sink_kind_ == Kind::socket ? ::send(sink_.get(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                                                     : ::write(sink_.get(), data, size);
  const int err = errno;
  if (written < 0 && err == EINTR) return Step::moved;
  if (written < 0 && err == EAGAIN) return Step::sink_full;
  if (written < 0) return fail_sink(err);
  written_ += static_cast<size_t>(written);
  if (written_ == pending_.size()) {
    pending_.clear();
    written_ = 0;
  }
  return Step::moved;
}

Pump::Step Pump::copy_some(uint64_t budget) {
  if (!pending_.empty()) return write_pending();
  if (!source_) return close(), Step::ended;
  if (!polls(source_.get(), POLLIN)) return Step::source_empty;
  std::string& into = captured ? *captured : pending_;
  const size_t before = into.size();
  const size_t room = std::min<uint64_t>(budget, kCopyBytes);
  into.resize(before + room);
  const ssize_t got = ::read(source_.get(), into.data() + before, room);
  const int err = errno;
  into.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  if (got > 0) {
    taken_ += static_cast<uint64_t>(got);
    last_byte_ = into.back();
    if (discards_) pending_.clear();
    return Step::moved;
  }
  if (got < 0 && err == EINTR) return Step::moved;
  if (got < 0 && err == EAGAIN) return Step::source_empty;
  // The end; a terminal says EIO when the last descriptor of its other side is closed.
  struct stat info{};
  if (got < 0 && (err != EIO || ::fstat(source_.get(), &info) != 0 || !S_ISCHR(info.st_mode))) source_errno_ = err;
  if (trailer_.empty()) return close(), Step::ended;
  pending_ = last_byte_ == '\n' ? trailer_ : trailer_ + trailer_;
  source_.reset();
  return Step::moved;
}

// A splice takes one of the sink's 16 slots whatever its size, while a small write goes into the page of the last one: spliced
// line by line, a pipe that nobody reads yet would be full after 16 lines, and the workload would wait for its reader.
bool Pump::has_little_input() const {
  int available = 0;
  return ::ioctl(source_.get(), FIONREAD, &available) == 0 && available > 0 && available < PIPE_BUF;
}

bool Pump::serve(uint64_t budget, bool source_is_dead) {
  if (finished()) return false;
  const uint64_t taken_before = taken_;
  bool progress = false;
  for (int i = 0; i < kStepsPerServe; ++i) {
    const uint64_t left = budget - (taken_ - taken_before);
    if (left == 0 && pending_.empty()) {
      if (!progress && notice_gone_reader()) return true;
      const Source source = look_at_source();
      if (source == Source::ended || (source == Source::empty && source_is_dead)) return close(), true;
      return progress;
    }
    const bool splices = way_ == Way::splice && pending_.empty() && !has_little_input();
    const Step step = splices ? splice_some(left) : copy_some(left);
    sink_full_ = step == Step::sink_full;
    if (step == Step::source_empty && source_is_dead) return close(), true;
    if (step == Step::source_empty && !progress && notice_gone_reader()) return true;
    if (step == Step::source_empty || step == Step::sink_full) return progress;
    progress = true;
    if (step == Step::ended) return true;
  }
  return progress;
}

Result<Pump> Streams::input_to(Fd sink) const {
  Fd source(::fcntl(options_.in, F_DUPFD_CLOEXEC, 3));
  if (!source) return sys_error("duplicating stdin", errno);
  return Pump(std::move(source), std::move(sink), Pump::Way::copy);
}

Result<> Streams::connect_output(Pump& pump, Fd& workload_end, int caller, const char* name) {
  Pipe pipe = TRY(create_pipe());
  set_nonblocking(pipe.read.get());
  workload_end = std::move(pipe.write);
  if (options_.output == StreamOptions::Output::capture) return pump = Pump::capturing(std::move(pipe.read)), Result<>();
  if (options_.output == StreamOptions::Output::discard) return pump = Pump::discarding(std::move(pipe.read)), Result<>();
  Sink sink = TRY(sink_of_caller(caller, name));
  pump = Pump(std::move(pipe.read), std::move(sink.fd), sink.way);
  return {};
}

Result<> Streams::hand_over() {
  const auto copy = [](int fd, const char* name) -> Result<Fd> {
    Fd own(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!own) return sys_error(std::string("duplicating ") + name, errno);
    return own;
  };
  if (options_.attach_stdin) workload_.in = TRY(copy(options_.in, "stdin"));
  else workload_.in = TRY(create_pipe()).read;
  workload_.out = TRY(copy(options_.out, "stdout"));
  workload_.err = TRY(copy(options_.err, "stderr"));
  workload_.are_the_callers = true;
  return {};
}

Result<Streams> Streams::create(const StreamOptions& options) {
  Streams streams;
  streams.options_ = options;
  if (options.terminal) return streams;  // its ends come with the terminal
  if (options.output == StreamOptions::Output::hand_over) {
    TRY(streams.hand_over());
    return streams;
  }

  if (options.attach_stdin) {
    TRY(check_input(options.in));
    streams.workload_.in = copy_input_file(options.in);
  }
  Pipe in = TRY(create_pipe());
  const bool is_file = static_cast<bool>(streams.workload_.in);
  if (!is_file) streams.workload_.in = std::move(in.read);
  if (options.attach_stdin && !is_file) {
    set_nonblocking(in.write.get());
    streams.in_ = TRY(streams.input_to(std::move(in.write)));
  }
  TRY(streams.connect_output(streams.out_, streams.workload_.out, options.out, "stdout"));
  streams.merged_ = options.output == StreamOptions::Output::pass_on && same_file(options.out, options.err);
  // Opened again, not duplicated: gVisor makes what it is given non-blocking, and would then take the second one for a wish.
  if (streams.merged_)
    streams.workload_.err = TRY(files::open("/proc/self/fd/" + std::to_string(streams.workload_.out.get()), O_WRONLY));
  else TRY(streams.connect_output(streams.err_, streams.workload_.err, options.err, "stderr"));
  return streams;
}

Fd Streams::take_terminal() {
  options_.terminal = false;
  return std::move(terminal_);
}

Result<> Streams::attach_terminal(Fd master) {
  if (options_.output == StreamOptions::Output::hand_over) {
    terminal_ = std::move(master);
    return {};
  }
  set_nonblocking(master.get());
  merged_ = true;
  Fd source = TRY(master.duplicate());
  if (options_.output == StreamOptions::Output::capture) {
    out_ = Pump::capturing(std::move(source));
  } else if (options_.output == StreamOptions::Output::discard) {
    out_ = Pump::discarding(std::move(source));
  } else {
    Sink sink = TRY(sink_of_caller(options_.out, "stdout"));
    out_ = Pump(std::move(source), std::move(sink.fd), Pump::Way::copy);
  }
  if (options_.attach_stdin) {
    Fd input = TRY(master.duplicate());
    in_ = TRY(input_to(std::move(input)));
    termios settings{};
    if (::tcgetattr(master.get(), &settings) == 0) in_.set_trailer(std::string(1, static_cast<char>(settings.c_cc[VEOF])));
  }
  terminal_ = std::move(master);
  return {};
}

void Streams::add_interest(std::vector<pollfd>& set) const {
  set.push_back(in_.interest());
  // At the cap a stream that has more to say must not wake us for it while the other one's reader is still
  // behind.
  const bool waiting = budget() == 0 && !(out_.flushed() && err_.flushed());
  for (const Pump* pump : {&out_, &err_}) set.push_back(waiting && pump->flushed() ? pollfd{-1, 0, 0} : pump->interest());
  for (const Pump* pump : {&out_, &err_}) set.push_back(pump->sink_watch());
}

uint64_t Streams::budget() const {
  if (!options_.cap) return UINT64_MAX;
  const uint64_t taken = out_.taken() + err_.taken();
  return *options_.cap > taken ? *options_.cap - taken : 0;
}

bool Streams::serve() {
  // Input last: what it makes the workload write meets a reader, or none, as things stand now.
  bool progress = out_.serve(budget(), ended_);
  progress |= err_.serve(budget(), ended_);
  if (out_.sink_errno() != 0) hang_up();
  progress |= in_.serve(UINT64_MAX, false);
  const auto has_more = [](const Pump& pump) { return !pump.finished() && pump.has_input(); };
  if (budget() == 0 && out_.flushed() && err_.flushed() && (has_more(out_) || has_more(err_))) over_cap_ = true;
  return progress;
}

// A terminal that nobody looks at any more is hung up, as the line to a remote one would be: SIGHUP inside.
void Streams::hang_up() {
  if (!terminal_) return;
  in_.close();
  terminal_.reset();
}

Result<Stdio> Streams::copy_workload_ends() const {
  Stdio copy;
  for (Fd Stdio::* end : {&Stdio::in, &Stdio::out, &Stdio::err})
    if (workload_.*end) copy.*end = TRY((workload_.*end).duplicate());
  copy.are_the_callers = workload_.are_the_callers;
  return copy;
}

void Streams::workload_ended() {
  ended_ = true;
  in_.close();
}

std::optional<Error> Streams::failure() const {
  std::string what;
  int first = 0;
  const auto add = [&](const char* attempted, int err) {
    what += (what.empty() ? "" : "; ") + sys_error(attempted, err).error().message;
    if (first == 0) first = err;
  };
  const auto add_output = [&](const Pump& pump, const char* attempted) {
    if (pump.sink_errno() != 0 && !pump.reader_is_gone()) add(attempted, pump.sink_errno());
  };
  add_output(out_, merged_ ? "writing to stdout, which is stderr too" : "writing to stdout");
  add_output(err_, "writing to stderr");
  const std::string lost = what.empty() ? "" : "; the rest of the output is lost";
  if (in_.source_errno() != 0) add("reading stdin", in_.source_errno());
  if (first == 0) return std::nullopt;
  return Error{what + lost, "run it again when the file or device takes or gives all of it", Fault::failed, first, "streams"};
}

void Streams::abandon() {
  abandoned_ = !drained();
  in_.close();
  out_.close();
  err_.close();
}

}  // namespace bailey::dispatcher
