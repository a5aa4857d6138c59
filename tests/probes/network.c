// network [PORT ABSTRACT ADDRESS...]: the interfaces, and whether something can be reached that the tests put on the host: an
// abstract unix socket, a TCP port on each address. One line each: "interface lo", "tcp 127.0.0.1 ECONNREFUSED", ...
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const char* outcome(int result) { return result == 0 ? "connected" : strerrorname_np(errno); }

static void try_tcp(const char* address, int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  inet_pton(AF_INET, address, &to.sin_addr);
  const struct timeval patience = {5, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  printf("tcp %s %s\n", address, fd < 0 ? strerrorname_np(errno) : outcome(connect(fd, (struct sockaddr*)&to, sizeof to)));
  close(fd);
}

static void try_abstract(const char* name) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const size_t length = strlen(name);
  memcpy(to.sun_path + 1, name, length);
  const socklen_t size = (socklen_t)(sizeof(sa_family_t) + 1 + length);
  printf("abstract %s\n", fd < 0 ? strerrorname_np(errno) : outcome(connect(fd, (struct sockaddr*)&to, size)));
  close(fd);
}

// A listener of our own on 127.0.0.1: the sandbox's own loopback has to work.
static void try_own_loopback(void) {
  const int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  const int ok = bind(server, (struct sockaddr*)&at, sizeof at) == 0 && listen(server, 1) == 0 &&
                 getsockname(server, (struct sockaddr*)&at, &size) == 0 &&
                 connect(client, (struct sockaddr*)&at, sizeof at) == 0;
  printf("own-loopback %s\n", ok ? "connected" : strerrorname_np(errno));
}

int main(int argc, char** argv) {
  struct if_nameindex* interfaces = if_nameindex();
  for (struct if_nameindex* i = interfaces; i && i->if_index; i++) printf("interface %s\n", i->if_name);
  try_own_loopback();
  const int port = argc > 1 ? atoi(argv[1]) : 0;
  if (argc > 2) try_abstract(argv[2]);
  for (int i = 3; i < argc; i++) try_tcp(argv[i], port);
  return 0;
}
