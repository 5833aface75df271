/* Preloaded into the node: every second write to a file takes only a part of what it is given, as
 * a kernel may do at any time. The part that it says is the part that it wrote. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_uint calls;

static size_t part(size_t length) {
    unsigned call = atomic_fetch_add(&calls, 1);
    if (length < 2 || call % 2 == 0) return length;
    return 1 + (call * 2654435761u) % (length - 1);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    return syscall(SYS_pwrite64, fd, bytes, part(length), offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}
