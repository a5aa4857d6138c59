#include "bundle/reader.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bundle/linux_fields.h"

namespace bailey::bundle {

namespace {

using json::ObjectView;

// The visitor of fields.h that reads. What is absent leaves what a member holds; a list or map that is there replaces it.
class Reader {
 public:
  static constexpr bool kReads = true;
  explicit Reader(ObjectView& view) : view_(view) {}

  template <typename T>
  void must(std::string_view key, T& out) {
    view_.require(key, out);
  }
  template <typename T>
  void always(std::string_view key, T& out) {
    may(key, out);
  }
  template <typename T>
  void may(std::string_view key, T& out) {
    if constexpr (std::is_aggregate_v<T>) view_.object(key, [&](ObjectView& member) { read(member, out); });
    else view_.get(key, out);
  }
  template <typename T>
    requires std::is_aggregate_v<T>
  void may(std::string_view key, std::optional<T>& out) {
    view_.object(key, [&](ObjectView& member) { read(member, out.emplace()); });
  }
  template <typename T>
    requires std::is_aggregate_v<T>
  void may(std::string_view key, std::vector<T>& out) {
    if (view_.has(key)) out.clear();
    view_.array(key, [&](ObjectView& element) { read(element, out.emplace_back()); });
  }
  template <typename T>
    requires std::is_aggregate_v<T>
  void may(std::string_view key, std::map<std::string, T>& out) {
    view_.object(key, [&](ObjectView& map) {
      out.clear();
      map.each([&](const std::string& name, const json::Value& value) {
        map.decoder().object(value, [&](ObjectView& member) { read(member, out[name]); }, json::member_path(map.path(), name));
      });
    });
  }
  template <typename E, size_t N>
  void word(std::string_view key, E& out, const std::pair<std::string_view, E> (&names)[N]) {
    if (!view_.has(key)) view_.fault(key, "is missing");
    view_.get_enum(key, out, names);
  }
  template <typename F>
  void group(std::string_view key, F&& inner) {
    view_.object(key, [&](ObjectView& member) {
      Reader reader(member);
      inner(reader);
    });
  }
  void refuse(std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys)
      if (view_.value(key)) view_.fault(key, "is not supported: leave it out");
  }

  template <typename T>
  static void read(ObjectView& view, T& out) {
    Reader reader(view);
    fields(reader, out);
  }

 private:
  ObjectView& view_;
};

// SemVer (runtime-spec config.md, "Specification version"): MAJOR.MINOR.PATCH, then anything behind '-' or
// '+'.
bool is_version_1(std::string_view text) {
  const std::string_view core = text.substr(0, text.find_first_of("-+"));
  const auto is_digit_or_dot = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
  return core.starts_with("1.") && std::ranges::count(core, '.') == 2 && !core.ends_with('.') && core.find("..") == core.npos &&
         std::ranges::all_of(core, is_digit_or_dot);
}

// What only a whole document must have; decode_config faults the rest.
void check_document(ObjectView& view) {
  for (std::string_view key : {"ociVersion", "root"})
    if (!view.has(key)) view.fault(key, "is missing");
  const json::Value* process = view.value("process");
  const json::Object* members = process ? process->as<json::Object>() : nullptr;
  if (members && !members->find("cwd")) view.decoder().add({process->line, "$.process.cwd", "is missing"});
}

}  // namespace

void decode_process(ObjectView& view, Process& out) { Reader::read(view, out); }
void decode_resources(ObjectView& view, Resources& out) { Reader::read(view, out); }
void decode_config(ObjectView& view, Config& out) {
  Reader::read(view, out);
  if (view.has("ociVersion") && !is_version_1(out.oci_version))
    view.fault("ociVersion", "'" + out.oci_version + "' is not 1.x.y");
}

Result<Seccomp> parse_seccomp(std::string_view text, std::string_view name) {
  const json::Value document = TRY(json::parse(text, name));
  Seccomp seccomp;
  json::Decoder decoder(json::UnknownKeys::refuse);
  decoder.object(document, [&](ObjectView& view) { Reader::read(view, seccomp); });
  TRY(decoder.finish(name));
  return seccomp;
}

Result<Config> parse_config(std::string_view text, std::string_view name, json::UnknownKeys unknown) {
  const json::Value document = TRY(json::parse(text, name));
  json::Decoder decoder(unknown);
  Config config;
  decoder.object(document, [&](ObjectView& view) {
    check_document(view);
    decode_config(view, config);
  });
  TRY(decoder.finish(name));
  return config;
}

}  // namespace bailey::bundle
