// The index of a copy of the host's files (host_tree.h): what it was made of, as a file of its directory. Pure: text to values
// and back; of the machine that wrote it only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bundle/host_tree_scan.h"

namespace bailey::bundle {

// Numbers and texts one after the other.
class Writer {
 public:
  void number(uint64_t value) { text_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void text(std::string_view value) {
    number(value.size());
    text_ += value;
  }
  std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

struct Index {
  std::string key, name;
  uint64_t items = 0;  // a hash of what was made: a link has no ctime of its own here
  std::vector<Seen> seen;
  std::vector<HostItem> binds;
  std::vector<std::string> directories;
  size_t seen_at = 0;  // where the records begin in the text that it was read from
};

// One record of the second part, which is only compared as a rule: `path` ends in a NUL.
struct SeenView {
  std::string_view path;
  uint64_t device, inode;
  int64_t changed_ns;
  bool names_only;
};

std::string encode(const Index& index);
// Without Index::seen; nothing when it is of another version, or cut.
std::optional<Index> decode(std::string_view text);
// Whether `good` of every record of that index, which begin at Index::seen_at; false as well when it is cut.
bool all_seen(std::string_view text, size_t seen_at, const std::function<bool(const SeenView&)>& good);
// Of what is made, its order included.
uint64_t hash_of(const std::vector<HostItem>& items);

}  // namespace bailey::bundle
