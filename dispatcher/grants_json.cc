#include "dispatcher/grants_json.h"

#include <string>
#include <utility>

namespace bailey::dispatcher {

bool decode_grants(json::ObjectView& view, std::string_view key, std::vector<network::Grant>& out) {
  std::vector<std::string> words;
  if (!view.get(key, words)) return false;
  out.clear();
  for (const std::string& word : words) {
    auto grant = network::parse_grant(word);
    if (grant) out.push_back(std::move(*grant));
    else view.fault(key, grant.error().message + "; " + grant.error().remedy);
  }
  return true;
}

json::Value encode_grants(const std::vector<network::Grant>& grants) {
  json::Array list;
  for (const network::Grant& grant : grants) list.push_back(network::to_text(grant));
  return list;
}

}  // namespace bailey::dispatcher
