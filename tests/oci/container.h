// A container of `bailey oci`: a bundle with a busybox root, a state directory and calls, all of the test's own. Once for each
// backend: its level is `trusted` for native and `untrusted` for gVisor, as the built-in policy has them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "bundle/config.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

using Words = std::vector<std::string>;

class OciContainer : public testing::TestWithParam<const char*> {
 protected:
  OciContainer();
  void SetUp() override;
  void TearDown() override;
  bool gvisor() const { return std::string_view(GetParam()) == "gvisor"; }

  // `bailey oci --root ... WORDS`, its streams as pipes.
  Outcome oci(Words words, std::string input = {}) const;
  // The same, with the streams that a container is given as the file output().
  Outcome oci_with_file(Words words) const;
  // Writes the bundle with config_ and makes a container from it, whose output goes to output().
  Outcome create(Words flags = {}) { return create(std::move(flags), id_); }
  Outcome create(Words flags, const std::string& id);
  // create, start, wait for its end; its wait status.
  int run_through(const std::string& script);
  void run(const std::string& script) { config_.process->args = {"/bin/sh", "-c", script}; }

  std::string output() const { return read_file(directory_.file("output")); }
  bool await_output(const std::string& text) const;
  json::Value state() const;
  std::string status() const;
  bool await_status(const std::string& wanted) const;
  int pid() const;           // of the pid file
  int wait_for_end() const;  // of the process in the pid file, which this process is the reaper of
  std::string bundle() const { return directory_.file("bundle"); }
  std::string root() const { return bundle() + "/rootfs"; }

  TempDir directory_;
  const std::string id_, other_id_;
  bundle::Config config_;

 private:
  void write_bundle() const;
  std::unique_ptr<LeakCheck> leaks_;
};

std::string name_of_backend(const testing::TestParamInfo<const char*>& backend);

}  // namespace bailey::tests
