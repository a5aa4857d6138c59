#include "tests/support/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "base/files.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

std::string memory_of(pid_t pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  const Fd memory = files::open(proc + "/mem", O_RDONLY).value_or(Fd());
  std::istringstream maps(read_file(proc + "/maps"));
  std::string all;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    char access[5] = "";
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, access) != 3 || access[1] != 'w') continue;
    if (end - begin > 64ul << 20) continue;
    std::string bytes(end - begin, '\0');
    const ssize_t got = ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(begin));
    if (got > 0) all.append(bytes, 0, static_cast<size_t>(got));
  }
  return all;
}

}  // namespace bailey::tests
