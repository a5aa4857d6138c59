#include "gvisor/traits.h"

namespace bailey::gvisor {

namespace {

// Calls `take` with each line, without its end.
template <typename F>
void each_line(std::string_view text, F&& take) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    take(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

bool printable(std::string_view text) {
  for (const char c : text)
    if (c < ' ' || c > '~') return false;
  return !text.empty();
}

}  // namespace

Result<> parse_version(std::string_view text, Traits& traits) {
  constexpr std::string_view kVersion = "runsc version ";
  constexpr std::string_view kSpec = "spec: ";
  constexpr size_t kMaxLabel = 128;
  traits.version.clear();
  each_line(text, [&](std::string_view line) {
    if (traits.version.empty() && line.starts_with(kVersion)) traits.version = line.substr(kVersion.size());
    if (line.starts_with(kSpec)) traits.oci_version = line.substr(kSpec.size());
  });
  if (!printable(traits.version) || traits.version.size() > kMaxLabel || !printable(traits.oci_version) ||
      traits.oci_version.size() > kMaxLabel)
    return fail(Fault::unavailable, "it does not answer --version as runsc does ('runsc version ...', 'spec: ...')");
  return {};
}

std::set<std::string, std::less<>> parse_flags(std::string_view text) {
  constexpr std::string_view kLead = "  -";
  std::set<std::string, std::less<>> names;
  each_line(text, [&](std::string_view line) {
    if (!line.starts_with(kLead)) return;
    line.remove_prefix(kLead.size());
    const std::string_view name = line.substr(0, line.find_first_of(" \t"));
    if (printable(name)) names.emplace(name);
  });
  return names;
}

bool parse_overlay_cap(std::string_view text) {
  bool described = false, caps = false;
  each_line(text, [&](std::string_view line) {
    if (line.starts_with("  -")) described = line.starts_with("  -overlay2 ");
    else if (described) caps |= line.find("size=") != line.npos;
  });
  return caps;
}

}  // namespace bailey::gvisor
