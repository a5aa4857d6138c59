// The init program as bytes: the native backend writes them to a sealed memfd, the gVisor backend to a file
// on its private tmpfs. A static ELF executable without libc. Always valid; may be read anywhere.
#pragma once

#include <cstddef>
#include <span>

namespace bailey::init {

std::span<const std::byte> init_image();

}  // namespace bailey::init
