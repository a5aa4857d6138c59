#include "seccomp/profile.h"

#include <errno.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <utility>

namespace bailey::seccomp {
namespace {

constexpr uint32_t errno_action(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

// One statement: the words of a line and of those that continue it.
struct Statement {
  int line = 0;
  std::vector<std::string_view> words;
};

std::vector<Statement> split(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  std::vector<Statement> out;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    rest = rest.substr(0, rest.find('#'));
    const bool continues = !rest.empty() && kBlanks.contains(rest.front()) && !out.empty();
    std::vector<std::string_view> words;
    for (size_t at; (at = rest.find_first_not_of(kBlanks)) != std::string_view::npos;) {
      rest.remove_prefix(at);
      const size_t length = std::min(rest.find_first_of(kBlanks), rest.size());
      words.push_back(rest.substr(0, length));
      rest.remove_prefix(length);
    }
    if (words.empty()) continue;
    if (!continues) out.push_back({line, {}});
    out.back().words.insert(out.back().words.end(), words.begin(), words.end());
  }
  return out;
}

class Parser {
 public:
  Parser(std::string_view file, const Arch& arch) : file_(file), arch_(arch) {}

  Result<> read(const Statement& statement) {
    line_ = statement.line;
    words_ = statement.words;
    at_ = 0;
    if (words_[0].starts_with('[')) return read_group();
    if (!in_group_) return fault("'" + std::string(words_[0]) + "' stands before the first group");
    std::vector<std::string> names;
    while (at_ < words_.size() && words_[at_] != "when" && words_[at_] != "unless") names.emplace_back(words_[at_++]);
    if (names.empty()) return fault("a condition needs the name of a call before it");
    CallRule rule{{}, group_};
    if (at_ < words_.size()) rule = TRY(read_conditions());
    for (const std::string& name : names) TRY(decide(name, rule));
    return {};
  }

  Result<FilterRules> finish() {
    std::string missing;
    for (const auto& [number, name] : calls_of(arch_))
      if (!rest_ && !rules_.contains(number)) missing += (missing.empty() ? "" : " ") + name;
    if (!missing.empty()) {
      return fail(Fault::bad_input, std::string(file_) + ": no verdict for: " + missing,
                  "put each of them into a group of the profile");
    }
    ArchRules out(arch_.audit_arch, {{}, rest_.value_or(errno_action(ENOSYS))});
    for (const auto& [number, rule] : rules_) out.assign(number, rule);
    if (arch_.family == ArchFamily::x86_64 && wrong_arch_ != SECCOMP_RET_ALLOW)
      out.assign(kX32First, kX32Last, {{}, wrong_arch_});
    return FilterRules{{std::move(out)}, wrong_arch_};
  }

 private:
  std::unexpected<Error> fault(const std::string& message) const {
    return fail(Fault::bad_input, std::string(file_) + ":" + std::to_string(line_) + ": " + message);
  }

  // [allow], [deny ERRNO], or one of the statements [allow the rest], [deny the rest ERRNO], [allow other architectures]
  Result<> read_group() {
    const auto begins = [this](std::initializer_list<std::string_view> words) {
      return words_.size() >= words.size() && std::equal(words.begin(), words.end(), words_.begin());
    };
    if (words_.size() == 3 && begins({"[allow", "other", "architectures]"})) {
      wrong_arch_ = SECCOMP_RET_ALLOW;
      return {};
    }
    if (words_.size() == 3 && begins({"[allow", "the", "rest]"})) {
      rest_ = SECCOMP_RET_ALLOW;
      return {};
    }
    if (words_.size() == 4 && begins({"[deny", "the", "rest"}) && words_[3].ends_with(']')) {
      words_[3].remove_suffix(1);
      rest_ = errno_action(TRY(read_errno(words_[3])));
      return {};
    }
    in_group_ = true;
    if (words_.size() == 1 && words_[0] == "[allow]") {
      group_ = SECCOMP_RET_ALLOW;
      return {};
    }
    if (words_.size() == 2 && words_[0] == "[deny" && words_[1].ends_with(']')) {
      words_[1].remove_suffix(1);
      group_ = errno_action(TRY(read_errno(words_[1])));
      return {};
    }
    return fault("a group is [allow] or [deny ERRNO]");
  }

  Result<int> read_errno(std::string_view word) const {
    const std::optional<int> number = errno_named(word);
    if (!number) return fault("'" + std::string(word) + "' is no errno that a profile may use");
    return *number;
  }

  std::string_view next() { return at_ < words_.size() ? words_[at_++] : std::string_view(); }

  // when|unless CONDITION {and CONDITION} {or ...} else ERRNO
  Result<CallRule> read_conditions() {
    const bool holds_allows = next() == "when";
    std::vector<Branch> branches(1);
    std::string_view joint;
    do {
      branches.back().all_of.push_back(TRY(read_condition()));
      joint = next();
      if (joint == "or") branches.emplace_back();
    } while (joint == "and" || joint == "or");
    if (joint != "else") return fault("expected 'and', 'or' or 'else ERRNO' after the condition");
    const uint32_t denied = errno_action(TRY(read_errno(next())));
    if (at_ != words_.size()) return fault("nothing may follow 'else ERRNO'");
    for (Branch& branch : branches) branch.action = holds_allows ? group_ : denied;
    return CallRule{std::move(branches), holds_allows ? denied : group_};
  }

  // argN[.low] [& MASK] == VALUE
  Result<Condition> read_condition() {
    std::string_view subject = next();
    Condition out;
    const bool low = subject.ends_with(".low");
    if (low) subject.remove_suffix(4);
    if (subject.size() != 4 || !subject.starts_with("arg") || subject[3] < '0' || subject[3] > '5')
      return fault("'" + std::string(subject) + "' is not arg0 to arg5");
    out.index = static_cast<uint32_t>(subject[3] - '0');
    if (low) out.mask = UINT32_MAX;
    std::string_view sign = next();
    if (sign == "&") {
      out.mask &= TRY(read_number(next()));
      sign = next();
    }
    if (sign != "==") return fault("expected '=='");
    out.value = TRY(read_number(next()));
    if ((out.value & ~out.mask) != 0) return fault("the value has bits outside the mask: it could never be equal");
    return out;
  }

  Result<uint64_t> read_number(std::string_view word) const {
    std::string_view digits = word;
    int base = 10;
    if (digits.starts_with("0x")) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits.starts_with('0')) {
      base = 8;
    }
    uint64_t out = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
      return fault("'" + std::string(word) + "' is not a number");
    return out;
  }

  Result<> decide(const std::string& name, const CallRule& rule) {
    for (const CallTarget& target : call_targets(arch_, name))
      if (!rules_.emplace(target.number, rule).second) return fault(name + " has a verdict already");
    if (!call_targets(arch_, name).empty()) return {};
    for (const char* other : {"x86_64", "aarch64"})
      if (!call_targets(*arch_named(other), name).empty()) return {};
    return fault("no architecture has a system call '" + name + "'");
  }

  std::string_view file_;
  const Arch& arch_;
  int line_ = 0;
  std::vector<std::string_view> words_;
  size_t at_ = 0;
  bool in_group_ = false;
  std::optional<uint32_t> rest_;  // the verdict of calls without one; absent: each must have its own
  uint32_t wrong_arch_ = SECCOMP_RET_KILL_PROCESS;
  uint32_t group_ = 0;
  std::map<uint32_t, CallRule> rules_;
};

}  // namespace

Result<FilterRules> parse_profile(std::string_view text, std::string_view file, const Arch& arch) {
  Parser parser(file, arch);
  for (const Statement& statement : split(text)) TRY(parser.read(statement));
  return parser.finish();
}

}  // namespace bailey::seccomp
