#include "secrets/request.h"

#include <array>
#include <climits>

#include "base/units.h"

namespace bailey::secrets {

namespace {

constexpr const char* kForm =
    "NAME=FILE or NAME=fd:N, then optionally :PATH, :MODE (octal) and :UID; a file with ':' in its name "
    "needs a --request document";

std::unexpected<Error> bad(std::string_view flag, const std::string& what) {
  return fail(Fault::bad_input, "--secret " + std::string(flag) + ": " + what, kForm);
}

}  // namespace

Result<std::string_view> parse_places(std::string_view text, Request& request) {
  const auto wrong = [](const std::string& what) { return fail(Fault::bad_input, what); };
  std::array<std::string_view, 4> parts;  // source, path, mode, uid
  size_t count = 0;
  for (;; ++count) {
    if (count == parts.size()) return wrong("it has too many parts");
    const size_t colon = text.find(':');
    parts[count] = text.substr(0, colon);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  const auto [source, path, mode, uid] = parts;
  if (source.empty()) return wrong("it names no source");
  if (!path.empty() && path[0] != '/') return wrong("the place inside, '" + std::string(path) + "', is not absolute");
  request.destination = path;
  if (!mode.empty()) {
    request.mode = 0;
    for (const char digit : mode) {
      if (digit < '0' || digit > '7' || mode.size() > 4) return wrong("'" + std::string(mode) + "' is not an octal mode");
      request.mode = request.mode * 8 + static_cast<mode_t>(digit - '0');
    }
    if (request.mode > 0777) return wrong("mode '" + std::string(mode) + "' has set-id or sticky bits");
  }
  if (!uid.empty()) {
    const auto number = units::parse_unsigned(uid);
    if (!number || *number >= UINT32_MAX) return wrong("'" + std::string(uid) + "' is no numeric uid");
    request.uid = static_cast<uint32_t>(*number);
  }
  return source;
}

Result<Request> parse_request(std::string_view flag) {
  const size_t equals = flag.find('=');
  if (equals == std::string_view::npos) return bad(flag, "it has no '='");
  Request request;
  request.name = flag.substr(0, equals);
  if (auto name = units::check_name("secret", request.name); !name) return bad(flag, name.error().message);
  std::string_view rest = flag.substr(equals + 1);
  const bool descriptor = rest.starts_with("fd:");
  if (descriptor) rest.remove_prefix(3);
  const auto source = parse_places(rest, request);
  if (!source) return bad(flag, source.error().message);
  if (descriptor) {
    const auto number = units::parse_unsigned(*source);
    if (!number || *number > INT_MAX) return bad(flag, "'" + std::string(*source) + "' is no descriptor");
    request.fd = static_cast<int>(*number);
  } else {
    request.file = *source;
  }
  return request;
}

}  // namespace bailey::secrets
