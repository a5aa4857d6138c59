// What a user asks for with --secret: where the bytes come from and where the workload finds them.
//
//   request.h  this wish          source.h  opens and reads it into locked memory
//   directory.h  one for each file of a directory
//   secret.h   locked memory      stage.h   the no-swap file system that the sandbox sees at /run/secrets
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bailey::secrets {

inline constexpr const char* kDirectory = "/run/secrets";
inline constexpr size_t kMaxSecretBytes = 1 << 20;
inline constexpr size_t kMaxBytesTogether = 64 << 20;  // they are memory that never swaps

struct Request {
  std::string name;         // units::check_name; the file's name below kDirectory
  std::string file;         // empty when `fd` is given
  int fd = -1;              // a descriptor of the caller
  std::string destination;  // absolute path inside; empty: kDirectory/name
  mode_t mode = 0400;
  std::optional<uint32_t> uid;  // inner uid; absent: the workload's
  std::string directory = {};   // of the host; `file` is then a name in it, whose links are followed beneath it only
  friend bool operator==(const Request&, const Request&) = default;
};

// "SOURCE[:PATH[:MODE[:UID]]]": sets all but the source, which it returns. An empty part is the default. The caller adds the
// flag to the message.
Result<std::string_view> parse_places(std::string_view text, Request& request);

// "NAME=FILE" or "NAME=fd:N", each with optional ":PATH", ":MODE" (octal), ":UID" in that order; an empty
// part is the default.
Result<Request> parse_request(std::string_view flag);

}  // namespace bailey::secrets
