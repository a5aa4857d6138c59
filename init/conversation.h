// The backend's end of the channel to init (job.h): what init says, and the jobs with a number. Nothing here waits but
// await_report: what the channel does not take yet is kept, so that both ends can always go on reading.
//
// Errors name init. Needs SIGPIPE ignored or handled when the channel is two pipes. Single-threaded; not between clone and
// exec.
#pragma once

#include <poll.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "init/job.h"

namespace bailey::init {

class Conversation {
 public:
  Conversation() = default;
  Conversation(const Conversation&) = delete;
  ~Conversation() { end(); }
  // One SOCK_SEQPACKET socket, or the write end of one pipe and the read end of another, which become O_NONBLOCK. They stay the
  // caller's and outlive this.
  void open(int to_init, int from_init);

  // An encoded job or frame; what cannot be sent now goes with serve(). An init that has ended is no error.
  void send(const std::string& bytes);
  void send_signal(int number, uint32_t job = 0);

  // A report about the sandbox's own job, with the descriptor that came along, if one did.
  struct Heard {
    Report report;
    Fd descriptor;
  };
  std::optional<Heard> take_report();  // the oldest one that was not taken
  // The next one; nothing when the channel is at its end, or when `ended` (-1: none) is readable before one has come.
  Result<std::optional<Heard>> await_report(dispatcher::Patience& patience, int ended);
  // Every process of the sandbox is gone: hears what is left.
  Result<> hear_the_rest();
  bool is_closed() const { return from_ < 0; }
  // No task runs, and nothing is half sent or half heard: another owner can go on from here.
  bool is_idle() const { return tasks_.empty() && outbox_.empty() && inbox_.empty(); }

  // The sandbox has ended, and so have its tasks. What they wrote and their readers do not take at once is lost.
  void end();
  // `encoded`: of `job`, without a number. The Task may outlive this.
  Result<std::unique_ptr<dispatcher::Task>> exec(const dispatcher::Job& job, std::string encoded, dispatcher::Stdio streams);

  // As dispatcher::Instance's.
  void add_interest(std::vector<pollfd>& set) const;
  Result<> serve(std::span<const pollfd> set);

 private:
  class Handle;
  struct Task;
  Result<bool> receive();
  Result<> follow();
  Result<> take_data(const Data& data, const char* bytes);
  void take_room(const Room& room);
  void take_task_report(const Report& report);
  void send_what_waits();
  Result<> check_sent() const;
  void serve_task(Task& task, std::span<const pollfd> entries);
  void read_input(Task& task);
  void write_output(Task& task, unsigned stream);

  int to_ = -1, from_ = -1;  // -1: closed
  bool is_socket_ = false;
  std::deque<std::string> outbox_;
  int send_errno_ = 0;  // why nothing more can be sent, other than init's end; 0: it can
  size_t sent_ = 0;     // of its first
  std::string inbox_;   // what has come and is not whole
  Fd descriptor_;       // of the message that is being read
  std::deque<Heard> reports_;
  uint32_t last_number_ = 0;
  std::map<uint32_t, std::shared_ptr<Task>> tasks_;
};

// The answer to a job that was sent to be held: Report{held} or Report{failed}. Errors: PID 1 ended before; Patience's.
Result<Report> await_held(Conversation& talk, int ended, dispatcher::Patience& patience);

}  // namespace bailey::init
