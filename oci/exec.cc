// exec: a further process in a running container.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/files.h"
#include "base/units.h"
#include "bundle/reader.h"
#include "dispatcher/admission.h"
#include "dispatcher/host_facts.h"
#include "dispatcher/patience.h"
#include "oci/commands.h"
#include "oci/console.h"
#include "oci/containers.h"
#include "oci/request.h"
#include "oci/words.h"

namespace bailey::oci {

namespace {

using namespace dispatcher;

constexpr int64_t kEnterMs = 60'000;
constexpr size_t kMaxDocument = 16 << 20;

Result<bundle::Process> read_process(const std::string& file) {
  const std::string text = TRY_WITH(files::read(file, kMaxDocument), "--process");
  const json::Value document = TRY(json::parse(text, file));
  bundle::Process process;
  json::Decoder decoder(json::UnknownKeys::ignore);
  decoder.object(document, [&](json::ObjectView& view) { bundle::decode_process(view, process); });
  TRY(decoder.finish(file));
  return process;
}

// "UID[:GID]", in numbers: the names are the container's, and the engine has looked them up.
Result<> take_user(const std::string& text, bundle::User& user) {
  const size_t colon = text.find(':');
  const auto number = [&](const std::string& part) -> Result<uint32_t> {
    const auto id = units::parse_unsigned(part);
    if (!id || *id >= UINT32_MAX)
      return fail(Fault::bad_input, "--user " + text + ": not UID or UID:GID", "numbers, as in 1000:1000");
    return static_cast<uint32_t>(*id);
  };
  user.uid = TRY(number(text.substr(0, colon)));
  if (colon != text.npos) user.gid = TRY(number(text.substr(colon + 1)));
  return {};
}

// The container's own process with what the flags say.
Result<bundle::Process> process_of_flags(const Call& call, const bundle::Process& own) {
  if (call.words.empty()) return fail(Fault::bad_input, "exec: the command is missing");
  bundle::Process process = own;
  process.args = call.words;
  process.terminal = call.tty;
  process.console_size.reset();
  if (call.cwd) process.cwd = *call.cwd;
  if (call.user) TRY(take_user(*call.user, process.user));
  if (call.no_new_privs) process.no_new_privileges = true;
  for (const std::string& variable : call.env) {
    std::erase_if(process.env,
                  [&](const std::string& one) { return one.starts_with(variable.substr(0, variable.find('=') + 1)); });
    process.env.push_back(variable);
  }
  for (const std::string& name : call.cap) {
    auto& sets = process.capabilities;
    for (auto* set : {&sets.bounding, &sets.effective, &sets.permitted}) set->push_back(name);
  }
  for (const std::string& gid : call.additional_gids) {
    const auto number = units::parse_unsigned(gid);
    if (!number || *number >= UINT32_MAX) return fail(Fault::bad_input, "--additional-gids " + gid + ": not a number");
    process.user.additional_gids.push_back(static_cast<uint32_t>(*number));
  }
  return process;
}

// The same guards as for a container: of one that would have this command and nothing else of the host's.
Result<Job> judge(const Container& container, bundle::Config config, bundle::Process process) {
  const Policy policy = TRY(load_policy(""));
  Request request;
  request.shape = Shape::complete;
  request.lifetime = Lifetime::independent;
  request.as_pid_1 = true;
  request.trust = container.record.trust;
  for (const auto& [name, kind] : kBackendNames)
    if (name == container.record.backend) request.runtime = kind;
  config.process = std::move(process);
  config.mounts.clear();
  config.hooks = {};
  config.root->path = container.record.rootfs;
  for (bundle::Namespace& space : config.linux.namespaces) space.path.clear();
  request.config = std::move(config);
  HostFacts facts = TRY(gather_host_facts(request));
  auto decision = TRY(Admission(policy).judge(std::move(request), std::move(facts)));
  if (!decision.job) return std::unexpected(refusal(decision.verdicts));
  return std::move(*decision.job);
}

// Waits for it and passes the signals on that come for it.
int wait_for(int pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 255;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<int> exec(const Call& call, const Runtime& runtime) {
  const StateStore store = TRY(open_store(call));
  Container container = TRY(find(store, call.id));
  if (!container.first_process) return fail(Fault::bad_input, "cannot exec in a stopped container: container not running");
  if (container.record.status != Status::running)
    return fail(Fault::bad_input, "cannot exec in a container that is not running: it is " + std::string(container.status()));
  const bundle::Config config = TRY(read_config(store, call.id));
  bundle::Process process = call.process ? TRY(read_process(*call.process)) : TRY(process_of_flags(call, *config.process));
  if (!process.user.umask) process.user.umask = config.process->user.umask;
  TRY(check_terminal(call, process.terminal));
  Fd console;
  if (call.console_socket) console = TRY(connect_console(*call.console_socket));
  const Job job = TRY(judge(container, config, std::move(process)));

  const auto backend = TRY(backends_by_name(runtime.make_backend)(container.record.backend));
  const Fd directory = TRY(files::open_at(store.directory(), call.id, O_RDONLY | O_DIRECTORY));
  const auto instance = TRY(backend->attach(container.record.handle, std::move(container.first_process), directory.get()));
  EntryOptions options;
  options.cgroups = container.record.cgroups;
  options.new_keyring = !call.no_new_keyring;
  options.seccomp = config.linux.seccomp;
  if (!job.process().terminal) {
    Fd* const streams[] = {&options.stdio.in, &options.stdio.out, &options.stdio.err};
    for (int i = 0; i < 3; ++i) {
      *streams[i] = Fd(::fcntl(i, F_DUPFD_CLOEXEC, 3));
      if (!*streams[i]) return sys_error("duplicating a stream", errno);
    }
  }
  PatienceUntil patience(clock::Deadline::in_ms(kEnterMs));
  const Entered entered = TRY(instance->enter(job, std::move(options), patience));
  if (entered.terminal) TRY(send_terminal(console.get(), entered.terminal.get()));
  if (call.pid_file) TRY(write_pid_file(*call.pid_file, entered.pid));
  return call.detach ? 0 : wait_for(entered.pid);
}

}  // namespace bailey::oci
