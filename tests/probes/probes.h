// The probes: each tries one way out of a sandbox, or to learn of the host, and says in a line what came of it:
//
//   NAME: done            it worked
//   NAME: EPERM           it was refused, with this errno
//   NAME: SIGSYS          it was killed
//   NAME: anything else   as the program's own comment says
//
// The programs are the .c files here; the *_test.cc beside them judge the lines, for each backend (BAILEY_CONTRACT_BACKEND).
// A verdict "blocked" counts only together with a positive control: the same program, outside, where nothing blocks it
// (`outside`), or in a sandbox that grants what is tried. So a probe that can only say "blocked" fails its test.
// Where gVisor has another answer by its nature, the test says so in one line.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/contract/contract.h"

namespace bailey::tests {

using Verdicts = std::map<std::string, std::string>;

class Probes : public Contract {
 protected:
  struct Way {
    Arguments flags;                    // of `bailey run`
    std::function<void()> before_exec;  // outside only: in the child, to become what the control needs
  };

  // The probe's lines from a sandbox; a failure is added when it did not end with 0.
  Verdicts inside(const Arguments& flags, const std::string& program, const Arguments& arguments);
  Verdicts inside(const std::string& program, const Arguments& arguments) { return inside({}, program, arguments); }
  // The same program on the host, as root or what before_exec makes of it.
  static Verdicts outside(const std::string& program, const Arguments& arguments, std::function<void()> before_exec = {});

  bool gvisor_2022() const { return backend() == "gvisor-2022"; }
};

// "" when the probe has not said the name.
std::string verdict(const Verdicts& verdicts, const std::string& name);
Verdicts parse_verdicts(const std::string& text);
std::string to_text(const Verdicts& verdicts);

// Runs a program of the host and gives its standard output; adds a failure unless it ends with 0.
std::string run_outside(const Arguments& command, const std::function<void()>& before_exec = {});

}  // namespace bailey::tests
