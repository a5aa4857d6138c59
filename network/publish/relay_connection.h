// Connection: a client's TCP connection and ours to the sandbox, moved from one to the other by splice(2) without a copy
// through this process. A pipe is held only while there is something in it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "network/ip/address.h"

namespace bailey::network {

// Empty pipes for the next who needs one.
class PipePool {
 public:
  Pipe take();  // without ends when there is none to be had
  void give(Pipe pipe);

 private:
  std::vector<Pipe> pipes_;
};

class Connection {
 public:
  enum class State {
    waiting,   // for the kernel to say that there is more
    busy,      // it had its share and could go on
    finished,  // closed in order
    broken,    // to be closed by reset
  };
  // Begins to connect to the sandbox; broken when that failed at once.
  Connection(Fd client, const Address& sandbox, uint16_t port);
  int client() const { return client_.get(); }
  int sandbox() const { return sandbox_.get(); }
  State pump(PipePool& pipes);  // moves what can be moved, either way, up to a share
  void abort();                 // its ends close by reset: the other side shall not take it for the end of the data

 private:
  struct Flow {
    Pipe pipe;
    size_t held = 0;  // bytes in it
    bool ended = false, shut = false;
  };
  bool connected();
  static State move(Flow& flow, int from, int to, PipePool& pipes);

  Fd client_, sandbox_;
  bool connecting_ = true, broken_ = false;
  Flow there_, back_;
};

}  // namespace bailey::network
