// CLI11 without <iostream>, which puts a constructor into every source that includes it: it makes the C++ streams with all
// their locales, 50 us of a start, and nobody here uses them. CLI11 names std::cout and std::cerr in functions that are not
// called (App::exit). For libstdc++, whose include guard stands below; another library's <iostream> is included as ever.
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

#include <CLI/CLI.hpp>
