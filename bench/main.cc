// bailey-bench: /bin/true in every runtime that is installed, interleaved, start to exit.
//
//   bailey-bench [--bailey PATH] [--runsc PATH] [--busybox PATH] [--rounds N] [--gvisor-rounds N] [--in-flight N]

#include <linux/close_range.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "base/option_table.h"
#include "base/units.h"
#include "bench/measure.h"
#include "bench/statistics.h"

namespace bailey::bench {
namespace {

constexpr useconds_t kSettleUs = 10'000;  // the kernel frees namespaces in the background; that falls on nobody

struct Options {
  Comparison comparison;
  std::string runner;
  int rounds = 40;
  int gvisor_rounds = 30;
  int in_flight = 0;
};

struct Numbers {
  std::optional<std::string> rounds, gvisor_rounds, in_flight;
};

Result<> take_number(const std::string& name, const std::optional<std::string>& text, uint64_t most, int& into) {
  if (!text) return {};
  const auto number = units::parse_unsigned(*text);
  if (!number || *number < 1 || *number > most)
    return fail(Fault::bad_input, name + " " + *text + ": not a number from 1 to " + std::to_string(most));
  into = static_cast<int>(*number);
  return {};
}

struct Row {
  Runtime runtime;
  std::vector<int64_t> wall_us;
  int64_t peak_kib = 0;
  std::optional<int64_t> calls;
};

const Row* find(const std::vector<Row>& rows, const std::string& name) {
  for (const Row& row : rows)
    if (row.runtime.name == name) return &row;
  return nullptr;
}

// Interleaved, so that a machine's drift falls on all alike, and every second round the other way round, so that each comes as
// often after one neighbour as after the other. Round -1 warms caches and is not counted.
Result<> measure(const std::string& runner, std::vector<Row>& rows, int rounds) {
  for (int round = -1; round < rounds; ++round) {
    for (size_t i = 0; i < rows.size(); ++i) {
      Row& row = rows[round % 2 == 0 ? i : rows.size() - 1 - i];
      const Run run = TRY(run_once(runner, row.runtime));
      ::usleep(kSettleUs);
      if (round < 0) continue;
      row.wall_us.push_back(run.wall_ns / 1000);
      row.peak_kib = std::max(row.peak_kib, run.peak_kib);
    }
  }
  return {};
}

void print(const std::vector<Row>& rows) {
  std::printf("%-14s %5s %10s %8s %8s %8s  %s\n", "runtime", "runs", "median_us", "min_us", "rss_KiB", "syscalls",
              "ratio (median of pairs)");
  for (const Row& row : rows) {
    const std::string calls = row.calls ? std::to_string(*row.calls) : "-";
    std::printf("%-14s %5zu %10lld %8lld %8lld %8s ", row.runtime.name.c_str(), row.wall_us.size(),
                static_cast<long long>(median(row.wall_us)), static_cast<long long>(minimum(row.wall_us)),
                static_cast<long long>(row.peak_kib), calls.c_str());
    for (const std::string& name : row.runtime.baselines)
      if (const Row* base = find(rows, name))
        std::printf(" %.3f x %s ", median_ratio(row.wall_us, base->wall_us), name.c_str());
    std::printf("\n");
  }
}

Result<> compare(std::vector<Runtime> runtimes, const Options& options, int rounds, bool count_calls, int in_flight_rounds) {
  std::vector<Row> rows;
  for (Runtime& runtime : runtimes) rows.push_back({std::move(runtime), {}, 0, {}});
  TRY(measure(options.runner, rows, rounds));
  if (count_calls)
    for (Row& row : rows) row.calls = count_system_calls(row.runtime, options.comparison.directory);
  print(rows);
  if (options.in_flight == 0) return {};
  for (const Row& row : rows) {
    const double rate = TRY(run_many(row.runtime, in_flight_rounds * options.in_flight, options.in_flight));
    std::printf("%-14s %d in flight: %.1f starts/s\n", row.runtime.name.c_str(), options.in_flight, rate);
  }
  return {};
}

Result<> compare_all(const Options& options) {
  std::vector<Runtime> native = TRY(native_runtimes(options.comparison));
  TRY(compare(std::move(native), options, options.rounds, true, 20));
  if (options.comparison.runsc.empty()) return {};
  std::printf("\n");
  std::vector<Runtime> gvisor = TRY(gvisor_runtimes(options.comparison));
  return compare(std::move(gvisor), options, options.gvisor_rounds, false, 4);
}

// Everything that is mounted below goes with this process.
Result<> enter_mount_namespace() {
  if (::unshare(CLONE_NEWNS) < 0) return sys_error("creating a mount namespace (bailey-bench runs as root)", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return sys_error("making mounts private", errno);
  // State on memory for all, as /run is on an ordinary host; the others have theirs on the scratch tmpfs.
  TRY(files::create_directories("/run/bailey", 0700));
  if (::mount("bailey-bench", "/run/bailey", "tmpfs", 0, "mode=0700") < 0) return sys_error("mounting /run/bailey", errno);
  // crun refuses limits on a hybrid host; here it sees version 1 alone, and so do all.
  (void)::umount2("/sys/fs/cgroup/unified", MNT_DETACH | UMOUNT_NOFOLLOW);
  return {};
}

// A descriptor that our caller left open would reach the programs: with one at 251 a bare runsc starts a tenth faster, because
// its table of descriptors need not grow (docs/gvisor.md), and would be compared with something that no user has.
Result<> close_inherited() {
  if (::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return sys_error("close_range", errno);
  return {};
}

Result<> run(Options options) {
  TRY(close_inherited());
  TRY(enter_mount_namespace());
  char scratch[] = "/tmp/bailey-bench.XXXXXX";
  if (!::mkdtemp(scratch)) return sys_error("making a scratch directory", errno);
  if (::mount("bailey-bench", scratch, "tmpfs", 0, "mode=0755") < 0) return sys_error("mounting a scratch tmpfs", errno);
  options.comparison.directory = scratch;
  auto outcome = compare_all(options);
  ::umount2(scratch, MNT_DETACH);
  ::rmdir(scratch);
  return outcome;
}

}  // namespace
}  // namespace bailey::bench

int main(int argc, char** argv) {
  using bailey::bench::take_number;
  bailey::bench::Options options;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  options.comparison.bailey = (here / "bailey").string();
  options.comparison.floor = (here / "bailey-bench-floor").string();
  options.runner = (here / "bailey-bench-runner").string();
  bailey::OptionTable table;
  bailey::bench::Numbers numbers;
  table.one("--bailey", options.comparison.bailey, "PATH", "the bailey binary (default the one next to this)");
  table.one("--runsc", options.comparison.runsc, "PATH", "runsc, to compare the gvisor backend with (default: not compared)");
  table.one("--busybox", options.comparison.busybox, "PATH",
            "a static busybox: run it in a root of its own, not the host's /bin/true");
  table.flag("--bridge", options.comparison.bridge,
             "also Bailey on its bridge; as root in a network namespace of your own that forwards (unshare -n)");
  table.one("--rounds", numbers.rounds, "N", "rounds of the native runtimes, 1 to 10000 (default 40)");
  table.one("--gvisor-rounds", numbers.gvisor_rounds, "N", "rounds of gVisor, 1 to 10000 (default 30)");
  table.one("--in-flight", numbers.in_flight, "N", "also measure starts per second with this many at once, 1 to 64");
  const auto parsed = table.parse(std::vector<std::string>(argv + 1, argv + argc));
  if (parsed && parsed->wants_help) {
    std::printf("bailey-bench: time /bin/true in Bailey and its peers, interleaved\n\nUsage: bailey-bench %s\n%s",
                table.usage().c_str(), table.help().c_str());
    return 0;
  }
  const auto perform = [&]() -> bailey::Result<> {
    if (!parsed) return std::unexpected(parsed.error());
    TRY(take_number("--rounds", numbers.rounds, 10'000, options.rounds));
    TRY(take_number("--gvisor-rounds", numbers.gvisor_rounds, 10'000, options.gvisor_rounds));
    TRY(take_number("--in-flight", numbers.in_flight, 64, options.in_flight));
    return bailey::bench::run(options);
  };
  if (auto done = perform(); !done) {
    std::fprintf(stderr, "bailey-bench: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
