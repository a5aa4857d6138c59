#include "bundle/host_files.h"

#include <algorithm>
#include <array>

namespace bailey::bundle {

namespace {

constexpr HostFile kHostFiles[] = {
#include "bundle/host_files_table.h"
};

constexpr std::string_view kSecretWords[] = {"passw", "passphrase", "secret", "token",   "credential",
                                             "_auth", "_pw",        "apikey", "api_key", "api-key"};

std::string lowered(std::string_view text) {
  std::string low(text);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

std::string without_xml_comments(std::string text) {
  for (size_t begin = text.find("<!--"); begin != text.npos; begin = text.find("<!--", begin)) {
    const size_t end = text.find("-->", begin);
    text.erase(begin, end == text.npos ? text.npos : end + 3 - begin);
  }
  return text;
}

// A value after what follows the word up to its "=", ":" or ">": not empty, and no closing tag.
bool has_value(std::string_view rest) {
  const size_t sign = rest.find_first_of("=:>");
  if (sign == rest.npos) return false;
  const size_t value = rest.find_first_not_of(" \t\"'=>", sign + 1);
  return value != rest.npos && rest[value] != '<' && rest[value] != ';' && rest[value] != ',';
}

// scheme://user:password@
bool has_login(std::string_view line) {
  const size_t scheme = line.find("://");
  if (scheme == line.npos) return false;
  const std::string_view rest = line.substr(scheme + 3, line.find_first_of("/ \t\"'", scheme + 3) - scheme - 3);
  const size_t at = rest.rfind('@');
  return at != rest.npos && rest.substr(0, at).find(':') != rest.npos;
}

bool line_gives_secret(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == line.npos || line[begin] == '#' || line[begin] == ';') return false;
  if (has_login(line)) return true;
  return std::ranges::any_of(kSecretWords, [&](std::string_view word) {
    for (size_t at = line.find(word); at != line.npos; at = line.find(word, at + 1))
      if (has_value(line.substr(at + word.size()))) return true;
    return false;
  });
}

}  // namespace

std::span<const HostFile> host_files() { return kHostFiles; }

bool matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty() && pattern.front() != '*') {
    if (path.empty() || path.front() != pattern.front()) return false;
    pattern.remove_prefix(1);
    path.remove_prefix(1);
  }
  if (pattern.empty()) return path.empty();
  pattern.remove_prefix(1);
  for (size_t taken = 0;; ++taken) {
    if (matches(pattern, path.substr(taken))) return true;
    if (taken == path.size() || path[taken] == '/') return false;
  }
}

bool never_shown(std::string_view path) {
  const auto forbids = [](std::string_view part) {
    const std::string_view name = part.substr(part.rfind('/') + 1);
    return std::ranges::any_of(kHostFiles, [&](const HostFile& file) {
      if (file.rule != HostFile::Rule::never) return false;
      return matches(file.pattern, file.pattern.find('/') == file.pattern.npos ? name : part);
    });
  };
  for (size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1))
    if (forbids(path.substr(0, end))) return true;
  return forbids(path);
}

bool in_table(std::string_view path) {
  const auto shows = [](std::string_view part) {
    return std::ranges::any_of(
        kHostFiles, [&](const HostFile& file) { return file.rule != HostFile::Rule::never && matches(file.pattern, part); });
  };
  if (never_shown(path)) return false;
  for (size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1))
    if (shows(path.substr(0, end))) return true;
  return shows(path);
}

bool gives_secret(std::string_view text) {
  const std::string all = without_xml_comments(lowered(text));
  for (std::string_view rest = all; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line_gives_secret(line)) return true;
  }
  return false;
}

}  // namespace bailey::bundle
