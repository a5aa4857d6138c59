#include "bundle/writer.h"

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bundle/linux_fields.h"

namespace bailey::bundle {

namespace {

using json::Array;
using json::Object;
using json::Value;

// The visitor of fields.h that writes.
class Writer {
 public:
  static constexpr bool kReads = false;

  template <typename T>
  void must(const char* key, const T& value) {
    object_.append(key, value_of(value));
  }
  template <typename T>
  void always(const char* key, const T& value) {
    must(key, value);
  }
  template <typename T>
  void may(const char* key, const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      if (value != T()) must(key, value);
    } else if constexpr (std::is_aggregate_v<T>) {
      if (Object members = object_of(value); !members.empty()) object_.append(key, std::move(members));
    } else if (!value.empty()) {
      must(key, value);
    }
  }
  template <typename T>
  void may(const char* key, const std::optional<T>& value) {
    if (value) must(key, *value);
  }
  template <typename E, size_t N>
  void word(const char* key, E value, const std::pair<std::string_view, E> (&names)[N]) {
    for (const auto& [name, enumerator] : names)
      if (enumerator == value) object_.append(key, name);
  }
  template <typename F>
  void group(const char* key, F&& inner) {
    Writer members;
    inner(members);
    if (!members.object_.empty()) object_.append(key, std::move(members.object_));
  }
  void refuse(std::initializer_list<const char*>) {}

  template <typename T>
  static Object object_of(const T& value) {
    Writer writer;
    fields(writer, value);
    return std::move(writer.object_);
  }

 private:
  template <typename T>
  static Value value_of(const T& value) {
    if constexpr (std::is_aggregate_v<T>) return object_of(value);
    else if constexpr (std::is_same_v<T, uint16_t>) return unsigned{value};
    else return value;
  }
  template <typename T>
  static Value value_of(const std::vector<T>& values) {
    Array array;
    array.reserve(values.size());
    for (const T& value : values) array.emplace_back(value_of(value));
    return array;
  }
  template <typename T>
  static Value value_of(const std::map<std::string, T>& values) {
    Object map;
    for (const auto& [name, value] : values) map.append(name, value_of(value));
    return map;
  }

  Object object_;
};

}  // namespace

Value encode_config(const Config& config) { return Writer::object_of(config); }
Value encode_process(const Process& process) { return Writer::object_of(process); }
Value encode_resources(const Resources& resources) { return Writer::object_of(resources); }
Value encode_seccomp(const Seccomp& seccomp) { return Writer::object_of(seccomp); }

}  // namespace bailey::bundle
