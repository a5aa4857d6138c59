#include "tests/probes/probes.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace bailey::tests {

Verdicts Probes::inside(const Arguments& flags, const std::string& program, const Arguments& arguments) {
  Arguments command = {probe(program)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Outcome got = run(with_probes(flags), command);
  EXPECT_EQ(got.exit_code, 0) << program << ": " << got;
  return parse_verdicts(got.out);
}

Verdicts Probes::outside(const std::string& program, const Arguments& arguments, std::function<void()> before_exec) {
  Arguments command = {program_outside(program)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return parse_verdicts(run_outside(command, before_exec));
}

// Copies, when the suite runs as an ordinary user: the build may lie where only root can go.
std::string verdict(const Verdicts& verdicts, const std::string& name) {
  const auto found = verdicts.find(name);
  return found == verdicts.end() ? "" : found->second;
}

Verdicts parse_verdicts(const std::string& text) {
  Verdicts verdicts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const size_t colon = line.rfind(": "); colon != std::string::npos)
      verdicts[line.substr(0, colon)] = line.substr(colon + 2);
  return verdicts;
}

std::string to_text(const Verdicts& verdicts) {
  std::string text;
  for (const auto& [name, value] : verdicts) text.append(name).append(": ").append(value).append("\n");
  return text;
}

std::string run_outside(const Arguments& command, const std::function<void()>& before_exec) {
  Pipe pipe = std::move(*create_pipe());
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe.write.get(), 1);
    if (before_exec) before_exec();
    std::vector<char*> argv;
    for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  pipe.write.reset();
  std::string out;
  char buffer[65536];
  for (ssize_t n; (n = read(pipe.read.get(), buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << command[0] << " on the host said: " << out;
  return out;
}

}  // namespace bailey::tests
