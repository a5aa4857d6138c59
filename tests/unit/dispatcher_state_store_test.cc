// The state store and what may go wrong with it: races, dead owners, spoiled records, foreign things in its
// place.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fstream>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "dispatcher/state_store.h"
#include "tests/support/require.h"
#include "tests/support/run_bailey.h"

namespace bailey::dispatcher {
namespace {

using Ids = std::vector<std::string>;

Result<> collect_nothing(const std::string&) { return {}; }

StateRecord record() {
  StateRecord made = StateRecord::of_this_process().value();
  made.backend = "native";
  made.trust = "trusted";
  made.cgroups = {"/sys/fs/cgroup/memory/bailey-x", "/sys/fs/cgroup/pids/bailey-x"};
  return made;
}

// An entry whose owner was killed: made by a child that never gets to remove it.
void leave_dead_entry(const std::string& path, const std::string& id) {
  const pid_t child = ::fork();
  if (child == 0) {
    StateStore store = StateStore::open_at(path).value();
    auto entry = store.create(id, collect_nothing);
    ::_exit(entry && entry->write(record()) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
}

Ids names_in(const std::string& path) { return files::list(files::open(path, O_RDONLY | O_DIRECTORY).value().get()).value(); }

class StateStoreTest : public testing::Test {
 protected:
  tests::TempDir directory_;
  std::string path_ = directory_.file("run");
};

TEST_F(StateStoreTest, KeepsARecordAsLongAsTheEntryLives) {
  StateStore store = StateStore::open_at(path_).value();
  {
    StateEntry entry = store.create("ab12", collect_nothing).value();
    EXPECT_FALSE(store.read("ab12"));
    ASSERT_TRUE(entry.write(record()));
    const StateRecord read = store.read("ab12").value();
    EXPECT_EQ(read.owner, record().owner);
    EXPECT_EQ(read.owner.boot_id.size(), 36U);
    EXPECT_EQ(read.backend, "native");
    EXPECT_EQ(read.cgroups, record().cgroups);
    struct stat info{};
    ASSERT_EQ(::stat((path_ + "/ab12/record.json").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
  }
  EXPECT_EQ(names_in(path_), Ids());
  EXPECT_FALSE(store.read("ab12"));
}

TEST_F(StateStoreTest, RefusesNamesThatLeaveTheDirectory) {
  StateStore store = StateStore::open_at(path_).value();
  for (const std::string name : {"", ".", "..", "../x", "a/b", ".hidden", "-x"}) {
    EXPECT_FALSE(store.create(name, collect_nothing)) << name;
    EXPECT_FALSE(store.read(name)) << name;
  }
  EXPECT_EQ(names_in(path_), Ids());
}

TEST_F(StateStoreTest, GivesANameToOneOfManyAtOnce) {
  constexpr int kRacers = 30;
  StateStore::open_at(path_).value();
  const Pipe gate = create_pipe().value();
  const Pipe stay = create_pipe().value();
  std::vector<pid_t> racers;
  const Pipe won = create_pipe().value();
  for (int i = 0; i < kRacers; ++i) {
    racers.push_back(::fork());
    if (racers.back() != 0) continue;
    char byte;
    (void)!::read(gate.read.get(), &byte, 1);
    StateStore store = StateStore::open_at(path_).value();
    const auto entry = store.create("same", collect_nothing);
    (void)!::write(won.write.get(), entry ? "1" : "0", 1);
    (void)!::read(stay.read.get(), &byte, 1);  // the winner stays until all have tried
    ::_exit(0);
  }
  (void)!::write(gate.write.get(), std::string(kRacers, 'g').data(), kRacers);
  int winners = 0;
  for (int i = 0; i < kRacers; ++i) {
    char result = '?';
    ASSERT_EQ(::read(won.read.get(), &result, 1), 1);
    winners += result == '1';
  }
  (void)!::write(stay.write.get(), std::string(kRacers, 'g').data(), kRacers);
  for (const pid_t racer : racers) ::waitpid(racer, nullptr, 0);
  EXPECT_EQ(winners, 1);
}

TEST_F(StateStoreTest, FreesTheNameOfADeadOwnerOnceItsRemainsAreCollected) {
  leave_dead_entry(path_, "dead");
  StateStore store = StateStore::open_at(path_).value();
  Ids asked;
  const auto fails = [&](const std::string&) -> Result<> { return fail(Fault::failed, "the cgroup will not go"); };
  EXPECT_FALSE(store.create("dead", fails));
  EXPECT_EQ(names_in(path_), Ids{"dead"}) << "gc must still find it";
  const auto entry = store.create("dead", [&](const std::string& id) -> Result<> { return asked.push_back(id), Result<>(); });
  EXPECT_TRUE(entry);
  EXPECT_EQ(asked, Ids{"dead"});
}

TEST_F(StateStoreTest, CollectsTheDeadAndLeavesTheLiving) {
  leave_dead_entry(path_, "dead1");
  leave_dead_entry(path_, "dead2");
  StateStore store = StateStore::open_at(path_).value();
  const StateEntry alive = store.create("alive", collect_nothing).value();
  files::write_fd(files::open(path_ + "/.uid-ranges", O_WRONLY | O_CREAT, 0600).value().get(), "x", "").value();
  Ids asked;
  StateStore other = StateStore::open_at(path_).value();
  const Ids dead =
      other.collect_dead([&](const std::string& id) -> Result<> { return asked.push_back(id), Result<>(); }).value().removed;
  EXPECT_EQ(dead, (Ids{"dead1", "dead2"}));
  EXPECT_EQ(asked, dead);
  EXPECT_EQ(names_in(path_), (Ids{".uid-ranges", "alive"}));
}

TEST_F(StateStoreTest, CollectsTheOthersWhenOneCannotBe) {
  for (const char* id : {"dead1", "stuck", "zdead"}) leave_dead_entry(path_, id);
  StateStore store = StateStore::open_at(path_).value();
  const auto collect = [&](const std::string& id) -> Result<> {
    if (id != "stuck") return {};
    EXPECT_TRUE(store.create("new", collect_nothing)) << "nobody waits for one that takes long";
    return fail(Fault::failed, "the cgroup will not go");
  };
  const StateStore::Sweep sweep = store.collect_dead(collect).value();
  EXPECT_EQ(sweep.removed, (Ids{"dead1", "zdead"}));
  ASSERT_EQ(sweep.left.size(), 1U);
  EXPECT_EQ(sweep.left[0].id, "stuck");
  EXPECT_EQ(sweep.left[0].why.message, "the cgroup will not go");
  EXPECT_EQ(names_in(path_), Ids{"stuck"}) << "gc must still find it";
}

TEST_F(StateStoreTest, ListsTheLivingAlone) {
  StateStore store = StateStore::open_at(path_).value();
  EXPECT_EQ(store.living().value(), Ids());
  leave_dead_entry(path_, "dead");
  ASSERT_EQ(::close(::open((path_ + "/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
  {
    StateEntry one = store.create("one", collect_nothing).value(), two = store.create("two", collect_nothing).value();
    EXPECT_EQ(store.living().value(), (Ids{"one", "two"}));
    two.leave();
    EXPECT_EQ(store.living().value(), Ids{"one"});
  }
  EXPECT_EQ(store.living().value(), Ids());
  EXPECT_EQ(names_in(path_), (Ids{"dead", "file", "two"})) << "asking removes nothing";
}

// Whoever asks has each free lock for a moment: a start at that moment is not refused.
TEST_F(StateStoreTest, ListsWhileOthersStart) {
  StateStore store = StateStore::open_at(path_).value();
  std::atomic<bool> done = false;
  std::thread asking([&] {
    StateStore other = StateStore::open_at(path_).value();
    while (!done) EXPECT_TRUE(other.living());
  });
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(store.create("one", collect_nothing)) << i;
  done = true;
  asking.join();
}

TEST_F(StateStoreTest, CollectsWhateverBecameOfTheRecord) {
  leave_dead_entry(path_, "model");
  StateStore store = StateStore::open_at(path_).value();
  const std::string whole = tests::read_file(path_ + "/model/record.json");
  ASSERT_GT(whole.size(), 100U);
  const auto spoil = [&](const std::string& id, const std::string& text) {
    ASSERT_EQ(::mkdir((path_ + "/" + id).c_str(), 0700), 0);
    files::write_fd(files::open(path_ + "/" + id + "/record.json", O_WRONLY | O_CREAT, 0600).value().get(), text, id).value();
  };
  size_t count = 1;
  for (size_t length = 0; length < whole.size(); ++length, ++count) {  // truncated at each byte
    const std::string id = "cut" + std::to_string(length);
    spoil(id, whole.substr(0, length));
    EXPECT_FALSE(store.read(id)) << length;
  }
  spoil("garbage", std::string("\0\xff\x7f{", 4));
  spoil("huge", std::string(1 << 20, ' '));
  EXPECT_FALSE(store.read("garbage"));
  EXPECT_FALSE(store.read("huge"));
  for (const char* id : {"link", "fifo", "none", "deep"}) ASSERT_EQ(::mkdir((path_ + "/" + id).c_str(), 0700), 0);
  const std::string outside = directory_.write("outside", whole);
  ASSERT_EQ(::symlink(outside.c_str(), (path_ + "/link/record.json").c_str()), 0);
  ASSERT_EQ(::mkfifo((path_ + "/fifo/record.json").c_str(), 0600), 0);
  ASSERT_EQ(::mkdir((path_ + "/deep/record.json").c_str(), 0700), 0);
  ASSERT_EQ(::symlink(directory_.path().c_str(), (path_ + "/linkdir").c_str()), 0);
  ASSERT_EQ(::mkfifo((path_ + "/bare-fifo").c_str(), 0600), 0);
  for (const char* id : {"link", "fifo", "none", "deep", "linkdir", "bare-fifo"}) EXPECT_FALSE(store.read(id)) << id;

  const Ids dead = store.collect_dead(collect_nothing).value().removed;
  EXPECT_EQ(dead.size(), count + 8);
  EXPECT_EQ(names_in(path_), Ids());
  EXPECT_EQ(tests::read_file(outside), whole) << "a link was followed";
}

TEST_F(StateStoreTest, RefusesADirectoryThatIsNotItsOwn) {
  ASSERT_EQ(::symlink(directory_.path().c_str(), path_.c_str()), 0);
  EXPECT_FALSE(StateStore::open_at(path_)) << "a link";
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_FALSE(StateStore::open_at(path_)) << "a FIFO";
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0770), 0);
  EXPECT_FALSE(StateStore::open_at(path_)) << "others may enter";
  if (::geteuid() == 0) {
    ASSERT_EQ(::chmod(path_.c_str(), 0700), 0);
    ASSERT_EQ(::chown(path_.c_str(), 4242, 4242), 0);
    EXPECT_FALSE(StateStore::open_at(path_)) << "another's";
  }
}

// In a child with a mount namespace of its own: `then` looks at a store on a small or read-only tmpfs and
// answers its exit code.
template <typename F>
int on_tmpfs(const std::string& path, const char* options, unsigned long flags, F&& then) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(100);
    if (::mkdir(path.c_str(), 0700) != 0 || ::mount("tmpfs", path.c_str(), "tmpfs", flags, options) != 0) ::_exit(101);
    ::_exit(then());
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(StateStoreTest, LeavesNothingHalfMadeWhereThereIsNoRoom) {
  BAILEY_REQUIRE("root");
  // Inodes: the root, and then none, one or two more; bytes: none, once the file is there.
  for (const char* options : {"mode=700,nr_inodes=1", "mode=700,nr_inodes=2", "mode=700,size=4k,nr_inodes=10"}) {
    const int rc = on_tmpfs(path_, options, 0, [&] {
      StateStore store = StateStore::open_at(path_).value();
      const bool bytes = std::string_view(options).find("size") != std::string_view::npos;
      if (bytes) {
        const Fd filler = files::open(path_ + "/.filler", O_WRONLY | O_CREAT, 0600).value();
        while (::write(filler.get(), std::string(4096, 'x').data(), 4096) > 0) {}
      }
      {
        auto entry = store.create("x", collect_nothing);
        const auto written = entry ? entry->write(record()) : Result<>(std::unexpected(entry.error()));
        if (written) return 1;
        if (written.error().sys != ENOSPC || written.error().message.find(path_) == std::string::npos) return 2;
      }
      return names_in(path_) == (bytes ? Ids{".filler"} : Ids()) ? 0 : 3;
    });
    EXPECT_EQ(rc, 0) << options;
    ASSERT_EQ(::rmdir(path_.c_str()), 0);
  }
}

TEST_F(StateStoreTest, NamesThePathAndTheErrnoOnAReadOnlyDirectory) {
  BAILEY_REQUIRE("root");
  const int rc = on_tmpfs(path_, "mode=700", MS_RDONLY, [&] {
    StateStore store = StateStore::open_at(path_).value();
    const auto entry = store.create("x", collect_nothing);
    if (entry) return 1;
    return entry.error().sys == EROFS && entry.error().message.find(path_) != std::string::npos ? 0 : 2;
  });
  EXPECT_EQ(rc, 0);
}

TEST_F(StateStoreTest, TakesARecordOfAnotherVersionForALivingSandboxs) {
  StateStore store = StateStore::open_at(path_).value();
  StateEntry entry = store.create("ab12", collect_nothing).value();
  ASSERT_TRUE(entry.write(record()));
  entry.leave();
  std::string text = tests::read_file(path_ + "/ab12/record.json");
  text.replace(text.find("\"version\":1"), 11, "\"version\":9");
  std::ofstream(path_ + "/ab12/record.json") << text;
  EXPECT_EQ(store.read("ab12").error().fault, Fault::unavailable);
  EXPECT_TRUE(store.collect_dead(collect_nothing).value().removed.empty());
  std::ofstream(path_ + "/ab12/record.json") << "garbage";
  EXPECT_EQ(store.collect_dead(collect_nothing).value().removed, Ids{"ab12"});
}

}  // namespace
}  // namespace bailey::dispatcher
