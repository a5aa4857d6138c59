#include "init_sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"
#include "init/image.h"
#include "plain_channel.h"

namespace bailey::tests {

namespace {

constexpr int64_t kPatienceMs = 120'000;
constexpr int kIn = 200, kOut = 201;  // init's descriptors

std::string_view image_bytes() {
  const auto image = init::init_image();
  return {reinterpret_cast<const char*>(image.data()), image.size()};
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

void take_descriptors(int in, int out) {
  if (in >= 0) ::dup2(in, kIn);
  if (out >= 0) ::dup2(out, kOut);
}

std::vector<std::string> init_arguments(const InitOptions& options, const std::string& directory) {
  switch (options.transport) {
    case Transport::socket: return {"init", std::to_string(kIn)};
    case Transport::pipes: return {"init", std::to_string(kIn), std::to_string(kOut)};
    case Transport::directory: return {"init", directory};
  }
  return {};
}

// In the clone.
[[noreturn]] void become_init(const InitOptions& options, const std::vector<std::string>& arguments, int go, int image, int in,
                              int out, int output) {
  char byte;
  if (::read(go, &byte, 1) != 1) ::_exit(99);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (options.proc && ::mount("proc", "/proc", "proc", 0, nullptr) < 0) ::_exit(98);
  if (options.ignore_signals)
    for (int number : {SIGCHLD, SIGHUP, SIGINT, SIGPIPE}) ::signal(number, SIG_IGN);
  for (int fd = 0; options.terminal && fd < 3; ++fd) ::dup2(*options.terminal, fd);
  for (int fd = 1; !options.terminal && fd < 3; ++fd) ::dup2(output, fd);
  for (int fd : options.leak) ::fcntl(fd, F_SETFD, 0);
  take_descriptors(in, out);
  if (!options.root.empty() && ::chroot(options.root.c_str()) < 0) ::_exit(96);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  char* const none[] = {nullptr};
  ::fexecve(image, argv.data(), none);
  ::_exit(97);
}

json::Value mount(std::string_view destination, std::string_view type, std::string_view source, json::Array options) {
  json::Object object;
  object.set("destination", destination);
  object.set("type", type);
  object.set("source", source);
  object.set("options", std::move(options));
  return object;
}

// A root of links into the host's /usr, and the host's /tmp, because tests keep their files there.
std::string container_config(const std::vector<std::string>& arguments, const std::string& root) {
  json::Object process, user, capabilities, config, linux_part;
  user.set("uid", 0);
  user.set("gid", 0);
  for (const char* set : {"bounding", "effective", "permitted"}) capabilities.set(set, json::Array{"CAP_SETUID", "CAP_SETGID"});
  json::Array args{"/init"};
  for (size_t i = 1; i < arguments.size(); ++i) args.emplace_back(arguments[i]);
  process.set("user", user);
  process.set("args", args);
  process.set("env", json::Array{});
  process.set("cwd", "/");
  process.set("capabilities", capabilities);
  json::Array namespaces;
  for (const char* name : {"pid", "ipc", "uts", "mount", "network"}) {
    json::Object one;
    one.set("type", name);
    namespaces.emplace_back(one);
  }
  linux_part.set("namespaces", namespaces);
  json::Object root_part;
  root_part.set("path", root);
  config.set("ociVersion", "1.0.0");
  config.set("process", process);
  config.set("root", root_part);
  config.set("mounts", json::Array{mount("/proc", "proc", "proc", {}), mount("/usr", "bind", "/usr", {"rbind", "ro"}),
                                   mount("/tmp", "bind", "/tmp", {"rbind", "rw"})});
  config.set("linux", linux_part);
  return json::write(config);
}

}  // namespace

std::optional<init::Report> InitOutcome::find(init::ReportKind kind) const {
  for (const init::Report& report : reports)
    if (report.kind == kind) return report;
  return std::nullopt;
}

InitSandbox::InitSandbox(InitOptions options) : options_(std::move(options)) {
  Fd in, out;
  if (options_.transport == Transport::pipes) {
    Pipe job = *create_pipe(), reports = *create_pipe();
    to_init_ = std::move(job.write), in = std::move(job.read);
    from_init_ = std::move(reports.read), out = std::move(reports.write);
  } else if (options_.transport == Transport::socket) {
    SocketPair pair = *create_socket_pair();
    to_init_ = std::move(pair.ours), in = std::move(pair.theirs);
  }
  start(std::move(in), std::move(out));
}

void InitSandbox::start(Fd in, Fd out) {
  Pipe output = *create_pipe();
  output_ = std::move(output.read);
  if (options_.runsc.empty()) start_in_namespaces(in.get(), out.get(), output.write.get());
  else start_in_runsc(in.get(), out.get(), output.write.get());
}

void InitSandbox::start_in_namespaces(int in, int out, int output) {
  Fd image(::memfd_create("init", MFD_CLOEXEC));
  ASSERT_TRUE(files::write_fd(image.get(), image_bytes(), "init"));
  const std::vector<std::string> arguments = init_arguments(options_, directory_.path());
  Pipe go = *create_pipe();
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS;
  args.exit_signal = SIGCHLD;
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);  // as job.h asks: nothing is lost before init looks
  pid_ = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid_ == 0) {
    go.write.reset();
    become_init(options_, arguments, go.read.get(), image.get(), in, out, output);
  }
  const int error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ASSERT_GT(pid_, 0) << errno_name(error);
  map_ids(pid_);
  ASSERT_EQ(::write(go.write.get(), "x", 1), 1);
}

void InitSandbox::start_in_runsc(int in, int out, int output) {
  const std::string bundle = directory_.file("bundle"), root = directory_.file("root"), state = directory_.file("state");
  for (const std::string& path : {bundle, root, state, root + "/usr", root + "/tmp", root + "/proc"})
    ASSERT_TRUE(files::create_directories(path, 0755));
  for (const char* name : {"bin", "lib", "lib64", "sbin"})
    ASSERT_EQ(::symlink((std::string("usr/") + name).c_str(), (root + "/" + name).c_str()), 0);
  directory_.write("root/init", image_bytes(), 0755);
  directory_.write("bundle/config.json", container_config(init_arguments(options_, directory_.path()), root));

  std::vector<std::string> arguments{"runsc", "--root", state, "--network=none", "--ignore-cgroups"};
  if (!options_.platform.empty()) arguments.push_back("--platform=" + options_.platform);
  arguments.push_back("run");
  if (in >= 0)
    for (int fd : {kIn, kOut}) arguments.insert(arguments.end(), {"--pass-fd", std::to_string(fd) + ":" + std::to_string(fd)});
  arguments.insert(arguments.end(), {"--bundle", bundle,
                                     "init-test-" + std::to_string(::getpid()) + "-" +
                                         directory_.path().substr(directory_.path().rfind('/') + 1)});
  Pipe empty = *create_pipe();  // never the host's /dev/null: the build of 2022 changes its owner
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // runsc leaves a mount behind (null-netns): it goes with this namespace.
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) ::_exit(98);
    ::dup2(empty.read.get(), 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    take_descriptors(in, out);
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(options_.runsc.c_str(), argv.data());
    ::_exit(97);
  }
  ASSERT_GT(pid_, 0) << errno_name(errno);
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
  if (options_.transport == Transport::directory) {
    directory_.write("new-job", job, 0600);
    ASSERT_EQ(::rename(directory_.file("new-job").c_str(), directory_.file("job").c_str()), 0);
    return;
  }
  auto sent = send_job(to_init(), job);
  ASSERT_TRUE(sent) << sent.error().message;
}

bool InitSandbox::wait_started() {
  for (;;) {
    auto report = receive_report(from_init());
    if (!report || !*report) return false;
    keep(**report);
    if ((*report)->kind != init::ReportKind::ready) return (*report)->kind == init::ReportKind::started;
  }
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

void InitSandbox::keep(const init::Report& report) {
  if (report.kind == init::ReportKind::ready) outcome_.was_ready = outcome_.reports.empty();
  else outcome_.reports.push_back(report);
}

void InitSandbox::hang_up() {
  to_init_.reset();
  from_init_.reset();
}

InitOutcome InitSandbox::finish() {
  (void)wait_for_output("no output looks like this: it is read to its end\n");
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  if (options_.transport == Transport::directory) {
    const std::string bytes = read_file(directory_.file("report"));
    for (size_t at = 0; at + sizeof(init::Report) <= bytes.size(); at += sizeof(init::Report))
      keep(*init::parse_report(bytes.substr(at, sizeof(init::Report))));
  } else if (to_init_) {
    for (;;) {
      auto report = receive_report(from_init());
      if (!report || !*report) break;
      keep(**report);
    }
  }
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
