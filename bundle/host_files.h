// Which files of the host, besides /usr, the default root shows: the table host_files.txt, compiled in. Pure: text and patterns
// only; host_tree.h looks at the host.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bailey::bundle {

struct HostFile {
  enum class Rule {
    show,   // the path and everything below it, as far as everybody may read it
    check,  // the same without the files that give a password or the like (gives_secret)
    never,  // nothing of it, whatever else is said, not even for a policy
  };
  Rule rule;
  std::string_view pattern;
};
std::span<const HostFile> host_files();

// `*` is any part of one name; everything else is itself.
bool matches(std::string_view pattern, std::string_view path);
// By a `never` of the table: of the path, of what it lies in, or of the name of either (a pattern without a slash).
bool never_shown(std::string_view path);
// Whether a `show` or a `check` of the table holds that path.
bool in_table(std::string_view path);
// Whether this configuration file gives a password, a token, a private key or a URL with a login in it, outside of its comments
// (#, ;, <!-- -->). It rather says so of one too many.
bool gives_secret(std::string_view text);

}  // namespace bailey::bundle
