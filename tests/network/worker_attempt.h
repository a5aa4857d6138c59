// What a worker (network/confined/worker.h) can do, tried inside one and told over its channel.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <string>

#include "network/confined/worker.h"

namespace bailey::network::tests {

inline std::string hear(const Worker& worker) {
  pollfd ready{worker.channel(), POLLIN, 0};
  if (poll(&ready, 1, 60'000) != 1) return "nothing";
  char buffer[256];
  const ssize_t got = recv(worker.channel(), buffer, sizeof buffer, 0);
  return {buffer, got > 0 ? static_cast<size_t>(got) : 0};
}

inline Result<Worker> create(const WorkerSpec& spec, const std::function<void(int channel)>& work) {
  Worker worker = TRY(Worker::begin(spec, work));
  TRY(worker.await_confined());
  return worker;
}

// Runs `attempt` in a worker: what it says, an errno mostly.
inline std::string attempt(WorkerSpec spec, const std::function<int()>& attempt) {
  const auto worker = create(spec, [&](int channel) {
    const std::string text = std::to_string(attempt());
    send(channel, text.data(), text.size(), 0);
  });
  return worker ? hear(*worker) : worker.error().message;
}

}  // namespace bailey::network::tests
