/* A server on libmicrohttpd: a thread for each connection, which blocks in poll on one descriptor, or one epoll loop.
 * For scripts/validate-advise. */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result answer(void *own, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *size, void **state)
{
    static char body[] = "hello";
    (void)own, (void)url, (void)method, (void)version, (void)upload, (void)size;
    /* It is first called with the headers alone. An answer then would come too early and end the connection. */
    if (!*state) {
        *state = body;
        return MHD_YES;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return fprintf(stderr, "microhttpd threads|epoll PORT\n"), 2;
    unsigned flags = !strcmp(argv[1], "epoll")
                         ? MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL
                         : MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
    struct MHD_Daemon *daemon = MHD_start_daemon(flags, (unsigned short)atoi(argv[2]), NULL, NULL, answer, NULL,
                                                 MHD_OPTION_CONNECTION_LIMIT, 4096u, MHD_OPTION_END);
    if (!daemon)
        return fprintf(stderr, "microhttpd: port %s cannot be had\n", argv[2]), 1;
    pause();
    MHD_stop_daemon(daemon);
    return 0;
}
