// The everyday programs that must run in a sandbox exactly as outside: one row per program, in everyday.cc.
#pragma once

#include <span>
#include <vector>

namespace bailey::tests {

struct App {
  const char* name;      // of the test; letters and digits
  const char* programs;  // what it needs of the host, separated by commas
  const char* script;    // for sh -c, in an empty writable directory; its output must be the same every time
  int exit_code = 0;
};

std::span<const App> everyday_apps();
// Those that read files of the host outside /usr, in installed.cc (docs/default-root.md).
std::span<const App> installed_apps();

}  // namespace bailey::tests
