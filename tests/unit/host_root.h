// A host of the test's own and the copy of its files (bundle/host_tree.h), and the root that is made of both.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "bundle/config.h"
#include "bundle/host_rootfs.h"
#include "bundle/host_tree.h"
#include "tests/support/temp_dir.h"

namespace bailey::bundle {

class HostRoot : public testing::Test {
 protected:
  void SetUp() override {
    runtime_ = directory_.path() + "/runtime";
    inputs_.host = directory_.path() + "/host";
    make_directory("/usr/lib");
    make_directory("/etc");
    make_directory("/var/lib");
    options_.host = inputs_.host;
  }
  std::string on_host(const std::string& path) const { return inputs_.host + path; }
  void make_directory(const std::string& path) { ASSERT_TRUE(files::create_directories(on_host(path), 0755)); }
  void make_file(const std::string& path, const std::string& contents, mode_t mode = 0644) {
    const auto fd = files::open(on_host(path), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ASSERT_TRUE(fd && files::write_fd(fd->get(), contents, path));
    ASSERT_EQ(::fchmod(fd->get(), mode), 0);
  }
  void make_link(const std::string& path, const std::string& target) {
    ASSERT_EQ(::symlink(target.c_str(), on_host(path).c_str()), 0);
  }
  const HostTree& tree() {
    auto opened = open_host_tree({inputs_, runtime_, common_files()});
    EXPECT_TRUE(opened) << opened.error().message;
    if (opened) tree_ = std::move(*opened);
    options_.tree = &tree_;
    return tree_;
  }
  // What the sandbox reads at that path of the copy; "-" when there is none.
  std::string shown(const std::string& path) {
    const auto text = files::read(tree().path + "/" + path, 1 << 20);
    return text ? *text : "-";
  }
  std::string link_shown(const std::string& path) { return files::readlink(tree().path + "/" + path).value_or("-"); }
  std::vector<RootEntry> entries() {
    auto made = host_root_entries(config_, {}, options_);
    EXPECT_TRUE(made) << made.error().message;
    return made.value_or(std::vector<RootEntry>{});
  }
  // The entry of that path; an empty one when there is none.
  RootEntry entry(const std::string& path) {
    for (RootEntry& made : entries())
      if (made.path == path) return made;
    return {};
  }
  // Files that changed just now may change again within the clock's tick, and are looked at again: until they are old.
  void let_it_settle() {
    for (std::string last;; last = tree_.path)
      if (tree(); tree_.path == last) return;
  }

  tests::TempDir directory_;
  std::string runtime_;
  HostScanInputs inputs_;
  HostTree tree_;
  HostRootOptions options_;
  Config config_;
};

}  // namespace bailey::bundle
