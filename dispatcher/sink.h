// Sink: the destination of a record or of lines: "FILE" or "fd:N", a descriptor of the caller. It is opened before anything
// starts, so that a destination that cannot be written is found before there is something to write.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace bailey::dispatcher {

// N of "fd:N"; nothing when the text is not of that form (a file called so is "./fd:N"); an error when N is
// no descriptor.
Result<std::optional<int>> parse_descriptor(std::string_view text);

class Sink {
 public:
  enum class Writing { whole, lines };  // whole: one document, replacing what a regular file held; lines: appended
  Sink() = default;                     // none: writes go nowhere
  static Result<Sink> open(const std::string& text, Writing writing);

  explicit operator bool() const { return static_cast<bool>(fd_); }
  // Of Writing::whole: empties a regular file that it opened by name. If Bailey is killed before the write, nobody takes an
  // earlier document for this run's.
  Result<> clear() const;
  // Writes all of it and a newline; to a pipe in pieces of PIPE_BUF bytes. Waits at most `patience_ms` for room in a full pipe.
  Result<> write(std::string text, int patience_ms) const;

 private:
  Fd fd_;
  std::string name_;
  Writing writing_ = Writing::lines;
};

}  // namespace bailey::dispatcher
