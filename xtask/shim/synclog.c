/* Notes when every sync of a process began and ended, and on which thread.
 *
 * Preloaded (LD_PRELOAD) into both servers of a comparison, so that a client can tell what of its
 * waiting was the disk's. It reaches callers of the C library; a program that makes raw system
 * calls leaves no notes, and the bench then fails.
 *
 * SYNCLOG_FILE  file of shared memory: one u64 (how many notes), then notes of 48 bytes: begin and
 *               end in nanoseconds of the monotonic clock (u64), process and thread (u32), name of
 *               the thread (16 bytes), 8 bytes unused; in the machine's order
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOTES_MAX (1u << 20)

struct note {
    uint64_t begin_ns;
    uint64_t end_ns;
    uint32_t process;
    uint32_t thread;
    char name[16];
    uint64_t unused;
};

struct notes {
    _Atomic uint64_t count;
    struct note note[NOTES_MAX];
};

static struct notes *notes;
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);

__attribute__((constructor)) static void start(void) {
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    const char *path = getenv("SYNCLOG_FILE");
    int file = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    if (ftruncate(file, sizeof(struct notes)) == 0) {
        void *memory = mmap(NULL, sizeof(struct notes), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED) notes = memory;
    }
    close(file);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Leaves errno as the real call set it. */
static void note(uint64_t began) {
    int error = errno;
    uint64_t ended = now_ns();
    uint64_t at = notes ? notes->count++ : NOTES_MAX;
    if (at < NOTES_MAX) {
        struct note *note = &notes->note[at];
        note->process = (uint32_t)getpid();
        note->thread = (uint32_t)syscall(SYS_gettid);
        prctl(PR_GET_NAME, note->name);
        note->begin_ns = began;
        note->end_ns = ended;
    }
    errno = error;
}

int fdatasync(int file) {
    uint64_t began = now_ns();
    int result = real_fdatasync(file);
    note(began);
    return result;
}

int fsync(int file) {
    uint64_t began = now_ns();
    int result = real_fsync(file);
    note(began);
    return result;
}
