// The contract: what `bailey run` promises, whatever the backend. One set of files, run once per backend; a test that has to
// ask which one it is says why.
//
//   exit_test       how a run ends, and limits       lifecycle_test   signals, many runs, death of the launcher
//   process_test    what the command is given        documents_test   request, result, events, explain
//   stdio_test      streams and terminal             bad_input_test   what a wrong wish gets
//   reader_test     output that nobody takes
//   files_test      root, volumes, home              seccomp_test     profiles of the caller, the log of refusals
//   default_root_test  the host's files in the default root
//   volumes_test    on file systems of several kinds  mounts_test   their options, and volumes that meet
//   ids_test        users and groups by number       account_test     times, CPU and memory in the record
//   hung_test       file systems that do not respond
//   secrets_test, secret_directory_test
//   network_test, bridge_test, userspace_test (sandbox_network.h)
//
// BAILEY_CONTRACT_BACKEND names the backend, there is no default: native, gvisor, gvisor-2022 (Debian 12's runsc).
// BAILEY_CONTRACT_USER: the whole suite as an ordinary user (ordinary_user.h). What that user is refused by nature is in
// one table, differences.cc; nothing is skipped. Comments that begin with "Elsewhere:" name what another runtime got wrong.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/contract/ordinary_user.h"
#include "tests/support/leaks.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

using Arguments = std::vector<std::string>;

class Contract : public ::testing::Test {
 protected:
  void SetUp() override;     // skips when the backend's needs are missing
  void TearDown() override;  // the host is as it was

  bool gvisor() const { return backend_ != "native"; }
  const std::string& backend() const { return backend_; }
  // Whether this test is in the table of differences for this caller and backend. Then it has tried what stands there in
  // place of the test, which has to return: if (differs_here()) return;
  bool differs_here();

  // bailey run --trust trusted --runtime BACKEND FLAGS -- COMMAND, with the result record.
  RunOptions options(const Arguments& flags, const Arguments& command) const;
  Outcome run(const Arguments& flags, const Arguments& command) const { return run_bailey(options(flags, command)); }
  Outcome run(const Arguments& command) const { return run({}, command); }
  // /bin/sh -c SCRIPT.
  Outcome shell(const Arguments& flags, const std::string& script) const { return run(flags, {"/bin/sh", "-c", script}); }
  Outcome shell(const std::string& script) const { return shell({}, script); }

  // The flag that brings the probe programs to /probes, joined with others; and a probe's path there.
  Arguments with_probes(Arguments flags = {});
  static std::string probe(const std::string& name) { return "/probes/probe_" + name; }
  // The same program for use outside.
  static std::string program_outside(const std::string& name);
  // probe_self's answer.
  json::Value look_from_inside(const Arguments& flags = {});
  // A root file system of one static busybox and its links, below `directory`.
  void make_busybox_root(const std::string& directory) const;
  // `bailey gc` until no state of a dead sandbox is left. More than once, because a launcher's child that was just cloned
  // holds the launcher's lock until it has died too, moments later.
  void collect_garbage() const;

 private:
  std::string backend_;
  std::vector<std::string> backend_flags_;
  std::unique_ptr<LeakCheck> leaks_;
  std::unique_ptr<TempDir> probes_;
  bool asked_for_difference_ = false;
};

// Members of a JSON object, for look_from_inside: "" or -1 when absent.
std::string text_of(const json::Value& object, std::string_view key);
int64_t number_of(const json::Value& object, std::string_view key);
std::vector<std::string> texts_of(const json::Value& object, std::string_view key);  // of an array of strings

// All below a directory: path, type, mode, owner, size, contents or link target. Equal listings: nothing was changed.
std::string list_tree(const std::string& directory);

}  // namespace bailey::tests
