#include "base/json.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/utf8.h"

namespace bailey::json {

namespace {

std::string remedy(std::string_view name) { return "correct it in " + std::string(name); }

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxQuotedBytes = 200;  // of the text in a syntax error

// Where the lexer is. It reads text through this, because its SAX interface gives no position for a good
// value.
struct Cursor {
  int line = 1;
  char last = 0;
};

class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, Cursor* cursor) : at_(at), cursor_(cursor) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    cursor_->last = *at_++;
    if (cursor_->last == '\n') ++cursor_->line;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  Cursor* cursor_;
};

// Builds a Value from nlohmann's events. Every callback returns whether to go on.
class Builder {
 public:
  Builder(const Cursor& cursor, std::string_view name) : cursor_(cursor), name_(name) {}

  bool null() { return add(nullptr, cursor_.line); }
  bool boolean(bool value) { return add(value, cursor_.line); }
  bool number_integer(int64_t value) { return add(value, number_line()); }
  bool number_unsigned(uint64_t value) { return add(value, number_line()); }
  bool number_float(double value, const std::string&) { return add(value, number_line()); }
  bool string(std::string& value) { return check_text(value) && add(std::move(value), cursor_.line); }
  bool binary(nlohmann::json::binary_t&) { return refuse(cursor_.line, path(), "binary data is not JSON"); }
  bool start_object(size_t) { return open(Object{}); }
  bool start_array(size_t) { return open(Array{}); }
  bool end_array() { return close(); }
  bool key(std::string& text) {
    frames_.back().key = std::move(text);
    return check_text(*frames_.back().key);
  }
  bool end_object() { return check_keys(*frames_.back().container.as<Object>()) && close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& problem) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..." or
    // "[json.exception.out_of_range.406] number overflow ...": we have the line, and better.
    std::string_view text = problem.what();
    if (const size_t tag = text.find("] "); tag != text.npos) text.remove_prefix(tag + 2);
    if (text.starts_with("parse error at ")) text.remove_prefix(std::min(text.find(": "), text.size() - 2) + 2);
    std::string message(text.substr(0, kMaxQuotedBytes));
    if (text.size() > kMaxQuotedBytes) message += "...";
    return refuse(number_line(), path(), std::move(message));
  }

  Result<Value> finish(bool complete) && {
    if (complete && problem_.empty()) return std::move(root_);
    return fail(bailey::Fault::bad_input, problem_.empty() ? std::string(name_) + ": is not JSON" : std::move(problem_),
                remedy(name_));
  }

 private:
  struct Frame {
    Value container;
    std::optional<std::string> key;  // of the member whose value comes next
  };

  // The lexer has read one character behind a number to see its end.
  int number_line() const { return cursor_.line - (cursor_.last == '\n' ? 1 : 0); }

  bool add(Value value, int line) {
    value.line = line;
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (Array* array = frames_.back().container.as<Array>()) {
      array->push_back(std::move(value));
    } else {
      frames_.back().container.as<Object>()->append(std::move(*frames_.back().key), std::move(value));
      frames_.back().key.reset();
    }
    return true;
  }
  bool open(Value container) {
    if (frames_.size() == kMaxDepth)
      return refuse(cursor_.line, path(), "is nested over " + std::to_string(kMaxDepth) + " levels");
    container.line = cursor_.line;
    frames_.push_back({std::move(container), {}});
    return true;
  }
  bool close() {
    Value container = std::move(frames_.back().container);
    frames_.pop_back();
    const int line = container.line;
    return add(std::move(container), line);
  }
  // Sorting keeps a document of a million keys from costing a million searches.
  bool check_keys(const Object& object) {
    std::vector<const Object::Member*> members;
    members.reserve(object.size());
    for (const Object::Member& member : object) members.push_back(&member);
    std::ranges::sort(members, [](auto* a, auto* b) { return std::tie(a->first, a) < std::tie(b->first, b); });
    const auto twice = std::ranges::adjacent_find(members, {}, [](auto* member) { return std::string_view(member->first); });
    if (twice == members.end()) return true;
    const Object::Member& second = **std::next(twice);
    frames_.back().key = second.first;
    return refuse(second.second.line, path(), "is there twice, first on line " + std::to_string((*twice)->second.line));
  }
  bool check_text(const std::string& text) {
    if (text.find('\0') == std::string::npos) return true;
    return refuse(cursor_.line, path(), "holds \\u0000, which no path, argument or name can");
  }
  bool refuse(int line, const std::string& where, std::string message) {
    if (problem_.empty()) problem_ = describe({{line, where, std::move(message)}}, name_);
    return false;
  }
  std::string path() const {
    std::string text = "$";
    for (const Frame& frame : frames_) {
      if (const Array* array = frame.container.as<Array>()) text = element_path(text, array->size());
      else if (frame.key) text = member_path(text, *frame.key);
    }
    return text;
  }

  const Cursor& cursor_;
  std::string_view name_;
  std::vector<Frame> frames_;
  Value root_;
  std::string problem_;
};

nlohmann::ordered_json to_library(const Value& value) {
  return std::visit(
      [](const auto& data) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, Array>) {
          nlohmann::ordered_json::array_t array;
          array.reserve(data.size());
          for (const Value& element : data) array.push_back(to_library(element));
          return array;
        } else if constexpr (std::is_same_v<T, Object>) {
          nlohmann::ordered_json::object_t object;
          object.reserve(data.size());
          // The vector's own emplace_back: ordered_map's would search every earlier key.
          for (const auto& [key, member] : data)
            static_cast<nlohmann::ordered_json::object_t::Container&>(object).emplace_back(key, to_library(member));
          return object;
        } else {
          return data;
        }
      },
      value.data());
}

// convert: one Value as a T. False when it was not one, and the fault was added.
bool mismatch(Decoder& decoder, const Value& value, const std::string& path, std::string_view expected) {
  decoder.add({value.line, path, "expected " + std::string(expected) + ", found " + value.type_name()});
  return false;
}

bool convert(Decoder& decoder, const Value& value, const std::string& path, bool& out) {
  const bool* data = value.as<bool>();
  if (!data) return mismatch(decoder, value, path, "a boolean");
  return out = *data, true;
}

bool convert(Decoder& decoder, const Value& value, const std::string& path, std::string& out) {
  const std::string* data = value.as<std::string>();
  if (!data) return mismatch(decoder, value, path, "a string");
  return out = *data, true;
}

bool convert(Decoder& decoder, const Value& value, const std::string& path, double& out) {
  if (const auto* d = value.as<double>()) return out = *d, true;
  if (const auto* i = value.as<int64_t>()) return out = static_cast<double>(*i), true;
  if (const auto* u = value.as<uint64_t>()) return out = static_cast<double>(*u), true;
  return mismatch(decoder, value, path, "a number");
}

template <typename T>
  requires std::is_integral_v<T>
bool convert(Decoder& decoder, const Value& value, const std::string& path, T& out) {
  const auto take = [&](auto number) {
    if (std::in_range<T>(number)) return out = static_cast<T>(number), true;
    decoder.add({value.line, path,
                 std::to_string(number) + " is out of range; it must be " + std::to_string(std::numeric_limits<T>::min()) +
                     " to " + std::to_string(std::numeric_limits<T>::max())});
    return false;
  };
  if (const auto* i = value.as<int64_t>()) return take(*i);
  if (const auto* u = value.as<uint64_t>()) return take(*u);
  if (const auto* d = value.as<double>()) {
    decoder.add({value.line, path, write(*d) + " is no whole number of 64 bits"});
    return false;
  }
  return mismatch(decoder, value, path, "a whole number");
}

template <typename T>
bool convert(Decoder& decoder, const Value& value, const std::string& path, std::vector<T>& out) {
  const Array* array = value.as<Array>();
  if (!array) return mismatch(decoder, value, path, "an array");
  bool good = true;
  out.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) good &= convert(decoder, (*array)[i], element_path(path, i), out.emplace_back());
  return good;
}

bool convert(Decoder& decoder, const Value& value, const std::string& path, std::map<std::string, std::string>& out) {
  const Object* object = value.as<Object>();
  if (!object) return mismatch(decoder, value, path, "an object");
  bool good = true;
  for (const auto& [key, member] : *object)
    if (!decoder.absent(member)) good &= convert(decoder, member, member_path(path, key), out[key]);
  return good;
}

template <typename T>
bool convert(Decoder& decoder, const Value& value, const std::string& path, std::optional<T>& out) {
  return convert(decoder, value, path, out.emplace());
}

bool is_identifier(std::string_view key) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !key.empty() && std::ranges::all_of(key, plain);
}

}  // namespace

const char* Value::type_name() const {
  constexpr const char* kNames[] = {"null",     "a boolean", "a number", "a number",
                                    "a number", "a string",  "an array", "an object"};
  static_assert(std::size(kNames) == std::variant_size_v<Data>);
  return kNames[data_.index()];
}

Result<Value> parse(std::string_view text, std::string_view name, Comments comments) {
  Cursor cursor;
  Builder builder(cursor, name);
  try {
    const bool complete =
        nlohmann::json::sax_parse(CountingIterator(text.data(), &cursor), CountingIterator(text.data() + text.size(), &cursor),
                                  &builder, nlohmann::json::input_format_t::json, /*strict=*/true,
                                  /*ignore_comments=*/comments == Comments::allow);
    return std::move(builder).finish(complete);
  } catch (const std::exception& problem) {
    return fail(bailey::Fault::failed, "parsing " + std::string(name) + ": " + problem.what());
  }
}

namespace {

// Delete (U+007F) and U+0080 to U+009F, which terminals obey as they do the control characters that the library escapes.
// Text of JSON has them in strings only.
std::string without_other_controls(std::string text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  size_t done = 0;
  for (size_t at = 0; (at = text.find_first_of("\x7f\xc2", at)) != std::string::npos;) {
    const bool is_delete = text[at] == '\x7f';
    const auto code = static_cast<unsigned char>(is_delete ? 0x7f : at + 1 < text.size() ? text[at + 1] : 0);
    if (!is_delete && (code < 0x80 || code >= 0xa0)) {
      ++at;
      continue;
    }
    out.append(text, done, at - done).append("\\u00").append(1, kDigits[code >> 4]).append(1, kDigits[code & 15]);
    done = at += is_delete ? 1 : 2;
  }
  return done == 0 ? text : out.append(text, done);
}

}  // namespace

std::string write(const Value& value, Layout layout) {
  return without_other_controls(to_library(value).dump(layout == Layout::indented ? 2 : -1, ' ', /*ensure_ascii=*/false,
                                                       nlohmann::ordered_json::error_handler_t::replace));
}

std::string find_not_utf8(const Value& value, const std::string& path) {
  if (const std::string* text = value.as<std::string>()) return utf8::is_valid(*text) ? "" : path;
  if (const Array* elements = value.as<Array>())
    for (size_t i = 0; i < elements->size(); ++i)
      if (std::string found = find_not_utf8((*elements)[i], element_path(path, i)); !found.empty()) return found;
  if (const Object* members = value.as<Object>())
    for (const auto& [key, member] : *members) {
      if (!utf8::is_valid(key)) return member_path(path, key);
      if (std::string found = find_not_utf8(member, member_path(path, key)); !found.empty()) return found;
    }
  return {};
}

std::string describe(const std::vector<Fault>& faults, std::string_view name) {
  std::vector<Fault> sorted = faults;
  std::ranges::stable_sort(sorted, {}, &Fault::line);
  std::string text;
  for (const Fault& fault : sorted) {
    if (!text.empty()) text += '\n';
    text.append(name).append(":").append(std::to_string(fault.line)).append(": ");
    text.append(fault.path).append(": ").append(fault.message);
  }
  return text;
}

std::string member_path(std::string_view path, std::string_view key) {
  std::string text(path);
  if (is_identifier(key)) return text.append(".").append(key);
  return text.append("[").append(write(key)).append("]");
}

std::string element_path(std::string_view path, size_t index) {
  return std::string(path).append("[").append(std::to_string(index)).append("]");
}

ObjectView::~ObjectView() {
  if (all_known_ || decoder_.unknown_keys() == UnknownKeys::ignore) return;
  for (const auto& [key, member] : members_) {
    if (std::ranges::find(known_, key) != known_.end()) continue;
    std::string message = "is not a known key";
    for (std::string_view name : known_) message.append(name == known_.front() ? "; known here are: " : ", ").append(name);
    decoder_.add({member.line, member_path(path_, key), std::move(message)});
  }
}

bool ObjectView::has(std::string_view key) const {
  const Value* member = members_.find(key);
  return member && !decoder_.absent(*member);
}

const Value* ObjectView::value(std::string_view key) {
  known_.push_back(key);
  const Value* member = members_.find(key);
  return member && !decoder_.absent(*member) ? member : nullptr;
}

void ObjectView::fault(std::string_view key, std::string message) {
  const Value* member = members_.find(key);
  decoder_.add({member ? member->line : line_, member_path(path_, key), std::move(message)});
}

template <typename T>
bool ObjectView::get(std::string_view key, T& out) {
  const Value* member = value(key);
  if (!member) return false;
  T converted{};
  if (!convert(decoder_, *member, member_path(path_, key), converted)) return false;
  out = std::move(converted);
  return true;
}

#define BAILEY_JSON_GET(...)                                             \
  template bool ObjectView::get(std::string_view key, __VA_ARGS__& out); \
  template bool ObjectView::get(std::string_view key, std::optional<__VA_ARGS__>& out);
BAILEY_JSON_GET(bool)
BAILEY_JSON_GET(int64_t)
BAILEY_JSON_GET(uint64_t)
BAILEY_JSON_GET(int32_t)
BAILEY_JSON_GET(uint32_t)
BAILEY_JSON_GET(uint16_t)
BAILEY_JSON_GET(double)
BAILEY_JSON_GET(std::string)
BAILEY_JSON_GET(std::vector<std::string>)
BAILEY_JSON_GET(std::vector<uint32_t>)
BAILEY_JSON_GET(std::map<std::string, std::string>)
#undef BAILEY_JSON_GET

void Decoder::add(Fault fault) {
  if (faults_.size() < kMaxFaults) faults_.push_back(std::move(fault));
  else ++dropped_;
}

Result<> Decoder::finish(std::string_view name) const {
  if (faults_.empty()) return {};
  std::string message = describe(faults_, name);
  if (dropped_) message.append("\nand ").append(std::to_string(dropped_)).append(" more");
  return fail(bailey::Fault::bad_input, std::move(message), remedy(name));
}

}  // namespace bailey::json
