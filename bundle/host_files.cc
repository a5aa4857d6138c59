#include "bundle/host_files.h"

#include <algorithm>
#include <array>

namespace bailey::bundle {

namespace {

constexpr HostFile kHostFiles[] = {
#include "bundle/host_files_table.h"
};

// Each with a value after it: in a name such as db_password as well.
constexpr std::string_view kSecretWords[] = {"passw", "passphrase", "secret", "token",   "credential",
                                             "_auth", "_pw",        "apikey", "api_key", "api-key"};
// The same where they are a word of their own: `pass=x`, `PWD = x`.
constexpr std::string_view kShortWords[] = {"pass", "pwd", "pw", "authorization"};
// A word that ends in one of them and a blank, then the value: netrc's and net-snmp's way.
constexpr std::string_view kSpacedWords[] = {"passphrase", "community", "password", "passwd"};
constexpr std::string_view kPrivateKey = "private key-----";

constexpr std::string_view kBlanks = " \t\r";

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

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

std::string_view after_blanks(std::string_view text, std::string_view blanks) {
  text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
  return text;
}

// Of the line that begins `rest`, and after `sign` at its end ("password" and "=x", "<password>" and "x") of the next one.
std::string_view next_line(std::string_view rest) {
  const size_t end = rest.find('\n');
  return end == rest.npos ? std::string_view() : after_blanks(rest.substr(end + 1), kBlanks);
}

bool is_value(std::string_view text) {
  text = after_blanks(text, " \t\r\"'=>");
  return !text.empty() && text.find_first_of("<;,\n") != 0;
}

// A value after what follows the word up to its "=", ":" or ">": not empty, and no closing tag. `rest`: to the end of the file.
bool has_value(std::string_view rest) {
  const size_t sign = std::min(rest.find_first_of("=:>\n"), rest.size());
  if (sign == rest.size()) return false;
  if (rest[sign] == '\n') {
    std::string_view name = rest.substr(0, sign);  // the end of it: passw|ord
    while (!name.empty() && is_word(name.front())) name.remove_prefix(1);
    const std::string_view next = next_line(rest);
    return after_blanks(name, " \t\r\"'").empty() && next.find_first_of("=:") == 0 && is_value(next.substr(1));
  }
  if (is_value(rest.substr(sign + 1))) return true;
  const bool ends = after_blanks(rest.substr(sign + 1), kBlanks).starts_with('\n');
  return rest[sign] == '>' && ends && is_value(after_blanks(rest.substr(sign + 1), " \t\r\n"));
}

// scheme://user:password@ and scheme://token@.
bool has_login(std::string_view line) {
  for (size_t scheme = line.find("://"); scheme != line.npos; scheme = line.find("://", scheme + 3)) {
    const std::string_view rest = line.substr(scheme + 3, line.find_first_of("/ \t\"'<>", scheme + 3) - scheme - 3);
    const size_t at = rest.rfind('@');
    if (at != rest.npos && at > 0) return true;
  }
  return false;
}

// `machine x login y password z`, `defCommunity z`, a line each: the word, a blank, and one value.
bool has_spaced_value(std::string_view line, std::string_view word) {
  for (size_t at = line.find(word); at != line.npos; at = line.find(word, at + 1)) {
    const std::string_view rest = line.substr(at + word.size());
    const size_t value = rest.find_first_not_of(kBlanks);
    if (value == 0 || value == rest.npos || rest.find_first_of("=:<>(){}[],;|&$", value) == value) continue;
    const size_t end = std::min(rest.find_first_of(kBlanks, value), rest.size());
    const bool is_last = rest.find_first_not_of(kBlanks, end) == rest.npos;
    const size_t begin = line.find_last_of(kBlanks, at);
    const bool first = begin == line.npos || line.find_first_not_of(kBlanks) > begin;
    if ((first && is_last) || line.find("login ") != line.npos || line.find("machine ") != line.npos) return true;
  }
  return false;
}

// `user = "joe:x"` and `proxy-user: joe:x` of curl.
bool has_user_with_password(std::string_view line) {
  const size_t user = line.find("user");
  if (user == line.npos) return false;
  const std::string_view value = after_blanks(line.substr(user + 4), " \t=:\"'");
  const size_t colon = value.find(':');
  return value.size() < line.size() - user - 4 && colon != value.npos && colon > 0 && colon + 1 < value.size() &&
         value.substr(0, colon + 2).find_first_of(" \t\"'/$(){}[]") == value.npos;
}

// `rest`: from the line to the end of the file.
bool line_gives_secret(std::string_view line, std::string_view rest) {
  const size_t begin = line.find_first_not_of(kBlanks);
  if (begin == line.npos) return false;
  if (line.find(kPrivateKey) != line.npos) return true;
  if (line[begin] == '#' || line[begin] == ';') return false;
  if (has_login(line) || has_user_with_password(line)) return true;
  const auto given = [&](std::string_view word, bool whole) {
    for (size_t at = line.find(word); at != line.npos; at = line.find(word, at + 1)) {
      const size_t end = at + word.size();
      // Its sign next to it: scripts have much to do with $PWD.
      if (whole && ((at > 0 && (is_word(line[at - 1]) || line[at - 1] == '$' || line[at - 1] == '{')) ||
                    after_blanks(rest.substr(end), " \t\"'").find_first_of("=:>\n") != 0))
        continue;
      if (has_value(rest.substr(end))) return true;
    }
    return false;
  };
  return std::ranges::any_of(kSecretWords, [&](std::string_view word) { return given(word, false); }) ||
         std::ranges::any_of(kShortWords, [&](std::string_view word) { return given(word, true); }) ||
         std::ranges::any_of(kSpacedWords, [&](std::string_view word) { return has_spaced_value(line, word); });
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
    if (line_gives_secret(line, rest)) return true;
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return false;
}

}  // namespace bailey::bundle
