// Servers do real work in each backend, under the default profile: inside one sandbox, over a Unix socket or the sandbox's own
// loopback, as an ordinary user of it (what PostgreSQL insists on, and nginx needs where nobody may change owners). `untrusted`
// is what a caller gets who says nothing: gVisor and that level's limits.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <ostream>

#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

namespace {

struct Service {
  const char* name;
  std::vector<const char*> needs;  // paths below /usr
  const char* script;              // for sh, in an empty writable directory
  const char* output;
};

void PrintTo(const Service& service, std::ostream* stream) { *stream << service.name; }

// PostgreSQL: shared memory, System V semaphores, workers of its own; a parallel query and a dump that is read back.
constexpr const char* kPostgres = R"sh(set -e
PATH=/usr/lib/postgresql/15/bin:$PATH
initdb -D db -A trust --no-sync >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
pg_ctl -D db -w -l server.log -o "-k $PWD -c listen_addresses=" start >/dev/null || { cat server.log >&2; exit 1; }
psql -h $PWD -d postgres -Atq <<'end'
create table t(a int primary key, b text);
insert into t select i, repeat('x', i % 100) from generate_series(1, 20000) i;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
select count(*), sum(a), sum(length(b)) from t;
begin; update t set a = -a where a < 100; rollback;
select min(a) from t;
end
pg_dump -h $PWD -d postgres -Fc -f dump && createdb -h $PWD copy && pg_restore -h $PWD -d copy dump
psql -h $PWD -d copy -Atqc 'select sum(a) from t'
pg_ctl -D db -m fast stop >/dev/null)sh";

// Debian's server program is a link to the one that checks dumps: the name it is called by decides.
constexpr const char* kRedis = R"sh(ln -s /usr/bin/redis-check-rdb redis-server
./redis-server --port 0 --unixsocket $PWD/s --dir $PWD --save '' --appendonly yes --io-threads 2 >log 2>&1 &
while ! redis-cli -s s ping >/dev/null 2>&1; do kill -0 $! || { cat log >&2; exit 1; }; sleep 0.05; done
redis-cli -s s set key value
redis-cli -s s get key
redis-cli -s s incrby n 41
redis-cli -s s incr n
redis-cli -s s eval 'return redis.call("get", "key") .. KEYS[1]' 1 z
redis-cli -s s bgsave >/dev/null
while redis-cli -s s info persistence | grep -q rdb_bgsave_in_progress:1; do sleep 0.05; done
redis-cli -s s info persistence | grep -o 'rdb_last_bgsave_status:.*' | tr -d '\r'
redis-cli -s s shutdown nosave
wait $!
echo $?)sh";

constexpr const char* kNginx = R"sh(mkdir html && echo served >html/f && head -c 3000000 /dev/zero >html/big
cat >nginx.conf <<'end'
worker_processes 2;
pid nginx.pid;
error_log error.log;
events { worker_connections 64; }
http {
  access_log off;
  sendfile on;
  aio threads;
  client_body_temp_path tmp1; proxy_temp_path tmp2; fastcgi_temp_path tmp3; uwsgi_temp_path tmp4; scgi_temp_path tmp5;
  server { listen 127.0.0.1:8080; root html; }
  server { listen unix:upstream; return 200 behind; }
  server { listen 127.0.0.1:8081; location / { proxy_pass http://unix:upstream:/; } }
}
end
sed -i "s|unix:upstream|unix:$PWD/upstream|" nginx.conf
nginx -p $PWD -c $PWD/nginx.conf -g 'daemon off;' 2>stderr &
while ! curl -s -o /dev/null http://127.0.0.1:8080/f; do kill -0 $! || { cat error.log stderr >&2; exit 1; }; sleep 0.05; done
curl -s http://127.0.0.1:8080/f
curl -s http://127.0.0.1:8080/big | wc -c
curl -s http://127.0.0.1:8081/; echo
curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8080/none
nginx -p $PWD -c $PWD/nginx.conf -s quit 2>/dev/null
wait $!
echo $?)sh";

std::vector<Service> services() {
  return {
      {"Postgres", {"lib/postgresql/15/bin/postgres", "bin/psql"}, kPostgres, "20000|200010000|990000\n1\n200010000\n"},
      {"Redis", {"bin/redis-check-rdb", "bin/redis-cli"}, kRedis, "OK\nvalue\n41\n42\nvaluez\nrdb_last_bgsave_status:ok\n0\n"},
      {"Nginx", {"sbin/nginx", "bin/curl"}, kNginx, "served\n3000000\nbehind\n404\n0\n"}};
}

}  // namespace

class Services : public testing::TestWithParam<std::tuple<Service, const char*>> {};

INSTANTIATE_TEST_SUITE_P(Apps, Services,
                         testing::Combine(testing::ValuesIn(services()), testing::Values("native", "gvisor", "untrusted")),
                         [](const auto& value) {
                           return std::string(std::get<0>(value.param).name) + "_" + std::get<1>(value.param);
                         });

TEST_P(Services, Work) {
  const auto& [service, runtime] = GetParam();
  BAILEY_REQUIRE("root", "cgroup");
  const bool untrusted = std::string_view(runtime) == "untrusted";
  if (std::string_view(runtime) != "native") {
    BAILEY_REQUIRE("runsc");
  }
  for (const std::string path : service.needs)
    if (!std::filesystem::exists("/usr/" + path)) {
      BAILEY_REQUIRE(path);  // by its path: Debian keeps servers out of PATH
    }
  RunOptions options;
  options.arguments = {"run"};
  if (!untrusted) options.arguments.insert(options.arguments.end(), {"--trust", "trusted", "--runtime", runtime});
  options.arguments.insert(options.arguments.end(), {"--user", "1000", "-w", "/tmp", "--", "sh", "-c", service.script});
  const Outcome got = run_bailey(std::move(options));
  EXPECT_EQ(got.exit_code, 0) << got;
  EXPECT_EQ(got.out, service.output) << got;
}

}  // namespace bailey::tests
