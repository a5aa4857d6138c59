#include "tests/contract/hung_file_system.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "base/files.h"

namespace bailey::tests {

namespace {

constexpr uint32_t kOpcodes = 64;
constexpr size_t kRoomForRequest = 1 << 20;
constexpr int kHigh = 500;
constexpr uint32_t kMinor = 41, kAllowIdMap = 1 << 8;  // FUSE_ALLOW_IDMAP >> 32, Linux 6.12: Debian 12's headers lack it
constexpr uint64_t kFile = 4;
constexpr std::pair<const char*, uint64_t> kNames[] = {{"sub", 2}, {"data", 3}, {"f", kFile}};
constexpr std::string_view kContents = "hello\n";

fuse_attr attributes(uint64_t inode) {
  fuse_attr attr{};
  attr.ino = inode;
  attr.mode = inode == kFile ? S_IFREG | 0777 : S_IFDIR | 0777;
  attr.nlink = inode == kFile ? 1 : 2;
  attr.size = inode == kFile ? kContents.size() : 0;
  attr.blksize = 4096;
  return attr;
}

class Server {
 public:
  explicit Server(int device) : device_(device) {}

  void answer(const fuse_in_header& in, const char* body) const {
    switch (in.opcode) {
      case FUSE_INIT: return answer_init(in);
      case FUSE_LOOKUP: return answer_lookup(in, body);
      case FUSE_GETATTR:
      case FUSE_SETATTR: return reply(in, fuse_attr_out{0, 0, 0, attributes(in.nodeid)});
      case FUSE_OPEN:
      case FUSE_OPENDIR: return reply(in, fuse_open_out{});
      case FUSE_READ: return answer_read(in, body);
      case FUSE_WRITE: return reply(in, fuse_write_out{reinterpret_cast<const fuse_write_in*>(body)->size, 0});
      case FUSE_STATFS: return reply(in, fuse_statfs_out{});
      case FUSE_READDIR:
      case FUSE_ACCESS:
      case FUSE_FLUSH:
      case FUSE_FSYNC:
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR: return send(in, 0, nullptr, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT: return;  // want no answer
      default: return send(in, ENOSYS, nullptr, 0);
    }
  }

 private:
  template <typename T>
  void reply(const fuse_in_header& in, const T& out) const {
    send(in, 0, &out, sizeof out);
  }
  void send(const fuse_in_header& in, int error, const void* out, size_t size) const {
    const fuse_out_header header{static_cast<uint32_t>(sizeof header + size), -error, in.unique};
    std::vector<char> bytes(header.len);
    std::memcpy(bytes.data(), &header, sizeof header);
    if (size > 0) std::memcpy(bytes.data() + sizeof header, out, size);
    (void)!::write(device_, bytes.data(), bytes.size());
  }
  void answer_init(const fuse_in_header& in) const {
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = kMinor;
    out.max_write = 65536;
    out.flags = FUSE_INIT_EXT;
    out.flags2 = kAllowIdMap;  // or no volume of a native sandbox of root's could be on it
    reply(in, out);
  }
  void answer_lookup(const fuse_in_header& in, const char* name) const {
    for (const auto& [known, inode] : kNames) {
      if (std::strcmp(known, name) != 0) continue;
      fuse_entry_out out{};
      out.nodeid = inode;
      out.attr = attributes(inode);
      return reply(in, out);
    }
    send(in, ENOENT, nullptr, 0);
  }
  void answer_read(const fuse_in_header& in, const char* body) const {
    const uint64_t offset = reinterpret_cast<const fuse_read_in*>(body)->offset;
    const std::string_view rest = kContents.substr(std::min<size_t>(offset, kContents.size()));
    send(in, 0, rest.data(), rest.size());
  }

  int device_;
};

}  // namespace

struct HungFileSystem::Shared {
  std::array<std::atomic<bool>, kOpcodes> hangs{};
  std::atomic<int> hanging = 0;
};

Result<HungFileSystem> HungFileSystem::create() {
  HungFileSystem made;
  const Fd device = TRY(files::open("/dev/fuse", O_RDWR));
  // Above those that a test puts in place for bailey before it mounts.
  made.device_ = Fd(::fcntl(device.get(), F_DUPFD_CLOEXEC, kHigh));
  if (!made.device_) return sys_error("duplicating /dev/fuse", errno);
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return sys_error("mmap", errno);
  made.shared_ = new (memory) Shared;
  made.server_ = ::fork();
  if (made.server_ < 0) return sys_error("fork", errno);
  if (made.server_ > 0) return made;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)keep_only({made.device_.get()});  // another one's device would not end with that one
  const Server server(made.device_.get());
  std::vector<char> request(kRoomForRequest);
  for (;;) {
    const ssize_t size = ::read(made.device_.get(), request.data(), request.size());
    if (size < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
    if (size < 0 && errno == EPERM) {  // nobody has mounted it
      ::usleep(2000);
      continue;
    }
    if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) ::_exit(0);
    fuse_in_header header{};
    std::memcpy(&header, request.data(), sizeof header);
    if (header.opcode < kOpcodes && made.shared_->hangs[header.opcode]) ++made.shared_->hanging;
    else server.answer(header, request.data() + sizeof header);
  }
}

HungFileSystem::HungFileSystem(HungFileSystem&& other) noexcept
    : device_(std::move(other.device_)),
      server_(std::exchange(other.server_, -1)),
      shared_(std::exchange(other.shared_, nullptr)) {}

HungFileSystem::~HungFileSystem() {
  if (server_ > 0) {
    ::kill(server_, SIGKILL);
    while (::waitpid(server_, nullptr, 0) < 0 && errno == EINTR) {}
  }
  device_.reset();
  if (shared_) ::munmap(shared_, sizeof(Shared));
}

void HungFileSystem::hang(const std::vector<uint32_t>& opcodes) {
  for (const uint32_t opcode : opcodes) shared_->hangs[opcode] = true;
}

int HungFileSystem::hanging() const { return shared_->hanging; }

void HungFileSystem::mount_here(const std::string& directory) const {
  char options[128];
  std::snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
                device_.get());
  if (::unshare(CLONE_NEWNS) < 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
      ::mount("hung", directory.c_str(), "fuse", 0, options) < 0)
    ::_exit(99);
}

}  // namespace bailey::tests
