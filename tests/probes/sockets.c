// sockets tcp|udp MIB: leaves up to so much in the buffers of sockets, over loopback, then takes it out again and says how much
// that was: "held 63 MiB in 210 sockets". Stops when nothing more goes in.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "verdict.h"

enum { kMost = 900, kFutile = 16 };
static int readers[kMost], writers[kMost];
static char block[60000];

static struct sockaddr_in loopback(int socket) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (socket >= 0) getsockname(socket, (struct sockaddr*)&address, &size);
  return address;
}

static void enlarge(int socket) {
  const int most = 1 << 24;
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &most, sizeof most);
  setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
}

static bool open_pair(int type, int i) {
  int made = socket(AF_INET, type, 0);
  if (made < 0) return false;
  enlarge(made);
  struct sockaddr_in address = loopback(-1);
  if (bind(made, (struct sockaddr*)&address, sizeof address) < 0) return false;
  address = loopback(made);
  readers[i] = made;
  writers[i] = socket(AF_INET, type, 0);
  if (writers[i] < 0) return false;
  enlarge(writers[i]);
  if (type == SOCK_STREAM && listen(made, 1) < 0) return false;
  if (connect(writers[i], (struct sockaddr*)&address, sizeof address) < 0) return false;
  if (type == SOCK_DGRAM) return true;
  readers[i] = accept(made, NULL, NULL);
  close(made);
  return readers[i] >= 0;
}

// What went in, as far as the kernel says so: datagrams may get lost.
static long fill(int i, long room) {
  long in = 0;
  for (int futile = 0; in < room && futile < kFutile;) {
    const ssize_t sent = send(writers[i], block, sizeof block / 2, MSG_DONTWAIT);
    if (sent > 0) in += sent;
    if (sent < 0 || in > 1 << 20) futile++;
  }
  return in;
}

static long drain(int i) {
  long out = 0;
  for (ssize_t got; (got = recv(readers[i], block, sizeof block, MSG_DONTWAIT)) > 0;) out += got;
  return out;
}

int main(int argc, char** argv) {
  const int type = argc > 1 && strcmp(argv[1], "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM;
  const long wanted = argc > 2 ? atol(argv[2]) << 20 : 0;
  int pairs = 0;
  // A TCP sender's buffer only gives way when somebody reads: what it holds is counted as the reader gets it.
  for (long in = 0; pairs < kMost / 2 && in < wanted && open_pair(type, pairs); pairs++) in += fill(pairs, wanted - in);
  long held = 0;
  for (int i = 0; i < pairs; i++)
    for (long out; (out = drain(i)) > 0;) held += out;
  printf("held %ld MiB in %d sockets\n", held >> 20, 2 * pairs);
  return 0;
}
