// Streams: everything between the caller's stdin, stdout and stderr and the workload's. Unless they are handed over, the
// workload holds no descriptor of the caller's: it could reopen a file of the caller's for writing, or send control codes to
// the caller's terminal settings.
//
// clang-format off
//   caller's stdin  --- read/write --> pipe --> workload's 0   only when attached, else the workload's 0 is at its end;
//                                                              a regular file: a sealed copy of it (input_file.h)
//   workload's 1, 2 --> pipe --- splice(2) --> caller's 1, 2   counted, up to the cap of both together
//   workload's tty  --> master - read/write -> caller's 1      with a terminal; stdin goes the other way
// clang-format on
//
// When the caller's stdout and stderr are the same file, the workload gets one pipe for both: its order is
// kept exactly. Nothing blocks but poll(2), and O_NONBLOCK is never set on a description that the caller
// shares. Only captured output takes memory: otherwise a reader that takes nothing stops the workload at a full
// pipe. A reader that is gone closes the workload's end (SIGPIPE there). What the workload writes passes unchanged, escape
// sequences included, to a terminal as well.
#pragma once

#include <poll.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"

namespace bailey::dispatcher {

// One direction: poll(2) for interest(), then serve().
class Pump {
 public:
  enum class Way { copy, splice };
  Pump() = default;  // finished from the start
  // Owns both. What it reads from need not be O_NONBLOCK; what it writes to, neither.
  Pump(Fd source, Fd sink, Way way);
  static Pump capturing(Fd source);  // into captured
  static Pump discarding(Fd source);

  bool finished() const { return !source_ && pending_.empty(); }
  pollfd interest() const;  // fd -1 when finished
  // The sink, while interest() is about the source: so a reader that closes is noticed before the next write. fd -1 where that
  // cannot be seen, or means nothing: another reader may open a named FIFO.
  pollfd sink_watch() const;
  // Moves what can be moved now without waiting, at most `budget` bytes. Finishes at the end of the source,
  // when the sink's reader is gone, and, once `source_is_dead`, when the source is empty. Returns whether
  // anything moved or ended.
  bool serve(uint64_t budget, bool source_is_dead);
  bool has_input() const;                            // something waits in the source
  bool flushed() const { return pending_.empty(); }  // all that was taken is in the sink
  void close();                                      // close(2) of a file may tell a write that failed late: sink_errno()
  void set_trailer(std::string text) {
    trailer_ = std::move(text);
  }  // written at the end of the source, twice if that is within a line

  uint64_t taken() const { return taken_; }                // bytes out of the source
  int source_errno() const { return source_errno_; }       // why the source could not be read to its end, 0: it was
  int sink_errno() const { return sink_errno_; }           // what ended it early, 0 nothing
  bool reader_is_gone() const { return reader_is_gone_; }  // that was it: nobody wants more
  bool lost_something() const { return lost_; }
  std::optional<std::string> captured;

 private:
  bool discards_ = false;
  enum class Source { empty, has_input, ended };
  Source look_at_source() const;
  enum class Step { moved, source_empty, sink_full, ended };
  enum class Kind { file, stream, socket, terminal };
  Step splice_some(uint64_t budget);
  Step copy_some(uint64_t budget);
  Step write_pending();
  bool has_little_input() const;
  Step fail_sink(int err);
  bool notice_gone_reader();
  Fd source_, sink_;
  Way way_ = Way::copy;
  Kind sink_kind_ = Kind::stream;
  bool sink_full_ = false;
  bool watches_sink_ = false;
  bool enlarged_ = false;
  int source_errno_ = 0, sink_errno_ = 0;
  bool reader_is_gone_ = false;
  bool lost_ = false;  // what was taken, or waited in the source, when the sink failed
  uint64_t taken_ = 0;
  char last_byte_ = '\n';
  std::string trailer_;
  std::string pending_;  // copy: read and not yet written ...
  size_t written_ = 0;   // ... but for so much of it
};

struct StreamOptions {
  // Passed on to the caller's, captured, thrown away; or the workload gets the caller's own descriptors, stdin too, so that
  // nobody has to pass anything on. (A file or a pipe of the caller's is a descriptor like any other.)
  enum class Output { pass_on, capture, discard, hand_over };
  Output output = Output::pass_on;
  bool attach_stdin = false;
  int in = 0, out = 1, err = 2;  // the caller's; not owned
  bool terminal = false;         // the workload has a pty
  std::optional<uint64_t> cap;   // bytes of both streams together; absent: none
};

class Streams {
 public:
  // Makes the pipes between the caller and the workload; with a terminal nothing yet.
  static Result<Streams> create(const StreamOptions& options);

  Stdio take_workload_ends() { return std::move(workload_); }
  // The same ends again, should the sandbox have to be made once more; take_workload_ends() then gives up the last of them.
  Result<Stdio> copy_workload_ends() const;
  Result<> attach_terminal(Fd master);  // with StreamOptions::terminal, after Instance::await_created
  int terminal() const { return terminal_.get(); }
  // For whoever passes its bytes on in place of this; nothing here does then.
  Fd take_terminal();
  void limit(std::optional<uint64_t> cap) { options_.cap = cap; }  // in place of StreamOptions::cap

  void add_interest(std::vector<pollfd>& set) const;  // exactly kPollSlots elements
  static constexpr size_t kPollSlots = 5;
  // Moves what can be moved. Returns whether anything did.
  bool serve();
  // The workload has ended: its stdin is closed, and an empty source is a finished one.
  void workload_ended();
  bool drained() const { return out_.finished() && err_.finished(); }
  void abandon();  // closes everything, passed on or not
  // More was written than the cap allows; exactly the cap was passed on.
  bool over_cap() const { return over_cap_; }
  bool truncated() const { return over_cap_ || abandoned_ || out_.lost_something() || err_.lost_something(); }
  // Output that could not be written, or input that could not be read, while somebody wanted it: what, and why. A reader that
  // is gone is none. Nothing: all went well.
  std::optional<Error> failure() const;

  bool merged() const { return merged_; }
  // Whether it ends with this process: something is to be passed on, kept or thrown away.
  bool needs_owner() const { return !in_.finished() || !drained() || options_.terminal; }
  const Pump& out() const { return out_; }
  const Pump& err() const { return err_; }
  std::optional<std::string> take_captured_stdout() { return std::exchange(out_.captured, std::nullopt); }
  std::optional<std::string> take_captured_stderr() { return std::exchange(err_.captured, std::nullopt); }

 private:
  Result<> hand_over();
  Result<> connect_output(Pump& pump, Fd& workload_end, int caller, const char* name);
  Result<Pump> input_to(Fd sink) const;
  uint64_t budget() const;
  void hang_up();
  StreamOptions options_;
  Stdio workload_;
  Pump in_, out_, err_;
  Fd terminal_;
  bool merged_ = false;
  bool ended_ = false;
  bool over_cap_ = false;
  bool abandoned_ = false;
};

}  // namespace bailey::dispatcher
