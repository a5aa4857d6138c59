#include "bundle/host_tree_scan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "base/files.h"
#include "bundle/host_files.h"

namespace bailey::bundle {

namespace {

using Kind = HostItem::Kind;
using Rule = HostFile::Rule;

constexpr uint64_t kMostCopied = 2 << 20;  // of one entry; what is larger is bound
constexpr size_t kMostFiles = 20'000;      // of one entry
constexpr int kMostLinks = 40;             // the kernel's own number
constexpr size_t kMostChecked = 256 << 10;
constexpr std::string_view kKernels = "/sys";  // its files have neither sizes nor times that tell anything

// Links that lead there keep leading there; the rest of the host's tree is not in the sandbox, or is its own.
constexpr std::string_view kShownAnyway[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/dev"};
// No link of /etc brings files of these places into the copy.
constexpr std::string_view kPrivatePlaces[] = {"/root", "/home", "/run", "/var/run", "/proc", "/sys", "/dev", "/tmp", "/boot"};

bool is_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

template <typename List>
bool is_below_one_of(std::string_view path, const List& tops) {
  return std::ranges::any_of(tops, [&](std::string_view top) { return is_below(path, top); });
}

int64_t ns_of(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

Seen seen_of(std::string path, const struct stat& info) {
  return {std::move(path), info.st_dev, info.st_ino, ns_of(info.st_ctim)};
}

// `link` as the file at `path` has it, absolute and without . and ..; links on the way are not followed.
std::string lexical_target(std::string_view path, std::string_view link) {
  std::string all = link.starts_with('/') ? std::string(link) : std::string(path.substr(0, path.rfind('/') + 1)).append(link);
  std::vector<std::string_view> parts;
  const std::string_view text = all;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    begin = end + 1;
  }
  std::string out;
  for (const std::string_view part : parts) out.append("/").append(part);
  return out;
}

std::string why_not_public(const std::string& host, const std::string& path) {
  struct stat info{};
  for (size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1)) {
    const std::string above = path.substr(0, end);
    if (::stat((host + above).c_str(), &info) != 0) return "there is none";
    if (!(info.st_mode & S_IXOTH)) return "others than its owner may not enter " + above;
  }
  if (::stat((host + path).c_str(), &info) != 0) return "there is none";
  return is_public(info.st_mode) ? "" : "others than its owner may not read it";
}

// One entry of the table with all below it, before it is decided whether it is copied.
struct Subtree {
  std::vector<HostItem> items;
  std::vector<Seen> directories, files;
  uint64_t bytes = 0;
  bool all_public = true;
  bool too_many() const { return items.size() > kMostFiles; }
};

class Scanner {
 public:
  explicit Scanner(const HostScanInputs& inputs) : inputs_(inputs) {}

  HostScan scan() && {
    for (const std::string& path : inputs_.add) {
      const size_t before = out_.items.size();
      expand("", "", std::string_view(path).substr(1), Rule::show);
      if (out_.items.size() == before) out_.notes.push_back(path + ": " + why_not(path));
    }
    for (const HostFile& file : host_files())
      if (file.rule != Rule::never) expand("", "", file.pattern.substr(1), file.rule);
    return std::move(out_);
  }

 private:
  bool is_hidden(std::string_view path) const { return never_shown(path) || is_below_one_of(path, inputs_.remove); }

  std::string why_not(const std::string& path) const {
    if (is_hidden(path)) return "it is removed by the policy itself";
    const std::string why = why_not_public(inputs_.host, path);
    return why.empty() ? "it is no file or directory, or one of another addition's" : why;
  }

  // By the name that it has in the sandbox or by the one that it has on the host: links may lead to it.
  bool is_hidden(std::string_view path, std::string_view source) const { return is_hidden(path) || is_hidden(source); }

  // All that `base`/`rest` names, a component at a time. `source`: where the links in `base` lead.
  void expand(const std::string& base, std::string source, std::string_view rest, Rule rule) {
    if (!base.empty()) {
      const auto passed = watch(base);
      if (!passed) return;
      source = *passed;
    }
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    const auto go_on = [&](std::string_view name) {
      const std::string path = (base + "/").append(name);
      if (slash == rest.npos) found(path, (source + "/").append(name), rule);
      else expand(path, {}, rest.substr(slash + 1), rule);
    };
    if (part.find('*') == part.npos) return go_on(part);
    for (const std::string& name : names_in(source))
      if (matches(part, name)) go_on(name);
  }

  std::vector<std::string> names_in(const std::string& path) const {
    const auto directory = files::open(inputs_.host + path, O_RDONLY | O_DIRECTORY);
    if (!directory) return {};
    return files::list(directory->get()).value_or(std::vector<std::string>{});
  }

  // Notes that names in this directory matter. Its own path on the host; nothing when there is none that others may pass, or
  // a link leads to what is not to be shown.
  std::optional<std::string> watch(const std::string& path) {
    const auto [known, is_new] = watched_.try_emplace(path);
    if (!is_new) return known->second;
    struct stat info{};
    auto source = is_below(path, kKernels) ? path : resolve(path);
    if (!source || is_hidden(path, *source) || ::stat((inputs_.host + *source).c_str(), &info) != 0) return {};
    if (!S_ISDIR(info.st_mode) || !(info.st_mode & S_IXOTH)) return {};
    if (*source != path && !why_not_public(inputs_.host, *source).empty()) return {};
    return known->second = std::move(source);
  }

  // Where this path leads, without links; nothing when there is none, or a link leads to a private place. What decides
  // about that is noted.
  std::optional<std::string> resolve(const std::string& path) {
    std::string done, rest = path;
    int links = 0;
    for (size_t begin = rest.find_first_not_of('/'); begin != rest.npos; begin = rest.find_first_not_of('/')) {
      const size_t end = std::min(rest.find('/', begin), rest.size());
      const std::string part = rest.substr(begin, end - begin);
      rest.erase(0, end);
      if (part == ".") continue;
      if (part == "..") {
        done.erase(std::min(done.rfind('/'), done.size()));
        continue;
      }
      const std::string next = done + "/" + part;
      if (links > 0 && is_below_one_of(next, kPrivatePlaces)) return {};
      struct stat info{};
      const bool there = ::lstat((inputs_.host + next).c_str(), &info) == 0;
      // A link, or a name that is missing, shows in the time of the directory above; nobody looks at that of "/".
      const bool in_itself = there && !S_ISLNK(info.st_mode);
      if ((in_itself || done.empty()) && noted_.insert(next).second) {
        out_.seen.push_back(there ? seen_of(inputs_.host + next, info) : Seen{.path = inputs_.host + next});
        out_.seen.back().names_only = true;
      }
      if (!there) return {};
      if (!S_ISLNK(info.st_mode)) {
        done = next;
        continue;
      }
      const auto target = files::readlink(inputs_.host + next);
      if (!target || ++links > kMostLinks) return {};
      if (target->starts_with('/')) done.clear();
      rest = *target + rest;
    }
    return done;
  }

  void found(const std::string& path, const std::string& source, Rule rule) {
    if (is_hidden(path, source)) return;
    for (size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1))
      if (done_.contains(path.substr(0, end))) return;
    struct stat info{};
    if (::lstat((inputs_.host + source).c_str(), &info) != 0 || !done_.insert(path).second) return;
    if (S_ISLNK(info.st_mode)) found_link(path, source, rule);
    else found_file(path, source, info, rule);
  }

  void found_file(const std::string& path, const std::string& source, const struct stat& info, Rule rule) {
    Subtree tree;
    if (S_ISDIR(info.st_mode)) return add_directory(path, source, rule);
    add_file(tree, path, source, info, rule);
    take(path, std::move(tree));
  }

  // A link stays one where its target is shown; else what it leads to is shown in its place. `source`: the link on the host.
  void found_link(const std::string& path, const std::string& source, Rule rule) {
    const auto target = files::readlink(inputs_.host + source);
    if (!target) return;
    const std::string lexical = lexical_target(path, *target);
    if (lexical == lexical_target(source, *target) && leads_to_shown(lexical)) {
      make_directories_above(path);
      out_.items.push_back({Kind::symlink, path.substr(1), *target});
      return;
    }
    const auto real = resolve(source);
    struct stat info{};
    if (!real || is_hidden(*real) || !why_not_public(inputs_.host, *real).empty() ||
        ::lstat((inputs_.host + *real).c_str(), &info) != 0)
      return;
    found_file(path, *real, info, rule);
  }

  bool leads_to_shown(std::string_view target) const {
    if (is_below_one_of(target, kShownAnyway)) return true;
    if (is_hidden(target)) return false;
    return in_table(target) || is_below_one_of(target, inputs_.add);
  }

  void add_directory(const std::string& path, const std::string& source, Rule rule) {
    Subtree tree;
    measure(tree, path, source, rule);
    if (tree.too_many()) {
      out_.notes.push_back(path + ": more than " + std::to_string(kMostFiles) + " files; make it a volume");
      return;
    }
    if (tree.bytes <= kMostCopied) return take(path, std::move(tree));
    if (tree.all_public) {
      make_directories_above(path);
      out_.items.push_back({Kind::bind_directory, path.substr(1), inputs_.host + source});
      out_.seen.insert(out_.seen.end(), tree.directories.begin(), tree.directories.end());
      out_.seen.insert(out_.seen.end(), tree.files.begin(), tree.files.end());  // one may become private, or give a password
      return;
    }
    // Large, and not everybody's: each of its own entries for itself.
    make_directories_above(path + "/");
    out_.seen.push_back(look_at(inputs_.host + source));
    for (const std::string& name : names_in(source)) {
      struct stat info{};
      const std::string below = source + "/" + name;
      if (is_hidden(path + "/" + name, below) || ::lstat((inputs_.host + below).c_str(), &info) != 0) continue;
      if (S_ISDIR(info.st_mode) && is_public(info.st_mode)) {
        add_directory(path + "/" + name, below, rule);
        continue;
      }
      Subtree one;
      add_any(one, path + "/" + name, below, info, rule);
      take(path + "/" + name, std::move(one));
    }
  }

  // The whole subtree, as it would be copied.
  void measure(Subtree& tree, const std::string& path, const std::string& source, Rule rule) {
    struct stat info{};
    const auto directory = files::open(inputs_.host + source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory || ::fstat(directory->get(), &info) != 0 || !is_public(info.st_mode)) {
      tree.files.push_back(look_at(inputs_.host + source));
      tree.all_public = false;
      return;
    }
    if (!is_below(path, kKernels)) tree.directories.push_back(seen_of(inputs_.host + source, info));
    tree.items.push_back({Kind::directory, path.substr(1), {}, 0755, info.st_dev, info.st_ino, info.st_mtim});
    const uint64_t device = info.st_dev;
    for (const std::string& name : files::list(directory->get()).value_or(std::vector<std::string>{})) {
      const std::string below = source + "/" + name;
      if (tree.too_many() || ::fstatat(directory->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (is_hidden(path + "/" + name, below) || info.st_dev != device) {
        tree.all_public = false;
        continue;
      }
      if (S_ISDIR(info.st_mode)) measure(tree, path + "/" + name, below, rule);
      else add_any(tree, path + "/" + name, below, info, rule);
    }
  }

  void add_any(Subtree& tree, const std::string& path, const std::string& source, const struct stat& info, Rule rule) {
    if (S_ISLNK(info.st_mode)) {
      if (auto target = files::readlink(inputs_.host + source)) tree.items.push_back({Kind::symlink, path.substr(1), *target});
    } else {
      add_file(tree, path, source, info, rule);
    }
  }

  void add_file(Subtree& tree, const std::string& path, const std::string& source, const struct stat& info, Rule rule) {
    const bool of_kernel = is_below(path, kKernels);
    if (!of_kernel) tree.files.push_back(seen_of(inputs_.host + source, info));
    if (!S_ISREG(info.st_mode) || !is_public(info.st_mode) || (rule == Rule::check && gives(source))) {
      tree.all_public = false;
      return;
    }
    if (!of_kernel) tree.bytes += static_cast<uint64_t>(info.st_size);
    tree.items.push_back({Kind::copy, path.substr(1), inputs_.host + source, info.st_mode & 0755, info.st_dev, info.st_ino,
                          info.st_mtim, rule == Rule::check});
  }

  bool gives(const std::string& source) const {
    const auto text = files::read(inputs_.host + source, kMostChecked);
    return !text || gives_secret(*text);
  }

  void take(const std::string& path, Subtree tree) {
    out_.seen.insert(out_.seen.end(), tree.directories.begin(), tree.directories.end());
    out_.seen.insert(out_.seen.end(), tree.files.begin(), tree.files.end());
    if (tree.items.empty()) return;
    if (HostItem& only = tree.items.front(); tree.items.size() == 1 && only.kind == Kind::copy && tree.bytes > kMostCopied)
      only.kind = Kind::bind_file;
    make_directories_above(path);
    for (HostItem& item : tree.items) {
      if (item.kind == Kind::directory) made_.insert("/" + item.path);
      out_.items.push_back(std::move(item));
    }
  }

  void make_directories_above(const std::string& path) {
    for (size_t end = path.find('/', 1); end != path.npos; end = path.find('/', end + 1))
      if (made_.insert(path.substr(0, end)).second) out_.items.push_back({Kind::directory, path.substr(1, end - 1), {}});
  }

  const HostScanInputs& inputs_;
  HostScan out_;
  std::map<std::string, std::optional<std::string>> watched_;
  std::set<std::string> noted_, done_, made_;
};

}  // namespace

bool is_public(mode_t mode) { return S_ISDIR(mode) ? (mode & 05) == 05 : (mode & 04) != 0; }

Seen look_at(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return {path, 0, 0, 0};
  return seen_of(path, info);
}

std::string why_not_shown(const std::string& path) { return why_not_public("", path); }

HostScan scan_host(const HostScanInputs& inputs) { return Scanner(inputs).scan(); }

}  // namespace bailey::bundle
