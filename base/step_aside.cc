#include "base/step_aside.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace bailey {

namespace {

using Text = std::array<char, 1024>;

// What of a short file of /proc fits; empty where it cannot be read.
std::string_view read_start(const std::string& path, Text& text) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  return {text.data(), size > 0 ? static_cast<size_t>(size) : 0};
}

// The number behind so many blanks after `at`; -1 where there is none.
int number_behind(std::string_view text, size_t at, int blanks) {
  for (; blanks > 0 && at != text.npos; --blanks) at = text.find(' ', at + 1);
  int number = -1;
  if (at != text.npos) std::from_chars(text.data() + at + 1, text.data() + text.size(), number);
  return number;
}

// The 39th field, `processor`; the second is a name in parentheses that may hold anything (proc_pid_stat(5)).
int processor_of(int pid) {
  Text text;
  const std::string_view stat = read_start("/proc/" + std::to_string(pid) + "/stat", text);
  return number_behind(stat, stat.rfind(')'), 37);
}

}  // namespace

// "0.20 0.18 0.12 1/80 11206": the fourth is how many run or would run, of how many (proc_loadavg(5)).
bool should_step_aside() {
  Text text;
  if (read_start("/proc/cmdline", text).find(" sched_vcpu_pack=") == std::string_view::npos) return false;
  cpu_set_t mine;
  const int running = number_behind(read_start("/proc/loadavg", text), 0, 3);
  return running >= 0 && ::sched_getaffinity(0, sizeof mine, &mine) == 0 && running <= CPU_COUNT(&mine);
}

bool step_aside(int pid) {
  cpu_set_t mine;
  const int here = ::sched_getcpu();
  if (here < 0 || here >= CPU_SETSIZE || ::sched_getaffinity(0, sizeof mine, &mine) < 0) return false;
  cpu_set_t others = mine;
  CPU_CLR(static_cast<size_t>(here), &others);
  if (CPU_COUNT(&others) == 0 || processor_of(pid) != here) return false;
  if (::sched_setaffinity(0, sizeof others, &others) < 0) return false;
  ::sched_setaffinity(0, sizeof mine, &mine);
  return true;
}

}  // namespace bailey
