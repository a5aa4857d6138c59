#include "dispatcher/record.h"

#include <netinet/in.h>

#include <algorithm>

#include "base/clock.h"
#include "base/utf8.h"
#include "dispatcher/limits.h"

namespace bailey::dispatcher {

namespace {

constexpr int kTimedOut = 124, kBailey = 125, kNotExecutable = 126, kNotFound = 127, kSignalBase = 128,
              kKilled = kSignalBase + 9;

template <typename T>
void set_present(json::Object& object, const char* key, const std::optional<T>& value) {
  if (value) object.set(key, *value);
}

std::string base64(std::string_view data) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((data.size() + 2) / 3 * 4);
  for (size_t at = 0; at < data.size(); at += 3) {
    const size_t count = std::min<size_t>(3, data.size() - at);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < count ? static_cast<unsigned char>(data[at + i]) : 0U);
    for (size_t i = 0; i < 4; ++i) out.push_back(i <= count ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=');
  }
  return out;
}

void set_captured(json::Object& object, const std::string& key, const std::optional<std::string>& text) {
  if (!text) return;
  if (utf8::is_valid(*text)) object.set(key, *text);
  else object.set(key + "_base64", base64(*text));
}

json::Array call_list(const std::vector<CallCount>& calls) {
  json::Array list;
  for (const CallCount& call : calls) {
    json::Object one;
    one.set("syscall", call.name);
    one.set("count", call.count);
    list.emplace_back(std::move(one));
  }
  return list;
}

json::Object seccomp_object(const Record& record) {
  json::Object object = to_json(record.filter);
  if (record.seccomp_log == SeccompLog::off || record.started_wall_ns == 0) return object;
  object.set("denied", call_list(record.calls.denied));
  if (record.seccomp_log == SeccompLog::all) object.set("used", call_list(record.calls.used));
  if (record.calls.others != 0) object.set("others", record.calls.others);
  return object;
}

json::Object error_object(const Error& error) {
  json::Object object;
  object.set("message", error.message);
  if (!error.remedy.empty()) object.set("remedy", error.remedy);
  if (!error.step.empty()) object.set("step", error.step);
  if (error.sys != 0) object.set("errno", errno_name(error.sys));
  return object;
}

const char* protocol_name(uint8_t number) {
  return number == IPPROTO_TCP                                ? "tcp"
         : number == IPPROTO_UDP                              ? "udp"
         : number == IPPROTO_ICMP || number == IPPROTO_ICMPV6 ? "icmp"
                                                              : "other";
}

// What the bridge did not let through: packets to where nothing was granted, with the first destinations; forged frames.
json::Object denied_object(const network::Refused& refused) {
  json::Object object;
  object.set("packets", refused.packets.packets);
  object.set("frames", refused.packets.frames);
  json::Array destinations;
  for (const network::nft::Destination& denied : refused.packets.first) {
    json::Object one;
    one.set("address", network::to_text(denied.address));
    one.set("protocol", protocol_name(denied.protocol));
    if (denied.port != 0) one.set("port", static_cast<uint64_t>(denied.port));
    one.set("packets", denied.packets);
    destinations.emplace_back(std::move(one));
  }
  object.set("destinations", std::move(destinations));
  object.set("questions", refused.names.total);
  object.set("names", json::Array(refused.names.names.begin(), refused.names.names.end()));
  return object;
}

}  // namespace

const char* to_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::exited: return "exited";
    case Outcome::signaled: return "signaled";
    case Outcome::timed_out: return "timed_out";
    case Outcome::out_of_memory: return "out_of_memory";
    case Outcome::output_limit: return "output_limit";
    case Outcome::refused: return "refused";
    case Outcome::setup_failed: return "setup_failed";
  }
  return "?";
}

void add_loss(Record& record, Error error) {
  record.loss = true;
  if (!record.error) record.error = std::move(error);
  else record.error->message += "; " + error.message;
}

int exit_code(const Record& record) {
  switch (record.outcome) {
    case Outcome::exited: return record.loss ? kBailey : record.exit_code;
    case Outcome::signaled: return record.loss ? kBailey : kSignalBase + record.signal;
    case Outcome::timed_out: return kTimedOut;
    case Outcome::out_of_memory:
    case Outcome::output_limit: return kKilled;
    case Outcome::refused: return kBailey;
    case Outcome::setup_failed: break;
  }
  if (record.error && record.error->fault == Fault::not_executable) return kNotExecutable;
  if (record.error && record.error->fault == Fault::not_found) return kNotFound;
  return kBailey;
}

json::Value to_json(const LimitValues& values) {
  json::Object object;
  for (const Limit& limit : limits()) {
    const auto value = limit.get(values);
    if (!value || *value == kUnlimited) continue;
    const std::string name(limit.name);
    switch (limit.unit) {
      case LimitUnit::bytes: object.set(name + "_bytes", *value); break;
      case LimitUnit::milliseconds: object.set(name + "_ms", *value); break;
      case LimitUnit::cpus: object.set(name, static_cast<double>(*value) / 1e6); break;
      case LimitUnit::count: object.set(name, *value); break;
    }
  }
  return object;
}

json::Object to_json(const FilterAbout& filter) {
  json::Object object;
  object.set("profile", filter.profile);
  object.set("hash", filter.hash);
  if (!filter.allows_more.empty()) object.set("allows_more", json::Array(filter.allows_more.begin(), filter.allows_more.end()));
  return object;
}

json::Value to_json(const Record& record) {
  json::Object object;
  object.set("id", record.id);
  object.set("trust", record.trust);
  object.set("verdict", to_text(record.outcome));
  if (record.outcome == Outcome::exited) object.set("exit_code", record.exit_code);
  if (record.signal != 0) object.set("signal", record.signal);
  object.set("bailey_exit_code", exit_code(record));
  if (record.error) object.set("error", error_object(*record.error));
  if (!record.refusals.empty()) {
    json::Array refusals;
    for (const Verdict& verdict : record.refusals) {
      json::Object one;
      one.set("guard", verdict.guard);
      one.set("reason", verdict.reason);
      one.set("remedy", verdict.remedy);
      refusals.emplace_back(std::move(one));
    }
    object.set("refusals", std::move(refusals));
  }
  if (!record.backend.name.empty()) {
    json::Object backend;
    backend.set("name", record.backend.name);
    backend.set("version", record.backend.version);
    backend.set("platform", record.backend.platform);
    backend.set("why", record.why_backend);
    object.set("backend", std::move(backend));
  }
  if (!record.filter.profile.empty()) object.set("seccomp", seccomp_object(record));
  if (!record.network.empty()) object.set("network", record.network);
  if (!record.network_address.empty()) {
    object.set("network_address", record.network_address);
    if (!record.network_address6.empty()) object.set("network_address6", record.network_address6);
    if (!record.published.empty()) object.set("published", json::Array(record.published.begin(), record.published.end()));
    object.set("network_denied", denied_object(record.refused_network));
    if (!record.network_lost.empty()) object.set("network_lost", record.network_lost);
  }
  if (record.started_wall_ns != 0) {
    object.set("started", clock::wall_text(record.started_wall_ns));
    object.set("wall_us", record.wall_us);
    set_present(object, "cpu_us", record.cpu_us);
    set_present(object, "user_us", record.user_us);
    set_present(object, "system_us", record.system_us);
    set_present(object, "peak_memory_bytes", record.peak_memory_bytes);
    set_present(object, "peak_socket_memory_bytes", record.peak_socket_memory_bytes);
    set_present(object, "max_rss_bytes", record.max_rss_bytes);
    set_present(object, "oom_kills", record.oom_kills);
    set_present(object, "pids_limit_hits", record.pids_limit_hits);
    object.set("stdout_bytes", record.stdout_bytes);
    object.set("stderr_bytes", record.stderr_bytes);
    if (record.output_merged) object.set("output_merged", true);
    object.set("output_truncated", record.output_truncated);
    set_captured(object, "stdout", record.captured_stdout);
    set_captured(object, "stderr", record.captured_stderr);
  }
  object.set("setup_ns", record.setup_ns);
  if (const auto boot = std::ranges::find(record.steps, kBootStep, &StepTime::name); boot != record.steps.end())
    object.set("boot_ns", boot->ns);
  json::Array steps;
  for (const StepTime& step : record.steps) {
    json::Object one;
    one.set("name", step.name);
    one.set("ns", step.ns);
    steps.emplace_back(std::move(one));
  }
  object.set("steps", std::move(steps));
  object.set("limits", to_json(record.limits));
  return object;
}

}  // namespace bailey::dispatcher
