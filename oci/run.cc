// run: create and start in one; without --detach also the wait for the end, and delete.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "oci/commands.h"
#include "oci/containers.h"

namespace bailey::oci {

Result<int> run(const Call& call, const Runtime& runtime) {
  TRY(create(call, runtime));
  Call later = call;
  later.force = true;
  const auto store = TRY(open_store(call));
  const auto container = find(store, call.id);
  const int pid = container ? container->pid() : 0;
  if (auto started = start(call, runtime); !started) {
    (void)remove(later, runtime);
    return started;
  }
  if (call.detach) return 0;
  int status = 0, exit_code = 255;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (!call.keep) TRY(remove(later, runtime));
  return exit_code;
}

}  // namespace bailey::oci
