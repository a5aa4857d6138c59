#include "secrets/stage.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>
#include <string>

#include "secrets/detached_mount.h"
#include "secrets/secret.h"
#include "secrets/source.h"

namespace bailey::secrets {

namespace {

// While secrets are in this memory, nobody of the same user may trace it or have it dumped. Taken back
// afterwards, because an undumpable process cannot be given its id maps by its own user.
class Undumpable {
 public:
  Undumpable() : before_(::prctl(PR_GET_DUMPABLE)) { ::prctl(PR_SET_DUMPABLE, 0); }
  ~Undumpable() {
    if (before_ == 1) ::prctl(PR_SET_DUMPABLE, 1);
  }
  Undumpable(const Undumpable&) = delete;

 private:
  int before_;
};

// A pipe that two secrets name would give the second one nothing.
Result<> check_distinct(const std::vector<Request>& requests) {
  std::set<std::string> names;
  std::set<int> descriptors;
  for (const Request& request : requests) {
    if (!names.insert(request.name).second)
      return fail(Fault::bad_input, "secret '" + request.name + "' is given twice", "another name");
    if (request.fd >= 0 && !descriptors.insert(request.fd).second)
      return fail(Fault::bad_input, "descriptor " + std::to_string(request.fd) + " is the source of two secrets",
                  "one descriptor each");
  }
  return {};
}

Result<> write_file(int mount, const Request& request, const Secret& secret, const Owner& owner) {
  const uint32_t uid = request.uid.value_or(owner.uid);
  const std::string attempted = "staging secret '" + request.name + "'";
  const Fd file(::openat(mount, request.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0));
  if (!file) return sys_error(attempted, errno);
  std::span<const std::byte> rest = secret.bytes();
  while (!rest.empty()) {
    const ssize_t put = ::write(file.get(), rest.data(), rest.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return sys_error(attempted, put < 0 ? errno : EIO);
    rest = rest.subspan(static_cast<size_t>(put));
  }
  if (::fchown(file.get(), owner.host_uid(uid), owner.host_gid(owner.gid)) < 0) {
    Error error =
        sys_error(attempted + ": giving it to the sandbox's uid " + std::to_string(uid) + " gid " + std::to_string(owner.gid),
                  errno)
            .error();
    error.remedy =
        "as an ordinary user, bailey can give secrets only to the sandbox user who stands for you; run the "
        "workload as that "
        "user, or run bailey as root";
    return std::unexpected(std::move(error));
  }
  if (::fchmod(file.get(), request.mode & 0777) < 0) return sys_error(attempted, errno);
  return {};
}

size_t whole_pages(size_t bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

Result<Stage> Stage::create(const std::vector<Request>& requests, const Owner& owner) {
  if (requests.empty()) return Stage();
  TRY(check_distinct(requests));
  // Room for the largest: what is not written costs nothing.
  DetachedMount mount = TRY(DetachedMount::create(requests.size() * whole_pages(kMaxSecretBytes), requests.size() + 1));
  {
    const Undumpable undumpable;
    size_t bytes = 0;
    for (const Request& request : requests) {
      const Secret secret = TRY(read_source(request));
      bytes += secret.bytes().size();
      if (bytes > kMaxBytesTogether)
        return fail(Fault::bad_input,
                    "secret '" + request.name + "': all secrets together have more than " + std::to_string(kMaxBytesTogether) +
                        " bytes",
                    "mount large data as a volume");
      TRY(write_file(mount.fd(), request, secret, owner));
    }
  }
  return Stage(TRY(mount.seal()));
}

}  // namespace bailey::secrets
