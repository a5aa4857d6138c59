// bailey policy, run as a program.
#include <gtest/gtest.h>

#include "tests/support/run_bailey.h"

namespace bailey::tests {
namespace {

Outcome policy(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "policy");
  return run_bailey({.arguments = std::move(arguments)});
}

TEST(PolicyCommand, ShowsThePolicyInForceAndWhereItCameFrom) {
  const TempDir dir;
  const std::string file = dir.write("p.json", R"({"levels": {"judge": {"limits": {"memory": {"default": "200M"}}}}})");
  const Outcome got = policy({"show", "--policy", file});
  EXPECT_EQ(got.exit_code, 0) << got;
  for (const char* part : {"policy: ", file.c_str(), "level judge", "level trusted", "level untrusted", "200M", "unlimited"})
    EXPECT_NE(got.out.find(part), std::string::npos) << part << "\n" << got;
}

TEST(PolicyCommand, ShowsADocumentThatIsAPolicyFile) {
  const TempDir dir;
  const std::string file = dir.write("p.json", R"({"levels": {"judge": {"limits": {"memory": {"default": "200M"}}}}})");
  const Outcome shown = policy({"show", "--json", "--policy", file});
  ASSERT_EQ(shown.exit_code, 0) << shown;
  const Result<json::Value> document = json::parse(shown.out, "stdout");
  ASSERT_TRUE(document) << document.error().message;
  EXPECT_EQ(*document->as<json::Object>()->find("source")->as<std::string>(), file);
  const std::string again = dir.write("again.json", json::write(*document->as<json::Object>()->find("policy")));
  EXPECT_EQ(policy({"check", again}).exit_code, 0) << policy({"check", again});
  const Outcome twice = policy({"show", "--json", "--policy", again});
  const Result<json::Value> second = json::parse(twice.out, "stdout");
  ASSERT_TRUE(second) << twice;
  EXPECT_EQ(json::write(*second->as<json::Object>()->find("policy")),
            json::write(*document->as<json::Object>()->find("policy")));
}

TEST(PolicyCommand, ChecksAFileAndNamesEachFault) {
  const TempDir dir;
  const std::string good = dir.write("good.json", "{ /* nothing */ }");
  EXPECT_EQ(policy({"check", good}).exit_code, 0) << policy({"check", good});
  const std::string bad =
      dir.write("bad.json", "{\n\"runsc\": 1,\n\"levels\": {\"untrusted\": {\"networks\": [\"host\"]}}\n}", 0666);
  const Outcome got = policy({"check", bad});
  EXPECT_EQ(got.exit_code, 125) << got;
  for (const std::string& part :
       {bad + ":2: $.runsc: ", bad + ":3: $.levels.untrusted.networks: ", "policy " + bad + " is writable by everybody"})
    EXPECT_NE(got.err.find(part), std::string::npos) << part << "\n" << got;
  const Outcome missing = policy({"check", dir.file("missing")});
  EXPECT_EQ(missing.exit_code, 125);
  EXPECT_NE(missing.err.find(dir.file("missing")), std::string::npos) << missing;
}

TEST(PolicyCommand, RefusesToGuess) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, {"chek", "x"}, {"check"}, {"show", "--polici", "x"}})
    EXPECT_EQ(policy(arguments).exit_code, 125) << policy(arguments);
}

}  // namespace
}  // namespace bailey::tests
