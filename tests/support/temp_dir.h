// TempDir: a directory of a test's own below /tmp, mode 0755, removed with all it holds.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace bailey::tests {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string write(std::string_view name, std::string_view contents, mode_t mode = 0644) const;  // returns the path

 private:
  std::string path_;
};

std::string read_file(const std::string& path);  // "" when it cannot be read

}  // namespace bailey::tests
