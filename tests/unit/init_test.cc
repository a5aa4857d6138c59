#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "init/encode.h"
#include "init/image.h"
#include "init/job_reader.h"

namespace bailey::init {

namespace {

bundle::Process command(std::vector<std::string> args) {
  bundle::Process process;
  process.args = std::move(args);
  process.env = {"PATH=/bin", "EMPTY="};
  return process;
}

// The job as init reads it. `pointers` keeps what the job points to.
bool read(const std::string& bytes, std::vector<uint64_t>& aligned, std::vector<const char*>& pointers, Job& job) {
  aligned.resize(bytes.size() / 8 + 1);
  std::memcpy(aligned.data(), bytes.data(), bytes.size());
  pointers.resize(pointers_of_job(aligned.data(), bytes.size()));
  return !pointers.empty() && read_job(aligned.data(), bytes.size(), pointers.data(), job);
}

Error error_of(Step step, int value, std::vector<std::string> args = {"python4"}, uint32_t detail = 0) {
  return start_error(Report{kReportMagic, ReportKind::failed, value, step, detail}, command(std::move(args)));
}

}  // namespace

TEST(Job, ComesOutAsItWentIn) {
  bundle::Process process = command({"prog", "", "a b", "newline\n", "\xc3\xa9\xff"});
  process.cwd = "/work";
  process.user = {.uid = 7, .gid = 8, .umask = 027, .additional_gids = {9, 10}};
  process.rlimits = {{"RLIMIT_NOFILE", 64, 128}};
  process.terminal = true;
  const sock_filter filter[] = {{0x06, 1, 2, 0x7fff0000}, {0x20, 0, 0, 4}};
  const auto bytes = encode_job(process, UserChange::by_init, {filter, 2});
  ASSERT_TRUE(bytes);
  std::vector<uint64_t> aligned;
  std::vector<const char*> pointers;
  Job job;
  ASSERT_TRUE(read(*bytes, aligned, pointers, job));
  EXPECT_STREQ(job.cwd, "/work");
  for (size_t i = 0; i < process.args.size(); ++i) EXPECT_EQ(process.args[i], job.argv[i]);
  EXPECT_EQ(job.argv[5], nullptr);
  EXPECT_STREQ(job.env[1], "EMPTY=");
  EXPECT_EQ(job.env[2], nullptr);
  EXPECT_EQ(job.header->flags, uint32_t{kJobSetUser | kJobSetUmask | kJobTerminal});
  EXPECT_EQ(job.header->umask, 027u);
  EXPECT_EQ(job.gids[1], 10u);
  EXPECT_EQ(job.header->filter_count, 2u);
  EXPECT_EQ(job.header->filter_flags, 2u);
  EXPECT_EQ(std::memcmp(job.filter, filter, sizeof filter), 0);
  EXPECT_EQ(job.rlimits[0].resource, uint64_t{RLIMIT_NOFILE});
  EXPECT_EQ(job.rlimits[0].hard, 128u);
  EXPECT_STREQ(find_variable(job.env, "PATH"), "/bin");
  EXPECT_STREQ(find_variable(job.env, "EMPTY"), "");
  EXPECT_EQ(find_variable(job.env, "PAT"), nullptr);
}

TEST(Job, CutAnywhereIsRefused) {
  const auto bytes = encode_job(command({"a", "bc"}), UserChange::by_backend);
  ASSERT_TRUE(bytes);
  for (size_t size = 0; size < bytes->size(); ++size) {
    std::string cut = bytes->substr(0, size);
    if (size >= sizeof(JobHeader)) {
      const auto total = static_cast<uint32_t>(size);
      std::memcpy(cut.data() + 4, &total, sizeof total);
    }
    std::vector<uint64_t> aligned;
    std::vector<const char*> pointers;
    Job job;
    EXPECT_FALSE(read(cut, aligned, pointers, job)) << size;
  }
}

TEST(Job, CannotBeMadeOfNothingNulBytesOrUnknownLimits) {
  EXPECT_EQ(encode_job(command({}), UserChange::by_backend).error().fault, Fault::bad_input);
  EXPECT_EQ(encode_job(command({std::string("a\0b", 3)}), UserChange::by_backend).error().fault, Fault::bad_input);
  bundle::Process process = command({"a"});
  process.rlimits = {{"RLIMIT_NOFILES", 1, 1}};
  EXPECT_NE(encode_job(process, UserChange::by_backend).error().message.find("RLIMIT_NOFILES"), std::string::npos);
  const std::vector<sock_filter> too_long(kMaxInstructions + 1);
  EXPECT_EQ(encode_job(command({"a"}), UserChange::by_backend, {too_long, 0}).error().fault, Fault::bad_input);
  EXPECT_EQ(encode_job(command({std::string(kMaxJobBytes, 'x')}), UserChange::by_backend).error().fault, Fault::bad_input);
}

TEST(StartError, TellsNotFoundFromNotExecutable) {
  EXPECT_EQ(error_of(Step::exec, ENOENT).fault, Fault::not_found);
  EXPECT_NE(error_of(Step::exec, ENOENT).message.find("python4: command not found in PATH (/bin)"), std::string::npos);
  EXPECT_EQ(error_of(Step::exec, ENOTDIR, {"/a/b"}).fault, Fault::not_found);
  EXPECT_EQ(error_of(Step::interpreter, ENOENT, {"/a/b"}).fault, Fault::not_found);
  EXPECT_NE(error_of(Step::interpreter, ENOENT, {"/a/b"}).message.find("interpreter"), std::string::npos);
  const std::string too_long(140'000, 'x');
  for (int value : {E2BIG, ENAMETOOLONG}) {
    const Error error = error_of(Step::exec, value, {"/a/b", too_long});
    EXPECT_TRUE(error.message.contains("140000 bytes")) << error.message;
    EXPECT_TRUE(error.remedy.contains("128 KiB")) << error.remedy;
  }
  EXPECT_TRUE(error_of(Step::exec, ENAMETOOLONG, {"/a/b"}).message.contains("ENAMETOOLONG"));
  for (int value : {EACCES, ENOEXEC, EISDIR, EPERM, E2BIG, ELOOP})
    EXPECT_EQ(error_of(Step::exec, value, {"/a/b"}).fault, Fault::not_executable) << value;
  EXPECT_EQ(error_of(Step::cwd, ENOENT).fault, Fault::bad_input);
  EXPECT_EQ(error_of(Step::rlimit, EPERM, {"a"}, RLIMIT_NOFILE).fault, Fault::failed);
  EXPECT_NE(error_of(Step::rlimit, EPERM, {"a"}, RLIMIT_NOFILE).message.find("RLIMIT_NOFILE"), std::string::npos);
  EXPECT_EQ(error_of(Step::rlimit, EPERM, {"a"}, RLIMIT_NOFILE).step, "rlimit");
  bundle::Process asks = command({"a"});
  asks.rlimits = {{"RLIMIT_NOFILE", 4096, 1'048'576}};
  const Error error = start_error(Report{kReportMagic, ReportKind::failed, EPERM, Step::rlimit, RLIMIT_NOFILE}, asks);
  EXPECT_TRUE(error.message.contains("RLIMIT_NOFILE to 1048576")) << error.message;
  rlimit own{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &own), 0);
  EXPECT_TRUE(error.remedy.contains("--open-files")) << error.remedy;
  EXPECT_TRUE(error.remedy.contains(std::to_string(own.rlim_max))) << error.remedy;
}

TEST(Report, OnlyAWholeOneIsRead) {
  const Report report{kReportMagic, ReportKind::exited, 3, Step::none, 0};
  std::string bytes(reinterpret_cast<const char*>(&report), sizeof report);
  EXPECT_EQ(parse_report(bytes)->value, 3);
  EXPECT_FALSE(parse_report(bytes.substr(1)));
  bytes[0] = 'x';
  EXPECT_FALSE(parse_report(bytes));
}

TEST(Image, IsASmallStaticProgram) {
  const auto image = init_image();
  ASSERT_GT(image.size(), 64u);
  EXPECT_LT(image.size(), 32u << 10);
  EXPECT_EQ(std::memcmp(image.data(), "\177ELF", 4), 0);
}

}  // namespace bailey::init
