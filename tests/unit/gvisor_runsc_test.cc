#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "gvisor/answers.h"
#include "gvisor/runsc.h"
#include "tests/support/require.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/gvisor_specs.h"

namespace bailey::gvisor {
namespace {

// A directory of which everything above is root's alone.
class Trust : public testing::Test {
 protected:
  void SetUp() override {
    BAILEY_REQUIRE("root");
    char path[] = "/run/bailey-test-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
    ASSERT_EQ(::chmod(path, 0755), 0);
    write("runsc", "\177ELF and more", 0755);
  }
  void TearDown() override {
    if (directory_.empty()) return;
    const auto parent = files::open("/run", O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(files::remove_tree(parent->get(), directory_.substr(5)));
  }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }
  void write(const std::string& name, std::string_view contents, mode_t mode) const {
    const Fd file(::open(path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    ASSERT_TRUE(file);
    ASSERT_TRUE(files::write_fd(file.get(), contents, name));
    ASSERT_EQ(::fchmod(file.get(), mode), 0);
  }
  void expect_refused(const std::string& wanted, std::string_view words) const {
    const auto opened = open_runsc(wanted, "");
    ASSERT_FALSE(opened) << words;
    EXPECT_EQ(opened.error().fault, Fault::unavailable);
    EXPECT_NE(opened.error().message.find(words), std::string::npos) << opened.error().message;
    EXPECT_NE(opened.error().message.find(wanted), std::string::npos) << opened.error().message;
    EXPECT_FALSE(opened.error().remedy.empty());
  }
  std::string directory_;
};

TEST_F(Trust, TakesABinaryThatOnlyRootMayChange) {
  const auto opened = open_runsc(path("runsc"), "");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->path, path("runsc"));
  EXPECT_FALSE(opened->sidecars);
}

TEST_F(Trust, RefusesWhatIsNoProgramOfRunscs) {
  expect_refused(path("absent"), "No such file");
  expect_refused("runsc", "not absolute");
  expect_refused(directory_, "not a regular file");
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0755), 0);
  expect_refused(path("fifo"), "not a regular file");
  write("plain", "\177ELF", 0644);
  expect_refused(path("plain"), "not executable");
  write("script", "#!/bin/sh\nexec runsc \"$@\"\n", 0755);
  expect_refused(path("script"), "script");
  write("empty", "", 0755);
  expect_refused(path("empty"), "script or data");
}

TEST_F(Trust, RefusesABinaryThatOthersMayChange) {
  ASSERT_EQ(::chmod(path("runsc").c_str(), 0757), 0);
  expect_refused(path("runsc"), "writable by everybody");
  ASSERT_EQ(::chmod(path("runsc").c_str(), 0775), 0);
  expect_refused(path("runsc"), "writable by group 0");  // its members need not be root
  ASSERT_EQ(::chmod(path("runsc").c_str(), 0755), 0);
  ASSERT_EQ(::chown(path("runsc").c_str(), 4242, 0), 0);
  expect_refused(path("runsc"), "belongs to uid 4242");
}

TEST_F(Trust, RefusesADirectoryInWhichOthersCouldReplaceIt) {
  ASSERT_EQ(::chmod(directory_.c_str(), 0777), 0);
  expect_refused(path("runsc"), "directory " + directory_);
  ASSERT_EQ(::chmod(directory_.c_str(), 01777), 0);
  EXPECT_TRUE(open_runsc(path("runsc"), "")) << "sticky: nobody may replace what is root's";
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(::chown(directory_.c_str(), 4242, 0), 0);
  expect_refused(path("runsc"), "belongs to uid 4242");
}

TEST_F(Trust, JudgesTheRealPathOfALink) {
  const tests::TempDir open_to_all;
  ASSERT_EQ(::chmod(open_to_all.path().c_str(), 0777), 0);
  const std::string link = open_to_all.path() + "/link";
  ASSERT_EQ(::symlink(path("runsc").c_str(), link.c_str()), 0);
  EXPECT_TRUE(open_runsc(link, ""));  // what it leads to is opened and checked, and the link is not asked again
  // And the other way round: a link in a safe place to a binary that anybody could replace.
  std::filesystem::copy_file(path("runsc"), open_to_all.path() + "/runsc");
  ASSERT_EQ(::symlink((open_to_all.path() + "/runsc").c_str(), path("link").c_str()), 0);
  expect_refused(path("link"), "writable by everybody");
}

TEST_F(Trust, SearchesThePathInItsOrderAndSkipsRelativeElements) {
  const auto opened = open_runsc("", "relative:/nonexistent:" + directory_ + ":/usr/local/bin");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->path, path("runsc"));
}

TEST_F(Trust, OpensTheSidecarsBesideTheBinary) {
  ASSERT_EQ(::mkdir(path("gvisor-bin").c_str(), 0755), 0);
  const auto opened = open_runsc(path("runsc"), "");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(opened->sidecars);
  ASSERT_EQ(::chmod(path("gvisor-bin").c_str(), 0777), 0);
  expect_refused(path("runsc"), "gvisor-bin");
}

TEST_F(Trust, SeesAReplacedBinaryAsAnotherIdentity) {
  const Identity before = open_runsc(path("runsc"), "")->identity;
  EXPECT_EQ(open_runsc(path("runsc"), "")->identity, before);
  write("next", "\177ELF and more", 0755);
  ASSERT_EQ(::rename(path("next").c_str(), path("runsc").c_str()), 0);
  EXPECT_NE(open_runsc(path("runsc"), "")->identity, before);
}

class AnswersFile : public testing::Test {
 protected:
  AnswersFile() {
    identity_.device = 8;
    identity_.inode = 9;
    identity_.size = 10;
    identity_.modified_ns = -1;
    identity_.changed_ns = INT64_MAX;
    identity_.kernel = "6.1 boot";
    answers_ = {reference_traits(), {{"systrap", PlatformAnswer::works}, {"kvm", PlatformAnswer::no_such_platform}}};
  }
  std::string file() const { return directory_.path() + "/.runsc/8-9.json"; }
  std::optional<Answers> load() const { return load_answers(directory_.path(), identity_); }
  void keep() const {
    const auto kept = keep_answers(directory_.path(), identity_, answers_);
    ASSERT_TRUE(kept) << kept.error().message;
  }
  tests::TempDir directory_;
  Identity identity_;
  Answers answers_;
};

TEST_F(AnswersFile, GivesBackWhatWasKept) {
  EXPECT_FALSE(load());
  keep();
  ASSERT_TRUE(load());
  EXPECT_EQ(*load(), answers_);
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(AnswersFile, CountsAsAbsentForAnotherBinaryKernelOrBoot) {
  keep();
  for (auto change : {+[](Identity& i) { i.size++; }, +[](Identity& i) { i.modified_ns++; },
                      +[](Identity& i) { i.changed_ns--; }, +[](Identity& i) { i.kernel = "6.1 other boot"; }}) {
    Identity other = identity_;
    change(other);
    EXPECT_FALSE(load_answers(directory_.path(), other));
  }
}

TEST_F(AnswersFile, CountsAsAbsentWhenItWasCutOrChanged) {
  keep();
  const std::string whole = *files::read(file(), 1 << 20);
  const Fd directory = std::move(*files::open(directory_.path() + "/.runsc", O_RDONLY | O_DIRECTORY));
  const auto rewrite = [&](std::string_view text) {
    ASSERT_TRUE(files::write_atomically(directory.get(), "8-9.json", text, 0600));
  };
  for (size_t length = 0; length < whole.size(); length += 7) {
    rewrite(std::string_view(whole).substr(0, length));
    ASSERT_FALSE(load()) << length;
  }
  rewrite(std::string(whole).replace(whole.find("works"), 5, "often"));
  EXPECT_FALSE(load());
  rewrite(std::string(whole).insert(1, "\"more\":1,"));
  EXPECT_FALSE(load());
  rewrite(std::string(1 << 17, ' '));
  EXPECT_FALSE(load());
  keep();
  EXPECT_TRUE(load());
}

TEST_F(AnswersFile, IsNotMadeBehindALinkOrInAPlaceOfOthers) {
  const tests::TempDir target;
  ASSERT_EQ(::symlink(target.path().c_str(), directory_.file("link").c_str()), 0);
  EXPECT_FALSE(keep_answers(directory_.file("link"), identity_, answers_));
  EXPECT_NE(::access(target.file(".runsc").c_str(), F_OK), 0);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0777), 0);
  EXPECT_FALSE(keep_answers(directory_.path(), identity_, answers_));
  EXPECT_NE(::access(directory_.file(".runsc").c_str(), F_OK), 0);
  EXPECT_FALSE(keep_answers(directory_.file("missing"), identity_, answers_));
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0700), 0);
  keep();
  EXPECT_TRUE(load());
}

TEST_F(AnswersFile, IsNotBelievedWhenOthersCouldHaveWrittenIt) {
  keep();
  ASSERT_EQ(::chmod(file().c_str(), 0666), 0);
  EXPECT_FALSE(load());
  keep();
  const std::string directory = directory_.path() + "/.runsc";
  ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  EXPECT_FALSE(load());
  EXPECT_FALSE(keep_answers(directory_.path(), identity_, answers_));
  ASSERT_EQ(::chmod(directory.c_str(), 0700), 0);
  EXPECT_TRUE(load());
  ASSERT_EQ(::rename(file().c_str(), (directory + "/real").c_str()), 0);
  ASSERT_EQ(::symlink("real", file().c_str()), 0);
  EXPECT_FALSE(load());
  ASSERT_EQ(::unlink(file().c_str()), 0);
  ASSERT_EQ(::mkfifo(file().c_str(), 0600), 0);
  EXPECT_FALSE(load());  // and does not wait for a writer
}

}  // namespace
}  // namespace bailey::gvisor
