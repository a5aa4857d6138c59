// What a resolver's worker and its parent tell each other, one message a datagram; both are the same program. The worker reads
// what the workload sends and may have been taken over: the parent believes no number in it.
//
//   worker  Found   --->  parent: opens what may be opened
//   worker  <---  Permit  parent: the client may have its answer now
//   worker  Denied  --->  parent: a name for the result record
#pragma once

#include <cstdint>

namespace bailey::network {

enum class ResolverMessage : uint32_t { found = 1, denied = 2 };

// Of one answer: addresses times different names of grants that match, of which there are 127 at most (labels, and wildcards
// above them).
constexpr uint32_t kMostFound = 256;
constexpr size_t kMostNames = 64;  // told of those denied
constexpr size_t kLongestName = 255;

struct Found {
  ResolverMessage kind = ResolverMessage::found;
  uint32_t token = 0, count = 0;
  struct Entry {
    uint32_t grant, seconds, length;  // of the address: 4 or 16
    uint8_t address[16];
  } entries[kMostFound];  // the first `count` are sent
};

struct Permit {
  uint32_t token = 0, granted = 0;
};

struct Denied {
  ResolverMessage kind = ResolverMessage::denied;
  char name[kLongestName + 1] = {};
};

}  // namespace bailey::network
