// Program: somebody else's program that Bailey starts (runsc, pasta): found, opened once and checked; from then on only the
// descriptor counts, so that what runs is what was checked.
#pragma once

#include <sys/stat.h>

#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bailey {

struct ProgramSearch {
  std::string_view name;         // "runsc", for messages and as the file's name
  std::string_view search_path;  // PATH; relative elements do not count
  std::span<const char* const> usual_places;
  std::string install;  // the remedy where it is missing or no good
};

// Where it is: the first of the search path and the usual places that is a file. Error (Fault::unavailable): nowhere.
Result<std::string> find_program(const ProgramSearch& search);

struct Program {
  std::string path;       // as it was named
  std::string real_path;  // the kernel's name of it
  Fd file;                // O_PATH
  struct stat info{};
};

// Refuses (Fault::unavailable) what is missing, no regular file, not executable, no ELF file (a script would run an interpreter
// that nobody checked), and what somebody else could change, itself or by a directory of its real path (base/protection.h).
Result<Program> open_program(const std::string& path, std::string_view name, const std::string& install);

}  // namespace bailey
