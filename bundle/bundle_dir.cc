#include "bundle/bundle_dir.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/json.h"
#include "bundle/reader.h"
#include "bundle/writer.h"

namespace bailey::bundle {

namespace {
constexpr size_t kMaxConfigBytes = 4 << 20;  // a docker configuration with its profile has 60 kB
}

Result<> write_bundle(int dir, const Config& config) {
  const Fd fd = TRY(files::open_at(dir, kConfigFile, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return files::write_fd(fd.get(), json::write(encode_config(config)), kConfigFile);
}

Result<Config> read_bundle(int dir, const std::string& path_of_dir) {
  const std::string name = path_of_dir + "/" + kConfigFile;
  // O_NONBLOCK: a FIFO must not hold us up before we see that it is one.
  const Fd fd =
      TRY_WITH(files::open_at(dir, kConfigFile, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), "bundle " + path_of_dir);
  const struct stat status = TRY(files::stat_fd(fd.get(), name));
  if (!S_ISREG(status.st_mode)) return fail(Fault::bad_input, name + " is not a regular file");
  const std::string text = TRY(files::read_fd(fd.get(), kMaxConfigBytes, name));
  return parse_config(text, name, json::UnknownKeys::ignore);
}

}  // namespace bailey::bundle
