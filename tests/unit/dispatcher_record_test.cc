// What is written down: the result record, events, the audit, and the sinks they go to.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "base/files.h"
#include "base/json.h"
#include "dispatcher/audit.h"
#include "dispatcher/events.h"
#include "dispatcher/record.h"
#include "tests/support/run_bailey.h"

namespace bailey::dispatcher {
namespace {

std::string text_of(const json::Value& value, std::string_view key) {
  const json::Value* member = value.as<json::Object>()->find(key);
  return member ? json::write(*member) : "absent";
}

TEST(Record, ExitCodesMeanWhatTheDocumentSays) {
  Record record;
  record.outcome = Outcome::exited;
  record.exit_code = 42;
  EXPECT_EQ(exit_code(record), 42);
  record.outcome = Outcome::signaled;
  record.signal = 15;
  EXPECT_EQ(exit_code(record), 143);
  record.outcome = Outcome::timed_out;
  EXPECT_EQ(exit_code(record), 124);
  record.outcome = Outcome::out_of_memory;
  EXPECT_EQ(exit_code(record), 137);
  record.outcome = Outcome::output_limit;
  EXPECT_EQ(exit_code(record), 137);
  record.outcome = Outcome::refused;
  EXPECT_EQ(exit_code(record), 125);
  record.outcome = Outcome::setup_failed;
  EXPECT_EQ(exit_code(record), 125);
  for (const auto& [fault, code] :
       {std::pair{Fault::not_found, 127}, {Fault::not_executable, 126}, {Fault::unavailable, 125}}) {
    record.error = Error{.message = "x", .remedy = {}, .fault = fault, .sys = 0, .step = {}};
    EXPECT_EQ(exit_code(record), code);
  }
}

TEST(Record, LosesNoByteOfCapturedOutput) {
  Record record;
  record.outcome = Outcome::exited;
  record.started_wall_ns = 1;
  record.captured_stdout = "text: \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80";
  record.captured_stderr = std::string("\xff\x00x", 3);
  const json::Value value = to_json(record);
  EXPECT_EQ(text_of(value, "stdout"), "\"text: \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
  EXPECT_EQ(text_of(value, "stderr"), "absent");
  EXPECT_EQ(text_of(value, "stderr_base64"), "\"/wB4\"");
  for (const char* broken :
       {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xf8\x88\x80\x80\x80", "\xe0\x80\x80"}) {
    record.captured_stdout = broken;
    EXPECT_EQ(text_of(to_json(record), "stdout"), "absent") << broken;
  }
  for (const auto& [plain, encoded] :
       {std::pair<const char*, const char*>{"\xff", "\"/w==\""}, {"\xff\xfe", "\"//4=\""}, {"\xff\xfe\xfd", "\"//79\""}}) {
    record.captured_stdout = plain;
    EXPECT_EQ(text_of(to_json(record), "stdout_base64"), encoded);
  }
}

TEST(Record, SaysWhatTheCommandUsedAndTheBootApart) {
  Record record;
  record.outcome = Outcome::exited;
  record.started_wall_ns = 1;
  record.cpu_us = 1'234;
  record.max_rss_bytes = 4096;
  record.peak_socket_memory_bytes = 0;
  record.steps = {{"launch", 5}, {kBootStep, 60'000'000}, {"start", 7}};
  const json::Value value = to_json(record);
  EXPECT_EQ(text_of(value, "cpu_us"), "1234");
  EXPECT_EQ(text_of(value, "max_rss_bytes"), "4096");
  EXPECT_EQ(text_of(value, "peak_socket_memory_bytes"), "0");
  EXPECT_EQ(text_of(value, "boot_ns"), "60000000");
  for (const char* unknown : {"user_us", "peak_memory_bytes"}) EXPECT_EQ(text_of(value, unknown), "absent") << unknown;
  record.steps = {{"start", 7}};
  record.max_rss_bytes.reset();
  EXPECT_EQ(text_of(to_json(record), "boot_ns"), "absent");
  EXPECT_EQ(text_of(to_json(record), "max_rss_bytes"), "absent");
}

TEST(Record, SaysWhyARunWasRefusedAndThatNothingRan) {
  Record record;
  record.outcome = Outcome::refused;
  record.error = Error{.message = "no", .remedy = "ask", .fault = Fault::refused, .sys = 0, .step = "admission"};
  record.refusals.push_back({"trust", false, "native is not for untrusted", "--runtime gvisor"});
  const json::Value value = to_json(record);
  EXPECT_EQ(text_of(value, "verdict"), "\"refused\"");
  EXPECT_EQ(text_of(value, "error"), R"({"message":"no","remedy":"ask","step":"admission"})");
  EXPECT_EQ(text_of(value, "refusals"),
            R"([{"guard":"trust","reason":"native is not for untrusted","remedy":"--runtime gvisor"}])");
  EXPECT_EQ(text_of(value, "wall_us"), "absent");
  EXPECT_EQ(text_of(value, "exit_code"), "absent");
}

TEST(Record, NamesTheUnitOfEachLimit) {
  LimitValues limits;
  limits.memory_bytes = 1 << 20;
  limits.cpus = 0.5;
  limits.wall_ms = 1500;
  limits.pids = 7;
  EXPECT_EQ(json::write(to_json(limits)), R"({"memory_bytes":1048576,"cpus":0.5,"pids":7,"timeout_ms":1500})");
}

TEST(Sink, RefusesWhatCannotBeWrittenBeforeAnythingStarts) {
  const tests::TempDir directory;
  const Pipe pipe = create_pipe().value();
  ASSERT_EQ(::mkfifo(directory.file("fifo").c_str(), 0600), 0);
  for (const std::string& bad :
       {directory.file("no/such"), directory.path(), directory.file("fifo"), std::string("fd:"), std::string("fd:x"),
        std::string("fd:-1"), std::string("fd:99999999999"), std::string("fd:987"), "fd:" + std::to_string(pipe.read.get())})
    EXPECT_FALSE(Sink::open(bad, Sink::Writing::whole)) << bad;
}

TEST(Sink, ReplacesADocumentAndAppendsLines) {
  const tests::TempDir directory;
  const std::string path = directory.write("f", "something long that was there before");
  ASSERT_TRUE(Sink::open(path, Sink::Writing::whole).value().write("new", 0));
  EXPECT_EQ(tests::read_file(path), "new\n");
  const Sink lines = Sink::open(path, Sink::Writing::lines).value();
  ASSERT_TRUE(lines.write("one", 0));
  ASSERT_TRUE(lines.write("two", 0));
  EXPECT_EQ(tests::read_file(path), "new\none\ntwo\n");
}

TEST(Events, AreLinesWithBothClocks) {
  const tests::TempDir directory;
  const std::string path = directory.file("events");
  Events events(Sink::open(path, Sink::Writing::lines).value());
  json::Object details;
  details.set("backend", "native");
  events.emit("admitted", "ab12", details);
  events.emit("released", "ab12");
  const std::string text = tests::read_file(path);
  const size_t end = text.find('\n');
  const json::Value first = json::parse(text.substr(0, end), "events").value();
  EXPECT_EQ(text_of(first, "event"), "\"admitted\"");
  EXPECT_EQ(text_of(first, "id"), "\"ab12\"");
  EXPECT_EQ(text_of(first, "backend"), "\"native\"");
  EXPECT_NE(text_of(first, "monotonic_ns"), "absent");
  EXPECT_NE(text_of(first, "time").find("Z"), std::string::npos);
  EXPECT_EQ(text_of(json::parse(text.substr(end + 1), "events").value(), "event"), "\"released\"");
}

TEST(Events, NeverWaitForAReaderThatTakesNothing) {
  const Pipe pipe = create_pipe().value();
  Events events(Sink::open("fd:" + std::to_string(pipe.write.get()), Sink::Writing::lines).value());
  json::Object big;
  big.set("filler", std::string(3000, 'x'));
  testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) events.emit("started", "x", big);  // 300 KiB into a pipe of 64
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "the record tells it";
  const auto failure = events.take_failure();
  ASSERT_TRUE(failure);
  EXPECT_NE(failure->message.find("--events"), std::string::npos) << failure->message;
  EXPECT_NE(failure->remedy, "");
  EXPECT_FALSE(events.take_failure()) << "once";
}

TEST(Events, LeaveAReaderThatIsGone) {
  Pipe pipe = create_pipe().value();
  struct sigaction quiet{};
  quiet.sa_handler = [](int) {};
  ::sigaction(SIGPIPE, &quiet, nullptr);
  Events events(Sink::open("fd:" + std::to_string(pipe.write.get()), Sink::Writing::lines).value());
  pipe.read.reset();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) events.emit("started", "x");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("--events"), std::string::npos) << said;
  EXPECT_EQ(said.find("--events"), said.rfind("--events")) << "said once";
  EXPECT_FALSE(events.take_failure()) << "it wanted no more";
}

TEST(Audit, RefusesAFileThatItCannotTrustOrWrite) {
  const tests::TempDir directory;
  ASSERT_EQ(::mkfifo(directory.file("fifo").c_str(), 0600), 0);
  ASSERT_EQ(::symlink(directory.write("target", "").c_str(), directory.file("link").c_str()), 0);
  for (const std::string& bad :
       {directory.file("no/such"), directory.path(), directory.file("fifo"), directory.file("link"), std::string("/dev/null")})
    EXPECT_FALSE(Audit::open(bad)) << bad;
  EXPECT_TRUE(Audit::open(""));
}

TEST(Audit, EscapesWhatTheCallerSaysAndTellsNoArgumentOrEnvironment) {
  const tests::TempDir directory;
  const std::string path = directory.file("audit");
  const Audit audit = Audit::open(path).value();
  Request request;
  request.trust = "evil\n{\"event\":\"forged\"}";
  request.config.process.emplace();
  request.config.process->args = {"cmd\x1b[2J", "--password=hunter2"};
  request.config.process->env = {"TOKEN=hunter3"};
  request.secrets.push_back({.name = "db", .file = "/secret/path", .fd = -1, .destination = {}, .mode = 0400, .uid = {}});
  ASSERT_TRUE(
      audit.refuse(request, Error{.message = "unknown level", .remedy = {}, .fault = Fault::refused, .sys = 0, .step = {}}));
  const std::string text = tests::read_file(path);
  EXPECT_EQ(text.find('\n'), text.size() - 1) << text;
  for (const char c : text) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20);
  EXPECT_EQ(text.find("hunter"), std::string::npos) << text;
  EXPECT_EQ(text.find("/secret/path"), std::string::npos);
  const json::Value line = json::parse(text, "audit").value();
  EXPECT_EQ(text_of(line, "event"), "\"refuse\"");
  EXPECT_EQ(text_of(line, "reason"), "\"unknown level\"");
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(Record, TellsOfALossAndKeepsTheVerdict) {
  Record record;
  record.outcome = Outcome::exited;
  record.exit_code = 3;
  add_loss(record, Error{"writing to stdout", "", Fault::failed, 28, "streams"});
  add_loss(record, Error{"writing the audit line", "", Fault::failed, 5, "audit"});
  EXPECT_EQ(exit_code(record), 125);
  EXPECT_EQ(record.exit_code, 3);
  EXPECT_EQ(record.error->message, "writing to stdout; writing the audit line");
  EXPECT_EQ(record.error->sys, 28);
  record.outcome = Outcome::signaled;
  EXPECT_EQ(exit_code(record), 125);
  record.outcome = Outcome::timed_out;  // says already that the run is not complete
  EXPECT_EQ(exit_code(record), 124);
  record.outcome = Outcome::output_limit;
  EXPECT_EQ(exit_code(record), 137);
}

}  // namespace
}  // namespace bailey::dispatcher
