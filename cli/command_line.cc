#include "cli/command_line.h"

#include <CLI/CLI.hpp>

#include "base/files.h"

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

std::string printable(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  const auto escape = [&](unsigned char byte) {
    out.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7f) {
      escape(byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {  // U+0080 to U+009F: terminals obey these too
      escape(byte);
      escape(next);
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

int report(const Error& error) {
  std::string text = "bailey: " + printable(error.message) + "\n";
  if (!error.remedy.empty()) text += "  remedy: " + printable(error.remedy) + "\n";
  (void)files::write_fd(2, text, "stderr");  // a closed stderr leaves the exit code
  return exit_code(error.fault);
}

}  // namespace bailey::cli
