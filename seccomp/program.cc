#include "seccomp/program.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <bit>
#include <cstddef>

namespace bailey::seccomp {
namespace {

static_assert(std::endian::native == std::endian::little, "the halves of a 64-bit argument stand the other way round");

constexpr uint32_t low_half(uint32_t index) { return offsetof(seccomp_data, args) + 8 * index; }
constexpr uint32_t high_half(uint32_t index) { return low_half(index) + 4; }

// Writes a program from its last instruction to its first. BPF jumps only forward and a conditional one at
// most 255 far, so every target is known, and its distance too, when a jump is written.
class Assembler {
 public:
  using Label = size_t;  // instructions that stood behind it when it was written, and it itself

  Label emit(uint16_t code, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    reversed_.push_back({code, yes, no, k});
    return reversed_.size();
  }
  Label load(uint32_t offset) { return emit(BPF_LD | BPF_W | BPF_ABS, offset); }

  Label ret(uint32_t action) {
    Label& known = rets_[action];
    if (known == 0 || distance(known) > kFar) known = emit(BPF_RET | BPF_K, action);
    return known;
  }

  // The next instruction written falls through to what was written last; make that `target`.
  void fall_into(Label target) {
    if (distance(target) != 0) emit(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance(target)));
  }

  Label jump(uint16_t test, uint32_t k, Label yes, Label no) {
    if (yes == no) {
      fall_into(yes);
      return reversed_.size();
    }
    // A stepping stone for one may push the other out of reach, hence twice; kFar leaves room for both.
    for (int i = 0; i < 2; ++i) {
      yes = near(yes);
      no = near(no);
    }
    return emit(BPF_JMP | test | BPF_K, k, static_cast<uint8_t>(distance(yes)), static_cast<uint8_t>(distance(no)));
  }

  std::vector<sock_filter> take() {
    std::ranges::reverse(reversed_);
    return std::move(reversed_);
  }
  size_t size() const { return reversed_.size(); }

 private:
  static constexpr size_t kFar = 250;

  size_t distance(Label target) const { return reversed_.size() - target; }

  Label near(Label target) {
    if (distance(target) <= kFar) return target;
    const sock_filter& there = reversed_[target - 1];
    if (there.code == (BPF_RET | BPF_K)) return ret(there.k);
    return emit(BPF_JMP | BPF_JA, static_cast<uint32_t>(distance(target)));
  }

  std::vector<sock_filter> reversed_;
  std::map<uint32_t, Label> rets_;
};

using Label = Assembler::Label;

// Tests one half of an argument; a mask of 0 makes the test void.
Label emit_equal_half(Assembler& out, uint32_t offset, uint32_t mask, uint32_t value, Label yes, Label no) {
  if (mask == 0) return yes;
  out.jump(BPF_JEQ, value, yes, no);
  if (mask != UINT32_MAX) out.emit(BPF_ALU | BPF_AND | BPF_K, mask);
  return out.load(offset);
}

Label emit_equal(Assembler& out, const Condition& c, Label yes, Label no) {
  if ((c.value & ~c.mask) != 0) return no;
  const auto halves = [](uint64_t v) { return std::pair(static_cast<uint32_t>(v >> 32), static_cast<uint32_t>(v)); };
  const auto [mask_high, mask_low] = halves(c.mask);
  const auto [value_high, value_low] = halves(c.value);
  const Label low = emit_equal_half(out, low_half(c.index), mask_low, value_low, yes, no);
  return emit_equal_half(out, high_half(c.index), mask_high, value_high, low, no);
}

// argument > value, or >= with BPF_JGE.
Label emit_greater(Assembler& out, uint16_t test, const Condition& c, Label yes, Label no) {
  const auto high = static_cast<uint32_t>(c.value >> 32);
  out.jump(test, static_cast<uint32_t>(c.value), yes, no);
  const Label low = out.load(low_half(c.index));
  if (c.mask == UINT32_MAX) return low;
  const Label not_above = out.jump(BPF_JEQ, high, low, no);
  out.jump(BPF_JGT, high, yes, not_above);
  return out.load(high_half(c.index));
}

Label emit_condition(Assembler& out, const Condition& c, Label yes, Label no) {
  switch (c.comparison) {
    case Comparison::equal: return emit_equal(out, c, yes, no);
    case Comparison::not_equal: return emit_equal(out, c, no, yes);
    case Comparison::greater: return emit_greater(out, BPF_JGT, c, yes, no);
    case Comparison::greater_or_equal: return emit_greater(out, BPF_JGE, c, yes, no);
    case Comparison::less: return emit_greater(out, BPF_JGE, c, no, yes);
    case Comparison::less_or_equal: return emit_greater(out, BPF_JGT, c, no, yes);
  }
  return no;
}

Label emit_rule(Assembler& out, const CallRule& rule) {
  Label next = out.ret(rule.otherwise);
  for (size_t b = rule.branches.size(); b-- > 0;) {
    const Branch& branch = rule.branches[b];
    const Label failed = next;
    next = out.ret(branch.action);
    for (size_t c = branch.all_of.size(); c-- > 0;) next = emit_condition(out, branch.all_of[c], next, failed);
  }
  return next;
}

// From `first` up to the next interval's first, every number has the same rule.
struct Interval {
  uint32_t first;
  const CallRule* rule;
};

class Tree {
 public:
  Tree(Assembler& out, const std::vector<Interval>& intervals) : out_(out), intervals_(intervals) {}

  Label emit() { return emit(0, intervals_.size()); }

 private:
  Label emit(size_t begin, size_t end) {
    if (end - begin == 1) return emit_leaf(*intervals_[begin].rule);
    const size_t middle = begin + (end - begin) / 2;
    const Label right = emit(middle, end);
    const Label left = emit(begin, middle);
    return out_.jump(BPF_JGE, intervals_[middle].first, right, left);
  }

  Label emit_leaf(const CallRule& rule) {
    if (rule.branches.empty()) return out_.ret(rule.otherwise);
    Label& known = leaves_[rule];
    if (known == 0) known = emit_rule(out_, rule);
    return known;
  }

  Assembler& out_;
  const std::vector<Interval>& intervals_;
  std::map<CallRule, Label> leaves_;  // calls with equal tests share them
};

// Neighbours with equal rules become one.
std::vector<Interval> intervals_of(const ArchRules& arch) {
  std::vector<Interval> out;
  for (const auto& [first, rule] : arch.intervals())
    if (out.empty() || *out.back().rule != rule) out.push_back({first, &rule});
  return out;
}

}  // namespace

void ArchRules::assign(uint32_t first, uint32_t last, const CallRule& rule) {
  if (last != UINT32_MAX) from_.try_emplace(last + 1, at(last + 1));
  from_.erase(from_.lower_bound(first), from_.upper_bound(last));
  from_.emplace(first, rule);
}

Result<std::vector<sock_filter>> assemble(const FilterRules& rules) {
  Assembler out;
  Label next = out.ret(rules.wrong_arch_action);
  for (size_t i = rules.arches.size(); i-- > 0;) {
    const ArchRules& arch = rules.arches[i];
    const std::vector<Interval> intervals = intervals_of(arch);
    out.fall_into(Tree(out, intervals).emit());
    const Label tree = out.load(offsetof(seccomp_data, nr));
    next = out.jump(BPF_JEQ, arch.audit_arch(), tree, next);
  }
  out.fall_into(next);
  out.load(offsetof(seccomp_data, arch));
  if (out.size() > BPF_MAXINSNS)
    return fail(Fault::bad_input,
                "the seccomp profile makes " + std::to_string(out.size()) + " instructions, the kernel takes " +
                    std::to_string(BPF_MAXINSNS),
                "use fewer architectures or fewer argument conditions");
  return out.take();
}

std::string hash_of(const std::vector<sock_filter>& program) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](uint32_t bytes, int count) {
    for (int i = 0; i < count; ++i) hash = (hash ^ ((bytes >> (8 * i)) & 0xff)) * 0x100000001b3;
  };
  for (const sock_filter& in : program) {
    add(in.code, 2);
    add(in.jt, 1);
    add(in.jf, 1);
    add(in.k, 4);
  }
  std::string text(16, '0');
  for (size_t i = 0; i < 16; ++i) text[i] = "0123456789abcdef"[(hash >> (60 - 4 * i)) & 15];
  return text;
}

}  // namespace bailey::seccomp
