// reach WHAT...: tries each and prints one line: "WHAT connected", "WHAT answered TEXT" or "WHAT ERRNO".
//   tcp:ADDRESS:PORT    a connection      udp:ADDRESS:PORT    a datagram, and the answer to it, waited for 5 seconds
//   ping:ADDRESS        an ICMP echo
// ADDRESS of IPv6 stands in brackets: tcp:[2001:db8::1]:80, ping:[2001:db8::1];
// or serves for ever, after the line "serving":
//   listen:PORT         TCP, of both families; prints "from ADDRESS" for each connection, says hello, closes it
//   echo:PORT           UDP, likewise; sends back what comes
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

static union address parse(const char* text, int port) {
  union address to = {.v4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)}};
  if (inet_pton(AF_INET, text, &to.v4.sin_addr) == 1) return to;
  to.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  inet_pton(AF_INET6, text, &to.v6.sin6_addr);
  return to;
}

static socklen_t size_of(const union address* of) { return of->any.sa_family == AF_INET ? sizeof of->v4 : sizeof of->v6; }

static int open_socket(const union address* to, int type, int protocol) {
  const int fd = socket(to->any.sa_family, type, protocol);
  const struct timeval patience = {5, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// Sends and waits; an answer, or an error that came back, ends it.
static void exchange(const char* what, int fd, const union address* to, const void* message, size_t size) {
  char answer[1500];
  if (fd < 0 || connect(fd, &to->any, size_of(to)) < 0 || send(fd, message, size, 0) < 0) {
    printf("%s %s\n", what, strerrorname_np(errno));
    return;
  }
  const ssize_t got = recv(fd, answer, sizeof answer, 0);
  if (got < 0) printf("%s %s\n", what, strerrorname_np(errno));
  else printf("%s answered\n", what);
}

static int bound(int type, int port) {
  const int yes = 1, no = 0;
  union address at = parse("::", port);
  int server = socket(AF_INET6, type, 0);
  if (server < 0) {
    at = parse("0.0.0.0", port);
    server = socket(AF_INET, type, 0);
  }
  setsockopt(server, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(server, &at.any, size_of(&at)) < 0 || (type == SOCK_STREAM && listen(server, 64) < 0)) {
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
    union address from;
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(server, message, sizeof message, 0, &from.any, &size);
    if (got >= 0 && sendto(server, message, (size_t)got, 0, &from.any, size) < 0) perror("echo");
  }
}

static void greet(int port) {
  const int server = bound(SOCK_STREAM, port);
  for (;;) {
    union address from;
    socklen_t size = sizeof from;
    const int fd = accept(server, &from.any, &size);
    if (fd < 0) return;
    char text[INET6_ADDRSTRLEN] = "";
    const int v6 = from.any.sa_family == AF_INET6;
    inet_ntop(v6 ? AF_INET6 : AF_INET, v6 ? (void*)&from.v6.sin6_addr : (void*)&from.v4.sin_addr, text, sizeof text);
    // IPv4's come to a socket of both as ::ffff:ADDRESS.
    printf("from %s\n", strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text);
    fflush(stdout);
    if (send(fd, "hello\n", 6, MSG_NOSIGNAL) < 0) printf("send %s\n", strerrorname_np(errno));
    close(fd);
  }
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    char kind[8] = "", address[64] = "";
    int port = 0;
    if (strchr(argv[i], '[')) sscanf(argv[i], "%7[a-z]:[%63[0-9a-f:]]:%d", kind, address, &port);
    else sscanf(argv[i], "%7[a-z]:%63[0-9.]:%d", kind, address, &port);
    const union address to = parse(address, port);
    if (strcmp(kind, "listen") == 0) greet(atoi(address));
    if (strcmp(kind, "echo") == 0) echo(atoi(address));
    if (strcmp(kind, "udp") == 0) exchange(argv[i], open_socket(&to, SOCK_DGRAM, 0), &to, "hello", 5);
    if (strcmp(kind, "ping") == 0) {
      const int v4 = to.any.sa_family == AF_INET;
      const struct icmphdr echo = {.type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, .un.echo.sequence = htons(1)};  // alike in both
      exchange(argv[i], open_socket(&to, SOCK_DGRAM, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6), &to, &echo, sizeof echo);
    }
    if (strcmp(kind, "tcp") == 0) {
      const int fd = open_socket(&to, SOCK_STREAM, 0);
      const int done = connect(fd, &to.any, size_of(&to));
      printf("%s %s\n", argv[i], done == 0 ? "connected" : strerrorname_np(errno));
      close(fd);
    }
    fflush(stdout);
  }
  return 0;
}
