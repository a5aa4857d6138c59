#include "cli/command_line.h"

#include <climits>

#include "base/files.h"
#include "base/log.h"

namespace bailey::cli {

int exit_code(Fault fault) {
  switch (fault) {
    case Fault::not_executable: return 126;
    case Fault::not_found: return 127;
    default: return kExitBailey;
  }
}

int report(const Error& error) {
  std::string text = "bailey: " + log::printable(error.message) + "\n";
  if (!error.remedy.empty()) text += "  remedy: " + log::printable(error.remedy) + "\n";
  if (text.size() > PIPE_BUF) text.resize(PIPE_BUF);                       // what a pipe that polls writable takes at once
  if (log::reader_takes_more()) (void)files::write_fd(2, text, "stderr");  // a closed stderr leaves the exit code
  return exit_code(error.fault);
}

int print(const std::string& text) {
  if (auto written = files::write_fd(1, text, "stdout"); !written) return report(written.error());
  return 0;
}

}  // namespace bailey::cli
