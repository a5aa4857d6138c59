#include "cli/command_line.h"

#include <algorithm>
#include <climits>

#include "base/files.h"
#include "base/log.h"
#include "cli/cli11.h"

namespace bailey::cli {

namespace {

bool takes_value(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option_no_throw(name);
  return option && option->get_items_expected_max() > 0;
}

// Whether the argument after this one is its value: "--memory 1G", "-v SRC:DST", "-itv SRC:DST"; not
// "--memory=1G", "-vSRC:DST".
bool wants_next(const CLI::App& app, const std::string& argument) {
  if (argument.starts_with("--")) return argument.find('=') == std::string::npos && takes_value(app, argument);
  for (size_t i = 1; i < argument.size(); ++i)
    if (takes_value(app, std::string("-") + argument[i])) return i + 1 == argument.size();
  return false;
}

}  // namespace

WantedOptions::WantedOptions(const std::vector<std::string>& arguments) : all_(false) {
  for (const std::string_view argument : arguments) {
    if (argument.starts_with("--")) long_names_.push_back(argument.substr(0, argument.find('=')));
    else if (argument.starts_with('-')) letters_ += argument;  // any of them: what stands before it may take a value or not
  }
}

bool WantedOptions::operator()(std::string_view names) const {
  while (!all_ && !names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    if (name.starts_with("--") ? std::ranges::find(long_names_, name) != long_names_.end() : letters_.contains(name[1]))
      return true;
  }
  return all_;
}

SplitArguments split_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  SplitArguments split;
  size_t i = 0;
  while (i < arguments.size()) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      ++i;
      break;
    }
    if (!argument.starts_with("-") || argument == "-") break;
    const size_t taken = wants_next(app, argument) && i + 1 < arguments.size() ? 2 : 1;
    for (const size_t end = i + taken; i < end; ++i) split.options.push_back(arguments[i]);
  }
  split.command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
  return split;
}

int exit_code(Fault fault) {
  switch (fault) {
    case Fault::not_executable: return 126;
    case Fault::not_found: return 127;
    default: return kExitBailey;
  }
}

int report(const Error& error) {
  std::string text = "bailey: " + log::printable(error.message) + "\n";
  if (!error.remedy.empty()) text += "  remedy: " + log::printable(error.remedy) + "\n";
  if (text.size() > PIPE_BUF) text.resize(PIPE_BUF);                       // what a pipe that polls writable takes at once
  if (log::reader_takes_more()) (void)files::write_fd(2, text, "stderr");  // a closed stderr leaves the exit code
  return exit_code(error.fault);
}

}  // namespace bailey::cli
