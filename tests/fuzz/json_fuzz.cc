// Any bytes: parsing ends in a value that survives writing and reading again, or in an error that names the
// document.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"
#include "tests/fuzz/check.h"

using namespace bailey;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto strict = json::parse(text, "input");
  const auto lenient = json::parse(text, "input", json::Comments::allow);
  if (strict) CHECK(lenient && json::write(*strict) == json::write(*lenient));
  if (!lenient) {
    CHECK(lenient.error().message.starts_with("input:"));
    return 0;
  }
  for (const json::Layout layout : {json::Layout::compact, json::Layout::indented}) {
    const std::string written = json::write(*lenient, layout);
    const auto again = json::parse(written, "written");
    CHECK(again && json::write(*again, layout) == written);
  }
  return 0;
}
