#include "dispatcher/request_json.h"

#include "bundle/reader.h"
#include "bundle/writer.h"
#include "dispatcher/grants_json.h"
#include "dispatcher/limits.h"
#include "dispatcher/names.h"
#include "dispatcher/networks.h"

namespace bailey::dispatcher {

namespace {

using json::ObjectView;

// What secrets and directories of secrets have in common.
template <typename Secret>
void decode_places(ObjectView& view, Secret& secret) {
  view.get("destination", secret.destination);
  view.get("uid", secret.uid);
  std::string mode;
  if (view.get("mode", mode)) {
    if (mode.empty() || mode.size() > 5 || mode.find_first_not_of("01234567") != std::string::npos)
      return view.fault("mode", "'" + mode + "' is not an octal mode such as \"0400\"");
    secret.mode = 0;
    for (const char digit : mode) secret.mode = secret.mode * 8 + static_cast<mode_t>(digit - '0');
  }
}

void decode_secret(ObjectView& view, secrets::Request& secret) {
  view.require("name", secret.name);
  view.get("file", secret.file);
  if (view.get("fd", secret.fd) && secret.fd < 0) view.fault("fd", "a descriptor is not below 0");
  decode_places(view, secret);
}

void decode_secret_directory(ObjectView& view, secrets::Directory& directory) {
  view.require("directory", directory.directory);
  decode_places(view, directory);
}

template <typename Secret>
void encode_places(const Secret& secret, json::Object& members) {
  if (!secret.destination.empty()) members.append("destination", secret.destination);
  std::string mode = "0";
  for (int shift = 12; shift >= 0; shift -= 3)
    if (const mode_t digit = secret.mode >> shift & 7; digit != 0 || mode.size() > 1 || shift == 0)
      mode += static_cast<char>('0' + digit);
  members.append("mode", mode);
  if (secret.uid) members.append("uid", *secret.uid);
}

json::Value encode_secret_directory(const secrets::Directory& directory) {
  json::Object members;
  members.append("directory", directory.directory);
  encode_places(directory, members);
  return members;
}

json::Value encode_secret(const secrets::Request& secret) {
  json::Object members;
  members.append("name", secret.name);
  if (!secret.file.empty()) members.append("file", secret.file);
  if (secret.fd >= 0) members.append("fd", secret.fd);
  encode_places(secret, members);
  return members;
}

// The limits that OCI has a field for stand in "config" and only there: everything is said in one place.
void decode_limits(ObjectView& view, Request& request) {
  for (const Limit& limit : limits()) {
    if (!limit.in_config.empty()) {
      if (view.has(limit.name) && view.value(limit.name))
        view.fault(limit.name, "is in the configuration: $.config." + std::string(limit.in_config));
      continue;
    }
    const json::Value* value = view.value(limit.name);
    if (!value) continue;
    if (const auto number = decode_limit(view.decoder(), *value, json::member_path(view.path(), limit.name), limit))
      limit.ask(request, *number);
  }
}

json::Object encode_limits(const RunLimits& values) {
  Request alone;  // what its configuration says is written there
  alone.limits = values;
  json::Object members;
  for (const Limit& limit : limits())
    if (const auto value = limit.asked(alone)) members.append(std::string(limit.name), encode_limit(limit, value));
  return members;
}

}  // namespace

Result<Request> parse_request(std::string_view text, std::string_view name) {
  const json::Value document = TRY(json::parse(text, name));
  Request request;
  json::Decoder decoder(json::UnknownKeys::refuse);
  decoder.object(document, [&](ObjectView& view) {
    view.get("id", request.id);
    view.get("trust", request.trust);
    view.get_enum("runtime", request.runtime, kRuntimeNames);
    std::string network;
    if (view.get("network", network)) {
      if (auto word = parse_network(network, false)) {
        request.network = word->mode;
        request.shared_network = std::move(word->shared);
      } else {
        view.fault("network", word.error().message + "; " + word.error().remedy);
      }
    }
    view.get("ipv6", request.ipv6);
    if (view.has("egress")) decode_grants(view, "egress", request.egress.emplace());
    std::vector<std::string> ports;
    view.get("publish", ports);
    for (const std::string& port : ports) {
      if (auto publish = network::parse_publish(port)) request.publish.push_back(*publish);
      else view.fault("publish", publish.error().message + "; " + publish.error().remedy);
    }
    view.object("unsafe", [&](ObjectView& unsafe) {
      unsafe.get("native_for_untrusted", request.unsafe_opt_ins.native_for_untrusted);
      unsafe.get("host_network", request.unsafe_opt_ins.host_network);
    });
    view.object("config", [&](ObjectView& config) { bundle::decode_config(config, request.config); });
    view.get_enum("root_writes", request.root_writes, kWritesNames);
    view.get_enum("seccomp_log", request.seccomp_log, kSeccompLogNames);
    view.object("limits", [&](ObjectView& limits) { decode_limits(limits, request); });
    view.array("secrets", [&](ObjectView& secret) { decode_secret(secret, request.secrets.emplace_back()); });
    view.array("secret_directories",
               [&](ObjectView& directory) { decode_secret_directory(directory, request.secret_directories.emplace_back()); });
    decode_settings(view, kRequestSettings, Paths::any, request.backend_settings);
  });
  TRY(decoder.finish(name));
  return request;
}

json::Value to_json(const Request& request) {
  const Request fresh;
  json::Object members;
  if (!request.id.empty()) members.append("id", request.id);
  members.append("trust", request.trust);  // always said, because it decides most
  if (request.runtime) members.append("runtime", name_of(request.runtime, kRuntimeNames));
  if (request.network != fresh.network || !request.shared_network.empty()) members.append("network", network_of(request));
  if (request.ipv6) members.append("ipv6", true);
  if (request.egress) members.append("egress", encode_grants(*request.egress));
  json::Array ports;
  for (const network::Publish& publish : request.publish) ports.push_back(network::to_text(publish));
  if (!ports.empty()) members.append("publish", std::move(ports));
  if (request.unsafe_opt_ins != fresh.unsafe_opt_ins) {
    json::Object unsafe;
    unsafe.append("native_for_untrusted", request.unsafe_opt_ins.native_for_untrusted);
    unsafe.append("host_network", request.unsafe_opt_ins.host_network);
    members.append("unsafe", std::move(unsafe));
  }
  members.append("config", bundle::encode_config(request.config));
  if (request.root_writes != fresh.root_writes) members.append("root_writes", name_of(request.root_writes, kWritesNames));
  if (request.seccomp_log != fresh.seccomp_log) members.append("seccomp_log", name_of(request.seccomp_log, kSeccompLogNames));
  if (json::Object values = encode_limits(request.limits); !values.empty()) members.append("limits", std::move(values));
  json::Array secret_list;
  for (const secrets::Request& secret : request.secrets) secret_list.push_back(encode_secret(secret));
  if (!secret_list.empty()) members.append("secrets", std::move(secret_list));
  json::Array directories;
  for (const secrets::Directory& directory : request.secret_directories)
    directories.push_back(encode_secret_directory(directory));
  if (!directories.empty()) members.append("secret_directories", std::move(directories));
  encode_settings(request.backend_settings, kRequestSettings, Written::given, members);
  return members;
}

}  // namespace bailey::dispatcher
