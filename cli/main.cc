// bailey: the first acts of the process, then one command.
#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "cli/cli11.h"
#include "cli/command_line.h"
#include "cli/version.h"

namespace bailey::cli {

namespace {

struct Command {
  const char* name;
  const char* summary;
  void (*add)(CLI::App&, Invocation&);
  // What follows the options is somebody else's command line: of the command itself (""), of a subcommand, or never.
  const char* command_line_of;
};

constexpr std::initializer_list<Command> kCommands = {
    {"run", "run one command in a sandbox", add_run, ""},
    {"doctor", "say what this host can do, each thing tried", add_doctor, nullptr},
    {"policy", "show the policy in force, or check a file", add_policy, nullptr},
    {"seccomp", "show, check or trace profiles of system calls", add_seccomp, "trace"},
    {"network", "show who is on the bridge, check whether it works here, clean it", add_network, nullptr},
    {"gc", "remove what sandboxes left whose bailey was killed", add_gc, nullptr},
};

// A descriptor that the caller left open must reach no child of ours; those that flags name stay open for us,
// because close-on-exec closes them at exec only.
Result<> isolate_this_process() {
  ::umask(077);
  if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return sys_error("close_range", errno);
  // A missing 0, 1 or 2 would be the number of the next file we open. The stand-in is open for reading: reads
  // see the end, writes fail as they would on the closed descriptor.
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDONLY) != fd)
      return sys_error("opening /dev/null for a closed stdin, stdout or stderr", errno);
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return sys_error("prctl(PR_SET_DUMPABLE)", errno);
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return sys_error("prctl(PR_SET_CHILD_SUBREAPER)", errno);
  rlimit core{};
  if (::getrlimit(RLIMIT_CORE, &core) != 0) return sys_error("getrlimit(RLIMIT_CORE)", errno);
  core.rlim_cur = 0;
  if (::setrlimit(RLIMIT_CORE, &core) != 0) return sys_error("setrlimit(RLIMIT_CORE)", errno);
  // A handler, not SIG_IGN: exec resets a handler, but hands SIG_IGN down to the workload. Beyond RLIMIT_FSIZE a write is then
  // an error that we can report, and not our death.
  struct sigaction quiet{};
  quiet.sa_handler = [](int) {};
  ::sigaction(SIGPIPE, &quiet, nullptr);
  ::sigaction(SIGXFSZ, &quiet, nullptr);
  // A caller that ignores SIGCHLD would have the kernel reap our children before we learn how they ended.
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &standard, nullptr);
  return {};
}

// The heap of a start fits, and goes with the process: growing it twice and giving it back took 30 us.
void settle_heap() {
  constexpr int kGrowth = 512 << 10, kNever = 1 << 30;
  ::mallopt(M_TOP_PAD, kGrowth);
  ::mallopt(M_TRIM_THRESHOLD, kNever);
}

std::string usage() {
  std::string text =
      "bailey: run a command in the cheapest sandbox that its trust level allows\n\nUsage: bailey COMMAND "
      "[OPTIONS]\n\nCommands:\n";
  for (const Command& command : kCommands) {
    std::string name = command.name;
    name.resize(10, ' ');
    text += "  " + name + command.summary + "\n";
  }
  return text +
         "\n'bailey COMMAND --help' lists the options of one command; 'bailey --version' prints the "
         "version.\n";
}

int print(const std::string& text) {
  if (auto written = files::write_fd(1, text, "stdout"); !written) return report(written.error());
  return 0;
}

// CLI11 speaks by exceptions; this is the one place that sees them. Nothing: the options that occur are not enough to answer
// with, because help or a message is wanted.
std::optional<int> parse_and_act(const Command& command, const std::vector<std::string>& arguments, Invocation& invocation,
                                 bool all) {
  if (!all) invocation.wanted = WantedOptions(arguments);
  CLI::App app(command.summary, std::string("bailey ") + command.name);
  command.add(app, invocation);
  CLI::App* runs = nullptr;  // what takes a command line
  if (command.command_line_of && !*command.command_line_of) runs = &app;
  else if (command.command_line_of && !arguments.empty() && arguments[0] == command.command_line_of)
    runs = app.get_subcommand(arguments[0]);
  if (runs) runs->footer("Options end at '--' or at the first word that is none: the command and its arguments follow.");
  try {
    std::vector<std::string> options = arguments;
    if (runs) {
      const auto own = arguments.begin() + (runs == &app ? 0 : 1);
      SplitArguments split = split_command(*runs, {own, arguments.end()});
      options.assign(arguments.begin(), own);
      options.insert(options.end(), split.options.begin(), split.options.end());
      invocation.command = std::move(split.command);
    }
    app.parse(std::vector<std::string>(options.rbegin(), options.rend()));  // CLI11 takes them last first
  } catch (const CLI::CallForHelp&) {
    if (!all) return std::nullopt;
    return print(app.help());
  } catch (const CLI::ParseError& fault) {
    if (!all) return std::nullopt;
    return report(
        {fault.what(), std::string("'bailey ") + command.name + " --help' lists the options", Fault::bad_input, 0, {}});
  }
  return invocation.act();
}

int perform(const Command& command, const std::vector<std::string>& arguments, int64_t started_ns) {
  for (const bool all : {false, true}) {
    Invocation invocation;
    invocation.started_ns = started_ns;
    if (const auto done = parse_and_act(command, arguments, invocation, all)) return *done;
  }
  return kExitBailey;
}

int main_of(const std::vector<std::string>& arguments) {
  const int64_t started_ns = clock::monotonic_ns();
  settle_heap();
  if (auto shut = isolate_this_process(); !shut) return report(shut.error());
  const std::string name = arguments.empty() ? "--help" : arguments.front();
  if (name == "--version" || name == "version") return print(std::string("bailey ") + version() + "\n");
  if (name == "--help" || name == "-h" || name == "help") {
    const int rc = print(usage());
    return arguments.empty() ? kExitBailey : rc;
  }
  for (const Command& command : kCommands)
    if (name == command.name) return perform(command, {arguments.begin() + 1, arguments.end()}, started_ns);
  std::string known;
  for (const Command& command : kCommands) known.append(known.empty() ? "" : ", ").append(command.name);
  return report({"'" + name + "' is not a command", "one of: " + known, Fault::bad_input, 0, {}});
}

}  // namespace

}  // namespace bailey::cli

int main(int argc, char** argv) {
  return bailey::cli::main_of(argc > 0 ? std::vector<std::string>(argv + 1, argv + argc) : std::vector<std::string>());
}
