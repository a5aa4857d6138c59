#include "init_sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/clock.h"
#include "base/files.h"
#include "init/channel.h"
#include "init/image.h"

namespace bailey::tests {

namespace {

constexpr int64_t kPatienceMs = 120'000;

Fd image_file() {
  Fd file(::memfd_create("init", MFD_CLOEXEC));
  const auto image = init::init_image();
  EXPECT_TRUE(files::write_fd(file.get(), {reinterpret_cast<const char*>(image.data()), image.size()}, "init"));
  return file;
}

pid_t clone_with_namespaces() {
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS;
  args.exit_signal = SIGCHLD;
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

void map_ids(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  const bool root = ::geteuid() == 0;
  if (!root) {
    ASSERT_TRUE(files::write_existing(AT_FDCWD, proc + "/setgroups", "deny"));
  }
  const std::string count = root ? "4294967295" : "1";
  ASSERT_TRUE(files::write_existing(AT_FDCWD, proc + "/uid_map", "0 " + std::to_string(root ? 0 : ::geteuid()) + " " + count));
  ASSERT_TRUE(files::write_existing(AT_FDCWD, proc + "/gid_map", "0 " + std::to_string(root ? 0 : ::getegid()) + " " + count));
}

// In the clone. `in` and `out` get the numbers 20 and 21 (one of them for a socket).
[[noreturn]] void become_init(const InitOptions& options, int go, int image, int in, int out, int output) {
  char byte;
  if (::read(go, &byte, 1) != 1) ::_exit(99);
  if (options.proc && ::mount("proc", "/proc", "proc", 0, nullptr) < 0) ::_exit(98);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  if (options.ignore_signals)
    for (int number : {SIGCHLD, SIGHUP, SIGINT, SIGPIPE}) ::signal(number, SIG_IGN);
  if (options.terminal) {
    for (int fd = 0; fd < 3; ++fd) ::dup2(*options.terminal, fd);
  } else {
    ::dup2(output, 1);
    ::dup2(output, 2);
  }
  for (int fd : options.leak) ::fcntl(fd, F_SETFD, 0);
  ::dup2(in, 200);
  if (out >= 0) ::dup2(out, 201);
  const char* socket_form[] = {"init", "200", nullptr};
  const char* pipe_form[] = {"init", "200", "201", nullptr};
  const char* directory_form[] = {"init", options.directory.c_str(), nullptr};
  const char** argv = options.transport == Transport::socket ? socket_form : options.transport == Transport::pipes ? pipe_form : directory_form;
  char* const none[] = {nullptr};
  ::fexecve(image, const_cast<char* const*>(argv), none);
  ::_exit(97);
}

}  // namespace

std::optional<init::Report> InitOutcome::find(init::ReportKind kind) const {
  for (const init::Report& report : reports)
    if (report.kind == kind) return report;
  return std::nullopt;
}

InitSandbox::InitSandbox(InitOptions options) : directory_(options.directory) {
  Fd image = image_file(), theirs_in, theirs_out;
  if (options.transport == Transport::pipes) {
    Pipe job = *create_pipe(), reports = *create_pipe();
    to_init_ = std::move(job.write), theirs_in = std::move(job.read);
    from_init_ = std::move(reports.read), theirs_out = std::move(reports.write);
  } else {
    SocketPair pair = *create_socket_pair();
    to_init_ = std::move(pair.ours), theirs_in = std::move(pair.theirs);
  }
  Pipe go = *create_pipe(), output = *create_pipe();
  pid_ = clone_with_namespaces();
  if (pid_ == 0) {
    go.write.reset();
    become_init(options, go.read.get(), image.get(), theirs_in.get(), theirs_out.get(), output.write.get());
  }
  if (pid_ < 0) {
    ADD_FAILURE() << "clone3: " << errno_name(errno);
    return;
  }
  output_ = std::move(output.read);
  map_ids(pid_);
  EXPECT_EQ(::write(go.write.get(), "x", 1), 1);
}

InitSandbox::~InitSandbox() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void InitSandbox::send(const bundle::Process& process, init::UserChange change) {
  auto job = init::encode_job(process, change);
  ASSERT_TRUE(job) << job.error().message;
  send_bytes(*job);
}

void InitSandbox::send_bytes(const std::string& job) {
  auto sent = init::send_job(to_init(), job);
  ASSERT_TRUE(sent) << sent.error().message;
}

bool InitSandbox::wait_started() {
  auto report = init::receive_report(from_init());
  if (!report || !*report) return false;
  outcome_.reports.push_back(**report);
  return (*report)->kind == init::ReportKind::started;
}

bool InitSandbox::wait_for_output(const std::string& text) {
  const clock::Deadline deadline = clock::Deadline::in_ms(kPatienceMs);
  while (outcome_.out.find(text) == std::string::npos) {
    pollfd entry{output_.get(), POLLIN, 0};
    if (::poll(&entry, 1, deadline.poll_ms()) <= 0) return false;
    char buffer[65536];
    const ssize_t got = ::read(output_.get(), buffer, sizeof buffer);
    if (got <= 0) return false;
    outcome_.out.append(buffer, static_cast<size_t>(got));
  }
  return true;
}

void InitSandbox::hang_up() {
  to_init_.reset();
  from_init_.reset();
}

InitOutcome InitSandbox::finish() {
  (void)wait_for_output("no output looks like this: it is read to its end\n");
  if (!directory_.empty()) {
    std::string bytes = files::read(directory_ + "/report", 1 << 20).value_or("");
    for (size_t at = 0; at + sizeof(init::Report) <= bytes.size(); at += sizeof(init::Report))
      outcome_.reports.push_back(*init::parse_report(bytes.substr(at, sizeof(init::Report))));
  } else if (to_init_) {
    for (;;) {
      auto report = init::receive_report(from_init());
      if (!report || !*report) break;
      outcome_.reports.push_back(**report);
    }
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  if (WIFEXITED(status)) outcome_.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) outcome_.signal = WTERMSIG(status);
  return outcome_;
}

bundle::Process process_of(std::vector<std::string> argv) {
  bundle::Process process;
  process.args = std::move(argv);
  process.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8"};
  return process;
}

bundle::Process shell(std::string script) { return process_of({"/bin/sh", "-c", std::move(script)}); }

InitOutcome run_init(const bundle::Process& process, InitOptions options, init::UserChange change) {
  InitSandbox sandbox(std::move(options));
  sandbox.send(process, change);
  return sandbox.finish();
}

}  // namespace bailey::tests
