// Result and Error: what every fallible function of Bailey returns. base/ knows Linux and knows no sandbox.
//
//   result.h   Result<T>, Error, TRY            fd.h       owned descriptors
//   files.h    openat2, atomic write, reading   json.h     strict JSON in and out
//   command.h  helper programs with a deadline  log.h      one lazy logger on stderr
//   clock.h    monotonic and wall time          units.h    "256M", "10s", "0.5"
//   slot.h     one holder each, by lock         process_id.h    a process, found again later
//   pidfd.h    waiting for a process's end
//
// Nothing here throws, logs or prints. None of it may run between clone and exec: messages allocate.
#pragma once

#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace bailey {

// What went wrong, for the exit code of `run` (docs/exit-codes.md) and the verdict of the result record.
enum class Fault {
  failed,          // Bailey or the kernel could not do it: 125
  refused,         // a guard or the policy said no: 125
  bad_input,       // a flag, document or file of the caller is wrong: 125
  unavailable,     // this host cannot: 125, with the remedy
  not_executable,  // the command exists and cannot be executed: 126
  not_found,       // the command was not found: 127
};

// One error. `message` names what was attempted and the value; `remedy` (may be empty) says what to do about it.
struct Error {
  std::string message;
  std::string remedy;
  Fault fault = Fault::failed;
  int sys = 0;       // errno, 0 when no system call failed
  std::string step;  // the set-up step of the result record, empty outside a start

  // Outward context: "creating cgroup bailey/ab12: mkdir: ENOSPC".
  Error with(std::string_view context) && {
    message.insert(0, ": ");
    message.insert(0, context);
    return std::move(*this);
  }
  Error in_step(std::string_view name) && {
    if (step.empty()) step = name;
    return std::move(*this);
  }
};

template <typename T = void>
using Result = std::expected<T, Error>;

// An error from errno, which the caller passes in because it must be read on the line after the call.
// "mkdir /run/bailey: No space left on device". With a remedy where the number alone gives one: limits of the caller's, a root
// without CAP_SYS_ADMIN. errno_name gives "ENOSPC" and lives for ever.
std::unexpected<Error> sys_error(std::string_view attempted, int err);
const char* errno_name(int err);

inline std::unexpected<Error> fail(Fault fault, std::string message, std::string remedy = {}) {
  return std::unexpected(Error{std::move(message), std::move(remedy), fault, 0, {}});
}

// auto x = TRY(f());  — the value, or return the error from here. Not inside a larger expression that has already made
// something: GCC 12 leaks the temporaries of `T{make_fd(), TRY(f())}` when f fails.
#define TRY(expression)                                                       \
  ({                                                                          \
    auto&& try_result_ = (expression);                                        \
    if (!try_result_) return std::unexpected(std::move(try_result_).error()); \
    ::bailey::detail::take(std::move(try_result_));                           \
  })

// The same with context: TRY_WITH(open(path), "reading the policy").
#define TRY_WITH(expression, context)                                                       \
  ({                                                                                        \
    auto&& try_result_ = (expression);                                                      \
    if (!try_result_) return std::unexpected(std::move(try_result_).error().with(context)); \
    ::bailey::detail::take(std::move(try_result_));                                         \
  })

namespace detail {
template <typename T>
T take(std::expected<T, Error>&& r) {
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}
}  // namespace detail

}  // namespace bailey
