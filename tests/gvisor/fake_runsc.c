/* Stands in for runsc and misbehaves. How, is the word behind the last '#' of its own file: a test copies this program and
 * appends one. Static: it runs in the private root as well, where there is no library. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char* behaviour(void) {
  static char tail[64];
  const int self = open("/proc/self/exe", O_RDONLY);
  lseek(self, -(off_t)(sizeof tail - 1), SEEK_END);
  const ssize_t got = read(self, tail, sizeof tail - 1);
  close(self);
  char* word = NULL;
  for (ssize_t i = 0; i < got; ++i)
    if (tail[i] == '#') word = tail + i + 1;
  return word ? word : "";
}

static void answer_as_runsc(const char* question) {
  if (!strcmp(question, "--version")) puts("runsc version fake\nspec: 1.2.1");
  else if (!strcmp(question, "flags"))
    puts(
        "  -root string\n  -network value\n  -platform string\n  -ignore-cgroups\n  -log string\n  -log-format string\n"
        "  -overlay2 value\n  -directfs");
  else puts("  -bundle string\n  -pass-fd value\n  -console-socket string");
}

int main(int argc, char** argv) {
  const char* how = behaviour();
  const char* question = argc > 1 ? argv[1] : "";
  const int asked = !strcmp(question, "--version") || !strcmp(question, "flags") || !strcmp(question, "run");

  if (!strcmp(how, "hangs"))
    for (signal(SIGTERM, SIG_IGN);;) pause();
  if (!strcmp(how, "exits7")) return 7;
  if (!strcmp(how, "crashes")) raise(SIGSEGV);
  if (!strcmp(how, "closes")) {
    close(1);
    close(2);
    for (;;) pause();
  }
  if (!strcmp(how, "garbage")) {
    srand(1);
    for (int i = 0; i < 65536; ++i) putchar(rand());
    return 0;
  }
  if (!strcmp(how, "forks") && fork() == 0) { /* holds the pipes and outlives it */
    sleep(600);
    return 0;
  }
  if (!strcmp(how, "noflags") && !strcmp(question, "flags")) return 0;
  if (asked) return answer_as_runsc(question), 0;

  /* The run of a sandbox. */
  if (!strcmp(how, "forks")) return 0;
  if (!strcmp(how, "run128")) {
    const int log = open("/log", O_WRONLY | O_APPEND);
    dprintf(log, "{\"msg\":\"no luck today\",\"level\":\"error\",\"time\":\"t\"}");
    fprintf(stderr, "running container: no luck today\n");
    return 128;
  }
  if (!strcmp(how, "run0")) return 0;
  if (!strcmp(how, "runhangs")) {
    if (fork() == 0) setsid();
    for (;;) pause();
  }
  if (!strcmp(how, "unknown")) {
    const int log = open("/log", O_WRONLY | O_APPEND);
    dprintf(log, "{\"msg\":\"unknown platform: systrap\",\"level\":\"error\",\"time\":\"t\"}");
    return 128;
  }
  return 0;
}
