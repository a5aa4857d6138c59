#include "oci/words.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"

namespace bailey::oci {

namespace {

constexpr int kFailed = 1, kExecFailed = 255;

std::string log_line(const std::string& message, const Call& call) {
  const std::string time = clock::wall_text(clock::wall_ns());
  if (call.log_format != "json") return "time=\"" + time + "\" level=error msg=" + json::write(message) + "\n";
  json::Object line;
  line.set("level", "error");
  line.set("msg", message);
  line.set("time", time);
  return json::write(std::move(line)) + "\n";
}

}  // namespace

// The words by which podman exits with 127 and 126: "executable file not found", "permission denied".
std::string words_of(const Error& error) {
  std::string text = error.message;
  if (error.fault == Fault::not_found) text += ": executable file not found in $PATH: no such file or directory";
  if (error.fault == Fault::not_executable && error.sys == EACCES) text += ": permission denied";
  if (!error.remedy.empty()) text += " (" + error.remedy + ")";
  return text;
}

int tell(const Error& error, const Call& call) {
  const std::string text = words_of(error);
  (void)files::write_fd(2, "bailey-oci: " + text + "\n", "stderr");
  if (call.log) {
    const auto file = files::open(*call.log, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY, 0644);
    if (file) (void)files::write_fd(file->get(), log_line(text, call), *call.log);
  }
  return call.command == "exec" ? kExecFailed : kFailed;
}

Error no_such_container(const std::string& id) {
  return {.message = "container \"" + id + "\" does not exist", .fault = Fault::bad_input};
}

Error not_running(const std::string& id) {
  return {.message = "container not running: \"" + id + "\" (no such process)", .fault = Fault::bad_input};
}

}  // namespace bailey::oci
