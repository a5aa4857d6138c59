// The suite as an ordinary user: BAILEY_CONTRACT_USER names the kind, and the program, started as root, becomes that user
// before its first test. What root has to prepare is prepared in a mount namespace of the program's own and in cgroups that
// end with it: no account, no file and no mount of the host is changed.
//
//   ranges   named in /etc/passwd, with a range in /etc/subuid and /etc/subgid and a delegated cgroup in each hierarchy: what
//            systemd and useradd give to everybody
//   bare     a number that no file knows, and nothing else: one id inside, no cgroup
#pragma once

#include <sys/types.h>

#include <string>

namespace bailey::tests {

enum class Caller { root, ranges, bare };

inline constexpr uid_t kTestUid = 47'110;  // nobody's; the two differ, so that a mix-up shows
inline constexpr gid_t kTestGid = 47'112;
inline constexpr const char* kTestUser = "bailey-contract";
inline constexpr unsigned kTestRange = 0x6fff0000;  // 65536 ids that no Debian and no Bailey gives out

// Who this process is, by BAILEY_CONTRACT_USER.
Caller caller();

// What root has prepared for the user's tests; empty for root.
struct Prepared {
  std::string directory;        // root's, readable: the binary, the probes, the user's runtime directory
  std::string submount;         // a directory of the user's whose `sub` is a mount of its own
  std::string full, read_only;  // mounts of the user's without room, and without the right to write
  std::string elsewhere;        // a second delegated cgroup, the same path in each hierarchy; only with `ranges`
};
const Prepared& prepared();

// Has the process that is still root do one thing with a path of the test's. false: it failed.
//   m, u   file systems in that directory, and away with them (file_systems.h)
//   c, d   that file bound over kCoveredFile in this program's mount namespace, and the uppermost away again
inline constexpr const char* kCoveredFile = "/etc/debian_version";
bool ask_root(char what, const std::string& path);

// Makes all of it, runs `tests` as the user in a child and takes everything back. Its exit code.
int run_as_ordinary_user(int (*tests)());

}  // namespace bailey::tests
