#include "bundle/host_tree_index.h"

#include <algorithm>
#include <cstring>

namespace bailey::bundle {

namespace {

constexpr std::string_view kFormat = "bailey default root 1";

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  uint64_t number() {
    uint64_t value = 0;
    if (rest_.size() < sizeof value) return fail();
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view text() {
    const uint64_t size = number();
    if (size > rest_.size()) return fail(), std::string_view();
    const std::string_view value = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return value;
  }
  bool good() const { return good_; }
  size_t left() const { return rest_.size(); }

 private:
  uint64_t fail() {
    rest_ = {};
    good_ = false;
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

std::string encode(const Index& index) {
  Writer out;
  out.text(kFormat);
  out.text(index.key);
  out.text(index.name);
  out.number(index.items);
  out.number(index.directories.size());
  for (const std::string& directory : index.directories) out.text(directory);
  out.number(index.binds.size());
  for (const HostItem& item : index.binds) {
    out.number(item.kind == HostItem::Kind::bind_file);
    out.text(item.path);
    out.text(item.source);
  }
  out.number(index.seen.size());
  for (const Seen& seen : index.seen) {
    out.text(seen.path + '\0');  // as system calls take it
    out.number(seen.device);
    out.number(seen.inode);
    out.number(static_cast<uint64_t>(seen.changed_ns));
    out.number(seen.names_only);
  }
  return std::move(out).take();
}

std::optional<Index> decode(std::string_view text) {
  Reader in(text);
  if (in.text() != kFormat) return {};
  Index index;
  index.key = in.text();
  index.name = in.text();
  index.items = in.number();
  for (uint64_t n = in.number(); n > 0 && in.good(); --n) index.directories.emplace_back(in.text());
  for (uint64_t n = in.number(); n > 0 && in.good(); --n) {
    HostItem item{.kind = in.number() ? HostItem::Kind::bind_file : HostItem::Kind::bind_directory};
    item.path = in.text();
    item.source = in.text();
    index.binds.push_back(std::move(item));
  }
  index.seen_at = text.size() - in.left();
  if (!in.good()) return {};
  return index;
}

bool all_seen(std::string_view text, size_t seen_at, const std::function<bool(const SeenView&)>& good) {
  Reader in(text.substr(std::min(seen_at, text.size())));
  for (uint64_t n = in.number(); n > 0; --n) {
    SeenView seen{};
    seen.path = in.text();
    seen.device = in.number();
    seen.inode = in.number();
    seen.changed_ns = static_cast<int64_t>(in.number());
    seen.names_only = in.number() != 0;
    if (!in.good() || !seen.path.ends_with('\0') || !good(seen)) return false;
  }
  return in.good();
}

// FNV-1a.
uint64_t hash_of(const std::vector<HostItem>& items) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;  // in no path
  };
  for (const HostItem& item : items) {
    add(item.path);
    add(item.source);
    hash = (hash ^ static_cast<uint64_t>(item.kind)) * 0x100000001b3;
  }
  return hash;
}

}  // namespace bailey::bundle
