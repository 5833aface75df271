/* Preloaded into the node, in front of libc's syncs.
 * While the file named by SYNC_GATE exists, no sync returns; a sync that is held says so by
 * creating "$SYNC_GATE.held". While the file "$SYNC_GATE.broken" exists, every sync fails with
 * EIO and syncs nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int broken(void) {
    const char *gate = getenv("SYNC_GATE");
    char name[4096];
    if (gate == NULL) return 0;
    snprintf(name, sizeof name, "%s.broken", gate);
    return access(name, F_OK) == 0;
}

static int fail(void) {
    errno = EIO;
    return -1;
}

static void pass_the_gate(void) {
    const char *gate = getenv("SYNC_GATE");
    char held[4096];
    const struct timespec pause = {0, 1000000};
    if (gate == NULL || access(gate, F_OK) != 0) return;
    snprintf(held, sizeof held, "%s.held", gate);
    close(open(held, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    while (access(gate, F_OK) == 0) nanosleep(&pause, NULL);
}

int fdatasync(int fd) {
    pass_the_gate();
    if (broken()) return fail();
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    pass_the_gate();
    if (broken()) return fail();
    return (int)syscall(SYS_fsync, fd);
}

int sync_file_range(int fd, off_t offset, off_t length, unsigned int flags) {
    pass_the_gate();
    if (broken()) return fail();
    return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}
