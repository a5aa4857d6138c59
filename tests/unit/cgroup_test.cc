#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/files.h"
#include "host/cgroup/cgroup.h"
#include "host/cgroup/file.h"
#include "host/cgroup/settings.h"
#include "host/cgroup/tasks.h"
#include "host/probe/probe.h"
#include "tests/support/temp_dir.h"

namespace bailey::host {
namespace {

CgroupMounts with_controllers(CgroupMounts mounts, const char* list) {
  mounts.add_unified_controllers(list);
  return mounts;
}

// The reference host: every v1 controller by itself below a tmpfs, the v2 tree with hugetlb only, own memory
// cgroup not the root.
constexpr const char* kHybridMounts =
    "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
constexpr const char* kHybridOwn = "9:name=systemd:/\n8:pids:/\n4:memory:/process_api/2b0d\n1:cpu:/\n0::/\n";

TEST(CgroupMounts, HybridHostKeepsEachControllerWhereItIs) {
  const CgroupMounts mounts = with_controllers(parse_cgroup_mounts(kHybridMounts, kHybridOwn), "hugetlb\n");
  EXPECT_EQ(mounts.layout, CgroupLayout::hybrid);
  ASSERT_TRUE(mounts.find("memory"));
  EXPECT_EQ(mounts.find("memory")->directory, "/sys/fs/cgroup/memory");
  EXPECT_EQ(mounts.find("memory")->own_path, "/process_api/2b0d");
  EXPECT_FALSE(mounts.find("memory")->v2);
  ASSERT_TRUE(mounts.find("hugetlb"));
  EXPECT_TRUE(mounts.find("hugetlb")->v2);
  EXPECT_EQ(mounts.find("hugetlb")->directory, "/sys/fs/cgroup/unified");
  EXPECT_FALSE(mounts.find("systemd"));
  EXPECT_FALSE(mounts.find("name=systemd"));
  EXPECT_FALSE(mounts.find("cpuset"));
}

TEST(CgroupMounts, PureV2TakesTheControllersOfTheMount) {
  const CgroupMounts mounts = with_controllers(
      parse_cgroup_mounts("25 30 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 "
                          "rw,nsdelegate,memory_recursiveprot\n",
                          "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-u4.scope\n"),
      "cpuset cpu io memory hugetlb pids rdma misc\n");
  EXPECT_EQ(mounts.layout, CgroupLayout::v2);
  ASSERT_TRUE(mounts.unified);
  EXPECT_EQ(mounts.unified->own_path, "/user.slice/user-1000.slice/user@1000.service/app.slice/run-u4.scope");
  for (const char* name : {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}) {
    ASSERT_TRUE(mounts.find(name)) << name;
    EXPECT_TRUE(mounts.find(name)->v2) << name;
  }
}

TEST(CgroupMounts, SystemdV1SharesADirectoryBetweenCpuAndCpuacct) {
  const CgroupMounts mounts = parse_cgroup_mounts(
      "33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
      "34 25 0:30 / /sys/fs/cgroup/net_cls,net_prio ro,nosuid shared:16 - cgroup cgroup "
      "rw,net_cls,net_prio\n",
      "5:cpu,cpuacct:/system.slice/x.service\n3:net_cls,net_prio:/\n");
  EXPECT_EQ(mounts.layout, CgroupLayout::v1);
  ASSERT_TRUE(mounts.find("cpu"));
  ASSERT_TRUE(mounts.find("cpuacct"));
  EXPECT_EQ(mounts.find("cpu")->directory, mounts.find("cpuacct")->directory);
  EXPECT_EQ(mounts.find("cpu")->own_path, "/system.slice/x.service");
  EXPECT_FALSE(mounts.find("net_cls")) << "mounted read-only: not usable";
}

TEST(CgroupMounts, DockerInDockerSeesItsOwnPathBelowTheMountsRoot) {
  const CgroupMounts mounts = parse_cgroup_mounts(
      "300 290 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime master:17 - cgroup cgroup rw,memory\n"
      "301 290 0:36 /docker/abc /sys/fs/cgroup/pids rw,relatime master:18 - cgroup cgroup rw,pids\n"
      "302 290 0:33 /other /sys/fs/cgroup/cpuset rw,relatime master:19 - cgroup cgroup rw,cpuset\n",
      "4:memory:/docker/abc\n3:pids:/docker/abc/inner\n2:cpuset:/docker/abc\n");
  EXPECT_EQ(mounts.find("memory")->own_path, "/");
  EXPECT_EQ(mounts.find("pids")->own_path, "/inner");
  EXPECT_EQ(mounts.find("cpuset")->own_path, "") << "not visible below this mount";
}

TEST(CgroupMounts, PathsAboveTheCgroupNamespaceAreNotOurs) {
  const CgroupMounts mounts = parse_cgroup_mounts("300 290 0:32 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "0::/\n");
  ASSERT_TRUE(mounts.unified);
  EXPECT_EQ(mounts.unified->own_path, "");
}

TEST(CgroupMounts, DecodesEscapesAndSurvivesGarbage) {
  const CgroupMounts mounts = parse_cgroup_mounts("300 290 0:32 / /a\\040b rw - cgroup cgroup rw,pids\n", "3:pids:/x:y\n");
  EXPECT_EQ(mounts.find("pids")->directory, "/a b");
  EXPECT_EQ(mounts.find("pids")->own_path, "/x:y");
  for (const char* text :
       {"", "\n", " - cgroup", "a b c d e rw - cgroup", "1 2 3 / /x\\0 rw - cgroup c rw,pids\n", " - cgroup2 \n - cgroup x rw"})
    (void)parse_cgroup_mounts(text, "0:\n::\n:::\n0::relative\n3:pids:/\n");
}

CgroupMounts v1() { return parse_cgroup_mounts(kHybridMounts, kHybridOwn); }
CgroupMounts v2() {
  return with_controllers(parse_cgroup_mounts("25 30 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n"),
                          "cpuset cpu io memory pids\n");
}

std::string plan(const CgroupMounts& mounts, const bundle::Resources& resources) {
  const auto settings = compile_cgroup_settings(mounts, resources);
  if (!settings) return "error: " + settings.error().message;
  std::string text;
  for (const CgroupSetting& setting : *settings) text += setting.file + "=" + setting.value + "\n";
  return text;
}

TEST(CgroupMounts, SayWhyThereIsNothing) {
  const CgroupMounts hidden = parse_cgroup_mounts("27 1 254:0 / / rw - ext4 /dev/vda rw\n", kHybridOwn);
  EXPECT_EQ(hidden.layout, CgroupLayout::none);
  EXPECT_TRUE(hidden.missing_remedy.contains("nsenter --net=")) << hidden.missing_remedy;
  const CgroupMounts locked = parse_cgroup_mounts("27 1 0:22 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n", "0::/\n");
  EXPECT_EQ(locked.layout, CgroupLayout::none);
  EXPECT_TRUE(locked.missing_remedy.contains("/sys/fs/cgroup is mounted read-only")) << locked.missing_remedy;
  bundle::Resources r;
  r.memory.limit = 64 << 20;
  EXPECT_EQ(compile_cgroup_settings(locked, r).error().remedy, locked.missing_remedy);
  EXPECT_EQ(parse_cgroup_mounts(kHybridMounts, kHybridOwn).missing_remedy, "");
}

// A directory of files in place of a cgroup.
Cgroup::Directory fake_v2(const tests::TempDir& directory) {
  Cgroup::Directory fake;
  fake.path = directory.path();
  fake.name = "bailey-no-such-sandbox";
  fake.fd = files::open(directory.path(), O_PATH | O_DIRECTORY).value();
  fake.v2 = true;
  return fake;
}

TEST(CgroupTasks, V2IsKilledBeforeItsProcessesAreListed) {
  const tests::TempDir directory;
  const std::string kill = directory.write("cgroup.kill", "");
  directory.write("cgroup.events", "populated 0\nfrozen 0\n");
  ASSERT_EQ(::mkdir(directory.file("cgroup.procs").c_str(), 0755), 0);  // cannot be read, as that of a threaded cgroup
  const Cgroup::Directory fake = fake_v2(directory);
  const auto killed = kill_tasks({&fake, 1}, clock::Deadline::in_ms(60'000));
  EXPECT_TRUE(killed) << killed.error().message;
  EXPECT_EQ(tests::read_file(kill), "1");
}

TEST(CgroupTasks, V2IsWaitedForUntilTheDeadline) {
  const tests::TempDir directory;
  directory.write("cgroup.kill", "");
  directory.write("cgroup.events", "populated 1\nfrozen 0\n");
  const Cgroup::Directory fake = fake_v2(directory);
  const auto killed = kill_tasks({&fake, 1}, clock::Deadline::in_ms(1));
  ASSERT_FALSE(killed);
  EXPECT_TRUE(killed.error().message.contains("processes are left")) << killed.error().message;
}

TEST(CgroupTasks, ThisProcessIsNeverKilled) {
  const std::string own = tests::read_file("/proc/self/cgroup");  // "N:controllers:/a/b"
  const std::string path = own.substr(0, own.find('\n'));
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.empty()) return;  // in the root of them all
  const tests::TempDir directory;
  const std::string kill = directory.write("cgroup.kill", "");
  Cgroup::Directory fake = fake_v2(directory);
  fake.name = name;
  EXPECT_FALSE(kill_tasks({&fake, 1}, clock::Deadline::in_ms(1)));
  EXPECT_EQ(tests::read_file(kill), "");
}

TEST(CgroupProbe, FindsTheOptionThatLeavesSocketsOut) {
  EXPECT_TRUE(leaves_out_socket_memory("quiet cgroup.memory=nosocket\n"));
  EXPECT_TRUE(leaves_out_socket_memory("cgroup.memory=nokmem,nosocket ro\n"));
  EXPECT_FALSE(leaves_out_socket_memory("cgroup.memory=nokmem nosocket\n"));
  EXPECT_FALSE(leaves_out_socket_memory(""));
}

TEST(CgroupUsage, SplitsTheExactTimeInTheRatioOfTheTicks) {
  EXPECT_EQ(split_cpu_time(10'001, 4'000, 4'000).user_us + split_cpu_time(10'001, 4'000, 4'000).system_us, 10'001);
  EXPECT_EQ(split_cpu_time(9'000, 8'000, 4'000).system_us, 3'000);
  EXPECT_EQ(split_cpu_time(1'234, 0, 0).user_us, 1'234);
  EXPECT_EQ(split_cpu_time(0, 4'000, 4'000).user_us, 0);
  const int64_t year = 366LL * 86'400 * 1'000'000;
  EXPECT_EQ(split_cpu_time(year, year / 2, year / 2).system_us, year / 2);
}

TEST(CgroupFile, NumbersAreFoundByTheirKey) {
  EXPECT_EQ(find_number("67108864\n", ""), 67108864u);
  EXPECT_EQ(find_number("low 0\noom 2\noom_kill 3\n", "oom_kill"), 3u);
  EXPECT_EQ(find_number("low 0\noom 2\noom_kill 3\n", "oom"), 2u);
  EXPECT_FALSE(find_number("low 0\n", "oom_kill"));
  EXPECT_FALSE(find_number("max\n", ""));
  EXPECT_FALSE(find_number("", "x"));
}

TEST(CgroupSettings, MemoryAndSwapInBothDialects) {
  bundle::Resources r;
  r.memory.limit = 64 << 20;
  r.memory.swap = 96 << 20;
  EXPECT_EQ(plan(v1(), r),
            "memory.limit_in_bytes=67108864\nmemory.memsw.limit_in_bytes=100663296\nmemory.kmem.tcp.limit_in_bytes=67108864\n");
  EXPECT_EQ(plan(v2(), r), "memory.max=67108864\nmemory.swap.max=33554432\n");
}

// v2 counts socket buffers in memory.max; v1 not before a file of their own has been written.
TEST(CgroupSettings, SocketMemoryIsLimitedWithTheRestOnV1) {
  bundle::Resources r;
  r.memory.kernel_tcp = 8 << 20;
  EXPECT_EQ(plan(v1(), r), "memory.kmem.tcp.limit_in_bytes=8388608\n");
  r.memory.limit = 64 << 20;
  EXPECT_EQ(plan(v1(), r), "memory.limit_in_bytes=67108864\nmemory.kmem.tcp.limit_in_bytes=8388608\n");
}

TEST(CgroupSettings, MinusOneIsUnlimitedAndZeroUnset) {
  bundle::Resources r;
  r.memory.limit = -1;
  r.memory.swap = -1;
  r.cpu.quota = -1;
  r.cpu.shares = 0;
  r.cpu.period = 0;
  r.block_io.weight = 0;
  EXPECT_EQ(
      plan(v1(), r),
      "memory.limit_in_bytes=-1\nmemory.memsw.limit_in_bytes=-1\nmemory.kmem.tcp.limit_in_bytes=-1\ncpu.cfs_quota_us=-1\n");
  EXPECT_EQ(plan(v2(), r), "memory.max=max\nmemory.swap.max=max\ncpu.max=max\n");
  EXPECT_EQ(plan(v1(), {}), "");
}

TEST(CgroupSettings, NonsenseIsRefused) {
  bundle::Resources swap_below;
  swap_below.memory.limit = 64 << 20;
  swap_below.memory.swap = 32 << 20;
  bundle::Resources swap_alone;
  swap_alone.memory.swap = 32 << 20;
  bundle::Resources cpus;
  cpus.cpu.cpus = "0-x";
  bundle::Resources moves;
  moves.unified["cgroup.procs"] = "1";
  bundle::Resources climbs;
  climbs.unified["../memory.max"] = "1";
  for (const auto& r : {swap_below, swap_alone, cpus, moves, climbs}) {
    const auto settings = compile_cgroup_settings(v2(), r);
    ASSERT_FALSE(settings);
    EXPECT_EQ(settings.error().fault, Fault::bad_input) << settings.error().message;
  }
}

TEST(CgroupSettings, EveryLimitWithoutAControllerIsNamedAtOnce) {
  bundle::Resources r;
  r.cpu.cpus = "0";
  r.hugepage_limits = {{"2MB", 0}};
  r.unified["memory.high"] = "1";
  const auto settings = compile_cgroup_settings(v1(), r);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().fault, Fault::unavailable);
  for (const char* part : {"cpuset", "hugetlb", "memory.high"})
    EXPECT_NE(settings.error().message.find(part), std::string::npos) << part;
  EXPECT_FALSE(settings.error().remedy.empty());
}

TEST(CgroupSettings, WhatV2HasNotIsRefusedAndNotDropped) {
  bundle::Resources r;
  r.memory.swappiness = 10;
  EXPECT_EQ(plan(v1(), r), "memory.swappiness=10\n");
  EXPECT_EQ(plan(v2(), r).substr(0, 6), "error:");
  bundle::Resources kernel;
  kernel.memory.kernel = 1 << 20;
  EXPECT_EQ(plan(v2(), kernel).substr(0, 6), "error:");
}

TEST(CgroupSettings, SharesKeepTheirMeaningAsWeight) {
  EXPECT_EQ(weight_of_shares(2), 1u);
  EXPECT_EQ(weight_of_shares(1024), 100u);
  EXPECT_EQ(weight_of_shares(262144), 10000u);
  EXPECT_EQ(weight_of_shares(1), 1u);
  EXPECT_EQ(weight_of_shares(1u << 30), 10000u);
  for (uint64_t shares = 2; shares < 262144; shares = shares * 5 / 4 + 1)
    EXPECT_LE(weight_of_shares(shares), weight_of_shares(shares * 2));
}

TEST(CgroupSettings, ReadBackIsUnderstood) {
  using Check = CgroupSetting::Check;
  auto reads = [](Check check, const char* expected, const char* text) {
    CgroupSetting setting;
    setting.check = check;
    setting.expected = expected;
    return holds(setting, text);
  };
  EXPECT_TRUE(reads(Check::pages, "1000001", "999424\n"));
  EXPECT_FALSE(reads(Check::pages, "1000001", "1048576\n"));
  EXPECT_FALSE(reads(Check::pages, "1000001", "max\n"));
  EXPECT_TRUE(reads(Check::at_least, "4611686018427387904", "9223372036854771712\n"));
  EXPECT_TRUE(reads(Check::cpu_list, "0,1,2,7", "0-2,7\n"));
  EXPECT_FALSE(reads(Check::cpu_list, "0-3", "0-1\n"));
  EXPECT_TRUE(reads(Check::line, "8:0 rbps=1000", "8:16 rbps=1\n8:0 rbps=1000 wbps=max riops=max wiops=max\n"));
  EXPECT_FALSE(reads(Check::line, "8:0 rbps=1000", "8:0 rbps=max wbps=1000\n"));
  EXPECT_TRUE(reads(Check::line, "50000", "50000 100000\n"));
  EXPECT_TRUE(reads(Check::equal, "64", "64\n"));
  EXPECT_FALSE(reads(Check::equal, "64", "max\n"));
}

}  // namespace
}  // namespace bailey::host
