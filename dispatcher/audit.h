// Audit: one JSON line for each admit, refuse, start, exec and exit, for the operator. The file is the policy's
// (`audit_file`); it is opened before anything else is made, and when it cannot be opened or written nothing
// starts. A line holds no environment, no argument but the command's name, and nothing of a secret. The reason of a refusal may
// name what it is about (a path, the name of a variable or a secret); control characters are escaped. The file is open for
// appending and a line is written in one piece unless the disk is full, so many processes may share it.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/job.h"
#include "dispatcher/record.h"
#include "dispatcher/spec.h"

namespace bailey::dispatcher {

class Audit {
 public:
  Audit() = default;  // the policy asks for none
  // `path` empty: none. A link, or anything that is not a regular file, is refused. A new file gets mode
  // 0600.
  static Result<Audit> open(const std::string& path);

  Result<> admit(const Spec& spec, const About& about, const FilterAbout& filter) const;
  Result<> refuse(const Request& request, const Error& reason) const;
  // `uid_map`: Instance::uid_map, so that files and processes of the host can be told to be this sandbox's.
  Result<> start(const Spec& spec, const About& about, const FilterAbout& filter,
                 const std::vector<bundle::IdMapping>& uid_map) const;
  Result<> exec(const Spec& spec, const Job& job) const;  // a further job
  Result<> exit(const Record& record) const;

 private:
  Result<> append(json::Object line) const;
  Fd fd_;
  std::string path_;
};

}  // namespace bailey::dispatcher
