/* The first program of a machine that scripts/kernels boots: mounts what Linux programs expect, runs each line of
 * /commands, one after the other, prints each line of the files named by lines that begin with `print`, and ends the
 * machine. It is linked statically; there is nothing else in the machine but the program that is measured. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void put(const char *path, const char *value)
{
    int file = open(path, O_WRONLY);

    if (file >= 0) {
        if (write(file, value, strlen(value)) < 0)
            printf("@@note %s: %s\n", path, strerror(errno));
        close(file);
    }
}

static void loopback(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { 0 };

    strcpy(request.ifr_name, "lo");
    if (s < 0)
        return;
    ioctl(s, SIOCGIFFLAGS, &request);
    request.ifr_flags |= IFF_UP;
    ioctl(s, SIOCSIFFLAGS, &request);
    close(s);
}

static void print(const char *path)
{
    static char buffer[1 << 16];
    int file = open(path, O_RDONLY);
    ssize_t got;

    fflush(stdout);
    while (file >= 0 && (got = read(file, buffer, sizeof buffer)) > 0)
        for (char *at = buffer; got > 0;) {
            ssize_t put = write(1, at, got);

            if (put <= 0)
                return;
            at += put;
            got -= put;
        }
}

static int run(char *line)
{
    char *words[256], *environment[] = { "PATH=/", "HOME=/tmp", "TMPDIR=/tmp", "TERM=dumb", NULL };
    int count = 0, status = 0;
    pid_t child, ended;

    for (char *word = strtok(line, " "); word && count < 255; word = strtok(NULL, " "))
        words[count++] = word;
    words[count] = NULL;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (chdir("/tmp") == 0)
            execve(words[0], words, environment);
        printf("@@note %s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    do
        ended = wait(&status);
    while (ended != child && ended > 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
    static char commands[1 << 16];
    struct utsname kernel;
    int file;

    for (const char **folder = (const char *[]){ "/proc", "/sys", "/dev", "/tmp", NULL }; *folder; folder++)
        mkdir(*folder, 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mkdir("/dev/shm", 01777);
    mount("shm", "/dev/shm", "tmpfs", 0, NULL);
    mount("tmp", "/tmp", "tmpfs", 0, NULL);
    mount("trace", "/sys/kernel/tracing", "tracefs", 0, NULL);
    put("/proc/sys/kernel/perf_event_paranoid", "-1");
    put("/proc/sys/kernel/printk", "1 1 1 1");
    loopback();
    uname(&kernel);
    printf("@@kernel %s %s\n", kernel.release, kernel.machine);
    file = open("/commands", O_RDONLY);
    if (file < 0 || read(file, commands, sizeof commands - 1) < 0)
        printf("@@note /commands: %s\n", strerror(errno));
    for (char *line = commands, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        if (!strncmp(line, "print ", 6))
            print(line + 6);
        else if (*line) {
            printf("@@run %s\n", line);
            printf("@@status %d\n", run(line));
        }
    }
    printf("@@end\n");
    fflush(stdout);
    tcdrain(1);
    reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}
