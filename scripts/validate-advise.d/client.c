/* A client of the protocols that `switchcost load` does not speak, in one thread with epoll(7): CONNECTIONS
 * connections, each with one request at a time, for SECONDS seconds. RATE requests a second arrive independently of
 * each other (Poisson) and go to the connection that has been idle longest; one that finds none waits its turn. With
 * `-` as the RATE, each connection asks again as soon as it has an answer. For scripts/validate-advise.
 *
 * imap:   logs in on each connection, then asks NOOP.
 * framed: messages with their length before them in four bytes, as Thrift's framed transport has them: a call of `ping`
 *         without arguments in the binary protocol.
 *
 * Says `ready` on standard error when all connections are, from when SECONDS count, and at the end
 * {"answered": N, "seconds": S}; ends with 1 when a connection is lost. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 4096 };

/* What is sent, and how many bytes at the start of what came in are an answer to it: 0 while it is not complete, below
 * 0 where it is a refusal. */
struct message {
    const char *bytes;
    size_t length;
    ssize_t (*answer)(const char *bytes, size_t length);
};

struct connection {
    int socket;
    int step; /* of the protocol's messages: the last is the request that is counted */
    size_t got;
    char bytes[SIZE];
};

/* A line that begins with the tag `a `, or with `* OK` where the server greets. */
static ssize_t line(const char *bytes, size_t length, const char *begin)
{
    size_t from = 0;
    for (const char *end; (end = memchr(bytes + from, '\n', length - from)); from = (size_t)(end - bytes) + 1) {
        if (strncmp(bytes + from, begin, strlen(begin)))
            continue;
        return strncmp(bytes + from + 2, "OK", 2) ? -1 : end - bytes + 1;
    }
    return 0;
}

static ssize_t greeting(const char *bytes, size_t length) { return line(bytes, length, "* "); }

static ssize_t tagged(const char *bytes, size_t length) { return line(bytes, length, "a "); }

static ssize_t frame(const char *bytes, size_t length)
{
    uint32_t size;
    if (length < sizeof size)
        return 0;
    memcpy(&size, bytes, sizeof size);
    size = ntohl(size);
    if (size > SIZE - sizeof size)
        return -1;
    return length < size + sizeof size ? 0 : (ssize_t)(size + sizeof size);
}

#define TEXT(text) (text), sizeof(text) - 1

static const struct message imap[] = {
    {"", 0, greeting},
    {TEXT("a LOGIN user password\r\n"), tagged},
    {TEXT("a NOOP\r\n"), tagged},
};
/* Version 1, a call; the name and its length; the sequence number; the end of the arguments. */
static const struct message framed[] = {
    {TEXT("\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\0\0"), frame},
};

static const struct message *messages;
static int last, ready, connections, epoll, closed;
static struct connection *all;
/* Connections without a request, in the order in which they became idle. */
static struct connection **idle;
static int first_idle, idle_count;
static uint64_t answered, waiting;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int fail(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
    return 1;
}

static int ask(struct connection *connection)
{
    const struct message *message = &messages[connection->step];
    size_t length = message->length;
    return length && send(connection->socket, message->bytes, length, MSG_NOSIGNAL) != (ssize_t)length;
}

static void rest(struct connection *connection)
{
    idle[(first_idle + idle_count++) % connections] = connection;
}

static int ask_idle(void)
{
    struct connection *connection = idle[first_idle];
    first_idle = (first_idle + 1) % connections;
    idle_count--;
    return ask(connection);
}

/* Takes what has come; not 0 when the connection is lost. */
static int take(struct connection *connection, int measuring)
{
    ssize_t got = recv(connection->socket, connection->bytes + connection->got, SIZE - connection->got, 0);
    errno = got ? errno : 0;
    if (got <= 0)
        return 1;
    connection->got += (size_t)got;
    ssize_t answer = messages[connection->step].answer(connection->bytes, connection->got);
    if (!answer)
        return connection->got == SIZE;
    if (answer < 0)
        return 1;
    connection->got -= (size_t)answer;
    memmove(connection->bytes, connection->bytes + answer, connection->got);
    if (connection->step < last) {
        connection->step++;
        if (connection->step < last)
            return ask(connection);
        ready++;
        rest(connection);
        return 0;
    }
    answered++;
    if (measuring && closed)
        return ask(connection);
    rest(connection);
    if (!measuring || !waiting)
        return 0;
    waiting--;
    return ask_idle();
}

static int open_all(unsigned short port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    for (int i = 0; i < connections; i++) {
        struct connection *connection = &all[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection->socket < 0 || connect(connection->socket, (struct sockaddr *)&to, sizeof to))
            return fail("connect");
        setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->socket, &event))
            return fail("epoll_ctl");
        if (last == 0) {
            ready++;
            rest(connection);
        } else if (ask(connection)) {
            return fail("send");
        }
    }
    return 0;
}

/* Waits for answers until `until`; not 0 when a connection is lost. */
static int wait_until(double until, int measuring)
{
    struct epoll_event events[256];
    double left = until - now();
    left = left > 0 ? left : 0;
    struct timespec most = {(time_t)left, (long)((left - floor(left)) * 1e9)};
    int count = epoll_pwait2(epoll, events, 256, &most, NULL);
    for (int i = 0; i < count; i++)
        if (take(events[i].data.ptr, measuring))
            return fail("a connection was lost");
    return 0;
}

int main(int argc, char **argv)
{
    int is_imap = argc == 6 && !strcmp(argv[1], "imap");
    if (argc != 6 || (!is_imap && strcmp(argv[1], "framed")) || (connections = atoi(argv[3])) < 1)
        return fprintf(stderr, "client imap|framed PORT CONNECTIONS RATE|- SECONDS\n"), 2;
    messages = is_imap ? imap : framed;
    last = (int)(is_imap ? sizeof imap : sizeof framed) / (int)sizeof *imap - 1;
    closed = !strcmp(argv[4], "-");
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    all = calloc((size_t)connections, sizeof *all);
    idle = calloc((size_t)connections, sizeof *idle);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !idle || epoll < 0 || (!closed && rate <= 0))
        return fail("set-up");
    if (open_all((unsigned short)atoi(argv[2])))
        return 1;
    for (double most = now() + 30; ready < connections;)
        if (wait_until(most, 0))
            return 1;
        else if (now() >= most)
            return errno = ETIMEDOUT, fail("not all connections became ready");
    fputs("ready\n", stderr);
    double start = now(), end = start + seconds, due = start;
    srand48(1);
    while (closed && idle_count)
        if (ask_idle())
            return fail("send");
    for (double at; (at = now()) < end;) {
        for (; !closed && due <= at; due -= log1p(-drand48()) / rate) {
            if (!idle_count)
                waiting++;
            else if (ask_idle())
                return fail("send");
        }
        if (wait_until(closed || due > end ? end : due, 1))
            return 1;
    }
    printf("{\"answered\": %llu, \"seconds\": %.6f}\n", (unsigned long long)answered, now() - start);
    return 0;
}
