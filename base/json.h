// JSON, strict: duplicate keys, wrong types, unknown keys and out-of-range numbers are faults that name the line and the
// JSON path ("$.linux.resources.memory.limit"). nlohmann_json does the lexing and the writing and is seen in json.cc only.
// Pure; no privileges.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace bailey::json {

class Value;
using Array = std::vector<Value>;

// Keys in the order of the text.
class Object {
 public:
  using Member = std::pair<std::string, Value>;
  const Value* find(std::string_view key) const;
  Value& set(std::string key, Value value);     // replaces an equal key; returns the member until the next change
  Value& append(std::string key, Value value);  // as set, for a key known to be new: no search
  bool empty() const;
  size_t size() const;
  const Member* begin() const;
  const Member* end() const;

 private:
  std::vector<Member> members_;
};

class Value {
 public:
  using Data = std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object>;
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool b) : data_(b) {}
  Value(int v) : data_(static_cast<int64_t>(v)) {}
  Value(unsigned v) : data_(static_cast<uint64_t>(v)) {}
  Value(int64_t v) : data_(v) {}
  Value(uint64_t v) : data_(v) {}
  Value(double v) : data_(v) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(std::string_view v) : data_(std::string(v)) {}
  Value(const char* v) : data_(std::string(v)) {}
  Value(Array v) : data_(std::move(v)) {}
  Value(Object v) : data_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(data_); }
  template <typename T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  template <typename T>
  T* as() {
    return std::get_if<T>(&data_);
  }
  const Data& data() const { return data_; }
  const char* type_name() const;  // with its article: "an object", "an array", "a string", "a number", "a boolean", "null"
  int line = 0;                   // 1-based line of the text it was parsed from, 0 when built

 private:
  Data data_;
};

inline bool Object::empty() const { return members_.empty(); }
inline size_t Object::size() const { return members_.size(); }
inline const Object::Member* Object::begin() const { return members_.data(); }
inline const Object::Member* Object::end() const { return members_.data() + members_.size(); }
inline const Value* Object::find(std::string_view key) const {
  for (const Member& m : members_)
    if (m.first == key) return &m.second;
  return nullptr;
}
inline Value& Object::append(std::string key, Value value) {
  return members_.emplace_back(std::move(key), std::move(value)).second;
}
inline Value& Object::set(std::string key, Value value) {
  for (Member& m : members_)
    if (m.first == key) return m.second = std::move(value);
  return append(std::move(key), std::move(value));
}

enum class Comments { refuse, allow };  // allow: // and /* */ as in the policy file
enum class Layout { compact, indented };
// ignore: OCI documents (runtime-spec config.md, "Extensibility"). It also takes null as absent, because engines write what
// they leave out that way ("devices": null).
enum class UnknownKeys { refuse, ignore };

// Parses one document. Errors (Fault::bad_input) name file, line and path: syntax, duplicate keys, nesting over 64 levels,
// trailing text, invalid UTF-8, and \u0000 in a string, which would end a path early. `name` is the file in messages.
Result<Value> parse(std::string_view text, std::string_view name, Comments comments = Comments::refuse);
// UTF-8 as it is; bytes that are not UTF-8 become U+FFFD; control characters are escaped. Never fails.
std::string write(const Value& value, Layout layout = Layout::compact);
// The path of the first string or key that is not UTF-8, which write() would change: "$.mounts[2].destination"; empty: none. To
// be asked where somebody acts on what was written.
std::string find_not_utf8(const Value& value, const std::string& path = "$");

struct Fault {
  int line = 0;
  std::string path;     // "$.limits.memory"
  std::string message;  // "expected a string, found a number"
};
// "FILE:LINE: PATH: message", joined by newlines.
std::string describe(const std::vector<Fault>& faults, std::string_view name);
// "$.limits" and "memory": "$.limits.memory"; a key that is no identifier is quoted: $.annotations["dev.bailey.trust"].
std::string member_path(std::string_view path, std::string_view key);
std::string element_path(std::string_view path, size_t index);  // "$.args[2]"

// Decodes one document into plain data and collects every fault, so that a user mends all of them at once.
//
//   json::Decoder d(UnknownKeys::refuse);
//   d.object(value, [&](ObjectView& o) {
//     o.get("trust", request.trust);                     // absent or malformed: untouched
//     o.require("args", request.args);                   // absent: a fault
//     o.object("limits", [&](ObjectView& l) { l.get("wall_seconds", request.limits.wall_seconds); });
//     o.array("mounts", [&](ObjectView& m) {...});       // called once per element, which must be an object
//   });
//   TRY(d.finish("policy.json"));
class Decoder;
class ObjectView {
 public:
  ObjectView(Decoder& decoder, const Object& members, int line, std::string path)
      : decoder_(decoder), members_(members), line_(line), path_(std::move(path)) {}
  ~ObjectView();  // reports keys that nobody asked for
  ObjectView(const ObjectView&) = delete;
  ObjectView& operator=(const ObjectView&) = delete;

  bool has(std::string_view key) const;
  const Value* value(std::string_view key);  // marks it known; nullptr when absent

  // T: bool, int64_t, uint64_t, int32_t, uint32_t, uint16_t, double, std::string, vector<std::string>, vector<uint32_t>,
  // map<string,string>, and optional<> of each. Out of range for T is a fault.
  template <typename T>
  bool get(std::string_view key, T& out);  // true when present and well-formed
  template <typename T>
  bool require(std::string_view key, T& out);
  // One of the names, as its enumerator. A fault lists the names that would do.
  template <typename E, size_t N>
  bool get_enum(std::string_view key, E& out, const std::pair<std::string_view, E> (&names)[N]) {
    std::string text;
    if (!get(key, text)) return false;
    std::string known;
    for (const auto& [name, enumerator] : names) {
      if (name == text) return out = enumerator, true;
      known.append(known.empty() ? "" : ", ").append(name);
    }
    fault(key, "'" + text + "' is not known; known are: " + known);
    return false;
  }
  template <typename F>
  bool object(std::string_view key, F&& decode);
  template <typename F>
  bool array(std::string_view key, F&& decode);  // decode(ObjectView&) per element
  template <typename F>
  void each(F&& decode);  // decode(key, const Value&) for every member: maps with free keys
  void fault(std::string_view key, std::string message);
  const std::string& path() const { return path_; }
  Decoder& decoder() { return decoder_; }

 private:
  Decoder& decoder_;
  const Object& members_;
  int line_;
  std::string path_;
  std::vector<std::string_view> known_;
  bool all_known_ = false;
};

class Decoder {
 public:
  explicit Decoder(UnknownKeys unknown) : unknown_(unknown) {}
  template <typename F>
  bool object(const Value& value, F&& decode, std::string path = "$") {
    const Object* members = value.as<Object>();
    if (!members) return add({value.line, path, std::string("expected an object, found ") + value.type_name()}), false;
    ObjectView view(*this, *members, value.line, std::move(path));
    decode(view);
    return true;
  }
  UnknownKeys unknown_keys() const { return unknown_; }
  bool absent(const Value& value) const { return unknown_ == UnknownKeys::ignore && value.is_null(); }
  void add(Fault fault);  // keeps the first kMaxFaults and counts the rest: a document of a million faults is no message
  const std::vector<Fault>& faults() const { return faults_; }
  Result<> finish(std::string_view name) const;  // Fault::bad_input with describe() as message

  static constexpr size_t kMaxFaults = 50;

 private:
  UnknownKeys unknown_;
  std::vector<Fault> faults_;
  size_t dropped_ = 0;
};

template <typename F>
bool ObjectView::object(std::string_view key, F&& decode) {
  const Value* member = value(key);
  return member && decoder_.object(*member, std::forward<F>(decode), member_path(path_, key));
}

template <typename F>
bool ObjectView::array(std::string_view key, F&& decode) {
  const Value* member = value(key);
  if (!member) return false;
  const Array* elements = member->as<Array>();
  if (!elements) return fault(key, std::string("expected an array, found ") + member->type_name()), false;
  for (size_t i = 0; i < elements->size(); ++i)
    decoder_.object((*elements)[i], decode, element_path(member_path(path_, key), i));
  return true;
}

template <typename F>
void ObjectView::each(F&& decode) {
  all_known_ = true;
  for (const auto& [key, member] : members_)
    if (!decoder_.absent(member)) decode(key, member);
}

template <typename T>
bool ObjectView::require(std::string_view key, T& out) {
  if (has(key)) return get(key, out);
  known_.push_back(key);
  return fault(key, "is missing"), false;
}

}  // namespace bailey::json
