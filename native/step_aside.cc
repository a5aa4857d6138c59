#include "native/step_aside.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace bailey::native {

namespace {

// The 39th field, `processor`; the second is a name in parentheses that may hold anything (proc(5)).
int processor_of(int pid) {
  const Fd file(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
  if (size <= 0) return -1;
  std::string_view rest(text, static_cast<size_t>(size));
  size_t at = rest.rfind(')');
  for (int field = 2; field < 39 && at != rest.npos; ++field) at = rest.find(' ', at + 1);
  int processor = -1;
  if (at != rest.npos) std::from_chars(text + at + 1, text + size, processor);
  return processor;
}

}  // namespace

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

}  // namespace bailey::native
