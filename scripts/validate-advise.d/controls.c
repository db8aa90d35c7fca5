/* Programs that an event loop does not help: threads that wait for a lock, one that asks without waiting, one that reads
 * a disk past the page cache. For scripts/validate-advise. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned whose;

/* Takes its turn among four, so that each turn waits for the lock's condition. */
static void *take_turns(void *number)
{
    unsigned own = (unsigned)(size_t)number;
    for (;;) {
        pthread_mutex_lock(&turn);
        while (whose % 4 != own)
            pthread_cond_wait(&changed, &turn);
        whose++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&turn);
        for (volatile int i = 0; i < 2000; i++)
            ;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    if (!strcmp(kind, "locks")) {
        for (size_t number = 0; number < 4; number++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, take_turns, (void *)number))
                return perror("pthread_create"), 1;
        }
        pause();
    } else if (!strcmp(kind, "spin")) {
        for (;;)
            sched_yield();
    } else if (!strcmp(kind, "disk") && argc > 2) {
        int file = open(argv[2], O_RDONLY | O_DIRECT);
        void *block;
        off_t size;
        if (file < 0 || posix_memalign(&block, 4096, 4096))
            return perror(argv[2]), 1;
        size = lseek(file, 0, SEEK_END) / 4096;
        for (;;)
            if (pread(file, block, 4096, (off_t)(rand() % size) * 4096) < 0)
                return perror("pread"), 1;
    }
    fprintf(stderr, "controls locks | spin | disk FILE\n");
    return 2;
}
