/* Makes every sync of a process slow, and counts how long each one took.
 *
 * Preloaded (LD_PRELOAD) into both servers of a comparison, so that both meet the same slow disk.
 * It reaches callers of the C library; a program that makes raw system calls is not slowed, and the
 * report then shows no syncs, which the bench treats as an invalid run.
 *
 * SLOWSYNC_NS      nanoseconds to wait beyond the real sync
 * SLOWSYNC_REPORT  file that holds three u64 in the machine's order: syncs, sum and least of their
 *                  durations in nanoseconds; shared memory, so it survives the end of the process
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct report {
    _Atomic uint64_t syncs;
    _Atomic uint64_t total_ns;
    _Atomic uint64_t least_ns;
};

static struct report *report;
static uint64_t extra_ns;
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_sync_file_range)(int, off64_t, off64_t, unsigned int);

__attribute__((constructor)) static void start(void) {
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_sync_file_range = dlsym(RTLD_NEXT, "sync_file_range");
    const char *wait = getenv("SLOWSYNC_NS");
    extra_ns = wait ? strtoull(wait, NULL, 10) : 0;
    const char *path = getenv("SLOWSYNC_REPORT");
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    if (ftruncate(file, sizeof(struct report)) == 0) {
        void *memory = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED) report = memory;
    }
    close(file);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Waits, records the whole duration, and leaves errno as the real call set it. */
static void finish(uint64_t began) {
    int error = errno;
    struct timespec rest = {extra_ns / 1000000000u, (long)(extra_ns % 1000000000u)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
    if (report) {
        uint64_t took = now_ns() - began;
        report->syncs += 1;
        report->total_ns += took;
        uint64_t least = report->least_ns;
        while ((least == 0 || took < least) &&
               !__atomic_compare_exchange_n((uint64_t *)&report->least_ns, &least, took, 0,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
    }
    errno = error;
}

int fdatasync(int file) {
    uint64_t began = now_ns();
    int result = real_fdatasync(file);
    finish(began);
    return result;
}

int fsync(int file) {
    uint64_t began = now_ns();
    int result = real_fsync(file);
    finish(began);
    return result;
}

int sync_file_range(int file, off64_t offset, off64_t length, unsigned int flags) {
    uint64_t began = now_ns();
    int result = real_sync_file_range(file, offset, length, flags);
    finish(began);
    return result;
}
