#include "base/result.h"

#include <cstring>

namespace bailey {

const char* errno_name(int err) {
  const char* name = strerrorname_np(err);
  return name ? name : "unknown errno";
}

std::unexpected<Error> sys_error(std::string_view attempted, int err) {
  std::string message(attempted);
  const char* text = strerrordesc_np(err);
  message.append(": ").append(text ? text : "unknown error").append(" (").append(errno_name(err)).append(")");
  return std::unexpected(Error{std::move(message), {}, Fault::failed, err, {}});
}

}  // namespace bailey
