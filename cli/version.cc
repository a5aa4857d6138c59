#include "cli/version.h"

namespace bailey::cli {

const char* version() { return BAILEY_VERSION; }

}  // namespace bailey::cli
