// CLI11 without <iostream>, which puts a constructor into every source that includes it: it makes the C++ streams with all
// their locales, 50 us of a start, and nobody here uses them. CLI11 names std::cout and std::cerr in functions that are not
// called (App::exit). For libstdc++, whose include guard stands below; another library's <iostream> is included as ever.
//
// And without its ready-made validators, which nobody here uses either: eight objects in every source that includes them, each
// made before main and ended after it, 60 thousand of a start's 790 thousand instructions. Here they become declarations of
// functions that nobody calls.
#pragma once

#include <istream>
#include <ostream>

#ifdef __GLIBCXX__
#define _GLIBCXX_IOSTREAM 1  // NOLINT(bugprone-reserved-identifier): libstdc++'s name
namespace std {
extern istream cin;
extern ostream cout, cerr, clog;
}  // namespace std
#endif

#define ExistingFile ExistingFile()
#define ExistingDirectory ExistingDirectory()
#define ExistingPath ExistingPath()
#define NonexistentPath NonexistentPath()
#define ValidIPV4 ValidIPV4()
#define Number(text) Number()
#define NonNegativeNumber(most, text) NonNegativeNumber()
#define PositiveNumber(least, most, text) PositiveNumber()
#include <CLI/CLI.hpp>
#undef ExistingFile
#undef ExistingDirectory
#undef ExistingPath
#undef NonexistentPath
#undef ValidIPV4
#undef Number
#undef NonNegativeNumber
#undef PositiveNumber
