#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace bailey::tests {

TempDir::TempDir() {
  char name[] = "/tmp/bailey-test-XXXXXX";
  if (mkdtemp(name) == nullptr) ADD_FAILURE() << "mkdtemp: " << strerror(errno);
  path_ = name;
  chmod(name, 0755);
}

TempDir::~TempDir() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (error) ADD_FAILURE() << "removing " << path_ << ": " << error.message();
}

std::string TempDir::write(std::string_view name, std::string_view contents, mode_t mode) const {
  const std::string path = file(name);
  std::ofstream(path, std::ios::binary) << contents;
  chmod(path.c_str(), mode);
  return path;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

}  // namespace bailey::tests
