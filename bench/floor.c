// floor ROOT COMMAND [ARGUMENT...]: what the kernel alone takes for the sandbox of `bailey run --rootfs ROOT`.
//
// Makes the same things with the fewest calls, trusts every path, checks nothing but success, says nothing and writes no
// record: seven namespaces with their ids mapped and lo up, three cgroup directories of version 1 with limits, the same file
// systems, devices, masks and read-only places, the root sealed, no capability, Landlock, a filter as long and as deep as
// Bailey's. It has no init of its own to execute and no pipes for the streams. What Bailey takes above it is Bailey's to save,
// and no start with these parts goes below it. As root, with cgroup version 1.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kDevices = 6, kCgroups = 3, kRange = 65536, kFilterDepth = 7 };
#define FIRST_ID "1900000000"  // beside the ranges that Bailey draws from

static const char* const kDeviceNames[kDevices] = {"null", "zero", "full", "random", "urandom", "tty"};
static const char* const kControllers[kCgroups] = {"memory", "pids", "cpuacct"};

// What the parent makes while the child makes its namespaces. The descriptors are in the table that both share.
struct Handed {
  int root, devices[kDevices], tasks[kCgroups];
};

static int need(long result, const char* what) {
  if (result >= 0) return (int)result;
  perror(what);
  _exit(125);
}

static void write_file(int directory, const char* path, const char* text) {
  const int fd = need(openat(directory, path, O_WRONLY | O_CLOEXEC), path);
  need(write(fd, text, strlen(text)), path);
  close(fd);
}

static int clone_tree(int directory, const char* path, unsigned flags) {
  return need(open_tree(directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags), path);
}

static void set_attributes(int mount, const char* path, unsigned flags, uint64_t set, uint64_t propagation,
                           int user_namespace) {
  struct mount_attr attributes = {.attr_set = set, .propagation = propagation, .userns_fd = (uint64_t)user_namespace};
  need(mount_setattr(mount, path, flags, &attributes, sizeof attributes), "mount_setattr");
}

// The parent's part

static void make_cgroups(const char* name, int parents[kCgroups], struct Handed* handed) {
  char own[4096], path[4352];
  const int fd = need(open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC), "/proc/self/cgroup");
  const int size = need(read(fd, own, sizeof own - 1), "/proc/self/cgroup");
  close(fd);
  own[size] = '\0';
  for (int i = 0; i < kCgroups; ++i) {
    snprintf(path, sizeof path, ":%s:", kControllers[i]);
    const char* below = strstr(own, path);
    if (!below) errno = ENOENT;
    need(below ? 0 : -1, "a cgroup of version 1");
    below += strlen(path);
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s%.*s", kControllers[i], (int)strcspn(below, "\n"), below);
    parents[i] = need(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
    need(mkdirat(parents[i], name, 0755), path);
    const int directory = need(openat(parents[i], name, O_PATH | O_DIRECTORY | O_CLOEXEC), name);
    if (i == 0) write_file(directory, "memory.limit_in_bytes", "4294967296");
    if (i == 0) write_file(directory, "memory.memsw.limit_in_bytes", "4294967296");
    if (i == 1) write_file(directory, "pids.max", "4097");
    handed->tasks[i] = need(openat(directory, "tasks", O_WRONLY | O_CLOEXEC), "tasks");
  }
}

static void clone_trees(const char* root, struct Handed* handed) {
  const uint64_t common = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  handed->root = clone_tree(AT_FDCWD, root, 0);
  set_attributes(handed->root, "", AT_EMPTY_PATH, common | MOUNT_ATTR_NODEV, MS_PRIVATE, 0);
  const int dev = need(open("/dev", O_PATH | O_CLOEXEC), "/dev");
  for (int i = 0; i < kDevices; ++i) {
    handed->devices[i] = clone_tree(dev, kDeviceNames[i], 0);
    set_attributes(handed->devices[i], "", AT_EMPTY_PATH, common | MOUNT_ATTR_NOEXEC, MS_PRIVATE, 0);
  }
}

static void map_ids(int pid, int root) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d", pid);
  const int proc = need(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
  write_file(proc, "oom_score_adj", "500");
  write_file(proc, "uid_map", "0 " FIRST_ID " 65536");
  write_file(proc, "gid_map", "0 " FIRST_ID " 65536");
  const int user_namespace = need(openat(proc, "ns/user", O_RDONLY | O_CLOEXEC), "ns/user");
  set_attributes(root, "", AT_EMPTY_PATH, MOUNT_ATTR_IDMAP, 0, user_namespace);
}

// The child's part

static void make_namespaces(void) {
  need(unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC), "unshare");
  const int fd = need(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  need(ioctl(fd, SIOCSIFFLAGS, &request), "lo");
  close(fd);
  need(sethostname("bailey", 6), "sethostname");
}

static void become_inner_root(const struct Handed* handed) {
  for (int i = 0; i < kCgroups; ++i) need(write(handed->tasks[i], "0", 1), "tasks");
  need(unshare(CLONE_NEWCGROUP), "unshare");
  need(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
  need(syscall(SYS_setgroups, 0, NULL), "setgroups");
  need(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
  need(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
  umask(0);
  need(setsid(), "setsid");
  need(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL), "keyctl");
  write_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0");
}

// Its working directory is the new root afterwards. Returns the stage, as in native/root/builder.h.
static int make_root(int root) {
  set_attributes(AT_FDCWD, "/", AT_RECURSIVE, 0, MS_PRIVATE, 0);
  need(mount("floor", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1073741824,nr_inodes=1048576"), "stage");
  need(chdir("/proc"), "stage");
  const int stage = need(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC), "stage");
  for (const char* const* name = (const char*[]){"d", "lower", "upper", NULL}; *name; ++name) need(mkdir(*name, 0555), *name);
  need(mknod("f", S_IFREG | 0444, 0), "f");
  need(move_mount(root, "", stage, "lower", MOVE_MOUNT_F_EMPTY_PATH), "lower");
  need(mount("floor", "/", "overlay", MS_NOSUID | MS_NODEV, "lowerdir=upper:lower,userxattr"), "overlay");
  const uint64_t masks = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  set_attributes(stage, "", AT_EMPTY_PATH, masks, 0, 0);
  need(chdir("/.."), "new root");
  return stage;
}

static void make_mounts(const struct Handed* handed) {
  const unsigned long plain = MS_NOSUID | MS_NODEV, no_exec = plain | MS_NOEXEC;
  need(mount("floor", "proc", "proc", no_exec, NULL), "proc");
  need(mount("floor", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k,nr_inodes=64"), "dev");
  const int dev = need(open("dev", O_PATH | O_DIRECTORY | O_CLOEXEC), "dev");
  for (int i = 0; i < kDevices; ++i) {
    need(mknodat(dev, kDeviceNames[i], S_IFREG | 0444, 0), kDeviceNames[i]);
    need(move_mount(handed->devices[i], "", dev, kDeviceNames[i], MOVE_MOUNT_F_EMPTY_PATH), kDeviceNames[i]);
  }
  static const char* const kLinks[][2] = {{"fd", "/proc/self/fd"},
                                          {"stdin", "/proc/self/fd/0"},
                                          {"stdout", "/proc/self/fd/1"},
                                          {"stderr", "/proc/self/fd/2"},
                                          {"ptmx", "pts/ptmx"}};
  for (int i = 0; i < 5; ++i) need(symlinkat(kLinks[i][1], dev, kLinks[i][0]), kLinks[i][0]);
  for (const char* const* name = (const char*[]){"pts", "shm", "mqueue", NULL}; *name; ++name)
    need(mkdirat(dev, *name, 0755), *name);
  need(mount("floor", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620,max=256"), "devpts");
  need(mount("floor", "dev/shm", "tmpfs", no_exec, "mode=1777,size=1073741824,nr_inodes=1048576"), "shm");
  need(mount("floor", "dev/mqueue", "mqueue", no_exec, NULL), "mqueue");
  need(mount("floor", "tmp", "tmpfs", plain, "mode=1777,size=1073741824,nr_inodes=1048576"), "tmp");
  need(mount("floor", "root", "tmpfs", plain, "mode=0700,size=1073741824,nr_inodes=1048576"), "root");
  set_attributes(dev, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0, 0);
}

// What a kernel does not have needs no mask.
static void hide(int stage) {
  static const char* const kMasks[] = {"cmdline",    "config.gz",   "diskstats", "interrupts", "iomem",
                                       "kallsyms",   "kcore",       "key-users", "keys",       "pagetypeinfo",
                                       "partitions", "sched_debug", "slabinfo",  "timer_list", "vmallocinfo"};
  static const char* const kReadOnly[] = {"bus", "fs", "irq", "pressure", "sys"};
  const int proc = need(open("proc", O_PATH | O_DIRECTORY | O_CLOEXEC), "proc");
  need(move_mount(clone_tree(stage, "d", 0), "", proc, "acpi", MOVE_MOUNT_F_EMPTY_PATH), "acpi");
  int spare = -1;
  for (size_t i = 0; i < sizeof kMasks / sizeof *kMasks; ++i) {
    if (spare < 0) spare = clone_tree(stage, "f", 0);
    if (move_mount(spare, "", proc, kMasks[i], MOVE_MOUNT_F_EMPTY_PATH) == 0) spare = -1;
  }
  for (size_t i = 0; i < sizeof kReadOnly / sizeof *kReadOnly; ++i) {
    const int tree = clone_tree(proc, kReadOnly[i], AT_RECURSIVE);
    set_attributes(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0);
    need(move_mount(tree, "", proc, kReadOnly[i], MOVE_MOUNT_F_EMPTY_PATH), kReadOnly[i]);
  }
}

static void drop_privileges(void) {
  for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {}
  need(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0), "securebits");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const struct __user_cap_data_struct none[2] = {0};
  need(syscall(SYS_capset, &header, none), "capset");
  need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
}

static void restrict_paths(void) {
  static const char* const kPlaces[] = {"/", "/dev", "/proc", "/dev/shm", "/dev/mqueue", "/tmp", "/root"};
  const uint64_t all = (1 << 13) - 1;
  const struct landlock_ruleset_attr handled = {.handled_access_fs = all};
  const int rules = need(syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0), "landlock");
  for (size_t i = 0; i < sizeof kPlaces / sizeof *kPlaces; ++i) {
    struct landlock_path_beneath_attr place = {.allowed_access = i < 3 ? 1 | 4 | 8 : all};
    place.parent_fd = need(open(kPlaces[i], O_PATH | O_CLOEXEC), kPlaces[i]);
    need(syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &place, 0), kPlaces[i]);
  }
  need(syscall(SYS_landlock_restrict_self, rules, 0), "landlock");
}

// A search tree over the call's number, which allows everything.
static int emit(struct sock_filter* out, uint32_t low, uint32_t width, int depth) {
  if (depth == 0) {
    out[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return 1;
  }
  const int left = emit(out + 1, low, width / 2, depth - 1);
  const int right = emit(out + 1 + left, low + width / 2, width / 2, depth - 1);
  out[0] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, low + width / 2, (uint8_t)left, 0);
  return 1 + left + right;
}

static void install_filter(void) {
  struct sock_filter program[1 << (kFilterDepth + 1)];
  program[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
  const struct sock_fprog filter = {(unsigned short)(1 + emit(program + 1, 0, 512, kFilterDepth)), program};
  need(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
}

static void run_child(int from_parent, char** command) {
  struct Handed handed;
  need(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
  make_namespaces();
  if (read(from_parent, &handed, sizeof handed) != sizeof handed) _exit(125);
  become_inner_root(&handed);
  const int stage = make_root(handed.root);
  make_mounts(&handed);
  hide(stage);
  set_attributes(AT_FDCWD, ".", 0, MOUNT_ATTR_RDONLY, 0, 0);
  need(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  need(umount2(".", MNT_DETACH), "umount");
  need(chdir("/"), "/");
  drop_privileges();
  restrict_paths();
  install_filter();
  const pid_t pid = vfork();
  if (pid == 0) {
    execv(command[0], command);
    _exit(127);
  }
  int status = 0;
  need(waitpid(pid, &status, 0), "waiting for the command");
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

// As native/step_aside.h, without looking.
static void step_aside(void) {
  cpu_set_t mine, others;
  need(sched_getaffinity(0, sizeof mine, &mine), "affinity");
  others = mine;
  CPU_CLR(sched_getcpu(), &others);
  if (CPU_COUNT(&others) == 0) return;
  need(sched_setaffinity(0, sizeof others, &others), "affinity");
  need(sched_setaffinity(0, sizeof mine, &mine), "affinity");
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  int to_child[2], parents[kCgroups];
  need(pipe2(to_child, O_CLOEXEC), "pipe");
  struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_FILES, .exit_signal = SIGCHLD};
  const int pid = need(syscall(SYS_clone3, &args, sizeof args), "clone3");
  if (pid == 0) run_child(to_child[0], argv + 2);
  step_aside();
  char name[32];
  snprintf(name, sizeof name, "floor-%d", getpid());
  struct Handed handed;
  make_cgroups(name, parents, &handed);
  clone_trees(argv[1], &handed);
  map_ids(pid, handed.root);
  need(write(to_child[1], &handed, sizeof handed), "releasing the child");
  int status = 0;
  need(waitpid(pid, &status, 0), "waiting");
  for (int i = 0; i < kCgroups; ++i) need(unlinkat(parents[i], name, AT_REMOVEDIR), "removing a cgroup");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
