#include "init/conversation.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "init/encode.h"

namespace bailey::init {

namespace {

constexpr size_t kReadBytes = sizeof(Data) + kMaxData + sizeof(Report);  // more than any message
constexpr size_t kPollSlots = 3;                                         // of a task
constexpr size_t kChannelSlots = 2;
constexpr size_t kMostUnread = 4096;  // messages that an init may leave unread while it goes on sending

template <typename Frame>
std::string bytes_of(const Frame& frame, std::string_view behind = {}) {
  std::string bytes(reinterpret_cast<const char*>(&frame), sizeof frame);
  return bytes.append(behind);
}

uint32_t number_at(std::string_view bytes, size_t n) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + n * sizeof value, sizeof value);
  return value;
}

template <typename Frame>
Frame frame_at(std::string_view bytes) {
  Frame frame;
  std::memcpy(&frame, bytes.data(), sizeof frame);
  return frame;
}

}  // namespace

// A job with a number. Shared with its handle, which may be dropped at any time.
struct Conversation::Task {
  uint32_t number = 0;
  bundle::Process process;  // for messages
  Fd streams[3];
  uint32_t room = kWindow;  // of its stdin: bytes that init takes
  std::string waiting[3];   // of 1 and 2: what its reader has not taken yet
  bool at_its_end[3] = {};  // 1 and 2: nothing more will come
  bool has_begun = false, has_ended = false;
  dispatcher::Ending ending;
  dispatcher::Account account;

  bool is_settled() const { return has_ended && !streams[1] && !streams[2]; }
  void close() {
    for (Fd& stream : streams) stream.reset();
  }
};

class Conversation::Handle final : public dispatcher::Task {
 public:
  Handle(Conversation& conversation, std::shared_ptr<Conversation::Task> task)
      : conversation_(conversation), task_(std::move(task)) {}
  ~Handle() override {
    if (!task_->has_ended) conversation_.send_signal(SIGKILL, task_->number);
    task_->close();
  }
  bool has_begun() const override { return task_->has_begun; }
  bool has_ended() const override { return task_->is_settled(); }
  const dispatcher::Ending& ending() const override { return task_->ending; }
  const dispatcher::Account& account() const override { return task_->account; }
  Result<> signal(int number) override {
    if (!task_->has_ended) conversation_.send_signal(number, task_->number);
    return {};
  }

 private:
  Conversation& conversation_;
  std::shared_ptr<Conversation::Task> task_;
};

void Conversation::open(int to_init, int from_init) {
  to_ = to_init;
  from_ = from_init;
  is_socket_ = to_init == from_init;
  if (is_socket_) return;  // MSG_DONTWAIT, because init's end is not the same description, but ours is the launcher's
  for (const int fd : {to_, from_}) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void Conversation::send(const std::string& bytes) {
  if (to_ < 0) return;
  for (size_t at = 0; at < bytes.size(); at += kMaxChunk) outbox_.push_back(bytes.substr(at, kMaxChunk));
  send_what_waits();
}

void Conversation::send_signal(int number, uint32_t job) {
  send(bytes_of(Order{kOrderMagic, static_cast<uint32_t>(number), job}));
}

void Conversation::send_what_waits() {
  while (!outbox_.empty()) {
    const std::string_view rest = std::string_view(outbox_.front()).substr(sent_);
    const ssize_t sent = is_socket_ ? ::send(to_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT)
                                    : ::write(to_, rest.data(), rest.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) {
      // EPIPE: init has ended, which the other direction shows. Anything else would be waited for in vain.
      if (errno != EPIPE && errno != ECONNRESET) send_errno_ = errno;
      outbox_.clear();
      to_ = -1;
      return;
    }
    sent_ += static_cast<size_t>(sent);
    if (sent_ < outbox_.front().size()) continue;
    outbox_.pop_front();
    sent_ = 0;
  }
}

std::optional<Conversation::Heard> Conversation::take_report() {
  if (reports_.empty()) return {};
  Heard heard = std::move(reports_.front());
  reports_.pop_front();
  return heard;
}

// Once, without waiting. False: nothing is there now.
Result<bool> Conversation::receive() {
  char bytes[kReadBytes];
  ssize_t got = -1;
  if (is_socket_) {
    auto message = receive_message(from_, bytes, sizeof bytes, "hearing init", MSG_DONTWAIT);
    if (message) {
      got = static_cast<ssize_t>(message->size);
      if (message->descriptor) descriptor_ = std::move(message->descriptor);
    } else {
      errno = message.error().sys;
    }
  } else {
    got = ::read(from_, bytes, sizeof bytes);
  }
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got < 0 && errno != ECONNRESET) return sys_error("hearing init", errno);  // reset: it ended and left something unread
  if (got <= 0) {
    from_ = -1;
    return inbox_.empty() ? Result<bool>(false) : fail(Fault::failed, "init closed the channel in the middle of a message");
  }
  inbox_.append(bytes, static_cast<size_t>(got));
  TRY(follow());
  return true;
}

// Takes the whole frames at the front.
Result<> Conversation::follow() {
  size_t at = 0;
  for (;;) {
    const std::string_view rest = std::string_view(inbox_).substr(at);
    if (rest.size() < 2 * sizeof(uint32_t)) break;
    const uint32_t magic = number_at(rest, 0), value = number_at(rest, 1);
    size_t size = sizeof(Report);
    if (magic == kDataMagic && value <= kMaxData) size = sizeof(Data) + value;
    else if (magic == kRoomMagic && value <= kWindow) size = sizeof(Room);
    else if (magic != kReportMagic) return fail(Fault::failed, "init sent an unknown message");
    if (rest.size() < size) break;
    if (magic == kDataMagic) {
      TRY(take_data(frame_at<Data>(rest), rest.data() + sizeof(Data)));
    } else if (magic == kRoomMagic) {
      take_room(frame_at<Room>(rest));
    } else {
      const Report report = TRY(parse_report(rest.substr(0, size)));
      if (report.job != 0) take_task_report(report);
      else reports_.push_back({report, std::move(descriptor_)});
    }
    at += size;
  }
  inbox_.erase(0, at);
  return {};
}

Result<> Conversation::take_data(const Data& data, const char* bytes) {
  const auto found = tasks_.find(data.job);
  if (found == tasks_.end()) return {};
  if (data.stream != 1 && data.stream != 2) return fail(Fault::failed, "init named an unknown stream");
  Task& task = *found->second;
  std::string& waiting = task.waiting[data.stream];
  if (waiting.size() + data.size > kWindow) return fail(Fault::failed, "init sends more of a job's output than it may");
  if (outbox_.size() > kMostUnread) return fail(Fault::failed, "init sends and does not read");
  if (data.size == 0) task.at_its_end[data.stream] = true;
  waiting.append(bytes, data.size);
  write_output(task, data.stream);
  return {};
}

void Conversation::take_room(const Room& room) {
  const auto found = tasks_.find(room.job);
  if (found == tasks_.end() || room.stream != 0) return;
  Task& task = *found->second;
  if (room.bytes == 0) task.streams[0].reset();
  task.room = std::min(kWindow, task.room + room.bytes);
}

void Conversation::take_task_report(const Report& report) {
  const auto found = tasks_.find(report.job);
  if (found == tasks_.end()) return;
  Task& task = *found->second;
  using Kind = dispatcher::Ending::Kind;
  switch (report.kind) {
    case ReportKind::started: task.has_begun = true; return;
    case ReportKind::failed:
      task.ending = {Kind::not_started, 0, start_error(report, task.process)};
      task.close();
      break;
    case ReportKind::exited: task.ending = {Kind::exited, report.value, {}}; break;
    case ReportKind::signaled: task.ending = {Kind::signaled, report.value, {}}; break;
    case ReportKind::ready:
    case ReportKind::held: return;
  }
  if (task.has_begun) fill_account(task.account, report);
  task.has_ended = true;
  task.streams[0].reset();
}

// More than what is waiting goes straight through.
void Conversation::write_output(Task& task, unsigned stream) {
  Fd& to = task.streams[stream];
  std::string& waiting = task.waiting[stream];
  uint32_t taken = 0;
  while (to && !waiting.empty()) {
    const ssize_t put = ::write(to.get(), waiting.data(), waiting.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) break;
    if (put <= 0) {  // nobody reads it
      to.reset();
      break;
    }
    waiting.erase(0, static_cast<size_t>(put));
    taken += static_cast<uint32_t>(put);
  }
  if (!to) {
    waiting.clear();
    if (!task.at_its_end[stream]) send(bytes_of(Room{kRoomMagic, 0, task.number, stream}));
    task.at_its_end[stream] = true;
    return;
  }
  if (taken > 0 && !task.at_its_end[stream]) send(bytes_of(Room{kRoomMagic, taken, task.number, stream}));
  if (waiting.empty() && task.at_its_end[stream]) to.reset();
}

void Conversation::read_input(Task& task) {
  char bytes[kMaxData];
  const ssize_t got = ::read(task.streams[0].get(), bytes, std::min<size_t>(sizeof bytes, task.room));
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  const uint32_t size = got > 0 ? static_cast<uint32_t>(got) : 0;
  task.room -= size;
  send(bytes_of(Data{kDataMagic, size, task.number, 0}, {bytes, size}));
  if (size == 0) task.streams[0].reset();
}

Result<std::optional<Conversation::Heard>> Conversation::await_report(dispatcher::Patience& patience, int ended) {
  std::vector<pollfd> set;
  for (;;) {
    if (auto heard = take_report()) return heard;
    TRY(check_sent());
    if (is_closed()) return std::nullopt;
    set.assign(1, {ended, POLLIN, 0});
    add_interest(set);
    TRY(patience.until_ready(set));
    const bool has_ended = set.front().revents != 0;
    TRY(serve(std::span(set).subspan(1)));
    if (has_ended) TRY(hear_the_rest());
    if (has_ended && reports_.empty()) return std::nullopt;
  }
}

Result<> Conversation::hear_the_rest() {
  while (!is_closed() && TRY(receive())) {}
  return {};
}

void Conversation::end() {
  to_ = from_ = -1;
  for (auto& [number, task] : tasks_) {
    for (const unsigned stream : {1u, 2u}) write_output(*task, stream);  // the last that its reader can take
    if (!task->has_ended) task->ending = {dispatcher::Ending::Kind::signaled, SIGKILL, {}};
    task->has_ended = true;
    task->close();
  }
  tasks_.clear();
  outbox_.clear();
}

Result<std::unique_ptr<dispatcher::Task>> Conversation::exec(const dispatcher::Job& job, std::string encoded,
                                                             dispatcher::Stdio streams) {
  if (to_ < 0 || is_closed()) return fail(Fault::failed, "the sandbox's init has ended, or its workload is PID 1");
  auto task = std::make_shared<Task>();
  do task->number = ++last_number_;
  while (task->number == 0 || tasks_.contains(task->number));
  task->process = job.process();
  Fd* const given[] = {&streams.in, &streams.out, &streams.err};
  for (unsigned i = 0; i < 3; ++i) {
    task->streams[i] = std::move(*given[i]);
    if (task->streams[i]) ::fcntl(task->streams[i].get(), F_SETFL, ::fcntl(task->streams[i].get(), F_GETFL) | O_NONBLOCK);
  }
  tasks_.emplace(task->number, task);
  number_job(encoded, task->number);
  send(encoded);
  if (!task->streams[0]) send(bytes_of(Data{kDataMagic, 0, task->number, 0}));
  return std::make_unique<Handle>(*this, std::move(task));
}

// The channel's two ends, then three for each task in the order of the map.
void Conversation::add_interest(std::vector<pollfd>& set) const {
  set.push_back({from_, POLLIN, 0});
  set.push_back({outbox_.empty() ? -1 : to_, POLLOUT, 0});
  for (const auto& [number, task] : tasks_) {
    set.push_back({task->room > 0 ? task->streams[0].get() : -1, POLLIN, 0});
    for (const unsigned stream : {1u, 2u})
      set.push_back({task->waiting[stream].empty() ? -1 : task->streams[stream].get(), POLLOUT, 0});
  }
}

Result<> Conversation::serve(std::span<const pollfd> set) {
  if (set.size() < kChannelSlots) return {};
  // The tasks first: what is heard may change which there are.
  auto entries = set.subspan(kChannelSlots);
  for (auto& [number, task] : tasks_) {
    if (entries.size() < kPollSlots) break;
    serve_task(*task, entries.first(kPollSlots));
    entries = entries.subspan(kPollSlots);
  }
  if (set[1].revents != 0) send_what_waits();
  if (set[0].revents != 0 && !is_closed()) TRY(receive());
  std::erase_if(tasks_, [](const auto& one) { return one.second->is_settled(); });
  return check_sent();
}

Result<> Conversation::check_sent() const { return send_errno_ == 0 ? Result<>() : sys_error("sending to init", send_errno_); }

Result<Report> await_held(Conversation& talk, int ended, dispatcher::Patience& patience) {
  for (;;) {
    const auto heard = TRY(talk.await_report(patience, ended));
    if (!heard)
      return fail(Fault::failed, "the sandbox ended before its command was there",
                  "see the kernel log; was it the OOM killer?");
    if (heard->report.kind != ReportKind::ready) return heard->report;
  }
}

void Conversation::serve_task(Task& task, std::span<const pollfd> entries) {
  if (entries[0].revents != 0 && task.streams[0]) read_input(task);
  for (const unsigned stream : {1u, 2u})
    if (entries[stream].revents != 0) write_output(task, stream);
}

}  // namespace bailey::init
