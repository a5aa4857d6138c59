#include "secrets/directory.h"

#include <fcntl.h>

#include <cerrno>

#include "base/fd.h"
#include "base/files.h"
#include "base/units.h"

namespace bailey::secrets {

namespace {

constexpr const char* kForm =
    "DIR, then optionally :PATH, :MODE (octal) and :UID; a directory with ':' in its name needs a --request document";

Result<Fd> open_directory(const std::string& path) {
  Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory) return directory;
  Error error = sys_error("opening the secret directory " + path, errno).error();
  error.fault = Fault::bad_input;
  if (error.sys == ENOTDIR || error.sys == ELOOP)  // Linux says ENOTDIR of a link as well
    error.remedy = "name a directory, and not a link to one; one file is --secret NAME=FILE";
  else error.remedy = "it must exist and be readable for the user who runs bailey";
  return std::unexpected(std::move(error));
}

}  // namespace

Result<Directory> parse_directory(std::string_view flag) {
  Request places;
  const auto source = parse_places(flag, places);
  if (!source) return fail(Fault::bad_input, "--secret-dir " + std::string(flag) + ": " + source.error().message, kForm);
  return Directory{std::string(*source), std::move(places.destination), places.mode, places.uid};
}

Result<std::vector<Request>> list_directory(const Directory& wanted) {
  const std::string what = "secret directory " + wanted.directory;
  if (wanted.directory.find('\0') != std::string::npos) return fail(Fault::bad_input, "secret directory: not a path");
  const Fd directory = TRY(open_directory(wanted.directory));
  std::string place = wanted.destination;
  if (place.size() > 1 && place.ends_with('/')) place.pop_back();
  if (place == kDirectory) place.clear();
  std::vector<Request> requests;
  for (std::string& name : TRY_WITH(files::list(directory.get()), what)) {
    if (name.starts_with('.')) continue;
    if (auto good = units::check_name("secret", name); !good)
      return fail(Fault::bad_input, what + ": " + good.error().message, good.error().remedy);
    if (requests.size() == kMaxDirectoryFiles)
      return fail(Fault::bad_input, what + ": it has more than " + std::to_string(kMaxDirectoryFiles) + " files",
                  "mount large data as a volume");
    Request request;
    request.name = name;
    request.directory = wanted.directory;
    request.file = std::move(name);
    if (!place.empty()) request.destination = place + "/" + request.name;
    request.mode = wanted.mode;
    request.uid = wanted.uid;
    requests.push_back(std::move(request));
  }
  if (requests.empty()) return fail(Fault::bad_input, what + ": it has no file", "leave it out, or fill it first");
  return requests;
}

}  // namespace bailey::secrets
