#include "cli/probes.h"

#include <algorithm>

namespace bailey::cli {

namespace {

constexpr size_t kNameWidth = 24;

std::string one_line(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace

std::string line(const host::Probe& probe) {
  std::string text = host::to_text(probe.state);
  text.resize(10, ' ');
  text += probe.name;
  text.resize(std::max<size_t>(text.size() + 1, 10 + kNameWidth), ' ');
  text += probe.detail;
  if (!probe.cost.empty()) text += "; costs: " + probe.cost;
  if (!probe.remedy.empty()) text += "; remedy: " + probe.remedy;
  return one_line(std::move(text)) + "\n";
}

json::Object to_json(const host::Probe& probe) {
  json::Object object;
  object.set("name", probe.name);
  object.set("state", host::to_text(probe.state));
  object.set("detail", probe.detail);
  object.set("cost", probe.cost);
  object.set("remedy", probe.remedy);
  return object;
}

}  // namespace bailey::cli
