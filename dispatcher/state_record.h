// StateRecord: what the state directory says of one sandbox (state_store.h), as a JSON document. Plain data; pure, but for
// of_this_process.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/process_id.h"
#include "base/result.h"

namespace bailey::dispatcher {

enum class Status {
  creating,
  created,
  running,
  stopped
};  // names of the OCI runtime specification; of a tied sandbox it stays `creating`

struct StateRecord {
  static constexpr int kVersion = 1;
  Status status = Status::creating;
  bool independent = false;  // it outlives its owner (Request::lifetime)
  ProcessId owner;           // the Bailey that made it
  ProcessId sandbox;         // its first process on the host; pid 0: it is not there yet
  std::string handle;        // its backend finds it again by this; empty: it does not
  std::string bundle;        // the directory of an engine's configuration; empty: it has none
  std::string rootfs;        // of an engine's
  std::string backend, trust;
  std::map<std::string, std::string> annotations;  // of an engine's configuration
  std::vector<std::string> cgroups;                // where they are depends on the cgroup that Bailey was started in
  std::string address, address6;                   // on the bridge; empty: it has none
  std::string shared_network;                      // the name of the one that it shares; empty: none
  std::vector<std::string> published;              // its ports on the host
  std::string created;                             // RFC 3339
  static Result<StateRecord> of_this_process();    // owner and `created`
};

// Error (refused): something in it is not UTF-8, so that gc would look for another cgroup than the one that is there.
Result<std::string> encode_record(const std::string& id, const StateRecord& record);
// `name`: of the file, for messages. Errors: it is cut, garbage, or another sandbox's;
// Fault::unavailable: of another version.
Result<StateRecord> decode_record(std::string_view text, const std::string& id, const std::string& name);

}  // namespace bailey::dispatcher
