// Secret: the bytes of one secret in memory of their own: locked (never swapped), left out of core dumps,
// zero in any child that forks, and wiped when it is destroyed. Move-only. They are never copied into a
// std::string, and nothing here prints.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"

namespace bailey::secrets {

class Secret {
 public:
  Secret() = default;
  // Room for `capacity` bytes, all of them still unused. Error: no memory, or RLIMIT_MEMLOCK does not allow
  // it.
  static Result<Secret> create(size_t capacity);
  Secret(Secret&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)),
        mapped_(std::exchange(other.mapped_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  std::span<const std::byte> bytes() const { return {at_, size_}; }
  // What can still be filled; `grow` says how much of it was.
  std::span<std::byte> free_space() { return {at_ + size_, mapped_ - size_}; }
  void grow(size_t filled) { size_ += filled; }

 private:
  void wipe();
  std::byte* at_ = nullptr;
  size_t mapped_ = 0;  // whole pages
  size_t size_ = 0;
};

}  // namespace bailey::secrets
