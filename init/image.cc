#include "init/image.h"

extern "C" {
extern const std::byte bailey_init_image_begin[];
extern const std::byte bailey_init_image_end[];
}

namespace bailey::init {

std::span<const std::byte> init_image() { return {bailey_init_image_begin, bailey_init_image_end}; }

}  // namespace bailey::init
