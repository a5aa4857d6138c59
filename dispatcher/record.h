// Record: what became of one run, as one JSON document. Written for refusals too. Plain data; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "dispatcher/backend.h"
#include "dispatcher/guards.h"
#include "dispatcher/policy.h"

namespace bailey::dispatcher {

enum class Outcome { exited, signaled, timed_out, out_of_memory, output_limit, refused, setup_failed };

struct Record {
  std::string id;
  std::string trust;
  std::string network;
  std::string network_address;         // where Bailey filters
  std::string network_address6;        // there too; empty: it has no IPv6
  std::vector<std::string> published;  // ports, as the host has them
  network::Refused refused_network;    // what was not let out
  std::string network_lost;            // how its way out ended before it did; empty: it did not
  About backend;                       // name empty: none was chosen
  std::string why_backend;
  FilterAbout filter;
  SeccompLog seccomp_log = SeccompLog::off;
  LoggedCalls calls;

  Outcome outcome = Outcome::setup_failed;
  int exit_code = 0;           // of exited
  int signal = 0;              // of signaled, out_of_memory and output_limit: what ended the workload
  std::optional<Error> error;  // of refused and setup_failed, and of a loss
  bool loss = false;           // output, an event or an audit line could not be written: `error` says which, the outcome stays
  std::vector<Verdict> refusals;

  int64_t started_wall_ns = 0;  // when the workload was started; 0: it was not
  int64_t wall_us = 0;          // start of the workload to its end
  std::optional<int64_t> cpu_us, user_us, system_us;
  std::optional<uint64_t> peak_memory_bytes, peak_socket_memory_bytes, max_rss_bytes, oom_kills, pids_limit_hits;
  uint64_t stdout_bytes = 0, stderr_bytes = 0;  // passed on
  bool output_merged = false;     // both streams were one (the caller's stdout and stderr are the same file): counted as stdout
  bool output_truncated = false;  // the workload wrote more than was passed on
  std::optional<std::string> captured_stdout, captured_stderr;

  int64_t setup_ns = 0;  // start of Bailey to start of the workload
  Steps steps;           // parts of setup_ns
  LimitValues limits;
};

// Something that was to be written got lost. The record's error is the first one, with the words of those after it.
void add_loss(Record& record, Error error);
// What `run` exits with (docs/exit-codes.md).
int exit_code(const Record& record);
// Captured output that is not UTF-8 appears as "stdout_base64" in place of "stdout", so that no byte is lost.
json::Value to_json(const Record& record);
json::Object to_json(const FilterAbout& filter);
json::Value to_json(const LimitValues& limits);  // what is limited only: "memory_bytes", "timeout_ms", "cpus", "pids"
const char* to_text(Outcome outcome);

}  // namespace bailey::dispatcher
