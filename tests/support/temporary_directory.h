// A directory of a test's own below /tmp, removed with everything in it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "base/files.h"

namespace bailey::tests {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char path[] = "/tmp/bailey-test-XXXXXX";
    const char* made = ::mkdtemp(path);
    EXPECT_NE(made, nullptr);
    if (made) path_ = made;
  }
  ~TemporaryDirectory() {
    const auto parent = files::open("/tmp", O_RDONLY | O_DIRECTORY);
    if (path_.empty() || !parent) return;
    const auto removed = files::remove_tree(parent->get(), path_.substr(sizeof "/tmp/" - 1));
    EXPECT_TRUE(removed) << removed.error().message;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bailey::tests
