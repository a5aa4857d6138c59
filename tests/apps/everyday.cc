#include "everyday.h"

namespace bailey::tests {

namespace {

constexpr App kApps[] = {
    // Files
    {"Cp", "cp", R"sh(seq 1000 >a && cp a b && cp --reflink=auto a c && cp -a a d && cp -p a e && cmp a b && cmp a c &&
cmp a d && cmp a e && wc -l <e)sh"},
    {"CpTree", "cp,find",
     R"sh(mkdir -p t/u && echo 1 >t/u/f && ln -s f t/u/l && cp -a t v && find v | sort && readlink v/u/l)sh"},
    {"Mv", "mv", R"sh(echo x >a && mkdir d && mv a d/b && ls d && mv d e && cat e/b)sh"},
    {"Ln", "ln", R"sh(echo x >a && ln a hard && ln -s a soft && stat -c %h a && readlink soft && cat hard soft)sh"},
    {"Touch", "touch", R"sh(touch -d 2001-02-03T04:05:06Z f && date -u -r f +%s && touch -a f && touch -r f g &&
date -u -r g +%s)sh"},
    {"Rm", "rm", R"sh(mkdir -p a/b/c && touch a/b/c/f && rm -rf a && ls -A | wc -l)sh"},
    {"Install", "install", R"sh(echo x >a && install -m 0741 -D a d/e/f && stat -c '%a %s' d/e/f)sh"},
    {"Chmod", "chmod", R"sh(touch f && chmod 0640 f && stat -c %a f && chmod u+x,g-r f && stat -c '%a %F' f)sh"},
    {"Truncate", "truncate", R"sh(truncate -s 12345 f && stat -c %s f && fallocate -l 8192 g && stat -c %s g)sh"},
    {"Dd", "dd", R"sh(dd if=/dev/zero bs=64k count=16 2>/dev/null | sha256sum &&
dd if=/dev/urandom of=r bs=1k count=3 status=none && wc -c <r)sh"},
    {"Mktemp", "mktemp",
     R"sh(f=$(mktemp) && test -f $f && stat -c %a $f && rm $f && d=$(mktemp -d) && stat -c %a $d && rmdir $d)sh"},
    {"Find", "find", R"sh(mkdir -p a/b && touch a/1 a/b/2 && find . -type f -newermt 2001-01-01 -printf '%P %y\n' | sort &&
find a -delete && ls | wc -l)sh"},
    {"Du", "du", R"sh(mkdir d && head -c 100000 /dev/zero >d/f && du -sb --apparent-size d/f)sh"},
    {"Df", "df", R"sh(df --output=target . >/dev/null && df -P / | wc -l)sh"},
    {"Mkfifo", "mkfifo", R"sh(mkfifo p && (echo through >p &) && cat p)sh"},
    {"Realpath", "realpath", R"sh(mkdir -p a/b && ln -s a/b l && cd l && basename $(realpath ../b/.))sh"},
    {"Sync", "sync", R"sh(echo x >f && sync f && cat f)sh"},
    {"Flock", "flock", R"sh(flock f sh -c 'echo held; flock -n f echo never || echo busy')sh"},
    // Text
    {"Sort", "sort", R"sh(seq 200000 | sort -R --random-source=/dev/zero | sort -n -S 1M --parallel=2 | sha256sum)sh"},
    {"Uniq", "uniq", R"sh(printf 'a\na\nb\n' | uniq -c && printf 'b\na\n' | sort | tr a-z A-Z | paste -sd, | rev)sh"},
    {"HeadTail", "head,tail", R"sh(seq 100 | head -n 3 && seq 100 | tail -n 2 && seq 10 | split -l 4 - part. && ls part.* &&
cat part.ac)sh"},
    {"Cut", "cut", R"sh(printf 'a:b:c\n' | cut -d: -f2 && seq 3 | nl | expand && echo a b c | fold -w 3 &&
seq 4 | shuf --random-source=/dev/zero | sort | comm -12 - /dev/stdin </dev/null)sh"},
    {"Hashes", "sha256sum",
     R"sh(seq 9 >f && md5sum f && sha1sum f && sha256sum f && sha512sum f && b2sum f && cksum f && base64 f &&
sha256sum f | sha256sum -c)sh"},
    {"Grep", "grep", R"sh(printf 'eins\nzwei\ndrei\n' >f && grep -n ei f && grep -rc . . && grep -P '^z\w+i$' f)sh"},
    {"Sed", "sed", R"sh(printf 'a b\n' >f && sed -i -E 's/(a) (b)/\2 \1/' f && cat f && seq 5 | sed -n '2,4p;$!d')sh"},
    {"Awk", "awk",
     R"sh(seq 1000 | awk '{s+=$1; a[$1%7]++} END {print s, a[3]; printf "%.3f\n", atan2(0,-1); "echo sub" | getline x; print x}')sh"},
    {"Diff", "diff", R"sh(printf '1\n2\n' >a; printf '1\n3\n' >b; diff a b; diff -u --label a --label b a b >p; patch -s a p &&
cmp a b && echo patched)sh"},
    {"Printf", "printf", R"sh(printf '%05d %x %s %b\n' 42 255 'a b' 'c\td' && printf '\303\244\n' | wc -m && expr 6 \* 7 &&
seq -s+ 5 && factor 1001 && numfmt --to=iec 1048576)sh"},
    {"Xargs", "xargs", R"sh(seq 50 | xargs -P 4 -n 5 echo | wc -w && printf 'a\0b c\0' | xargs -0 -n1 echo)sh"},
    {"Tee", "tee", R"sh(echo x | tee a b | cat - a b && echo y | tee -a a >/dev/null && wc -l <a &&
yes | head -n 100000 | wc -c)sh"},
    // Archives
    {"Tar", "tar", R"sh(mkdir d && seq 500 >d/f && ln -s f d/l && ln d/f d/h && chmod 640 d/f && tar cf t.tar d &&
tar tf t.tar | sort && mkdir o && tar xpf t.tar -C o && stat -c '%a %h' o/d/f && readlink o/d/l)sh"},
    {"TarGz", "tar,gzip", R"sh(mkdir d && seq 5000 >d/f && tar czf t.tgz d && rm -r d && tar xzf t.tgz && sha256sum d/f)sh"},
    {"Gzip", "gzip", R"sh(seq 5000 >f && gzip -k f && zcat f.gz | cmp - f && gunzip -t f.gz && echo same)sh"},
    {"Bzip2", "bzip2", R"sh(seq 5000 >f && bzip2 -k f && bzcat f.bz2 | cmp - f && echo same)sh"},
    {"Xz", "xz", R"sh(seq 5000 >f && xz -k -T2 f && xzcat f.xz | cmp - f && echo same)sh"},
    {"Zstd", "zstd", R"sh(seq 5000 >f && zstd -q f && zstdcat f.zst | cmp - f && echo same)sh"},
    // Processes, time and the system
    {"Timeout", "timeout",
     R"sh(timeout 0.2 sleep 100; echo $?; timeout 100 sh -c 'exit 3'; echo $?; timeout -s KILL 0.2 sleep 100; echo $?)sh"},
    {"TimeoutEnds", "timeout", R"sh(timeout 0.2 sleep 100)sh", 124},
    {"Ps", "ps", R"sh(sleep 100 & ps -o comm= -p $$ && ps -e -o pid= | grep -cx " *$$" && kill $! &&
ps -o ppid= -p $$ >/dev/null && ps aux | head -n 1 | wc -w)sh"},
    {"Pgrep", "pgrep", R"sh(sleep 100 & while ! pgrep -P $$ -x sleep >/dev/null; do :; done; pgrep -P $$ -x sleep | wc -l &&
pkill -P $$ -x sleep && wait $!; echo $?)sh"},
    {"Kill", "kill",
     R"sh(sh -c 'trap "echo caught; exit 4" USR1; kill -USR1 $$; sleep 100'; echo $?; sleep 100 & kill -9 $!; wait $!; echo $?)sh"},
    {"Nice", "nice", R"sh(nice -n 5 nice && nohup sh -c 'echo kept' 2>/dev/null && stdbuf -oL echo line && env -i A=1 env)sh"},
    {"Setsid", "setsid", R"sh(setsid -w sh -c 'test $(ps -o sid= -p $$) = $$ && echo leader')sh"},
    {"Taskset", "taskset,nproc", R"sh(test $(nproc) -ge 1 && taskset -c 0 sh -c 'echo pinned')sh"},
    {"Free", "free,uptime", R"sh(free | wc -l && uptime | grep -c load)sh"},
    {"Prlimit", "prlimit", R"sh(prlimit --nofile=64 sh -c 'ulimit -n' && ulimit -c)sh"},
    {"Date", "date", R"sh(date -u -d @1000000000 +%FT%TZ && TZ=Europe/Berlin date -d @1000000000 +%H && sleep 0.05 &&
cal 2 2001 2>/dev/null | wc -l)sh"},
    {"Id", "id", R"sh(test $(id -un) = $(whoami) && test $(getent passwd $(id -u) | cut -d: -f1) = $(id -un) &&
test -n "$(hostname)")sh"},
    {"Stat", "stat", R"sh(stat -c %F /dev/null /dev/zero /dev/urandom /dev/full /tmp /proc && stat -c %t:%T /dev/null &&
echo x 2>/dev/null >/dev/full)sh",
     1},
    {"Getconf", "getconf", R"sh(getconf PAGESIZE && getconf ARG_MAX && locale charmap && uname -s -m && arch)sh"},
    {"Proc", "cat", R"sh(cat /proc/self/comm && wc -l </proc/self/limits && ls /proc/self/fd | wc -l &&
head -c 3 /proc/meminfo && tr '\0' ' ' </proc/self/cmdline)sh"},
    // Shells
    {"Dash", "dash",
     R"sh(dash -c 'f() { local x=$1; echo $((x*2)); }; f 21; set -- a b; echo $# $*; case abc in a*) echo yes;; esac')sh"},
    {"Bash", "bash", R"sh(bash -c '
set -o pipefail
a=(1 2 3)
echo ${#a[@]} ${a[@]:1}
false | true
echo $?
diff <(seq 3) <(seq 4)
[[ abc =~ ^a(.)c$ ]] && echo ${BASH_REMATCH[1]}
printf "%(%Y)T\n" 0
cat <<<here
')sh"},
    {"BashPipeline", "bash", R"sh(bash -c '
seq 10000 | while read -r n; do echo $((n%10)); done | sort | uniq -c | sort -rn | head -n 2
coproc cat
echo hi >&${COPROC[1]}
read -r x <&${COPROC[0]}
echo $x
exec {COPROC[1]}>&-
wait
echo $?
')sh"},
    {"BashJobs", "bash", R"sh(bash -c '
set -m
sleep 100 & jobs
pid=$!
kill %1
wait $pid 2>/dev/null
echo $?
trap "echo bye" EXIT
(exit 7)
echo $?
ulimit -n 100
ulimit -n
')sh"},
    {"BashTcp", "bash", R"sh(bash -c 'echo >/dev/tcp/127.0.0.1/9' 2>&1 | grep -o 'Connection refused')sh"},
    // Languages
    {"Python", "python3", R"sh(python3 -c '
import sys, json, math, hashlib, decimal
print(6*7, math.factorial(30), json.dumps({"a": [1, None]}), hashlib.sha3_256(b"x").hexdigest(), decimal.Decimal(2).sqrt())
sys.exit(3)
')sh",
     3},
    {"PythonSubprocess", "python3", R"sh(python3 -c '
import subprocess, os
print(subprocess.run(["sh", "-c", "cat; exit 4"], input=b"in", capture_output=True))
r = os.fork() or os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(r, 0)[1]))
')sh"},
    {"PythonThreads", "python3", R"sh(python3 -c '
from concurrent.futures import ThreadPoolExecutor as E
import asyncio
print(sum(E(8).map(lambda x: x*x, range(1000))))
print(asyncio.run(asyncio.wait_for(asyncio.sleep(0.01, 7), 60)))
')sh"},
    {"PythonMultiprocessing", "python3", R"sh(cat >p.py <<'end'
import multiprocessing as m
def f(x): return x*x
if __name__ == "__main__":
  print(m.Pool(3).map(f, range(6)))
  q = m.Queue()
  q.put(1)
  print(q.get())
end
python3 p.py)sh"},
    {"PythonFiles", "python3", R"sh(python3 -c '
import tempfile, mmap, os, shutil, pathlib
f = tempfile.TemporaryFile()
f.write(b"abc"*5000)
f.flush()
m = mmap.mmap(f.fileno(), 0)
print(m[3:6], len(m))
p = pathlib.Path("d")
p.mkdir()
(p/"x").write_text("y")
shutil.copytree(p, "e")
os.replace("e/x", "e/z")
print(sorted(map(str, pathlib.Path().rglob("*"))))
')sh"},
    {"PythonSockets", "python3", R"sh(python3 -c '
import socket, threading
s = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: s.accept()[0].sendall(b"over loopback")).start()
print(socket.create_connection(s.getsockname()).recv(99))
a, b = socket.socketpair()
a.send(b"pair")
print(b.recv(9))
')sh"},
    {"PythonSqlite", "python3", R"sh(python3 -c '
import sqlite3
c = sqlite3.connect("x.db")
c.execute("create table t(a)")
c.executemany("insert into t values(?)", [(i,) for i in range(99)])
c.commit()
print(c.execute("select sum(a) from t").fetchone())
')sh"},
    {"PythonCtypes", "python3", R"sh(python3 -c '
import ctypes, ssl, zlib, platform
print(ctypes.CDLL(None).abs(-5), zlib.crc32(b"x"), ssl.create_default_context().verify_mode.name, platform.system())
')sh"},
    {"Perl", "perl", R"sh(perl -e '
use POSIX;
my %h = map { $_ => length } qw(a bb);
print join(",", map {"$_$h{$_}"} sort keys %h), "\n";
my $p = fork;
exit 3 unless $p;
waitpid $p, 0;
print $? >> 8, "\n";
print strftime("%Y", gmtime 0), "\n";
system("echo sub");
open my $f, "-|", "seq 3";
print <$f>
')sh"},
    {"Node", "node", R"sh(node -e '
const fs = require("fs"), cp = require("child_process");
fs.writeFileSync("f", "data");
console.log(fs.readFileSync("f", "utf8"), cp.execFileSync("echo", ["child"]).toString().trim(), require("crypto").createHash("sha256").update("x").digest("hex"));
setTimeout(() => console.log([3,1,2].sort()), 10)
')sh"},
    {"NodeWorkers", "node", R"sh(cat >n.js <<'end'
const { Worker } = require("worker_threads");
const worker = new Worker("require('worker_threads').parentPort.postMessage(6*7)", { eval: true });
worker.on("message", (answer) => {
  console.log(answer);
  const net = require("net");
  const server = net.createServer((c) => c.end("tcp")).listen(0, "127.0.0.1", () => {
    net.connect(server.address().port, "127.0.0.1").on("data", (d) => { console.log(String(d)); server.close(); });
  });
});
end
node n.js)sh"},
    {"Java", "java,javac", R"sh(cat >J.java <<'end'
import java.util.concurrent.*;
import java.util.stream.*;
public class J {
  public static void main(String[] a) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(8);
    long sum = 0;
    for (Future<Integer> f : pool.invokeAll(IntStream.range(0, 100).<Callable<Integer>>mapToObj(i -> () -> i * i).collect(Collectors.toList())))
      sum += f.get();
    pool.shutdown();
    Process child = new ProcessBuilder("echo", "child").start();
    System.out.println(sum + " " + new String(child.getInputStream().readAllBytes()).trim());
    java.net.ServerSocket server = new java.net.ServerSocket(0, 5, java.net.InetAddress.getLoopbackAddress());
    Thread thread = new Thread(() -> {
      try (java.net.Socket c = server.accept()) { c.getOutputStream().write("tcp".getBytes()); } catch (Exception e) { e.printStackTrace(); }
    });
    thread.start();
    try (java.net.Socket c = new java.net.Socket(server.getInetAddress(), server.getLocalPort())) {
      System.out.println(new String(c.getInputStream().readAllBytes()));
    }
    thread.join();
    java.nio.file.Files.writeString(java.nio.file.Path.of("f"), "file");
    System.out.println(java.nio.file.Files.readString(java.nio.file.Path.of("f")));
    System.exit(3);
  }
}
end
javac J.java && java J)sh",
     3},
    {"Bc", "bc", R"sh(echo '2^200; scale=10; 4*a(1)' | bc -l)sh"},
    {"Jq", "jq", R"sh(echo '{"a":[1,2,{"b":null}]}' | jq -c '.a | map(type)')sh"},
    {"Sqlite", "sqlite3",
     R"sh(sqlite3 x.db 'pragma journal_mode=wal; create table t(a integer primary key, b text); insert into t(b) values("x"),("y"); begin; update t set b=b||a; commit; select * from t; pragma integrity_check;')sh"},
    // Building
    {"Gcc", "gcc", R"sh(cat >m.c <<'end'
#include <math.h>
#include <stdio.h>
int main(int c, char** v) { printf("%d %s %.3f\n", c, v[1], sqrt(2.0 * c)); return 5; }
end
gcc -O2 -Wall m.c -o m -lm && ./m a b)sh",
     5},
    {"GccThreads", "gcc", R"sh(cat >m.c <<'end'
#include <pthread.h>
#include <stdio.h>
static void* same(void* p) { return p; }
int main(void) {
  pthread_t threads[20];
  long sum = 0;
  for (long i = 0; i < 20; ++i) pthread_create(threads + i, 0, same, (void*)i);
  for (int i = 0; i < 20; ++i) { void* result; pthread_join(threads[i], &result); sum += (long)result; }
  printf("%ld\n", sum);
}
end
gcc -pthread m.c -o m && ./m)sh"},
    {"Gxx", "g++", R"sh(cat >m.cc <<'end'
#include <filesystem>
#include <iostream>
#include <regex>
int main() {
  std::cout << std::regex_replace(std::string("a1b22"), std::regex("[0-9]+"), "#") << std::filesystem::exists("m.cc");
  try { throw 7; } catch (int i) { return i; }
}
end
g++ -std=c++17 m.cc -o m && ./m)sh",
     7},
    {"Make", "make,gcc", R"sh(printf 'all: a.o b.o\n\tgcc -o all a.o b.o\n%%.o: %%.c\n\tgcc -c $<\n' >Makefile
echo 'int f(void); int main(void) { return f(); }' >a.c
echo 'int f(void) { return 6; }' >b.c
make -j4 && make -q && ./all)sh",
     6},
    {"Binutils", "as,ar,nm,objdump", R"sh(echo 'int f(void) { return 6; }' >b.c && gcc -c b.c && ar rcs l.a b.o && ar t l.a &&
nm b.o | cut -c18- && objdump -f b.o | grep -c elf64 && strip b.o && readelf -h b.o | grep -c ELF64)sh"},
    {"Git", "git", R"sh(export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_AUTHOR_DATE=2001-02-03T04:05:06Z GIT_COMMITTER_DATE=2001-02-03T04:05:06Z
set -e
git init -q -b main r && cd r && seq 100 >f && git add f && git commit -q -m one
git checkout -q -b two && echo x >>f && git commit -q -am two && git checkout -q main && git merge -q two
git log --format='%H %s' && git gc -q && git fsck 2>/dev/null
cd .. && git clone -q r s && git -C s rev-parse HEAD && git -C s diff HEAD~1 --stat)sh"},
    // Network and cryptography
    {"CurlClosedPort", "curl", R"sh(curl -sS --max-time 60 http://127.0.0.1:9/ 2>/dev/null)sh", 7},
    {"CurlFile", "curl", R"sh(echo through curl >f && curl -s file://$PWD/f && curl --version | head -c 5)sh"},
    {"CurlServer", "curl,python3", R"sh(cat >server.py <<'end'
import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.handle_request()
end
echo served >f && python3 server.py >port 2>/dev/null &
while ! test -s port; do sleep 0.05; done
curl -s http://127.0.0.1:$(cat port)/f)sh"},
    {"Openssl", "openssl", R"sh(set -e
openssl genrsa -out k 2048 2>/dev/null
openssl rsa -in k -noout -check 2>&1
echo text >f && openssl dgst -sha256 f
openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in f | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x
openssl rand -hex 8 | wc -c
openssl req -x509 -key k -subj /CN=x -days 1 | openssl x509 -noout -subject)sh"},
    {"SshKeygen", "ssh-keygen",
     R"sh(ssh-keygen -q -t ed25519 -N '' -C c -f k && ssh-keygen -y -f k | cut -d' ' -f1 && stat -c %a k)sh"},
    // What traces: LeakSanitizer stops its own threads when a program ends, debuggers and strace another process.
    {"AddressSanitizer", "gcc", R"sh(cat >m.c <<'end'
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void* sleeper(void* p) { pause(); return p; }
int main(int c, char** v) {
  (void)v;
  pthread_t t;
  for (int i = 0; i < 3; ++i) pthread_create(&t, 0, sleeper, 0);
  char* volatile p = malloc(17);
  if (c > 1) free(p);
  p = 0;
  return 0;
}
end
gcc -fsanitize=address m.c -o m -lpthread
./m some; echo clean $?
./m >out 2>&1; echo leaks $?
grep -o 'LeakSanitizer: .*' out
grep -o 'SUMMARY.*' out)sh"},
    {"ThreadSanitizer", "gcc", R"sh(cat >m.c <<'end'
#include <pthread.h>
static int shared;
static void* add(void* p) { ++shared; return p; }
int main(void) { pthread_t t; pthread_create(&t, 0, add, 0); ++shared; return pthread_join(t, 0); }
end
gcc -fsanitize=thread m.c -o m && ./m >out 2>&1; echo $?; grep -o 'ThreadSanitizer: data race' out | sort -u)sh"},
    {"Strace", "strace", R"sh(strace -f -e trace=write,execve -o out sh -c 'echo a; (echo b; exit 3)'; echo $?
sed 's/^[0-9]* *//' out | grep -o 'write(1.*\|+++ exited.*\|execve("[^"]*"' | sort)sh"},
    {"Gdb", "gdb,gcc", R"sh(cat >m.c <<'end'
#include <stdio.h>
int twice(int n) { return 2 * n; }
int main(void) { int seven = 7; seven = twice(seven); printf("%d\n", seven); return seven; }
end
gcc -g -O0 m.c -o m && gdb -nx -batch -ex 'break twice' -ex run -ex 'print n' -ex 'set var n = 8' -ex finish \
  -ex 'print seven' -ex continue ./m 2>&1 | grep '^\$\|^16\|exited' | sed 's/process [0-9]*/process/')sh"},
    {"Man", "man", R"sh(printf '.TH T 1\n.SH NAME\nt \\- test page\n' >t.1; man -l t.1 2>/dev/null | grep 'test page')sh"},
    // Editors and pagers
    {"Ed", "ed", R"sh(printf 'a\nline\n.\n1s/line/LINE/\nw f\nq\n' | ed -s && cat f)sh"},
    {"Less", "less,file", R"sh(seq 3 >f && less f | cat && file -b f && file -b --mime-type /bin/ls)sh"},
    {"Script", "script", R"sh(script -qec 'echo on a terminal; test -t 1 && echo yes' /dev/null </dev/null | tr -d '\r')sh"},
};

}  // namespace

std::span<const App> everyday_apps() { return kApps; }

}  // namespace bailey::tests
