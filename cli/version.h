#pragma once

namespace bailey::cli {

const char* version();  // "0.1.0": the project's version

}  // namespace bailey::cli
