// NetlinkSocket: sends batches of messages to the kernel and reads what it answers. It belongs to the network namespace in
// which it was opened, whatever namespace the thread enters later.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "network/netlink/netlink.h"

namespace bailey::network {

class NetlinkSocket {
 public:
  NetlinkSocket() = default;
  // `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER. No privileges; what is asked later may need CAP_NET_ADMIN.
  static Result<NetlinkSocket> open(int protocol);

  int fd() const { return fd_.get(); }

  // All messages with one system call, in order; returns when the kernel has done them. rtnetlink goes on behind one that
  // failed, nf_tables takes all or nothing (network/nftables/nftables.h frames those). The error is the first one: what it was
  // about, the kernel's text, errno.
  Result<> send(std::span<const Message> batch);
  Result<> send(const Message& message) { return send(std::span(&message, 1)); }

  // A question: the messages of the answer, whole and owned. With NLM_F_DUMP all of them; a dump that a change interrupted is
  // asked again.
  struct Reply {
    nlmsghdr header{};
    std::vector<uint8_t> payload;
    Received view() const { return {header, payload}; }
  };
  Result<std::vector<Reply>> ask(const Message& question);

 private:
  Result<std::vector<Reply>> ask_once(const Message& question, bool& interrupted);
  Result<Bytes> receive();
  Result<> transmit(std::span<const uint8_t> data, const std::string& object);

  Fd fd_;
  uint32_t sequence_ = 1;
  std::vector<uint8_t> buffer_;
};

}  // namespace bailey::network
