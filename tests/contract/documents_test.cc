// What is read and written as JSON: the request, the result, the events, the plan.
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <sstream>

#include "tests/contract/contract.h"

namespace bailey::tests {
namespace {

using DocumentsContract = Contract;

std::vector<json::Value> parse_lines(const std::string& text) {
  std::vector<json::Value> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto parsed = json::parse(line, "event");
    EXPECT_TRUE(parsed) << line;
    if (parsed) values.push_back(std::move(*parsed));
  }
  return values;
}

TEST_F(DocumentsContract, WritesAResultThatAddsUp) {
  const Outcome got = shell("echo 12345; echo 123 >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 5");
  EXPECT_EQ(got.text("verdict"), "exited") << got;
  EXPECT_EQ(got.number("exit_code"), 5);
  EXPECT_EQ(got.text("trust"), "trusted");
  EXPECT_EQ(got.text("network"), "none");
  EXPECT_EQ(got.text("backend.name"), gvisor() ? "gvisor" : "native");
  EXPECT_NE(got.text("backend.version"), "");
  EXPECT_NE(got.text("backend.why"), "");
  EXPECT_EQ(got.text("backend.platform").empty(), !gvisor());
  EXPECT_EQ(got.number("stdout_bytes"), 6);
  EXPECT_EQ(got.number("stderr_bytes"), 4);
  EXPECT_GT(got.number("wall_us").value_or(0), 0);
  // What cannot be measured is missing; a zero would be a lie.
  if (differs_here()) EXPECT_FALSE(got.number("peak_memory_bytes")) << got;
  else EXPECT_GT(got.number("peak_memory_bytes").value_or(0), 0);
  EXPECT_GT(got.number("user_us").value_or(0) + got.number("system_us").value_or(0), 0) << got;
  EXPECT_NE(got.text("id"), "");

  const json::Value* steps = got.find("steps");
  ASSERT_TRUE(steps && steps->as<json::Array>()) << got;
  int64_t sum = 0;
  for (const json::Value& step : *steps->as<json::Array>()) {
    EXPECT_NE(text_of(step, "name"), "");
    EXPECT_GE(number_of(step, "ns"), 0);
    sum += number_of(step, "ns");
  }
  EXPECT_FALSE(steps->as<json::Array>()->empty());
  EXPECT_LE(sum, got.number("setup_ns").value_or(0)) << got;
}

TEST_F(DocumentsContract, WritesTheResultToAFile) {
  const TempDir directory;
  RunOptions wish = options({"--result", directory.file("result.json")}, {"/bin/sh", "-c", "exit 3"});
  wish.record = false;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 3) << got;
  const auto parsed = json::parse(read_file(directory.file("result.json")), "result.json");
  ASSERT_TRUE(parsed) << read_file(directory.file("result.json"));
  EXPECT_EQ(text_of(*parsed, "verdict"), "exited");
  EXPECT_EQ(number_of(*parsed, "exit_code"), 3);
}

TEST_F(DocumentsContract, PrintsTheResultInsteadOfTheOutput) {
  RunOptions wish = options({"--json"}, {"/bin/sh", "-c", "echo to-out; echo to-err >&2; exit 7"});
  wish.record = false;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 7) << got;
  const auto parsed = json::parse(got.out, "stdout");
  ASSERT_TRUE(parsed) << got;
  EXPECT_EQ(text_of(*parsed, "stdout"), "to-out\n");
  EXPECT_EQ(text_of(*parsed, "stderr"), "to-err\n");
  EXPECT_EQ(number_of(*parsed, "exit_code"), 7);
}

TEST_F(DocumentsContract, PrintsTheResultOfARefusalToo) {
  const Outcome got = run_bailey({.arguments = {"run", "--json", "--trust", "no-such-level", "--", "/bin/true"}});
  EXPECT_EQ(got.exit_code, 125) << got;
  const auto parsed = json::parse(got.out, "stdout");
  ASSERT_TRUE(parsed) << got;
  EXPECT_EQ(text_of(*parsed, "verdict"), "refused") << got;

  const Outcome shared =
      run_bailey({.arguments = {"run", "--json", "--net", "bridge:web", "--memory", "100000G", "--", "/bin/true"}});
  const auto record = json::parse(shared.out, "stdout");
  ASSERT_TRUE(record) << shared;
  EXPECT_EQ(text_of(*record, "verdict"), "refused") << shared;
  EXPECT_EQ(text_of(*record, "network"), "bridge:web") << shared;
}

TEST_F(DocumentsContract, TellsWhatHappensInOrder) {
  const TempDir directory;
  const Outcome got = shell({"--events", directory.file("events")}, "exit 0");
  EXPECT_EQ(got.exit_code, 0) << got;
  std::vector<std::string> names;
  int64_t before = 0;
  for (const json::Value& event : parse_lines(read_file(directory.file("events")))) {
    names.push_back(text_of(event, "event"));
    EXPECT_EQ(text_of(event, "id"), got.text("id"));
    EXPECT_GE(number_of(event, "monotonic_ns"), before);
    EXPECT_NE(text_of(event, "time"), "");
    before = number_of(event, "monotonic_ns");
  }
  EXPECT_EQ(names, (std::vector<std::string>{"admitted", "created", "started", "exited", "released"}));
}

// gVisor boots between `admitted` and `created`; a build that gets its job through a directory boots after `created`, with it.
TEST_F(DocumentsContract, TellsOfTheSandboxWhenItIsThereAndOfTheCommandWhenItHasBegun) {
  const TempDir directory;
  const Outcome got = shell({"--events", directory.file("events")}, "exit 0");
  std::map<std::string, int64_t> at;
  for (const json::Value& event : parse_lines(read_file(directory.file("events"))))
    at[text_of(event, "event")] = number_of(event, "monotonic_ns");
  const int64_t boot_ns = got.number("boot_ns").value_or(0);
  EXPECT_GE(at["created"] - at["admitted"], boot_ns) << got;
  if (gvisor()) {
    EXPECT_GT(boot_ns, 0) << got;
  }

  const Outcome missing = run({"--events", directory.file("missing")}, {"/no/such/program"});
  EXPECT_EQ(missing.exit_code, 127) << missing;
  EXPECT_EQ(read_file(directory.file("missing")).find("\"started\""), std::string::npos) << missing;
}

TEST_F(DocumentsContract, TellsOfMemoryAndOutputInTheEvents) {
  const TempDir directory;
  if (!differs_here()) {
    run(with_probes({"--events", directory.file("oom"), "--memory", "128M"}), {probe("memory"), "600"});
    EXPECT_NE(read_file(directory.file("oom")).find("\"oom\""), std::string::npos) << read_file(directory.file("oom"));
  }
  shell({"--events", directory.file("output"), "--output-limit", "1K"}, "yes");
  EXPECT_NE(read_file(directory.file("output")).find("\"output_truncated\""), std::string::npos)
      << read_file(directory.file("output"));
}

TEST_F(DocumentsContract, WritesEventsToADescriptor) {
  Pipe pipe = std::move(*create_pipe());
  RunOptions wish = options({"--events", "fd:21"}, {"/bin/true"});
  wish.pass = {{pipe.write.get(), 21}};
  EXPECT_EQ(run_bailey(std::move(wish)).exit_code, 0);
  pipe.write.reset();
  char buffer[65536];
  const ssize_t n = read(pipe.read.get(), buffer, sizeof buffer);
  EXPECT_NE(std::string(buffer, static_cast<size_t>(std::max<ssize_t>(n, 0))).find("\"released\""), std::string::npos);
}

// The flags and the document that --explain prints of them are one and the same request.
TEST_F(DocumentsContract, ReadsBackTheRequestThatItPrints) {
  const TempDir volume;
  volume.write("file", "in the volume\n");
  const bool limited = !differs_here();
  Arguments flags = {"-v",         volume.path() + ":/data:ro",
                     "-e",         "A=b c",
                     "-w",         "/data",
                     "--user",     "12:34",
                     "--umask",    "027",
                     "--timeout",  "1m",
                     "--hostname", "keep"};
  if (limited) flags.insert(flags.end(), {"--memory", "200M", "--pids", "50"});
  const Arguments command = {"/bin/sh",
                             "-c",
                             "cat file; echo \"$A\"; id -u; umask; hostname; printf '%s|' \"$@\"",
                             "sh",
                             "",
                             "x y",
                             "new\nline",
                             "gr\xc3\xbc\xc3\x9f"};
  RunOptions explain = options(flags, command);
  explain.record = false;
  explain.arguments.insert(explain.arguments.begin() + 1, {"--explain", "--json"});
  const Outcome plan = run_bailey(std::move(explain));
  ASSERT_EQ(plan.exit_code, 0) << plan;
  const auto parsed = json::parse(plan.out, "explain");
  ASSERT_TRUE(parsed) << plan;
  const json::Value* request = parsed->as<json::Object>() ? parsed->as<json::Object>()->find("request") : nullptr;
  ASSERT_TRUE(request) << plan;

  const TempDir directory;
  const std::string document = directory.write("request.json", json::write(*request, json::Layout::indented));
  const Outcome by_flags = run(flags, command);
  const Outcome by_document = run_bailey({.arguments = {"run", "--request", document}});
  EXPECT_EQ(by_flags.exit_code, 0) << by_flags;
  EXPECT_EQ(by_document.exit_code, 0) << by_document;
  EXPECT_EQ(by_document.out, by_flags.out);
  EXPECT_EQ(by_flags.out, "in the volume\nb c\n12\n0027\nkeep\n|x y|new\nline|gr\xc3\xbc\xc3\x9f|");

  const Outcome again = run_bailey({.arguments = {"run", "--explain", "--json", "--request", document}});
  const auto printed = json::parse(again.out, "explain");
  ASSERT_TRUE(printed) << again;
  const json::Value* second = printed->as<json::Object>()->find("request");
  ASSERT_TRUE(second) << again;
  EXPECT_EQ(json::write(*second), json::write(*request));

  Fd file(open(document.c_str(), O_RDONLY | O_CLOEXEC));
  const Outcome by_descriptor = run_bailey({.arguments = {"run", "--request", "fd:22"}, .pass = {{file.get(), 22}}});
  EXPECT_EQ(by_descriptor.out, by_flags.out) << by_descriptor;
}

TEST_F(DocumentsContract, ReadsVariablesFromAFile) {
  const TempDir directory;
  const std::string file = directory.write("variables", "# a comment\nA=1\n\nB=two words\nC==x=\nD=\n");
  const Outcome got = shell({"--env-file", file}, "echo \"$A|$B|$C|$D|\"; env | grep -c ^D=");
  EXPECT_EQ(got.out, "1|two words|=x=||\n1\n") << got;
  const std::string foreign = directory.write("foreign",
                                              "\xef\xbb\xbf"
                                              "A='1'\r\n  B=\"x y\" \r\n\t# c\r\n\r\nC=a\rb\\n$A\r\nexport=1\nD=\r");
  const Outcome odd = shell({"--env-file", foreign}, "printf '%s|' \"$A\" \"$B\" \"$C\" \"$D\" \"$export\"");
  EXPECT_EQ(odd.out, "'1'|\"x y\" |a\rb\\n$A||1|") << odd;
  Fd open_file(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  RunOptions wish = options({"--env-file", "fd:22"}, {"/bin/sh", "-c", "echo $A"});
  wish.pass = {{open_file.get(), 22}};
  const Outcome by_descriptor = run_bailey(std::move(wish));
  EXPECT_EQ(by_descriptor.out, "1\n") << by_descriptor;
}

TEST_F(DocumentsContract, ExplainsAndStartsNothing) {
  const TempDir volume;
  RunOptions wish = options({"-v", volume.path() + ":/data", "--explain"}, {"/bin/touch", "/data/started"});
  wish.record = false;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 0) << got;
  for (const char* guard : {"trust", "network", "mounts", "limits", "secrets", "privileges", "annotations"})
    EXPECT_NE(got.out.find(guard), std::string::npos) << guard << ": " << got;
  EXPECT_NE(got.out.find(gvisor() ? "gvisor" : "native"), std::string::npos) << got;
  EXPECT_FALSE(std::filesystem::exists(volume.file("started")));
}

// Whether a platform works only a sandbox tells, which a plan is no reason to start.
TEST_F(DocumentsContract, ExplainsAPlatformOfGvisorsThatWasNeverTriedWithoutTryingIt) {
  std::filesystem::remove_all("/run/bailey/.runsc");  // what earlier runs have found out
  RunOptions wish = options({"--explain"}, {"/bin/true"});
  wish.record = false;
  for (int time = 0; time < 2; ++time) {
    const Outcome got = run_bailey(wish);
    EXPECT_EQ(got.exit_code, 0) << got;
    EXPECT_NE(got.out.find("not tried yet"), std::string::npos) << got;
  }
  EXPECT_EQ(run({"/bin/true"}).exit_code, 0);
  const Outcome known = run_bailey(wish);
  EXPECT_EQ(known.out.find("not tried yet"), std::string::npos) << known;
}

TEST_F(DocumentsContract, ExplainsEveryRefusalAtOnce) {
  const Outcome got = run_bailey(
      {.arguments = {"run", "--explain", "--runtime", "native", "--net", "host", "--memory", "1000G", "--", "/usr/bin/id"}});
  EXPECT_EQ(got.exit_code, 125) << got;
  const std::string all = got.out + got.err;
  for (const char* word : {"native", "host", "memory"}) EXPECT_NE(all.find(word), std::string::npos) << word << ": " << got;
  EXPECT_EQ(all.find("uid="), std::string::npos) << got;
}

// Whoever reads the file after a crash of Bailey must not take it for this run's.
TEST_F(DocumentsContract, LeavesNoEarlierResultWhenItIsKilled) {
  const TempDir directory;
  const std::string file = directory.write("result.json", "{\"verdict\": \"exited\", \"exit_code\": 0}\n");
  RunOptions wish = options({"--result", file}, {"/bin/sh", "-c", "echo up; sleep 600"});
  wish.record = false;
  BaileyProcess process(std::move(wish));
  ASSERT_TRUE(process.wait_for_output("up\n"));
  EXPECT_EQ(read_file(file), "");
  process.signal(SIGKILL);
  process.finish();
  EXPECT_EQ(read_file(file), "");
  collect_garbage();
}

TEST_F(DocumentsContract, AuditsWhatItAdmitsAndRefuses) {
  const TempDir directory;
  const std::string log = directory.file("audit.log");
  const std::string policy = directory.write("policy.json", "{\"audit_file\": \"" + log + "\"}\n");
  shell({"--policy", policy, "-e", "PASSWORD=in-the-environment"}, "exit 3");
  run({"--policy", policy, "--trust", "untrusted", "--runtime", "native"}, {"/bin/true"});
  const std::string text = read_file(log);
  for (const char* word : {"admit", "start", "exit", "refuse"})
    EXPECT_NE(text.find(word), std::string::npos) << word << ": " << text;
  EXPECT_EQ(text.find("in-the-environment"), std::string::npos) << text;
  EXPECT_EQ(text.find("\"id\":\"\""), std::string::npos) << text;  // a refusal has its id, too
  // gVisor's users are its own kernel's.
  EXPECT_EQ(text.find("\"uid_map\":[[") != std::string::npos, backend() == "native") << text;
  // A configured audit file that cannot be written: nothing starts.
  const std::string broken = directory.write("broken.json", "{\"audit_file\": \"/no/such/directory/audit.log\"}\n");
  const Outcome got = shell({"--policy", broken}, "echo STARTED");
  EXPECT_EQ(got.exit_code, 125) << got;
  EXPECT_EQ(got.out, "");
}

}  // namespace
}  // namespace bailey::tests
