// Host tool of the build: seccomp_compile NAME PROFILE ARCH HEADER writes the profile's text and its program for ARCH as a C++
// header of constants kNAMESeccomp..., so that the start of a sandbox parses and compiles nothing.
#include <fcntl.h>

#include <cstdio>
#include <string>

#include "base/files.h"
#include "seccomp/profile.h"

namespace bailey::seccomp {
namespace {

constexpr size_t kProfileCap = 1 << 20;

std::string header_text(const std::vector<sock_filter>& program, const std::string& name, const std::string& profile,
                        const std::string& text) {
  const std::string constant = "inline constexpr char k" + name + "Seccomp";
  std::string out = "// Made by seccomp/compile.cc from " + profile.substr(profile.rfind('/') + 1) + ".\n#pragma once\n\n" +
                    "#include <linux/filter.h>\n\nnamespace bailey::seccomp {\n\n" + constant + "Hash[] = \"" +
                    hash_of(program) + "\";\n" + constant + "Text[] = R\"profile(" + text + ")profile\";\n" +
                    "inline constexpr sock_filter k" + name + "Seccomp[] = {\n";
  for (const sock_filter& in : program) {
    char line[64];
    snprintf(line, sizeof line, "    {0x%02x, %u, %u, 0x%08x},\n", in.code, in.jt, in.jf, in.k);
    out += line;
  }
  return out + "};\n\n}  // namespace bailey::seccomp\n";
}

Result<> compile(const std::string& name, const std::string& profile, const std::string& arch_name, const std::string& header) {
  const std::optional<Arch> arch = arch_named(arch_name);
  if (!arch) return fail(Fault::bad_input, "unknown architecture '" + arch_name + "'");
  const std::string text = TRY(files::read(profile, kProfileCap));
  const FilterRules rules = TRY(parse_profile(text, profile, *arch));
  const std::vector<sock_filter> program = TRY(assemble(rules));
  const Fd out = TRY(files::open(header, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  return files::write_fd(out.get(), header_text(program, name, profile, text), header);
}

}  // namespace
}  // namespace bailey::seccomp

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: seccomp_compile NAME PROFILE ARCH HEADER\n");
    return 2;
  }
  const auto done = bailey::seccomp::compile(argv[1], argv[2], argv[3], argv[4]);
  if (done) return 0;
  fprintf(stderr, "%s\n%s\n", done.error().message.c_str(), done.error().remedy.c_str());
  return 1;
}
