/* A relay: what a client sends goes to each of BACKENDS connections of its own, and once all have answered, the first
 * answer goes back. `threads` has a thread for each client, which blocks in each receive; `epoll` is one loop. For
 * scripts/validate-advise. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 16, SIZE = 4096 };

static int backends;
static struct sockaddr_in upstream;

/* One socket of a client's set: 0 is the client, others are its backends. */
struct end {
    struct client *client;
    int which;
    int socket;
};

struct client {
    struct end ends[MOST + 1];
    ssize_t length;
    int outstanding;
    char bytes[SIZE];
};

static void at_once(int socket)
{
    int on = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int socket_to_upstream(void)
{
    int socket_of = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_of >= 0 && connect(socket_of, (struct sockaddr *)&upstream, sizeof upstream)) {
        close(socket_of);
        return -1;
    }
    return socket_of;
}

static struct client *connected(int socket)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    for (int i = 0; i <= backends; i++) {
        if (i > 0) {
            socket = socket_to_upstream();
            if (socket < 0)
                return NULL;
        }
        at_once(socket);
        client->ends[i] = (struct end){client, i, socket};
    }
    return client;
}

static void leave(struct client *client)
{
    for (int i = 0; i <= backends; i++)
        close(client->ends[i].socket);
}

/* A request of the client: to all backends. */
static int forward(struct client *client)
{
    for (int i = 1; i <= backends; i++)
        if (send(client->ends[i].socket, client->bytes, (size_t)client->length, MSG_NOSIGNAL) != client->length)
            return -1;
    client->outstanding = backends;
    return 0;
}

static void *serve(void *given)
{
    struct client *client = given;
    while ((client->length = recv(client->ends[0].socket, client->bytes, SIZE, 0)) > 0 && !forward(client)) {
        for (int i = 1; i <= backends; i++)
            if (recv(client->ends[i].socket, client->bytes, (size_t)client->length, MSG_WAITALL) != client->length)
                goto out;
        if (send(client->ends[0].socket, client->bytes, (size_t)client->length, MSG_NOSIGNAL) != client->length)
            break;
    }
out:
    leave(client);
    free(client);
    return NULL;
}

/* One event of the loop; not 0 when the client has gone. */
static int event(struct end *end)
{
    struct client *client = end->client;
    if (end->which == 0) {
        client->length = recv(end->socket, client->bytes, SIZE, MSG_DONTWAIT);
        if (client->length < 0 && errno == EAGAIN)
            return 0;
        return client->length <= 0 || forward(client);
    }
    ssize_t got = recv(end->socket, client->bytes, (size_t)client->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got != client->length)
        return -1;
    if (--client->outstanding > 0)
        return 0;
    return send(client->ends[0].socket, client->bytes, (size_t)got, MSG_NOSIGNAL) != got;
}

static int loop(int listener)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event own = {.events = EPOLLIN}, events[256];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &own);
    for (;;) {
        int many = epoll_wait(set, events, 256, -1);
        for (int i = 0; i < many; i++) {
            struct end *end = events[i].data.ptr;
            if (!end) {
                struct client *client = connected(accept(listener, NULL, NULL));
                if (!client)
                    return perror("relay"), 1;
                for (int at = 0; at <= backends; at++) {
                    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &client->ends[at]};
                    epoll_ctl(set, EPOLL_CTL_ADD, client->ends[at].socket, &wanted);
                }
            } else if (event(end)) {
                /* Other events of it may stand in the same batch: its memory stays. */
                leave(end->client);
            }
        }
    }
}

int main(int argc, char **argv)
{
    int on = 1, listener;
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (argc < 5 || (backends = atoi(argv[4])) < 1 || backends > MOST)
        return fprintf(stderr, "relay threads|epoll PORT UPSTREAM_PORT BACKENDS (1 to 16)\n"), 2;
    own.sin_port = htons((unsigned short)atoi(argv[2]));
    upstream = own;
    upstream.sin_port = htons((unsigned short)atoi(argv[3]));
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 4096))
        return perror(argv[2]), 1;
    if (!strcmp(argv[1], "epoll"))
        return loop(listener);
    for (;;) {
        pthread_t thread;
        struct client *client = connected(accept(listener, NULL, NULL));
        if (!client || pthread_create(&thread, NULL, serve, client))
            return perror("relay"), 1;
        pthread_detach(thread);
    }
}
