// reach WHAT...: tries each and prints one line: "WHAT connected", "WHAT answered TEXT" or "WHAT ERRNO".
//   tcp:ADDRESS:PORT    a connection      udp:ADDRESS:PORT    a datagram, and the answer to it, waited for 5 seconds
//   ping:ADDRESS        an ICMP echo
// or serves for ever, after the line "serving":
//   listen:PORT         TCP; prints "from ADDRESS" for each connection, says hello, closes it
//   echo:PORT           UDP; sends back what comes
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int open_socket(int type, int protocol) {
  const int fd = socket(AF_INET, type, protocol);
  const struct timeval patience = {5, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// Sends and waits; an answer, or an error that came back, ends it.
static void exchange(const char* what, int fd, const struct sockaddr_in* to, const void* message, size_t size) {
  char answer[1500];
  if (fd < 0 || connect(fd, (const struct sockaddr*)to, sizeof *to) < 0 || send(fd, message, size, 0) < 0) {
    printf("%s %s\n", what, strerrorname_np(errno));
    return;
  }
  const ssize_t got = recv(fd, answer, sizeof answer, 0);
  if (got < 0) printf("%s %s\n", what, strerrorname_np(errno));
  else printf("%s answered\n", what);
}

static int bound(int type, int port) {
  const int server = socket(AF_INET, type, 0), yes = 1;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  if (bind(server, (const struct sockaddr*)&at, sizeof at) < 0 || (type == SOCK_STREAM && listen(server, 64) < 0)) {
    printf("serve %s\n", strerrorname_np(errno));
    exit(1);
  }
  printf("serving\n");
  fflush(stdout);
  return server;
}

static void echo(int port) {
  const int server = bound(SOCK_DGRAM, port);
  for (;;) {
    char message[1500];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(server, message, sizeof message, 0, (struct sockaddr*)&from, &size);
    if (got >= 0 && sendto(server, message, (size_t)got, 0, (const struct sockaddr*)&from, size) < 0) perror("echo");
  }
}

static void greet(int port) {
  const int server = bound(SOCK_STREAM, port);
  for (;;) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    const int fd = accept(server, (struct sockaddr*)&from, &size);
    if (fd < 0) return;
    printf("from %s\n", inet_ntoa(from.sin_addr));
    fflush(stdout);
    if (send(fd, "hello\n", 6, MSG_NOSIGNAL) < 0) printf("send %s\n", strerrorname_np(errno));
    close(fd);
  }
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    char kind[8] = "", address[64] = "";
    int port = 0;
    sscanf(argv[i], "%7[a-z]:%63[0-9.]:%d", kind, address, &port);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    if (strcmp(kind, "listen") == 0) greet(atoi(address));
    if (strcmp(kind, "echo") == 0) echo(atoi(address));
    if (strcmp(kind, "udp") == 0) exchange(argv[i], open_socket(SOCK_DGRAM, 0), &to, "hello", 5);
    if (strcmp(kind, "ping") == 0) {
      const struct icmphdr echo = {.type = ICMP_ECHO, .un.echo.sequence = 1};
      exchange(argv[i], open_socket(SOCK_DGRAM, IPPROTO_ICMP), &to, &echo, sizeof echo);
    }
    if (strcmp(kind, "tcp") == 0) {
      const int fd = open_socket(SOCK_STREAM, 0);
      const int done = connect(fd, (const struct sockaddr*)&to, sizeof to);
      printf("%s %s\n", argv[i], done == 0 ? "connected" : strerrorname_np(errno));
      close(fd);
    }
    fflush(stdout);
  }
  return 0;
}
