#include "secrets/secret.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace bailey::secrets {

Result<Secret> Secret::create(size_t capacity) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t size = (capacity + page - 1) / page * page;
  const std::string attempted = "keeping a secret in " + std::to_string(size) + " bytes of memory";
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return sys_error(attempted, errno);
  Secret secret;
  secret.at_ = static_cast<std::byte*>(at);
  secret.mapped_ = size;
  if (::mlock2(at, size, MLOCK_ONFAULT) < 0) {
    Error error = sys_error(attempted + ": locking it", errno).error();
    error.remedy = "raise the limit of locked memory (ulimit -l); a secret takes its own size plus a page";
    return std::unexpected(std::move(error));
  }
  if (::madvise(at, size, MADV_DONTDUMP) < 0 || ::madvise(at, size, MADV_WIPEONFORK) < 0)
    return sys_error(attempted + ": hiding it from dumps and children", errno);
  return secret;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    at_ = std::exchange(other.at_, nullptr);
    mapped_ = std::exchange(other.mapped_, 0);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Secret::wipe() {
  if (!at_) return;
  ::explicit_bzero(at_, size_);
  ::munmap(at_, mapped_);
  at_ = nullptr;
  mapped_ = size_ = 0;
}

}  // namespace bailey::secrets
