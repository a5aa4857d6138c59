#include "base/option_table.h"

#include <algorithm>

namespace bailey {

namespace {

constexpr size_t kHelpColumn = 30, kHelpWidth = 110;
constexpr size_t kMostOptions = 80;  // room that a table takes at once

std::string names_of(const OptionTable::Option& option) {
  std::string text = option.letter ? std::string("-") + option.letter + ", --" : "--";
  text += option.name;
  if (!option.value.empty()) text.append(" ").append(option.value);
  return text;
}

std::string help_of(const OptionTable::Option& option) {
  std::string text(option.help);
  if (option.more_help) text += option.more_help();
  if (option.repeats) text += "; may be repeated";
  return text;
}

// "  LEFT     RIGHT", RIGHT broken at blanks.
std::string row(const std::string& left, std::string_view right) {
  std::string text = "  " + left, line;
  if (text.size() + 1 >= kHelpColumn) text += "\n" + std::string(kHelpColumn, ' ');
  else text.resize(kHelpColumn, ' ');
  while (!right.empty()) {
    const size_t blank = right.find(' ');
    const std::string_view word = right.substr(0, blank);
    right.remove_prefix(blank == right.npos ? right.size() : blank + 1);
    if (!line.empty() && kHelpColumn + line.size() + 1 + word.size() > kHelpWidth) {
      text += line + "\n" + std::string(kHelpColumn, ' ');
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  return text + line + "\n";
}

// How many letters must be put in, taken out or changed (Levenshtein).
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j < row.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

OptionTable::Option& OptionTable::add(std::string_view names, std::string_view value, std::string_view help,
                                      std::function<void(std::string)> take) {
  if (options_.empty()) options_.reserve(kMostOptions);
  Option& option = options_.emplace_back();
  if (names.size() > 3 && names[2] == ',') {
    option.letter = names[1];
    names.remove_prefix(3);
  }
  option.name = names.substr(2);
  option.value = value;
  option.help = help;
  option.take = std::move(take);
  option.group = group_;
  return option;
}

void OptionTable::flag(std::string_view names, bool& into, std::string_view help) {
  add(names, "", help, [&into](const std::string&) { into = true; });
}
void OptionTable::flag(std::string_view names, std::function<void()> take, std::string_view help) {
  add(names, "", help, [take = std::move(take)](const std::string&) { take(); });
}
void OptionTable::one(std::string_view names, std::string& into, std::string_view value, std::string_view help) {
  add(names, value, help, [&into](std::string given) { into = std::move(given); }).takes_empty = false;
}
void OptionTable::one(std::string_view names, std::optional<std::string>& into, std::string_view value, std::string_view help) {
  add(names, value, help, [&into](std::string given) { into = std::move(given); });
}
void OptionTable::many(std::string_view names, std::vector<std::string>& into, std::string_view value, std::string_view help) {
  add(names, value, help, [&into](std::string given) { into.push_back(std::move(given)); }).repeats = true;
}
void OptionTable::operand(std::string_view name, std::string& into, std::string_view help) {
  operands_.push_back({name, help, &into});
}

OptionTable::Option* OptionTable::find(std::string_view name) {
  const auto found = std::ranges::find(options_, name, &Option::name);
  return found == options_.end() ? nullptr : &*found;
}

OptionTable::Option* OptionTable::find(char letter) {
  const auto found = std::ranges::find(options_, letter, &Option::letter);
  return found == options_.end() ? nullptr : &*found;
}

std::string OptionTable::unknown(std::string_view name) const {
  std::string text = "--" + std::string(name) + " is not an option";
  const size_t most = name.size() / 3;  // of differences, to look like a mistake
  const Option* nearest = nullptr;
  for (const Option& option : options_)
    if (!nearest || distance(name, option.name) < distance(name, nearest->name)) nearest = &option;
  if (nearest && distance(name, nearest->name) <= most) text.append("; is --").append(nearest->name).append(" meant?");
  return text;
}

Result<> OptionTable::take(Option& option, std::optional<std::string> value) {
  const std::string name = "--" + std::string(option.name);
  if (option.value.empty() && value) return fail(Fault::bad_input, name + " takes no value");
  if (!option.value.empty() && !value)
    return fail(Fault::bad_input, name + ": its value, " + std::string(option.value) + ", is missing");
  if (!option.value.empty() && !option.repeats && option.given > 0) return fail(Fault::bad_input, name + " is given twice");
  if (value && value->empty() && !option.takes_empty)
    return fail(Fault::bad_input, name + ": its value, " + std::string(option.value) + ", is empty");
  ++option.given;
  order_.push_back(&option);
  option.take(std::move(value).value_or(""));
  return {};
}

Result<OptionTable::Parsed> OptionTable::parse(std::span<const std::string> words) {
  Parsed parsed;
  size_t operands = 0;
  bool options_ended = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto next = [&] { return i + 1 < words.size() ? std::optional(words[++i]) : std::nullopt; };
    if (options_ended || !word.starts_with('-') || word == "-") {
      if (ends_at_command_) {
        parsed.command.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
        return parsed;
      }
      if (operands == operands_.size()) return fail(Fault::bad_input, "'" + word + "' is a word too many");
      *operands_[operands++].into = word;
    } else if (word == "--") {
      options_ended = true;
    } else if (word == "--help") {
      parsed.wants_help = true;
      return parsed;
    } else if (word.starts_with("--")) {
      const size_t equals = word.find('=');
      const std::string name = word.substr(2, equals == word.npos ? word.npos : equals - 2);
      Option* option = find(name);
      if (!option) return fail(Fault::bad_input, unknown(name));
      std::optional<std::string> value;
      if (equals != word.npos) value = word.substr(equals + 1);
      else if (!option->value.empty()) value = next();
      TRY(take(*option, std::move(value)));
    } else {
      for (size_t at = 1; at < word.size(); ++at) {
        Option* option = find(word[at]);
        if (!option && word[at] == 'h') {
          parsed.wants_help = true;
          return parsed;
        }
        if (!option) return fail(Fault::bad_input, std::string("-") + word[at] + " is not an option");
        std::optional<std::string> value;
        const bool takes_the_rest = !option->value.empty();
        if (takes_the_rest) value = at + 1 < word.size() ? word.substr(at + 1) : next();
        TRY(take(*option, std::move(value)));
        if (takes_the_rest) break;
      }
    }
  }
  if (operands < operands_.size())
    return fail(Fault::bad_input,
                std::string(operands_[operands].name) + " is missing: " + std::string(operands_[operands].help));
  return parsed;
}

std::vector<std::string> OptionTable::given(std::initializer_list<std::string_view> groups) const {
  std::vector<std::string> names;
  for (const Option* option : order_)
    if (std::ranges::find(groups, option->group) != groups.end()) names.push_back("--" + std::string(option->name));
  return names;
}

std::string OptionTable::usage() const {
  std::string text = "[OPTIONS]";
  for (const Operand& operand : operands_) text.append(" ").append(operand.name);
  if (ends_at_command_) text += " [--] COMMAND [ARGUMENT...]";
  return text;
}

std::string OptionTable::help() const {
  std::string text;
  for (const Operand& operand : operands_) text += row(std::string(operand.name), operand.help);
  std::string_view group;
  for (const Option& option : options_) {
    if (option.group != group) text.append("\n").append(option.group).append(":\n");
    group = option.group;
    text += row(names_of(option), help_of(option));
  }
  return text + "\n" + row("-h, --help", "print this and do nothing");
}

std::string OptionTable::roff_text(std::string_view text) {
  std::string out;  // '-' as a minus that can be copied
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (c == '\'') out += "\\(aq";
    else if (c == '`') out += "\\(ga";
    else if (c == '^') out += "\\(ha";
    else if (c == '~') out += "\\(ti";
    else if (c == '.' && out.empty()) out += "\\&.";
    else out += c;
  }
  return out;
}

std::string OptionTable::roff() const {
  std::string text;
  for (const Operand& operand : operands_) text += ".TP\n.I " + roff_text(operand.name) + "\n" + roff_text(operand.help) + "\n";
  std::string_view group;
  for (const Option& option : options_) {
    if (option.group != group) text += ".PP\n" + roff_text(option.group) + ":\n";
    group = option.group;
    text += ".TP\n.B " + roff_text(names_of(option)) + "\n" + roff_text(help_of(option)) + "\n";
  }
  return text;
}

std::string OptionTable::words() const {
  std::string text = "--help";
  for (const Option& option : options_) text.append(" --").append(option.name);
  return text;
}

std::string OptionTable::valued() const {
  std::string text;
  for (const Option& option : options_) {
    if (option.value.empty()) continue;
    text.append(text.empty() ? "--" : " --").append(option.name);
    if (option.letter) text.append(" -").append(1, option.letter);
  }
  return text;
}

}  // namespace bailey
