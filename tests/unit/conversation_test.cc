// The backend's end of the channel, with a test in init's place that may say anything.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <random>

#include "base/files.h"
#include "dispatcher/admission.h"
#include "dispatcher/limits.h"
#include "init/conversation.h"
#include "init/encode.h"
#include "tests/unit/dispatcher_wishes.h"

namespace bailey::init {
namespace {

template <typename Frame>
std::string bytes_of(const Frame& frame, std::string_view behind = {}) {
  return std::string(reinterpret_cast<const char*>(&frame), sizeof frame).append(behind);
}
std::string report(ReportKind kind, int32_t value, uint32_t job) {
  return bytes_of(Report{kReportMagic, kind, value, Step::none, 0, job});
}
std::string output(uint32_t job, uint32_t stream, std::string_view text) {
  return bytes_of(Data{kDataMagic, static_cast<uint32_t>(text.size()), job, stream}, text);
}

class ConversationTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ::signal(SIGPIPE, SIG_IGN);
    if (GetParam()) {
      SocketPair pair = create_socket_pair().value();
      to_init_ = std::move(pair.ours);
      init_ = std::move(pair.theirs);
      talk_.open(to_init_.get(), to_init_.get());
    } else {
      Pipe jobs = create_pipe().value(), reports = create_pipe().value();
      to_init_ = std::move(jobs.write);
      from_init_ = std::move(reports.read);
      init_in_ = std::move(jobs.read);
      init_ = std::move(reports.write);
      talk_.open(to_init_.get(), from_init_.get());
    }
  }
  void say(const std::string& bytes) { ASSERT_TRUE(files::write_fd(init_.get(), bytes, "init")); }
  Result<> serve() {
    std::vector<pollfd> set;
    talk_.add_interest(set);
    ::poll(set.data(), set.size(), 0);
    return talk_.serve(set);
  }
  // All that init was sent.
  std::string sent() {
    const int fd = GetParam() ? init_.get() : init_in_.get();
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    std::string all, part(1 << 20, '\0');
    for (ssize_t got; (got = ::read(fd, part.data(), part.size())) > 0;) all.append(part, 0, static_cast<size_t>(got));
    return all;
  }
  std::unique_ptr<dispatcher::Task> exec() {
    Pipe in = create_pipe().value(), out = create_pipe().value(), err = create_pipe().value();
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    err_ = std::move(err.read);
    const dispatcher::Policy policy = dispatcher::builtin_policy(true);
    const auto decision = dispatcher::Admission(policy).judge(dispatcher::wish(), dispatcher::host()).value();
    std::string job = encode_job(decision.job->process(), UserChange::by_init).value();
    return talk_.exec(*decision.job, std::move(job), {std::move(in.read), std::move(out.write), std::move(err.write)}).value();
  }

  Fd to_init_, from_init_, init_in_, init_;
  Fd in_, out_, err_;
  Conversation talk_;
};
INSTANTIATE_TEST_SUITE_P(Channels, ConversationTest, testing::Values(true, false),
                         [](const auto& kind) { return kind.param ? "Socket" : "Pipes"; });

TEST_P(ConversationTest, KeepsReportsInTheirOrder) {
  say(report(ReportKind::ready, 0, 0));
  say(report(ReportKind::started, 2, 0));
  ASSERT_TRUE(serve());
  ASSERT_TRUE(serve());
  EXPECT_EQ(talk_.take_report()->report.kind, ReportKind::ready);
  EXPECT_EQ(talk_.take_report()->report.kind, ReportKind::started);
  EXPECT_FALSE(talk_.take_report());
  init_.reset();
  ASSERT_TRUE(serve());
  EXPECT_TRUE(talk_.is_closed());
}

TEST_P(ConversationTest, EndsATaskWhenItsOutputHasReachedItsReader) {
  const auto task = exec();
  JobHeader header{};
  const std::string job = sent();
  ASSERT_GT(job.size(), sizeof header);
  std::memcpy(&header, job.data(), sizeof header);
  EXPECT_EQ(header.magic, kJobMagic);
  EXPECT_EQ(header.number, 1u);
  say(report(ReportKind::started, 2, 1));
  say(output(1, 1, "words"));
  say(output(1, 1, ""));
  say(output(1, 2, ""));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(serve());
  EXPECT_TRUE(task->has_begun());
  EXPECT_FALSE(task->has_ended());
  say(report(ReportKind::exited, 3, 1));
  ASSERT_TRUE(serve());
  EXPECT_TRUE(task->has_ended());
  EXPECT_EQ(task->ending().value, 3);
  EXPECT_EQ(files::read_fd(out_.get(), 100, "out").value(), "words");
}

TEST_P(ConversationTest, RefusesWhatInitNeverSays) {
  const auto task = exec();
  say(report(ReportKind::started, 2, 1));
  ASSERT_TRUE(serve());
  say(std::string(sizeof(Report), 'x'));
  EXPECT_FALSE(serve());
}

TEST_P(ConversationTest, TakesNoMoreThanItMadeRoomFor) {
  const auto task = exec();
  ::fcntl(out_.get(), F_SETPIPE_SZ, 4096);
  const std::string much(kMaxData, 'x');
  bool refused = false;
  for (uint32_t sent = 0; !refused && sent < 4 * kWindow; sent += kMaxData) {
    say(output(1, 1, much));
    for (int i = 0; !refused && i < 3; ++i) refused = !serve();
  }
  EXPECT_TRUE(refused);
}

TEST_P(ConversationTest, IsToldOfNoStrangersJob) {
  const auto task = exec();
  say(output(77, 1, "words"));
  say(report(ReportKind::exited, 0, 77));
  say(bytes_of(Room{kRoomMagic, 5, 77, 0}));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(serve());
  EXPECT_FALSE(task->has_ended());
}

TEST_P(ConversationTest, EndsItsTasksWithItself) {
  std::unique_ptr<dispatcher::Task> task = exec();
  talk_.end();
  EXPECT_TRUE(task->has_ended());
  EXPECT_EQ(task->ending().kind, dispatcher::Ending::Kind::signaled);
  EXPECT_FALSE(talk_.exec(
      *dispatcher::Admission(dispatcher::builtin_policy(true)).judge(dispatcher::wish(), dispatcher::host()).value().job,
      std::string(sizeof(JobHeader), '\0'), {}));
}

TEST_P(ConversationTest, EndsATaskWhoseReaderHasNotTakenAllOfItsOutput) {
  const auto task = exec();
  ::fcntl(out_.get(), F_SETPIPE_SZ, 4096);
  say(report(ReportKind::started, 2, 1));
  say(output(1, 1, std::string(kMaxData, 'x')));
  say(output(1, 1, ""));
  say(output(1, 2, ""));
  say(report(ReportKind::exited, 3, 1));
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(serve());
  EXPECT_FALSE(task->has_ended());
  talk_.end();
  EXPECT_TRUE(task->has_ended());
  EXPECT_EQ(task->ending().kind, dispatcher::Ending::Kind::exited);
  EXPECT_EQ(task->ending().value, 3);
  EXPECT_EQ(files::read_fd(out_.get(), 100'000, "out").value().size(), 4096u);
}

TEST_P(ConversationTest, SurvivesAnyBytes) {
  const auto task = exec();
  std::mt19937 random(7);
  const uint32_t magics[] = {kReportMagic, kDataMagic, kRoomMagic, kJobMagic};
  for (int i = 0; i < 300; ++i) {
    std::string bytes(random() % 200 + 8, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 8);
    std::memcpy(bytes.data(), &magics[random() % 4], sizeof(uint32_t));
    say(bytes);
    if (!serve()) break;  // a conversation that has failed is over
  }
  talk_.end();
  EXPECT_TRUE(task->has_ended());
}

}  // namespace
}  // namespace bailey::init
