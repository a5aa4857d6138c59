#include "bundle/reader.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "bundle/writer.h"

namespace bailey::bundle {
namespace {

using json::UnknownKeys;

Config read_file(const std::string& name) {
  const auto text = files::read(std::string(BAILEY_TEST_DATA "/oci/") + name, 1 << 20);
  EXPECT_TRUE(text) << text.error().message;
  auto config = parse_config(text.value_or(""), name, UnknownKeys::ignore);
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(Config{});
}

// Every member that Config has is set.
Config everything() {
  Config c;
  c.oci_version = "1.1.0";
  c.process = Process{
      .args = {"/bin/sh", "-c", "", "a b\n\xc3\xa4"},
      .env = {"A=1", "B="},
      .cwd = "/work",
      .user = {.uid = 1000, .gid = 100, .umask = 077, .additional_gids = {1, 4294967294}},
      .terminal = true,
      .console_size = ConsoleSize{.height = 24, .width = 80},
      .capabilities = {.bounding = {"CAP_A"},
                       .effective = {"CAP_B"},
                       .inheritable = {"CAP_C"},
                       .permitted = {"CAP_D"},
                       .ambient = {"CAP_E"}},
      .rlimits = {{.type = "RLIMIT_NOFILE", .soft = 10, .hard = UINT64_MAX}},
      .no_new_privileges = true,
      .oom_score_adj = -500,
      .apparmor_profile = "aa",
      .selinux_label = "se",
  };
  c.root = Root{.path = "rootfs", .readonly = true};
  const IdMapping mapping{.container_id = 1, .host_id = 100000, .size = 65536};
  c.mounts = {{.destination = "/proc", .type = "proc", .source = "proc", .options = {}, .uid_mappings = {}, .gid_mappings = {}},
              {.destination = "/v",
               .type = "bind",
               .source = "/s",
               .options = {"rbind", "ro"},
               .uid_mappings = {mapping},
               .gid_mappings = {mapping}}};
  c.hostname = "host";
  c.domainname = "domain";
  const auto hook = [](const char* path) {
    return std::vector<Hook>{{.path = path, .args = {"a"}, .env = {"E=1"}, .timeout_seconds = 5}};
  };
  c.hooks = {.prestart = hook("/1"),
             .create_runtime = hook("/2"),
             .create_container = hook("/3"),
             .start_container = hook("/4"),
             .poststart = hook("/5"),
             .poststop = hook("/6")};
  c.annotations = {{"dev.bailey.trust", "trusted"}, {"", "empty key"}};
  c.linux = Linux{
      .namespaces = {{NamespaceType::pid, ""},
                     {NamespaceType::network, "/run/netns/a"},
                     {NamespaceType::mount, ""},
                     {NamespaceType::ipc, ""},
                     {NamespaceType::uts, ""},
                     {NamespaceType::user, ""},
                     {NamespaceType::cgroup, ""},
                     {NamespaceType::time, ""}},
      .uid_mappings = {mapping},
      .gid_mappings = {mapping, mapping},
      .devices = {{.path = "/dev/fuse", .type = "c", .major = 10, .minor = 229, .file_mode = 0666, .uid = 1, .gid = 2}},
      .cgroups_path = "/a/b",
      .resources = {},
      .rootfs_propagation = "private",
      .seccomp =
          Seccomp{.default_action = "SCMP_ACT_ERRNO",
                  .default_errno_ret = 38,
                  .architectures = {"SCMP_ARCH_X86_64"},
                  .flags = {"SECCOMP_FILTER_FLAG_LOG"},
                  .listener_path = "/l",
                  .listener_metadata = "m",
                  .syscalls = {{.names = {"read", "write"},
                                .action = "SCMP_ACT_ALLOW",
                                .errno_ret = 1,
                                .args = {{.index = 1, .value = UINT64_MAX, .value_two = 7, .op = "SCMP_CMP_MASKED_EQ"}}}}},
      .sysctl = {{"net.ipv4.ip_forward", "1"}},
      .masked_paths = {"/proc/kcore"},
      .readonly_paths = {"/proc/sys"},
      .mount_label = "label",
      .intel_rdt =
          IntelRdt{
              .clos_id = "c", .l3_cache_schema = "L3:0=f", .mem_bw_schema = "MB:0=70", .enable_cmt = true, .enable_mbm = true},
      .personality = Personality{.domain = "LINUX32", .flags = {"F"}},
      .time_offsets = {{"monotonic", {.secs = -5, .nanosecs = 9}}, {"boottime", {.secs = 1, .nanosecs = 0}}},
  };
  Resources& r = c.linux.resources;
  r.devices = {{.allow = true, .type = "c", .major = 1, .minor = 3, .access = "rwm"},
               {.allow = false, .type = "", .major = {}, .minor = {}, .access = ""}};
  r.memory = {.limit = -1,
              .reservation = 2,
              .swap = 3,
              .kernel = 4,
              .kernel_tcp = 5,
              .swappiness = 60,
              .disable_oom_killer = true,
              .use_hierarchy = false,
              .check_before_update = true};
  r.cpu = {.shares = 1024,
           .quota = -1,
           .burst = 10,
           .period = 100000,
           .realtime_runtime = 1,
           .realtime_period = 2,
           .cpus = "0-1",
           .mems = "0",
           .idle = 1};
  r.pids_limit = 64;
  const std::vector<BlockIoThrottle> throttle = {{.major = 8, .minor = 1, .rate = 1 << 20}};
  r.block_io = {.weight = 100,
                .leaf_weight = 200,
                .weight_device = {{.major = 8, .minor = 0, .weight = 10, .leaf_weight = 20}},
                .read_bps = throttle,
                .write_bps = throttle,
                .read_iops = throttle,
                .write_iops = throttle};
  r.hugepage_limits = {{.page_size = "2MB", .limit = 1 << 21}};
  r.network = {.class_id = 1048577, .priorities = {{.name = "eth0", .priority = 5}}};
  r.rdma = {{"mlx5_1", {.hca_handles = 3, .hca_objects = 10000}}, {"mlx4_0", {.hca_handles = {}, .hca_objects = 1}}};
  r.unified = {{"memory.high", "1000"}};
  return c;
}

TEST(BundleReader, ReadsWhatTheWriterWrites) {
  for (const Config& config : {Config{}, everything()}) {
    const json::Value encoded = encode_config(config);
    const std::string text = json::write(encoded, json::Layout::indented);
    json::Decoder decoder(UnknownKeys::refuse);
    Config again;
    const auto value = json::parse(text, "f");
    ASSERT_TRUE(value) << value.error().message;
    decoder.object(*value, [&](json::ObjectView& view) { decode_config(view, again); });
    EXPECT_TRUE(decoder.finish("f")) << decoder.finish("f").error().message;
    EXPECT_EQ(again, config) << text;
  }
}

TEST(BundleReader,
     KnowsEveryMemberThatTheWriterKnows) {  // a member written and not read would be lost on the way
  const auto config = parse_config(json::write(encode_config(everything())), "f", UnknownKeys::refuse);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, everything());
}

TEST(BundleWriter, LeavesAbsentMembersOut) {
  Config config;
  config.process = Process{};
  config.process->args = {"true"};
  EXPECT_EQ(json::write(encode_config(config)),
            R"({"ociVersion":"1.2.0","process":{"user":{"uid":0,"gid":0},"args":["true"],"cwd":"/"}})");
}

TEST(BundleReader, ReadsAPodmanDocument) {
  const Config c = read_file("podman.json");
  EXPECT_EQ(c.oci_version, "1.0.2-dev");
  ASSERT_TRUE(c.process && c.root && c.linux.seccomp);
  EXPECT_EQ(c.process->user.umask, 18u);
  EXPECT_TRUE(c.process->capabilities.inheritable.empty());
  EXPECT_EQ(c.process->capabilities.bounding.size(), 3u);
  EXPECT_EQ(c.process->rlimits.at(0), (Rlimit{"RLIMIT_NOFILE", 1048576, 1048576}));
  EXPECT_EQ(c.linux.namespaces.at(1), (Namespace{NamespaceType::network, "/run/netns/netns-8d1c"}));
  EXPECT_EQ(c.linux.seccomp->default_errno_ret, 38u);
  EXPECT_EQ(c.linux.seccomp->syscalls.at(1).args.at(0).value, 4294967295u);
  EXPECT_EQ(c.linux.resources.pids_limit, 2048);
  EXPECT_EQ(c.annotations.at("dev.bailey.trust"), "trusted");
}

TEST(BundleReader, TakesDockersNullsForAbsent) {
  const Config c = read_file("docker.json");
  ASSERT_TRUE(c.process);
  EXPECT_FALSE(c.process->console_size);
  EXPECT_TRUE(c.linux.devices.empty());
  ASSERT_EQ(c.hooks.prestart.size(), 1u);
  EXPECT_FALSE(c.hooks.prestart[0].timeout_seconds);
  EXPECT_EQ(c.hooks.prestart[0].args.at(0), "libnetwork-setkey");
  EXPECT_FALSE(c.linux.resources.devices.at(2).minor);
  EXPECT_EQ(c.linux.resources.cpu.shares, 0u);
  EXPECT_EQ(c.linux.resources.block_io.weight, 0);
  EXPECT_EQ(c.linux.sysctl.size(), 2u);
}

TEST(BundleReader, NamesWhatIsWrong) {
  const auto document = [](const std::string& members, const char* process = R"({"args":["a"],"cwd":"/"})") {
    return R"({"ociVersion":"1.0.0","root":{"path":"r"},"process":)" + std::string(process) + members + "}";
  };
  const struct {
    std::string text;
    const char* message;
  } kCases[] = {
      {"{}", "f:1: $.ociVersion: is missing\nf:1: $.root: is missing"},
      {R"({"ociVersion":"2.0.0","root":{"path":"r"}})", "f:1: $.ociVersion: '2.0.0' is not 1.x.y"},
      {R"({"ociVersion":"1.0","root":{"path":"r"}})", "f:1: $.ociVersion: '1.0' is not 1.x.y"},
      {R"({"ociVersion":"1.0.0","root":{}})", "f:1: $.root.path: is missing"},
      {document("", R"({"args":["a"]})"), "f:1: $.process.cwd: is missing"},
      {document("", R"({"cwd":"/"})"), "f:1: $.process.args: is missing"},
      {document("", R"({"args":["a"],"cwd":"/","user":{"uid":-1}})"),
       "f:1: $.process.user.uid: -1 is out of range; it must be 0 to 4294967295"},
      {document("", R"({"args":["a"],"cwd":"/","scheduler":{}})"), "f:1: $.process.scheduler: is not supported: leave it out"},
      {document(R"(,"mounts":[{"type":"proc"}])"), "f:1: $.mounts[0].destination: is missing"},
      {document(R"(,"linux":{"namespaces":[{"type":"net"}]})"),
       "f:1: $.linux.namespaces[0].type: 'net' is not known; known are: pid, network, mount, ipc, uts, user, "
       "cgroup, time"},
      {document(R"(,"linux":{"namespaces":[{"path":"/p"}]})"), "f:1: $.linux.namespaces[0].type: is missing"},
      {document(R"(,"linux":{"resources":{"rdma":{"mlx.1":{"hcaHandles":"3"}}}})"),
       "f:1: $.linux.resources.rdma[\"mlx.1\"].hcaHandles: expected a whole number, found a string"},
      {document(R"(,"hooks":{"poststop":[{"args":[]}]})"), "f:1: $.hooks.poststop[0].path: is missing"},
  };
  for (const auto& c : kCases) {
    const auto config = parse_config(c.text, "f", UnknownKeys::ignore);
    ASSERT_FALSE(config) << c.text;
    EXPECT_EQ(config.error().message, c.message);
    EXPECT_EQ(config.error().fault, Fault::bad_input);
  }
}

TEST(BundleReader, TakesPreReleasesOfVersionOne) {
  for (const char* version : {"1.0.0", "1.0.2-dev", "1.3.0-rc.1+build.7", "1.20.300"}) {
    const std::string text = R"({"root":{"path":"r"},"ociVersion":")" + std::string(version) + "\"}";
    EXPECT_TRUE(parse_config(text, "f", UnknownKeys::ignore)) << version;
  }
}

TEST(BundleReader, IgnoresUnknownMembersOnlyWhenTold) {
  const char* text = R"({"ociVersion":"1.0.0","root":{"path":"r"},"linux":{"new":1},"x":[]})";
  EXPECT_TRUE(parse_config(text, "f", UnknownKeys::ignore));
  const auto strict = parse_config(text, "f", UnknownKeys::refuse);
  ASSERT_FALSE(strict);
  EXPECT_NE(strict.error().message.find("$.linux.new: is not a known key"), std::string::npos);
  EXPECT_NE(strict.error().message.find("$.x: is not a known key"), std::string::npos);
}

}  // namespace
}  // namespace bailey::bundle
