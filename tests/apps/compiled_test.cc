// Binaries of languages that bring a runtime of their own, compiled outside, give inside what they give outside: Go and Rust
// make threads and system calls without a libc's help or with their own ideas of it.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ostream>

#include "base/command.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::tests {

namespace {

constexpr const char* kGo = R"go(package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	var group sync.WaitGroup
	var lock sync.Mutex
	sum := 0
	for i := 0; i < 300; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			time.Sleep(time.Millisecond)
			lock.Lock()
			sum += i
			lock.Unlock()
		}(i)
	}
	group.Wait()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		connection, _ := listener.Accept()
		connection.Write([]byte("tcp"))
		connection.Close()
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	text := make([]byte, 3)
	connection.Read(text)
	child, err := exec.Command("echo", "child").Output()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(sum, string(text), string(child), err, <-signals)
	os.Exit(9)
}
)go";

constexpr const char* kRust = R"rust(use std::io::{Read, Write};
fn main() {
    let threads: Vec<_> = (0..20u64).map(|i| std::thread::spawn(move || i * i)).collect();
    let sum: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"tcp").unwrap());
    let mut text = String::new();
    std::net::TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
    server.join().unwrap();
    let child = std::process::Command::new("echo").arg("child").output().unwrap();
    let caught = std::panic::catch_unwind(|| { if sum > 0 { panic!("caught") } }).is_err();
    println!("{} {} {} {}", sum, text, String::from_utf8(child.stdout).unwrap(), caught);
    std::process::exit(9);
}
)rust";

struct Compiled {
  const char* compiler;
  const char* file;
  const char* source;
  std::vector<std::string> arguments;  // in the directory of the source, to make the program `out`
};
void PrintTo(const Compiled& value, std::ostream* stream) { *stream << value.compiler; }

}  // namespace

class CompiledOutside : public testing::TestWithParam<Compiled> {};

INSTANTIATE_TEST_SUITE_P(Apps, CompiledOutside,
                         testing::Values(Compiled{"go", "main.go", kGo, {"build", "-o", "out", "main.go"}},
                                         Compiled{"rustc", "main.rs", kRust, {"-O", "main.rs", "-o", "out"}}),
                         [](const auto& value) { return std::string(value.param.compiler); });

TEST_P(CompiledOutside, GivesTheSameInEachBackend) {
  const Compiled& compiled = GetParam();
  BAILEY_REQUIRE("root", "cgroup", "runsc", compiled.compiler);
  const TempDir directory;
  directory.write(compiled.file, compiled.source);
  const auto in_directory = [&](const std::string& program, const std::vector<std::string>& arguments) {
    Command command;
    command.program = "/bin/sh";
    command.arguments = {"-c", "cd \"$1\" && shift && exec \"$@\"", "sh", directory.path(), program};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    // The compilers' caches stay in the build's own directory: filling Go's takes most of a minute.
    command.environment = {std::string("PATH=") + ::getenv("PATH"),
                           std::string("HOME=") + ::getenv("HOME"),
                           "GOCACHE=" BAILEY_GO_CACHE,
                           "GOTOOLCHAIN=local",
                           "GO111MODULE=off",
                           "CGO_ENABLED=0"};
    command.timeout_ms = 300'000;
    return run_command(command);
  };
  const auto build = in_directory(find_program(compiled.compiler), compiled.arguments);
  ASSERT_TRUE(build) << build.error().message;
  ASSERT_EQ(build->exit_code, 0) << build->out << build->err;
  const auto outside = in_directory("./out", {});
  ASSERT_TRUE(outside && outside->exit_code == 9) << outside->err;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  for (const char* runtime : {"native", "gvisor"}) {
    RunOptions options;
    options.arguments = {"run", "--trust",      "trusted", "--runtime", runtime, "-v", directory.path() + ":/compiled:ro",
                         "--",  "/compiled/out"};
    const Outcome inside = run_bailey(std::move(options));
    EXPECT_EQ(inside.exit_code, 9) << runtime << inside;
    EXPECT_EQ(inside.out, outside->out) << runtime << inside;
  }
}

}  // namespace bailey::tests
