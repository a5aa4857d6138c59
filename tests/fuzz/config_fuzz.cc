// Any bytes: the reader ends in a configuration that equals itself after writing and strict reading, or in an
// error.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bundle/builder.h"
#include "bundle/reader.h"
#include "bundle/writer.h"
#include "tests/fuzz/check.h"

using namespace bailey;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = bundle::parse_config(text, "input", json::UnknownKeys::ignore);
  const auto strict = bundle::parse_config(text, "input", json::UnknownKeys::refuse);
  if (strict) CHECK(config && *strict == *config);
  if (!config) {
    CHECK(config.error().message.starts_with("input:"));
    return 0;
  }
  const std::string written = json::write(bundle::encode_config(*config));
  const auto again = bundle::parse_config(written, "written", json::UnknownKeys::refuse);
  CHECK(again && *again == *config);

  bundle::Config complete = *config;
  const bundle::RunDefaults defaults{.tmpfs_bytes = 1, .tmpfs_inodes = 1, .host_network = false, .secrets = true};
  bundle::add_run_defaults(complete, defaults);
  bundle::Config twice = complete;
  bundle::add_run_defaults(twice, defaults);
  CHECK(twice == complete);
  return 0;
}
