// What a process knows of itself, as one JSON object: ids, session, directory, umask, limits, capability sets, open
// descriptors, environment, terminal. Strings are escaped; bytes that are no ASCII pass as they are.
#include <dirent.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char** environ;

static void text(const char* s) {
  putchar('"');
  for (; *s; s++) {
    if (*s == '"' || *s == '\\') printf("\\%c", *s);
    else if ((unsigned char)*s < 0x20) printf("\\u%04x", *s);
    else putchar(*s);
  }
  putchar('"');
}

// The lines of /proc/self/status that matter, as "CapEff": "0000000000000000".
static void status_lines(void) {
  static const char* const wanted[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"};
  FILE* status = fopen("/proc/self/status", "re");
  char line[512];
  while (status && fgets(line, sizeof line, status)) {
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
      const size_t n = strlen(wanted[i]);
      char value[64];
      if (strncmp(line, wanted[i], n) == 0 && line[n] == ':' && sscanf(line + n + 1, "%63s", value) == 1) {
        printf(",");
        text(wanted[i]);
        printf(":");
        text(value);
      }
    }
  }
  if (status) fclose(status);
}

static void limit(const char* name, int resource) {
  struct rlimit l;
  if (getrlimit(resource, &l) != 0) return;
  printf(",\"%s_soft\":%lld,\"%s_hard\":%lld", name, (long long)l.rlim_cur, name, (long long)l.rlim_max);
}

static void descriptors(void) {
  printf(",\"fds\":[");
  DIR* dir = opendir("/proc/self/fd");
  const char* comma = "";
  for (struct dirent* entry; dir && (entry = readdir(dir));) {
    if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir)) continue;
    char path[300], target[512] = "?";
    snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
    const ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0) target[n] = 0;
    printf("%s{\"number\":%s,\"target\":", comma, entry->d_name);
    text(target);
    printf("}");
    comma = ",";
  }
  if (dir) closedir(dir);
  printf("]");
}

int main(void) {
  char cwd[4096] = "?";
  if (!getcwd(cwd, sizeof cwd)) snprintf(cwd, sizeof cwd, "?");
  const mode_t mask = umask(0);
  umask(mask);
  struct utsname uts;
  uname(&uts);

  printf("{\"pid\":%d,\"ppid\":%d,\"pgid\":%d,\"sid\":%d", getpid(), getppid(), getpgrp(), getsid(0));
  printf(",\"uid\":%u,\"euid\":%u,\"gid\":%u,\"egid\":%u", getuid(), geteuid(), getgid(), getegid());
  gid_t groups[64];
  const int count = getgroups(64, groups);
  printf(",\"groups\":[");
  for (int i = 0; i < count; i++) printf("%s%u", i ? "," : "", groups[i]);
  printf("],\"umask\":%u,\"cwd\":", mask);
  text(cwd);
  printf(",\"hostname\":");
  text(uts.nodename);
  limit("nofile", RLIMIT_NOFILE);
  limit("core", RLIMIT_CORE);
  limit("fsize", RLIMIT_FSIZE);
  limit("stack", RLIMIT_STACK);
  status_lines();
  descriptors();
  struct winsize size = {0};
  const int terminal = isatty(0) && isatty(1) && isatty(2);
  if (terminal) ioctl(0, TIOCGWINSZ, &size);
  printf(",\"terminal\":%s,\"rows\":%u,\"columns\":%u", terminal ? "true" : "false", size.ws_row, size.ws_col);
  printf(",\"env\":[");
  for (char** e = environ; *e; e++) {
    if (e != environ) printf(",");
    text(*e);
  }
  printf("]}\n");
  return 0;
}
