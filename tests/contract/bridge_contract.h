// BridgeContract: a run's bridge on a "host" of the test's own.
#pragma once

#include "tests/contract/sandbox_network.h"

namespace bailey::tests {

class BridgeContract : public SandboxNetwork {
 protected:
  std::string net() const override { return net_; }

  std::string net_ = "bridge";
};

}  // namespace bailey::tests
