// Quantities as users write them. Pure. Each error says what was given and what would do; the caller adds the flag's name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bailey::units {

Result<uint64_t> parse_unsigned(std::string_view text);  // decimal digits only, the whole string: no sign, no blank, no 0x
Result<uint64_t> parse_bytes(std::string_view text);     // 4096, 64K, 256M, 1G, 2T; also KiB, kb, MiB...: always powers of 1024
Result<int64_t> parse_milliseconds(std::string_view text);  // 10 (seconds), 0.5, 500ms, 10s, 2m, 1h; more than zero
Result<double> parse_cpus(std::string_view text);           // 0.5, 2: more than zero, at most 8192, finite
std::string format_bytes(uint64_t bytes);                   // 256 MiB, 1.5 GiB
std::string format_milliseconds(int64_t ms);                // 500ms, 10s, 1m30s

// Sandbox, level and secret names: ^[a-zA-Z0-9_][a-zA-Z0-9_.+-]{0,63}$. `what` is the noun of the message.
Result<> check_name(std::string_view what, std::string_view name);

}  // namespace bailey::units
