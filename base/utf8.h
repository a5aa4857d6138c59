// Whether text is UTF-8 (RFC 3629: no surrogates, no overlong forms). Pure.
#pragma once

#include <string_view>

namespace bailey::utf8 {

bool is_valid(std::string_view text);

}  // namespace bailey::utf8
