#include "cli/explain.h"

#include <algorithm>

#include "base/log.h"
#include "dispatcher/request_json.h"

namespace bailey::cli {

namespace {

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text + " ";
}

}  // namespace

bool Explanation::would_run() const { return !backend_fault && std::ranges::all_of(verdicts, &dispatcher::Verdict::allowed); }

std::string Explanation::text() const {
  size_t width = std::string_view("backend").size();
  for (const dispatcher::Verdict& verdict : verdicts) width = std::max(width, verdict.guard.size());
  std::string out;
  for (const dispatcher::Verdict& verdict : verdicts) {
    out += padded(verdict.guard, width) + (verdict.allowed ? "ok       " : "REFUSED  ") + log::printable(verdict.reason) + "\n";
    if (!verdict.remedy.empty()) out += padded("", width) + "         remedy: " + log::printable(verdict.remedy) + "\n";
  }
  if (backend_fault) {
    out += padded("backend", width) + "REFUSED  " + log::printable(backend_fault->message) + "\n";
    if (!backend_fault->remedy.empty())
      out += padded("", width) + "         remedy: " + log::printable(backend_fault->remedy) + "\n";
  } else if (!about.name.empty()) {
    out += padded("backend", width) + "ok       " + about.name + " " + about.version +
           (about.platform.empty() ? "" : ", " + about.platform) + ": " + why_backend + "\n";
    out += "\nplan: " + json::write(plan, json::Layout::indented) + "\n";
    if (!filter.empty()) out += "\nfilter, as of slot 0; a start has slot, addresses and the resolver's port of its own:\n";
    for (const std::string& line : filter) out += "  " + log::printable(line) + "\n";
  }
  return out;
}

std::string Explanation::document() const {
  json::Object out;
  out.set("request", dispatcher::to_json(request));
  json::Array list;
  for (const dispatcher::Verdict& verdict : verdicts) {
    json::Object one;
    one.set("guard", verdict.guard);
    one.set("allowed", verdict.allowed);
    one.set("reason", verdict.reason);
    if (!verdict.remedy.empty()) one.set("remedy", verdict.remedy);
    list.emplace_back(std::move(one));
  }
  out.set("verdicts", std::move(list));
  out.set("would_run", would_run());
  if (!about.name.empty()) {
    json::Object backend;
    backend.set("name", about.name);
    backend.set("version", about.version);
    backend.set("platform", about.platform);
    backend.set("why", why_backend);
    out.set("backend", std::move(backend));
  }
  if (backend_fault) {
    json::Object fault;
    fault.set("message", backend_fault->message);
    fault.set("remedy", backend_fault->remedy);
    out.set("error", std::move(fault));
  }
  if (!plan.is_null()) out.set("plan", plan);
  if (!filter.empty()) out.set("filter", json::Array(filter.begin(), filter.end()));
  return json::write(out, json::Layout::indented) + "\n";
}

}  // namespace bailey::cli
