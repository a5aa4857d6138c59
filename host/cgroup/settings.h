// Resources -> the cgroup files to write, for the hierarchy (v1 or v2) that holds each controller here. Pure:
// the plan of cgroup.cc, which writes it and reads it back.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bundle/config.h"
#include "host/cgroup/cgroup.h"

namespace bailey::host {

struct CgroupSetting {
  enum class Check {
    equal,     // the file reads as `expected`
    pages,     // as the number `expected`, rounded down to whole pages
    at_least,  // as a number not below `expected`: how v1 spells unlimited
    cpu_list,  // as the same set, however it is written
    line,      // one of its lines starts with the first word of `expected` and holds every other
    none,      // the kernel's wording is not ours to know (free v2 files)
  };
  std::string limit;       // for messages: "memory limit"
  std::string controller;  // "memory"
  bool v2 = false;
  std::string file;   // "memory.limit_in_bytes"
  std::string value;  // as written
  Check check = Check::equal;
  std::string expected;
  bool swap_only = false;  // holds by itself on a host without swap, where the kernel may not offer the file
};

// Errors: a value that makes no sense (Fault::bad_input); a limit that this host has no controller or no file
// for (Fault::unavailable), all such limits in one message. -1 is unlimited, which no controller is needed
// for; 0 is unset where OCI clients use it so (memory, shares, quota, period, weight, pids).
Result<std::vector<CgroupSetting>> compile_cgroup_settings(const CgroupMounts& mounts, const bundle::Resources& resources);

// Whether what the kernel reads back is what was meant.
bool holds(const CgroupSetting& setting, std::string_view read_back);

// "0-2,7" -> one bool per CPU; empty on bad syntax. Shared with v2's check of cpuset.cpus.effective.
std::vector<bool> parse_cpu_list(std::string_view text);

// v1's cpu.shares (2..262144, 1024 ordinary) on v2's scale of cpu.weight (1..10000, 100 ordinary).
uint64_t weight_of_shares(uint64_t shares);

}  // namespace bailey::host
