// The backend on real builds of runsc, below the lifecycle: what contract tests through the command line cannot reach. Each
// test runs with the reference build and with Debian's of 2022 and leaves nothing.
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/clock.h"
#include "base/files.h"
#include "gvisor/backend.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gvisor_specs.h"

namespace bailey::gvisor {
namespace {

using dispatcher::Ending;

constexpr int64_t kPatienceMs = 120'000;

// One sandbox with pipes at its ends.
struct Running {
  std::optional<dispatcher::Job> job;
  dispatcher::Leases leases;
  std::unique_ptr<dispatcher::Instance> instance;
  Fd terminal;
  Fd in, out, err;
  std::string read_out() const { return files::read_fd(out.get(), 64 << 20, "stdout").value_or("?"); }
  std::string read_err() const { return files::read_fd(err.get(), 64 << 20, "stderr").value_or("?"); }
};

bool wait_readable(int fd, int64_t ms = kPatienceMs) {
  const auto deadline = clock::Deadline::in_ms(ms);
  pollfd entry{fd, POLLIN, 0};
  int ready = -1;
  while ((ready = ::poll(&entry, 1, deadline.poll_ms())) < 0 && errno == EINTR) {}
  return ready > 0;
}

int pid_of(int pidfd) {
  const std::string text = *files::read("/proc/self/fdinfo/" + std::to_string(pidfd), 4096);
  return std::stoi(text.substr(text.find("Pid:") + 4));
}

// Kind, mode, owner, size, time and contents of everything below `path`.
std::map<std::string, std::string> look_at_tree(const std::string& path) {
  std::map<std::string, std::string> seen;
  struct stat info{};
  if (::lstat(path.c_str(), &info) < 0) return seen;
  std::string line = std::to_string(info.st_mode) + " " + std::to_string(info.st_uid) + " " + std::to_string(info.st_size) +
                     " " + std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec) + " " +
                     std::to_string(info.st_ctim.tv_nsec);
  if (S_ISREG(info.st_mode)) line += std::to_string(std::hash<std::string>{}(*files::read(path, 64 << 20)));
  seen[path] = line;
  if (!S_ISDIR(info.st_mode)) return seen;
  const Fd directory = std::move(*files::open(path, O_RDONLY | O_DIRECTORY));
  const std::vector<std::string> names = *files::list(directory.get());
  for (const std::string& name : names) seen.merge(look_at_tree(path + "/" + name));
  return seen;
}

class RealRunsc : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) == "reference") {
      BAILEY_REQUIRE("root", "runsc");
    } else {
      BAILEY_REQUIRE("root", "runsc-2022");
    }
    ::signal(SIGPIPE, SIG_IGN);
    leaks_ = std::make_unique<tests::LeakCheck>();
    const bool reference = std::string_view(GetParam()) == "reference";
    ASSERT_EQ(::chmod(answers_.path().c_str(), 0700), 0);  // as a runtime directory has to be
    backend_ = create_backend({.runsc = reference ? tests::runsc_path() : tests::runsc_2022_path(),
                               .search_path = "",
                               .platform = "",
                               .runtime_directory = answers_.path()});
  }
  void TearDown() override {
    backend_.reset();
    if (leaks_) leaks_->expect_clean();
  }

  Running create(dispatcher::Request request) {
    Running running;
    auto decision = decide(std::move(request));
    if (!decision.spec) return running;
    running.job = decision.job;
    const bool terminal = decision.spec->process().terminal;
    dispatcher::Stdio stdio;
    if (!terminal) {
      Pipe in = std::move(*create_pipe()), out = std::move(*create_pipe()), err = std::move(*create_pipe());
      stdio = {std::move(in.read), std::move(out.write), std::move(err.write)};
      running.in = std::move(in.write);
      running.out = std::move(out.read);
      running.err = std::move(err.read);
    }
    dispatcher::Steps steps;
    auto plan = backend_->plan(decision.spec);
    EXPECT_TRUE(plan) << plan.error().message;
    if (!plan) return running;
    auto created = (*plan)->create(running.leases, std::move(stdio), steps);
    EXPECT_TRUE(created) << created.error().message;
    if (!created) return running;
    running.instance = std::move(*created);
    dispatcher::PatienceUntil patience(clock::Deadline::in_ms(60'000));
    auto made = running.instance->await_created(patience, steps);
    EXPECT_TRUE(made) << made.error().message;
    if (made) running.terminal = std::move(*made);
    return running;
  }
  static void start(Running& running) {
    dispatcher::Steps steps;
    dispatcher::PatienceUntil patience(clock::Deadline::in_ms(60'000));
    const auto started = running.instance->start(*running.job, patience, steps);
    EXPECT_TRUE(started) << started.error().message;
  }
  static Ending reap(Running& running) {
    EXPECT_TRUE(wait_readable(running.instance->exit_fd())) << "it does not end";
    auto ending = running.instance->reap();
    EXPECT_TRUE(ending) << ending.error().message;
    return ending ? std::move(*ending) : Ending{};
  }
  Ending run(dispatcher::Request request, std::string* out = nullptr, std::string* err = nullptr) {
    Running running = create(std::move(request));
    if (!running.instance) return {};
    start(running);
    running.in.reset();
    const std::string said = running.read_out(), complained = running.read_err();
    if (out) *out = said;
    if (err) *err = complained;
    return reap(running);
  }

  tests::TempDir answers_;
  std::unique_ptr<tests::LeakCheck> leaks_;
  std::unique_ptr<dispatcher::Backend> backend_;
};

TEST_P(RealRunsc, ReportsHowTheCommandEnded) {
  for (const int code : {0, 7, 125, 128, 255}) {
    const Ending ending = run(wish({"/bin/sh", "-c", "exit " + std::to_string(code)}));
    EXPECT_EQ(ending.kind, Ending::Kind::exited);
    EXPECT_EQ(ending.value, code);
  }
  for (const int number : {SIGKILL, SIGTERM, SIGSEGV}) {
    const Ending ending = run(wish({"/bin/sh", "-c", "kill -" + std::to_string(number) + " $$"}));
    EXPECT_EQ(ending.kind, Ending::Kind::signaled);
    EXPECT_EQ(ending.value, number);
  }
  const Ending missing = run(wish({"/nowhere/at-all"}));
  EXPECT_EQ(missing.kind, Ending::Kind::not_started);
  EXPECT_EQ(missing.error.fault, Fault::not_found);
  EXPECT_EQ(run(wish({"/etc/passwd"})).error.fault, Fault::not_executable);
}

TEST_P(RealRunsc, KeepsTheThreeStreamsApart) {
  Running running = create(wish({"/bin/sh", "-c", "cat; echo complaint >&2"}));
  ASSERT_TRUE(running.instance);
  start(running);
  const std::string text("bytes \0\xff\n", 9);
  ASSERT_TRUE(files::write_fd(running.in.get(), text, "stdin"));
  running.in.reset();
  EXPECT_EQ(running.read_out(), text);
  EXPECT_EQ(running.read_err(), "complaint\n");
  EXPECT_EQ(reap(running).value, 0);
}

TEST_P(RealRunsc, CarriesAJobThatNoPipeHolds) {
  dispatcher::Request request = wish({"/bin/sh", "-c", "printf %s \"$LAST\"; env | wc -c"});
  for (int i = 0; i < 15; ++i) request.config.process->env.push_back("V" + std::to_string(i) + "=" + std::string(100'000, 'x'));
  request.config.process->env.push_back("LAST=here");
  std::string out;
  EXPECT_EQ(run(std::move(request), &out).value, 0);
  EXPECT_TRUE(out.starts_with("here15")) << out;
}

TEST_P(RealRunsc, LeavesADirectoryUsedAsRootAsItIs) {
  BAILEY_REQUIRE("busybox");
  const tests::TempDir root;  // without /proc, /dev, /tmp: every mount point is missing
  ASSERT_EQ(::mkdir((root.path() + "/bin").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(root.path().c_str(), 0755), 0);
  {
    const Fd copy(::open((root.path() + "/bin/sh").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
    const auto busybox = files::read(tests::find_program("busybox"), 64 << 20);
    ASSERT_TRUE(files::write_fd(copy.get(), busybox.value_or(""), "busybox"));
  }
  const auto before = look_at_tree(root.path());
  for (const auto writes : {dispatcher::Writes::refuse, dispatcher::Writes::memory}) {
    dispatcher::Request request =
        wish({"/bin/sh", "-c", "echo x > /new; echo x > /bin/new; echo x > /tmp/t && echo tmp; exit 0"});
    request.config.root = bundle::Root{root.path(), true};
    request.config.mounts = {{"/some/where/deep", "bind", root.path(), {"rbind", "ro"}, {}, {}}};
    request.root_writes = writes;
    std::string out, err;
    EXPECT_EQ(run(std::move(request), &out, &err).value, 0) << err;
    EXPECT_EQ(out, "tmp\n");
    EXPECT_EQ(err.find("Read-only file system") != std::string::npos, writes == dispatcher::Writes::refuse) << err;
    EXPECT_EQ(look_at_tree(root.path()), before);
  }
}

TEST_P(RealRunsc, DeliversSignalsToTheCommandAndNotToRunsc) {
  Running running = create(wish({"/bin/sh", "-c", "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done"}));
  ASSERT_TRUE(running.instance);
  start(running);
  char ready[6] = {};
  ASSERT_TRUE(wait_readable(running.out.get()));
  ASSERT_EQ(::read(running.out.get(), ready, sizeof ready), 6);
  EXPECT_TRUE(running.instance->signal(SIGTERM));
  EXPECT_EQ(running.read_out(), "caught\n");
  const Ending ending = reap(running);
  EXPECT_EQ(ending.kind, Ending::Kind::exited);
  EXPECT_EQ(ending.value, 3);
  EXPECT_TRUE(running.instance->signal(SIGTERM));  // too late is no error
}

TEST_P(RealRunsc, EndsAtOnceWhenKilledInAnyState) {
  for (const int delay_ms : {0, 5, 20, 50, 90, 150, 400}) {
    Running running = create(wish({"/bin/sh", "-c", "while :; do sleep 1; done & exec sleep 600"}));
    ASSERT_TRUE(running.instance);
    if (delay_ms % 2 == 0) start(running);
    (void)wait_readable(running.instance->exit_fd(), delay_ms);
    running.instance->kill_all();
    const Ending ending = reap(running);
    EXPECT_EQ(ending.kind, Ending::Kind::signaled) << ending.error.message;
    EXPECT_EQ(ending.value, SIGKILL);
  }
}

TEST_P(RealRunsc, GoesAwayWithItsInstance) {
  { const Running never_started = create(wish({"/bin/sleep", "600"})); }
  Running running = create(wish({"/bin/sleep", "600"}));
  start(running);
  (void)wait_readable(running.instance->exit_fd(), 300);
}  // the leak check of TearDown is the test

TEST_P(RealRunsc, DiesWithTheProcessThatStartedIt) {
  for (const int delay_ms : {0, 10, 40, 200}) {
    const pid_t parent = ::fork();
    if (parent == 0) {
      Running running = create(wish({"/bin/sleep", "600"}));
      start(running);
      (void)wait_readable(running.instance->exit_fd(), delay_ms);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(parent, &status, 0), parent);
    EXPECT_TRUE(WIFSIGNALED(status));
  }
}

TEST_P(RealRunsc, SeesNeitherTheHostsFilesNorTheCallersEnvironmentAndDescriptors) {
  const Fd secret = std::move(*files::open("/etc", O_RDONLY | O_DIRECTORY));
  const Fd leaked(::fcntl(secret.get(), F_DUPFD, 50));  // without CLOEXEC
  ASSERT_EQ(::setenv("BAILEY_TEST_SECRET", "value", 1), 0);
  Running running = create(wish({"/bin/sh", "-c", "echo ready; read line; exit 0"}));
  ASSERT_TRUE(running.instance);
  start(running);
  char ready[6] = {};
  ASSERT_TRUE(wait_readable(running.out.get()));
  ASSERT_EQ(::read(running.out.get(), ready, sizeof ready), 6);
  const std::string proc = "/proc/" + std::to_string(pid_of(running.instance->exit_fd()));
  EXPECT_EQ(files::read(proc + "/environ", 1 << 20).value_or("?"), "");
  const Fd root = std::move(*files::open(proc + "/root", O_RDONLY | O_DIRECTORY));
  const std::vector<std::string> names = *files::list(root.get());
  for (const char* host_name : {"etc", "usr", "root", "home", "sys", "run"})
    EXPECT_EQ(std::ranges::find(names, host_name), names.end()) << host_name;
  const Fd descriptors = std::move(*files::open(proc + "/fd", O_RDONLY | O_DIRECTORY));
  const std::vector<std::string> numbers = *files::list(descriptors.get());
  for (const std::string& number : numbers) EXPECT_NE(files::readlink(proc + "/fd/" + number).value_or(""), "/etc") << number;
  running.in.reset();
  EXPECT_EQ(reap(running).value, 0);
  ::unsetenv("BAILEY_TEST_SECRET");
}

TEST_P(RealRunsc, GivesATerminalThatWorks) {
  dispatcher::Request request =
      wish({"/bin/sh", "-c", "test -t 0 -a -t 1 -a -t 2 && echo terminal; read line; echo got $line"});
  request.config.process->terminal = true;
  Running running = create(std::move(request));
  ASSERT_TRUE(running.terminal);
  start(running);
  ASSERT_TRUE(files::write_fd(running.terminal.get(), "words\n", "terminal"));
  std::string seen;
  while (seen.find("got words") == std::string::npos && wait_readable(running.terminal.get())) {
    char part[256];
    const ssize_t got = ::read(running.terminal.get(), part, sizeof part);
    if (got <= 0) break;
    seen.append(part, static_cast<size_t>(got));
  }
  EXPECT_NE(seen.find("terminal"), std::string::npos) << seen;
  EXPECT_NE(seen.find("got words"), std::string::npos) << seen;
  EXPECT_EQ(reap(running).value, 0);
}

// The builds of 2022 cannot run in a user namespace with one id.
class ReferenceRunsc : public RealRunsc {};

TEST_P(ReferenceRunsc, RunsForAnOrdinaryUserInAUserNamespace) {
  BAILEY_REQUIRE("userns");
  constexpr uid_t kSomebody = 4242;
  const tests::TempDir volume, answers;
  for (const auto* directory : {&volume, &answers}) ASSERT_EQ(::chown(directory->path().c_str(), kSomebody, kSomebody), 0);
  ASSERT_EQ(::chmod(answers.path().c_str(), 0700), 0);
  const pid_t user = ::fork();
  if (user == 0) {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(kSomebody, kSomebody, kSomebody) < 0 ||
        ::setresuid(kSomebody, kSomebody, kSomebody) < 0)
      ::_exit(100);
    backend_ =
        create_backend({.runsc = tests::runsc_path(), .search_path = "", .platform = "", .runtime_directory = answers.path()});
    dispatcher::Request request = wish({"/bin/sh", "-c", "echo made > /work/file; test \"$(id -u)\" = 0 && exit 7"});
    request.config.mounts = {{"/work", "bind", volume.path(), {"rbind", "rw"}, {}, {}}};
    const Ending ending = run(std::move(request));
    ::_exit(ending.kind == Ending::Kind::exited ? ending.value : 101);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(user, &status, 0), user);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
  struct stat info{};
  ASSERT_EQ(::stat((volume.path() + "/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kSomebody);
}

TEST_P(RealRunsc, RunsManyAtOnce) {
  std::vector<Running> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(create(wish({"/bin/sh", "-c", "read line; exit " + std::to_string(i)})));
    ASSERT_TRUE(all.back().instance);
    start(all.back());
  }
  for (Running& running : all) running.in.reset();
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(reap(all[i]).value, static_cast<int>(i));
}

INSTANTIATE_TEST_SUITE_P(Builds, ReferenceRunsc, testing::Values("reference"),
                         [](const auto& build) { return std::string(build.param); });
INSTANTIATE_TEST_SUITE_P(Builds, RealRunsc, testing::Values("reference", "debian2022"),
                         [](const auto& build) { return std::string(build.param); });

}  // namespace
}  // namespace bailey::gvisor
