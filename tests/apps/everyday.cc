#include "everyday.h"

namespace bailey::tests {

namespace {

constexpr App kApps[] = {
    // Files
    {"Cp", "cp", "seq 1000 >a && cp a b && cp --reflink=auto a c && cp -a a d && cp -p a e && cmp a b && cmp a c && cmp a d && cmp a e && wc -l <e"},
    {"CpTree", "cp,find", "mkdir -p t/u && echo 1 >t/u/f && ln -s f t/u/l && cp -a t v && find v | sort && readlink v/u/l"},
    {"Mv", "mv", "echo x >a && mkdir d && mv a d/b && ls d && mv d e && cat e/b"},
    {"Ln", "ln", "echo x >a && ln a hard && ln -s a soft && stat -c %h a && readlink soft && cat hard soft"},
    {"Touch", "touch", "touch -d 2001-02-03T04:05:06Z f && date -u -r f +%s && touch -a f && touch -r f g && date -u -r g +%s"},
    {"Rm", "rm", "mkdir -p a/b/c && touch a/b/c/f && rm -rf a && ls -A | wc -l"},
    {"Install", "install", "echo x >a && install -m 0741 -D a d/e/f && stat -c '%a %s' d/e/f"},
    {"Chmod", "chmod", "touch f && chmod 0640 f && stat -c %a f && chmod u+x,g-r f && stat -c '%a %F' f"},
    {"Truncate", "truncate", "truncate -s 12345 f && stat -c %s f && fallocate -l 8192 g && stat -c %s g"},
    {"Dd", "dd", "dd if=/dev/zero bs=64k count=16 2>/dev/null | sha256sum && dd if=/dev/urandom of=r bs=1k count=3 status=none && wc -c <r"},
    {"Mktemp", "mktemp", "f=$(mktemp) && test -f $f && stat -c %a $f && rm $f && d=$(mktemp -d) && stat -c %a $d && rmdir $d"},
    {"Find", "find", "mkdir -p a/b && touch a/1 a/b/2 && find . -type f -newermt 2001-01-01 -printf '%P %y\\n' | sort && find a -delete && ls | wc -l"},
    {"Du", "du", "mkdir d && head -c 100000 /dev/zero >d/f && du -sb --apparent-size d/f"},
    {"Df", "df", "df --output=target . >/dev/null && df -P / | wc -l"},
    {"Mkfifo", "mkfifo", "mkfifo p && (echo through >p &) && cat p"},
    {"Realpath", "realpath", "mkdir -p a/b && ln -s a/b l && cd l && basename $(realpath ../b/.)"},
    {"Sync", "sync", "echo x >f && sync f && cat f"},
    {"Flock", "flock", "flock f sh -c 'echo held; flock -n f echo never || echo busy'"},
    // Text
    {"Sort", "sort", "seq 200000 | sort -R --random-source=/dev/zero | sort -n -S 1M --parallel=2 | sha256sum"},
    {"Uniq", "uniq", "printf 'a\\na\\nb\\n' | uniq -c && printf 'b\\na\\n' | sort | tr a-z A-Z | paste -sd, | rev"},
    {"HeadTail", "head,tail", "seq 100 | head -n 3 && seq 100 | tail -n 2 && seq 10 | split -l 4 - part. && ls part.* && cat part.ac"},
    {"Cut", "cut", "printf 'a:b:c\\n' | cut -d: -f2 && seq 3 | nl | expand && echo a b c | fold -w 3 && seq 4 | shuf --random-source=/dev/zero | sort | comm -12 - /dev/stdin </dev/null"},
    {"Hashes", "sha256sum", "seq 9 >f && md5sum f && sha1sum f && sha256sum f && sha512sum f && b2sum f && cksum f && base64 f && sha256sum f | sha256sum -c"},
    {"Grep", "grep", "printf 'eins\\nzwei\\ndrei\\n' >f && grep -n ei f && grep -rc . . && grep -P '^z\\w+i$' f"},
    {"Sed", "sed", "printf 'a b\\n' >f && sed -i -E 's/(a) (b)/\\2 \\1/' f && cat f && seq 5 | sed -n '2,4p;$!d'"},
    {"Awk", "awk", "seq 1000 | awk '{s+=$1; a[$1%7]++} END {print s, a[3]; printf \"%.3f\\n\", atan2(0,-1); \"echo sub\" | getline x; print x}'"},
    {"Diff", "diff", "printf '1\\n2\\n' >a; printf '1\\n3\\n' >b; diff a b; diff -u --label a --label b a b >p; patch -s a p && cmp a b && echo patched"},
    {"Printf", "printf", "printf '%05d %x %s %b\\n' 42 255 'a b' 'c\\td' && printf '\\303\\244\\n' | wc -m && expr 6 \\* 7 && seq -s+ 5 && factor 1001 && numfmt --to=iec 1048576"},
    {"Xargs", "xargs", "seq 50 | xargs -P 4 -n 5 echo | wc -w && printf 'a\\0b c\\0' | xargs -0 -n1 echo"},
    {"Tee", "tee", "echo x | tee a b | cat - a b && echo y | tee -a a >/dev/null && wc -l <a && yes | head -n 100000 | wc -c"},
    // Archives
    {"Tar", "tar", "mkdir d && seq 500 >d/f && ln -s f d/l && ln d/f d/h && chmod 640 d/f && tar cf t.tar d && tar tf t.tar | sort && mkdir o && tar xpf t.tar -C o && stat -c '%a %h' o/d/f && readlink o/d/l"},
    {"TarGz", "tar,gzip", "mkdir d && seq 5000 >d/f && tar czf t.tgz d && rm -r d && tar xzf t.tgz && sha256sum d/f"},
    {"Gzip", "gzip", "seq 5000 >f && gzip -k f && zcat f.gz | cmp - f && gunzip -t f.gz && echo same"},
    {"Bzip2", "bzip2", "seq 5000 >f && bzip2 -k f && bzcat f.bz2 | cmp - f && echo same"},
    {"Xz", "xz", "seq 5000 >f && xz -k -T2 f && xzcat f.xz | cmp - f && echo same"},
    {"Zstd", "zstd", "seq 5000 >f && zstd -q f && zstdcat f.zst | cmp - f && echo same"},
    // Processes, time and the system
    {"Timeout", "timeout", "timeout 0.2 sleep 100; echo $?; timeout 100 sh -c 'exit 3'; echo $?; timeout -s KILL 0.2 sleep 100; echo $?"},
    {"TimeoutEnds", "timeout", "timeout 0.2 sleep 100", 124},
    {"Ps", "ps", "sleep 100 & ps -o comm= -p $$ && ps -e -o pid= | grep -cx \" *$$\" && kill $! && ps -o ppid= -p $$ >/dev/null && ps aux | head -n 1 | wc -w"},
    {"Pgrep", "pgrep", "sleep 100 & while ! pgrep -P $$ -x sleep >/dev/null; do :; done; pgrep -P $$ -x sleep | wc -l && pkill -P $$ -x sleep && wait $!; echo $?"},
    {"Kill", "kill", "sh -c 'trap \"echo caught; exit 4\" USR1; kill -USR1 $$; sleep 100'; echo $?; sleep 100 & kill -9 $!; wait $!; echo $?"},
    {"Nice", "nice", "nice -n 5 nice && nohup sh -c 'echo kept' 2>/dev/null && stdbuf -oL echo line && env -i A=1 env"},
    {"Setsid", "setsid", "setsid -w sh -c 'test $(ps -o sid= -p $$) = $$ && echo leader'"},
    {"Taskset", "taskset,nproc", "test $(nproc) -ge 1 && taskset -c 0 sh -c 'echo pinned'"},
    {"Free", "free,uptime", "free | wc -l && uptime | grep -c load"},
    {"Prlimit", "prlimit", "prlimit --nofile=64 sh -c 'ulimit -n' && ulimit -c"},
    {"Date", "date", "date -u -d @1000000000 +%FT%TZ && TZ=Europe/Berlin date -d @1000000000 +%H && sleep 0.05 && cal 2 2001 2>/dev/null | wc -l"},
    {"Id", "id", "test $(id -un) = $(whoami) && test $(getent passwd $(id -u) | cut -d: -f1) = $(id -un) && test -n \"$(hostname)\""},
    {"Stat", "stat", "stat -c %F /dev/null /dev/zero /dev/urandom /dev/full /tmp /proc && stat -c %t:%T /dev/null && echo x 2>/dev/null >/dev/full", 1},
    {"Getconf", "getconf", "getconf PAGESIZE && getconf ARG_MAX && locale charmap && uname -s -m && arch"},
    {"Proc", "cat", "cat /proc/self/comm && wc -l </proc/self/limits && ls /proc/self/fd | wc -l && head -c 3 /proc/meminfo && tr '\\0' ' ' </proc/self/cmdline"},
    // Shells
    {"Dash", "dash", "dash -c 'f() { local x=$1; echo $((x*2)); }; f 21; set -- a b; echo $# $*; case abc in a*) echo yes;; esac'"},
    {"Bash", "bash", "bash -c 'set -o pipefail; a=(1 2 3); echo ${#a[@]} ${a[@]:1}; false | true; echo $?; diff <(seq 3) <(seq 4); [[ abc =~ ^a(.)c$ ]] && echo ${BASH_REMATCH[1]}; printf \"%(%Y)T\\n\" 0; cat <<<here'"},
    {"BashPipeline", "bash", "bash -c 'seq 10000 | while read -r n; do echo $((n%10)); done | sort | uniq -c | sort -rn | head -n 2; coproc cat; echo hi >&${COPROC[1]}; read -r x <&${COPROC[0]}; echo $x; exec {COPROC[1]}>&-; wait; echo $?'"},
    {"BashJobs", "bash", "bash -c 'set -m; sleep 100 & jobs; kill %1; wait %1 2>/dev/null; echo $?; trap \"echo bye\" EXIT; (exit 7); echo $?; ulimit -n 100; ulimit -n'"},
    {"BashTcp", "bash", "bash -c 'echo >/dev/tcp/127.0.0.1/9' 2>&1 | grep -o 'Connection refused'"},
    // Languages
    {"Python", "python3", "python3 -c 'import sys, json, math, hashlib, decimal; print(6*7, math.factorial(30), json.dumps({\"a\": [1, None]}), hashlib.sha3_256(b\"x\").hexdigest(), decimal.Decimal(2).sqrt()); sys.exit(3)'", 3},
    {"PythonSubprocess", "python3", "python3 -c 'import subprocess, os; print(subprocess.run([\"sh\", \"-c\", \"cat; exit 4\"], input=b\"in\", capture_output=True)); r = os.fork() or os._exit(5); print(os.waitstatus_to_exitcode(os.waitpid(r, 0)[1]))'"},
    {"PythonThreads", "python3", "python3 -c 'from concurrent.futures import ThreadPoolExecutor as E; import asyncio; print(sum(E(8).map(lambda x: x*x, range(1000)))); print(asyncio.run(asyncio.wait_for(asyncio.sleep(0.01, 7), 60)))'"},
    {"PythonMultiprocessing", "python3", "printf 'import multiprocessing as m\\ndef f(x): return x*x\\nif __name__ == \"__main__\":\\n  print(m.Pool(3).map(f, range(6)))\\n  q = m.Queue(); q.put(1); print(q.get())\\n' >p.py && python3 p.py"},
    {"PythonFiles", "python3", "python3 -c 'import tempfile, mmap, os, shutil, pathlib; f = tempfile.TemporaryFile(); f.write(b\"abc\"*5000); f.flush(); m = mmap.mmap(f.fileno(), 0); print(m[3:6], len(m)); p = pathlib.Path(\"d\"); p.mkdir(); (p/\"x\").write_text(\"y\"); shutil.copytree(p, \"e\"); os.replace(\"e/x\", \"e/z\"); print(sorted(map(str, pathlib.Path().rglob(\"*\"))))'"},
    {"PythonSockets", "python3", "python3 -c 'import socket, threading; s = socket.create_server((\"127.0.0.1\", 0)); threading.Thread(target=lambda: s.accept()[0].sendall(b\"over loopback\")).start(); print(socket.create_connection(s.getsockname()).recv(99)); a, b = socket.socketpair(); a.send(b\"pair\"); print(b.recv(9))'"},
    {"PythonSqlite", "python3", "python3 -c 'import sqlite3; c = sqlite3.connect(\"x.db\"); c.execute(\"create table t(a)\"); c.executemany(\"insert into t values(?)\", [(i,) for i in range(99)]); c.commit(); print(c.execute(\"select sum(a) from t\").fetchone())'"},
    {"PythonCtypes", "python3", "python3 -c 'import ctypes, ssl, zlib, platform; print(ctypes.CDLL(None).abs(-5), zlib.crc32(b\"x\"), ssl.create_default_context().verify_mode.name, platform.system())'"},
    {"Perl", "perl", "perl -e 'use POSIX; my %h = map { $_ => length } qw(a bb); print join(\",\", map {\"$_$h{$_}\"} sort keys %h), \"\\n\"; my $p = fork; exit 3 unless $p; waitpid $p, 0; print $? >> 8, \"\\n\"; print strftime(\"%Y\", gmtime 0), \"\\n\"; system(\"echo sub\"); open my $f, \"-|\", \"seq 3\"; print <$f>'"},
    {"Node", "node", "node -e 'const fs = require(\"fs\"), cp = require(\"child_process\"); fs.writeFileSync(\"f\", \"data\"); console.log(fs.readFileSync(\"f\", \"utf8\"), cp.execFileSync(\"echo\", [\"child\"]).toString().trim(), require(\"crypto\").createHash(\"sha256\").update(\"x\").digest(\"hex\")); setTimeout(() => console.log([3,1,2].sort()), 10)'"},
    {"NodeWorkers", "node", "node -e 'const { Worker } = require(\"worker_threads\"); const w = new Worker(\"require(\\\"worker_threads\\\").parentPort.postMessage(6*7)\", { eval: true }); w.on(\"message\", console.log); const net = require(\"net\"); const s = net.createServer(c => c.end(\"tcp\")).listen(0, \"127.0.0.1\", () => net.connect(s.address().port, \"127.0.0.1\").on(\"data\", d => { console.log(String(d).length); s.close(); }))' | sort"},
    {"Bc", "bc", "echo '2^200; scale=10; 4*a(1)' | bc -l"},
    {"Jq", "jq", "echo '{\"a\":[1,2,{\"b\":null}]}' | jq -c '.a | map(type)'"},
    {"Sqlite", "sqlite3", "sqlite3 x.db 'pragma journal_mode=wal; create table t(a integer primary key, b text); insert into t(b) values(\"x\"),(\"y\"); begin; update t set b=b||a; commit; select * from t; pragma integrity_check;'"},
    // Building
    {"Gcc", "gcc", "printf '#include <stdio.h>\\n#include <math.h>\\nint main(int c, char** v) { printf(\"%%d %%.3f\\\\n\", c, sqrt(2.0*c)); return 5; }\\n' >m.c && gcc -O2 -Wall m.c -o m -lm && ./m a b", 5},
    {"GccThreads", "gcc", "printf '#include <pthread.h>\\n#include <stdio.h>\\nstatic void* f(void* p) { return p; }\\nint main(void) { pthread_t t[20]; long n = 0; for (long i = 0; i < 20; ++i) pthread_create(t+i, 0, f, (void*)i); for (int i = 0; i < 20; ++i) { void* r; pthread_join(t[i], &r); n += (long)r; } printf(\"%%ld\\\\n\", n); }\\n' >m.c && gcc -pthread m.c -o m && ./m"},
    {"Gxx", "g++", "printf '#include <iostream>\\n#include <regex>\\n#include <filesystem>\\nint main() { std::cout << std::regex_replace(std::string(\"a1b22\"), std::regex(\"[0-9]+\"), \"#\") << std::filesystem::exists(\"m.cc\") << std::endl; try { throw 7; } catch (int i) { return i; } }\\n' >m.cc && g++ -std=c++17 m.cc -o m && ./m", 7},
    {"Make", "make,gcc", "printf 'all: a.o b.o\\n\\tgcc -o all a.o b.o\\n%%.o: %%.c\\n\\tgcc -c $<\\n' >Makefile && echo 'int f(void); int main(void) { return f(); }' >a.c && echo 'int f(void) { return 6; }' >b.c && make -s -j4 && make -q && ./all", 6},
    {"Binutils", "as,ar,nm,objdump", "echo 'int f(void) { return 6; }' >b.c && gcc -c b.c && ar rcs l.a b.o && ar t l.a && nm b.o | cut -c18- && objdump -f b.o | grep -c elf64 && strip b.o && readelf -h b.o | grep -c ELF64"},
    {"Git", "git", "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE=2001-02-03T04:05:06Z GIT_COMMITTER_DATE=2001-02-03T04:05:06Z\n"
                   "git init -q -b main r && cd r && seq 100 >f && git add f && git commit -q -m one && git checkout -q -b two && echo x >>f && git commit -q -am two && git checkout -q main && git merge -q two && git log --format='%H %s' && git gc -q && git fsck 2>/dev/null && cd .. && git clone -q r s && git -C s rev-parse HEAD && git -C s diff HEAD~1 --stat"},
    // Network and cryptography
    {"CurlClosedPort", "curl", "curl -sS --max-time 60 http://127.0.0.1:9/ 2>/dev/null", 7},
    {"CurlFile", "curl", "echo through curl >f && curl -s file://$PWD/f && curl --version | head -c 5"},
    {"CurlServer", "curl,python3", "echo served >f && python3 -u -c 'import http.server as h; s = h.HTTPServer((\"127.0.0.1\", 0), h.SimpleHTTPRequestHandler); print(s.server_port); s.handle_request()' >port 2>/dev/null & while ! test -s port; do sleep 0.05; done; curl -s http://127.0.0.1:$(cat port)/f"},
    {"Openssl", "openssl", "openssl genrsa -out k 2048 2>/dev/null && openssl rsa -in k -noout -check 2>&1 && echo text >f && openssl dgst -sha256 f && openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in f | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x && openssl rand -hex 8 | wc -c && openssl req -x509 -key k -subj /CN=x -days 1 | openssl x509 -noout -subject"},
    {"SshKeygen", "ssh-keygen", "ssh-keygen -q -t ed25519 -N '' -C c -f k && ssh-keygen -y -f k | cut -d' ' -f1 && stat -c %a k"},
    // Editors and pagers
    {"Ed", "ed", "printf 'a\\nline\\n.\\n1s/line/LINE/\\nw f\\nq\\n' | ed -s && cat f"},
    {"Less", "less,file", "seq 3 >f && less f | cat && file -b f && file -b --mime-type /bin/ls"},
    {"Script", "script", "script -qec 'echo on a terminal; test -t 1 && echo yes' /dev/null </dev/null | tr -d '\\r'"},
};

}  // namespace

std::span<const App> everyday_apps() { return kApps; }

}  // namespace bailey::tests
