// The kernel's view of a seccomp program: an interpreter of what seccomp accepts. No GoogleTest, so that fuzz targets have it.
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace bailey::tests {

// The verdict, or nothing when the kernel would have refused the program.
std::optional<uint32_t> run_bpf(const std::vector<sock_filter>& program, const seccomp_data& data);

}  // namespace bailey::tests
