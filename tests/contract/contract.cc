#include "tests/contract/contract.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/clock.h"
#include "tests/contract/differences.h"

namespace bailey::tests {

namespace fs = std::filesystem;

void Contract::SetUp() {
  const char* name = std::getenv("BAILEY_CONTRACT_BACKEND");
  // No default: a suite that silently ran on another backend than its name says would prove nothing.
  if (!name || !*name) FAIL() << "BAILEY_CONTRACT_BACKEND is not set: one of native, gvisor, gvisor-2022";
  backend_ = name;
  if (caller() == Caller::root) {
    BAILEY_REQUIRE("root", "cgroup");
  } else if (geteuid() != kTestUid) {
    BAILEY_REQUIRE("root");  // to become that user, and to prepare what it needs
  }
  if (caller() == Caller::ranges) {
    BAILEY_REQUIRE("newuidmap", "newgidmap");
  }
  backend_flags_ = {"--trust", "trusted", "--runtime", gvisor() ? "gvisor" : "native"};
  if (backend_ == "gvisor") {
    BAILEY_REQUIRE("runsc");
    backend_flags_.insert(backend_flags_.end(), {"--runsc", runsc_path()});
  } else if (backend_ == "gvisor-2022") {
    BAILEY_REQUIRE("runsc-2022");
    backend_flags_.insert(backend_flags_.end(), {"--runsc", runsc_2022_path()});
  } else if (backend_ != "native") {
    FAIL() << "BAILEY_CONTRACT_BACKEND=" << backend_ << ": one of native, gvisor, gvisor-2022";
  }
  leaks_ = std::make_unique<LeakCheck>();
}

void Contract::TearDown() {
  probes_.reset();
  if (leaks_) leaks_->expect_clean();
  if (find_difference(backend_) && !asked_for_difference_)
    ADD_FAILURE() << "is in the table of differences and does not ask differs_here()";
}

bool Contract::differs_here() {
  asked_for_difference_ = true;
  const Difference* difference = find_difference(backend_);
  if (!difference) return false;
  if (difference->flags.empty()) return true;
  RunOptions wish = options(difference->flags, {"/bin/sh", "-c", "echo STARTED"});
  wish.record = false;
  const Outcome got = run_bailey(std::move(wish));
  EXPECT_EQ(got.exit_code, 125) << difference->reason << ": " << got;
  EXPECT_EQ(got.out, "") << difference->reason << ": " << got;
  for (const std::string& text : difference->says)
    EXPECT_NE(got.err.find(text), std::string::npos) << "does not say " << text << ": " << got;
  EXPECT_NE(got.err.find("\n  remedy: "), std::string::npos) << got;
  return true;
}

RunOptions Contract::options(const Arguments& flags, const Arguments& command) const {
  RunOptions options;
  options.arguments = {"run"};
  // A flag may be given once: a test's own --trust or --runtime stands in place of the usual one, and native takes no --runsc.
  const bool native = std::ranges::find(flags, "native") != flags.end();
  for (size_t i = 0; i + 1 < backend_flags_.size(); i += 2)
    if (std::ranges::find(flags, backend_flags_[i]) == flags.end() && !(native && backend_flags_[i] == "--runsc"))
      options.arguments.insert(options.arguments.end(), {backend_flags_[i], backend_flags_[i + 1]});
  options.arguments.insert(options.arguments.end(), flags.begin(), flags.end());
  options.arguments.push_back("--");
  options.arguments.insert(options.arguments.end(), command.begin(), command.end());
  options.record = true;
  return options;
}

std::string Contract::program_outside(const std::string& name) {
  const char* prepared = std::getenv("BAILEY_PROBES");
  return std::string(prepared ? prepared : BAILEY_PROBES) + "/probe_" + name;
}

Arguments Contract::with_probes(Arguments flags) {
  if (!probes_) {
    probes_ = std::make_unique<TempDir>();
    const char* prepared = std::getenv("BAILEY_PROBES");
    for (const auto& entry : fs::directory_iterator(prepared ? prepared : BAILEY_PROBES)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("probe_") || !entry.is_regular_file()) continue;
      fs::copy_file(entry.path(), probes_->file(name));
      chmod(probes_->file(name).c_str(), 0755);
    }
  }
  flags.insert(flags.end(), {"-v", probes_->path() + ":/probes:ro"});
  return flags;
}

json::Value Contract::look_from_inside(const Arguments& flags) {
  const Outcome got = run(with_probes(flags), {probe("self")});
  EXPECT_EQ(got.exit_code, 0) << got;
  const size_t start = got.out.find('{');  // a terminal may put bytes before it
  auto parsed = json::parse(start == std::string::npos ? got.out : std::string_view(got.out).substr(start), "probe_self");
  EXPECT_TRUE(parsed) << got;
  return parsed ? std::move(*parsed) : json::Value();
}

void Contract::make_busybox_root(const std::string& directory) const {
  const std::string busybox = find_program("busybox");
  for (const char* name : {"bin", "etc", "proc", "dev", "tmp", "run", "root", "sys"}) {
    fs::create_directories(directory + "/" + name);
    chmod((directory + "/" + name).c_str(), 0755);
  }
  fs::copy_file(busybox, directory + "/bin/busybox");
  chmod((directory + "/bin/busybox").c_str(), 0755);
  for (const char* name : {"sh", "cat", "echo", "id", "ls", "touch", "mkdir", "true", "rm", "wc", "sleep", "pwd", "stat"})
    fs::create_symlink("busybox", directory + "/bin/" + name);
  std::ofstream(directory + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n";
  std::ofstream(directory + "/etc/group") << "root:x:0:\n";
  chmod((directory + "/etc/passwd").c_str(), 0644);
  chmod((directory + "/etc/group").c_str(), 0644);
}

void Contract::collect_garbage() const {
  const auto is_state = [](const std::string& line) { return line.starts_with("state "); };
  const auto deadline = clock::Deadline::in_ms(60'000);
  const auto is_clean = [&] { return std::ranges::none_of(leaks_->added(), is_state); };
  Outcome got;
  do {
    got = run_bailey({.arguments = {"gc"}});
  } while ((got.exit_code != 0 || !is_clean()) && !deadline.passed() && usleep(10'000) == 0);
  ASSERT_EQ(got.exit_code, 0) << got;
}

std::string text_of(const json::Value& value, std::string_view key) {
  const auto* object = value.as<json::Object>();
  const json::Value* member = object ? object->find(key) : nullptr;
  const auto* text = member ? member->as<std::string>() : nullptr;
  return text ? *text : "";
}

int64_t number_of(const json::Value& value, std::string_view key) {
  const auto* object = value.as<json::Object>();
  const json::Value* member = object ? object->find(key) : nullptr;
  if (!member) return -1;
  if (const auto* i = member->as<int64_t>()) return *i;
  if (const auto* u = member->as<uint64_t>()) return static_cast<int64_t>(*u);
  return -1;
}

std::vector<std::string> texts_of(const json::Value& value, std::string_view key) {
  std::vector<std::string> texts;
  const auto* object = value.as<json::Object>();
  const json::Value* member = object ? object->find(key) : nullptr;
  if (const auto* array = member ? member->as<json::Array>() : nullptr)
    for (const json::Value& one : *array)
      if (const auto* text = one.as<std::string>()) texts.push_back(*text);
  return texts;
}

std::string list_tree(const std::string& directory) {
  std::map<std::string, std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat info{};
    lstat(entry.path().c_str(), &info);
    std::ostringstream line;
    line << std::oct << info.st_mode << std::dec << " " << info.st_uid << ":" << info.st_gid << " ";
    if (S_ISLNK(info.st_mode)) line << "-> " << fs::read_symlink(entry.path()).string();
    else if (S_ISREG(info.st_mode)) line << info.st_size << " " << std::hash<std::string>()(read_file(entry.path()));
    lines[entry.path()] = line.str();
  }
  std::ostringstream all;
  for (const auto& [path, line] : lines) all << path << " " << line << "\n";
  return all.str();
}

}  // namespace bailey::tests
