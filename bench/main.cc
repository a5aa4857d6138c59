// bailey-bench: /bin/true in every runtime that is installed, interleaved, start to exit.
//
//   bailey-bench [--bailey PATH] [--runsc PATH] [--rounds N] [--gvisor-rounds N] [--in-flight N]

#include <sys/mount.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bench/measure.h"
#include "bench/statistics.h"

namespace bailey::bench {
namespace {

struct Options {
  Comparison comparison;
  int rounds = 40;
  int gvisor_rounds = 15;
  int in_flight = 0;
};

struct Row {
  Runtime runtime;
  std::vector<int64_t> wall_us;
  int64_t peak_kib = 0;
};

bool is_gvisor(const Runtime& runtime) {
  return runtime.name.find("runsc") != std::string::npos || runtime.name.find("gvisor") != std::string::npos;
}

const Row* find(const std::vector<Row>& rows, const std::string& name) {
  for (const Row& row : rows)
    if (row.runtime.name == name) return &row;
  return nullptr;
}

// Interleaved among the given rows, so that a machine's drift falls on all alike. Round -1 warms caches and is not counted.
Result<> measure(std::vector<Row*> rows, int rounds) {
  for (int round = -1; round < rounds; ++round) {
    for (Row* row : rows) {
      const Run run = TRY(run_once(row->runtime));
      if (round < 0) continue;
      row->wall_us.push_back(run.wall_us);
      row->peak_kib = std::max(row->peak_kib, run.peak_kib);
    }
  }
  return {};
}

// gVisor apart from the others: the kernel tears down its namespaces and memory for milliseconds after it has ended, which
// would fall on whoever comes next.
Result<> measure_all(std::vector<Row>& rows, const Options& options) {
  std::vector<Row*> native, gvisor;
  for (Row& row : rows) (is_gvisor(row.runtime) ? gvisor : native).push_back(&row);
  TRY(measure(native, options.rounds));
  return measure(gvisor, options.gvisor_rounds);
}

void print(const std::vector<Row>& rows) {
  std::printf("%-16s %6s %10s %10s %8s  %s\n", "runtime", "runs", "median_us", "min_us", "rss_KiB", "ratio (median of pairs)");
  for (const Row& row : rows) {
    std::printf("%-16s %6zu %10lld %10lld %8lld", row.runtime.name.c_str(), row.wall_us.size(),
                static_cast<long long>(median(row.wall_us)), static_cast<long long>(minimum(row.wall_us)),
                static_cast<long long>(row.peak_kib));
    if (const Row* base = find(rows, row.runtime.baseline))
      std::printf("  %.2f x %s", median_ratio(row.wall_us, base->wall_us), base->runtime.name.c_str());
    std::printf("\n");
  }
}

Result<> run(Options options) {
  char scratch[] = "/tmp/bailey-bench.XXXXXX";
  if (!::mkdtemp(scratch)) return sys_error("making a scratch directory", errno);
  options.comparison.directory = scratch;
  auto outcome = [&]() -> Result<> {
    std::vector<Row> rows;
    for (Runtime& runtime : TRY(runtimes(options.comparison))) rows.push_back({std::move(runtime), {}, 0});
    TRY(measure_all(rows, options));
    print(rows);
    if (options.in_flight > 0)
      for (const Row& row : rows)
        std::printf("%-16s %d in flight: %.0f starts/s\n", row.runtime.name.c_str(), options.in_flight,
                    TRY(run_many(row.runtime, is_gvisor(row.runtime) ? 4 * options.in_flight : 40 * options.in_flight,
                                 options.in_flight)));
    return {};
  }();
  // The bare runsc of 2026 pins an empty network namespace in its state directory and leaves it mounted.
  (void)::umount2((std::string(scratch) + "/state/null-netns").c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  std::error_code ignored;
  std::filesystem::remove_all(scratch, ignored);
  return outcome;
}

}  // namespace
}  // namespace bailey::bench

int main(int argc, char** argv) {
  bailey::bench::Options options;
  options.comparison.bailey = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "bailey").string();
  CLI::App app{"times /bin/true in Bailey and its peers, interleaved"};
  app.add_option("--bailey", options.comparison.bailey, "the bailey binary")->check(CLI::ExistingFile);
  app.add_option("--runsc", options.comparison.runsc, "runsc, to compare the gvisor backend with")->check(CLI::ExistingFile);
  app.add_option("--rounds", options.rounds, "rounds of the native runtimes")->check(CLI::Range(1, 10000));
  app.add_option("--gvisor-rounds", options.gvisor_rounds, "rounds of gVisor")->check(CLI::Range(1, 10000));
  app.add_option("--in-flight", options.in_flight, "also measure starts per second with this many at once")
      ->check(CLI::Range(1, 64));
  CLI11_PARSE(app, argc, argv);
  if (auto done = bailey::bench::run(options); !done) {
    std::fprintf(stderr, "bailey-bench: %s\n", done.error().message.c_str());
    return 1;
  }
  return 0;
}
