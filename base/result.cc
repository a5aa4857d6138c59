#include "base/result.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bailey {

const char* errno_name(int err) {
  const char* name = strerrorname_np(err);
  return name ? name : "unknown errno";
}

namespace {

// The remedy of a number that means the same whatever was attempted.
std::string usual_remedy(int err) {
  switch (err) {
    case EMFILE: return "allow more open files: ulimit -n";
    case ENFILE: return "the host has no room for more open files: end some, or raise the sysctl fs.file-max";
    case EFBIG: return "allow larger files: ulimit -f";
    case EPERM: break;
    default: return {};
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  const bool lacks =
      ::geteuid() == 0 && ::syscall(SYS_capget, &header, data) == 0 && !(data[0].effective & (1u << CAP_SYS_ADMIN));
  return lacks ? "root has no CAP_SYS_ADMIN here: start Bailey with it, or as an ordinary user" : "";
}

}  // namespace

std::unexpected<Error> sys_error(std::string_view attempted, int err) {
  std::string message(attempted);
  const char* text = strerrordesc_np(err);
  message.append(": ").append(text ? text : "unknown error").append(" (").append(errno_name(err)).append(")");
  return std::unexpected(Error{std::move(message), usual_remedy(err), Fault::failed, err, {}});
}

}  // namespace bailey
