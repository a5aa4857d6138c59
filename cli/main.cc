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
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/backends.h"
#include "cli/command_line.h"
#include "cli/version.h"
#include "oci/oci.h"

namespace bailey::cli {

namespace {

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

// "  NAME      SUMMARY"
std::string list(std::span<const Command> commands) {
  constexpr size_t kColumn = 12;
  std::string text;
  for (const Command& command : commands) {
    std::string name = command.name;
    name.resize(kColumn, ' ');
    text += "  " + name + command.summary + "\n";
  }
  return text;
}

std::string usage() {
  return "bailey: run a command in the cheapest sandbox that its trust level allows\n\nUsage: bailey COMMAND "
         "[OPTIONS]\n\nCommands:\n" +
         list(commands()) +
         "\n'bailey COMMAND --help' lists the options of one command; 'bailey --version' prints the "
         "version.\n";
}

bool is_help(const std::string& word) { return word == "--help" || word == "-h"; }

// `name`: "bailey policy show".
int perform(const Command& command, const std::string& name, std::span<const std::string> words, int64_t started_ns) {
  OptionTable table;
  Invocation invocation;
  invocation.started_ns = started_ns;
  command.add(table, invocation);
  auto parsed = table.parse(words);
  if (!parsed) {
    parsed.error().remedy = "'" + name + " --help' lists the options";
    return report(parsed.error());
  }
  if (parsed->wants_help)
    return print(name + ": " + command.summary + "\n\nUsage: " + name + " " + table.usage() + "\n" + table.help());
  invocation.command = std::move(parsed->command);
  return invocation.act();
}

// The command that the first word names.
int perform_one_of(std::span<const Command> commands, const std::string& above, std::span<const std::string> words,
                   int64_t started_ns) {
  std::string known;
  for (const Command& command : commands) {
    const std::string name = above + " " + command.name;
    known.append(known.empty() ? "" : ", ").append(command.name);
    if (words.empty() || words[0] != command.name) continue;
    if (!command.below) return perform(command, name, words.subspan(1), started_ns);
    if (words.size() > 1 && is_help(words[1]))
      return print(name + ": " + command.summary + "\n\nUsage: " + name + " COMMAND [OPTIONS]\n\nCommands:\n" +
                   list(command.below()));
    return perform_one_of(command.below(), name, words.subspan(1), started_ns);
  }
  const std::string what =
      words.empty() ? "'" + above + "' needs a command" : "'" + words[0] + "' is not a command of '" + above + "'";
  return report({what, "one of: " + known, Fault::bad_input, 0, {}});
}

int main_of(const std::string& program, const std::vector<std::string>& arguments) {
  const int64_t started_ns = clock::monotonic_ns();
  settle_heap();
  if (auto shut = isolate_this_process(); !shut) return report(shut.error());
  const bool as_runtime = oci::is_runtime_name(program);
  if (as_runtime || (!arguments.empty() && arguments.front() == "oci"))
    return oci::perform(std::span(arguments).subspan(as_runtime ? 0 : 1), make_backend, version(), started_ns);
  const std::string name = arguments.empty() ? "--help" : arguments.front();
  if (name == "--version" || name == "version") return print(std::string("bailey ") + version() + "\n");
  if (is_help(name) || name == "help") {
    const int rc = print(usage());
    return arguments.empty() ? kExitBailey : rc;
  }
  return perform_one_of(commands(), "bailey", arguments, started_ns);
}

}  // namespace

}  // namespace bailey::cli

int main(int argc, char** argv) {
  if (argc == 0) return bailey::cli::main_of("bailey", {});
  return bailey::cli::main_of(argv[0], std::vector<std::string>(argv + 1, argv + argc));
}
