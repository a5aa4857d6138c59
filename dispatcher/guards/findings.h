// What one guard found, gathered so that a caller mends all of it at once.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "dispatcher/guards.h"

namespace bailey::dispatcher {

// A path as a message shows it: one beyond the kernel's limits would push the rest of the message out.
inline std::string shown(const std::string& path) {
  constexpr size_t kMost = 400;
  return path.size() <= kMost ? path : path.substr(0, kMost) + "...";
}

class Findings {
 public:
  void add(std::string reason, std::string remedy) {
    add_once(reasons_, std::move(reason));
    add_once(remedies_, std::move(remedy));
  }
  // Refused with everything found; allowed, with the reason given, when nothing was.
  Verdict verdict(std::string guard, std::string when_allowed) const {
    if (reasons_.empty()) return {std::move(guard), true, std::move(when_allowed), {}};
    return {std::move(guard), false, joined(reasons_), joined(remedies_)};
  }

 private:
  static void add_once(std::vector<std::string>& list, std::string item) {
    if (std::ranges::find(list, item) == list.end()) list.push_back(std::move(item));
  }
  static std::string joined(const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& item : list) text.append(text.empty() ? "" : "; ").append(item);
    return text;
  }
  std::vector<std::string> reasons_, remedies_;
};

}  // namespace bailey::dispatcher
