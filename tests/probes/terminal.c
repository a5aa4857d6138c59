// terminal: says "ready", "got LINE" for each line and "size ROWS COLUMNS" for each resize; exits 9 at the line "end".
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void on_resize(int number) {
  (void)number;
  struct winsize size = {0};
  char text[64];
  ioctl(0, TIOCGWINSZ, &size);
  const int n = snprintf(text, sizeof text, "size %u %u\n", size.ws_row, size.ws_col);
  if (write(1, text, (size_t)n) < 0) _exit(1);
}

int main(void) {
  struct sigaction resize = {.sa_handler = on_resize, .sa_flags = SA_RESTART};
  sigaction(SIGWINCH, &resize, NULL);
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("ready");
  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    printf("got %s", line);
    if (strcmp(line, "end\n") == 0) return 9;
  }
  return 1;
}
