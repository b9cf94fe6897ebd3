/* fail.c: a library for LD_PRELOAD that makes a disk full, read-only or broken while a program uses
 * it.
 *
 * While the file WH_FAIL_WHEN names exists, what changes anything under WH_FAIL_DIRECTORY fails as
 * that file says:
 *
 *     ENOSPC    files cannot be created, and half of a write arrives
 *     EROFS     nothing can be changed, nor opened for it
 *     EIO       what is synced has arrived, but the sync says that it has not
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum failure { FAILS_NOT, FAILS_FULL, FAILS_READ_ONLY, FAILS_SYNC };

static enum failure failure_now(void)
{
    const char *when = getenv("WH_FAIL_WHEN");
    char word[16] = "";
    int fd = when == NULL ? -1 : REAL(open)(when, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return FAILS_NOT;
    }
    (void)!read(fd, word, sizeof(word) - 1);
    REAL(close)(fd);
    return strcmp(word, "ENOSPC") == 0  ? FAILS_FULL
           : strcmp(word, "EROFS") == 0 ? FAILS_READ_ONLY
           : strcmp(word, "EIO") == 0   ? FAILS_SYNC
                                        : FAILS_NOT;
}

/* Of a name, or with NULL of the descriptor itself. */
static bool is_ours(int fd, const char *name)
{
    const char *directory = getenv("WH_FAIL_DIRECTORY");
    char link[64];
    char path[PATH_MAX] = "";
    if (directory == NULL || (name == NULL && fd <= STDERR_FILENO)) {
        return false; /* wherever it leads, it is somebody else's disk */
    }
    if (name != NULL && name[0] == '/') {
        (void)snprintf(path, sizeof(path), "%s", name);
    } else {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t size = readlink(fd == AT_FDCWD ? "/proc/self/cwd" : link, path, sizeof(path) - 1);
        path[size < 0 ? 0 : size] = '\0';
    }
    return strncmp(path, directory, strlen(directory)) == 0;
}

/* Does a change of this kind fail now? Then errno says why. */
static bool fails(enum failure first, enum failure second, int fd, const char *name)
{
    enum failure now = failure_now();
    if (now == FAILS_NOT || (now != first && now != second) || !is_ours(fd, name)) {
        return false;
    }
    errno = now == FAILS_FULL ? ENOSPC : now == FAILS_READ_ONLY ? EROFS : EIO;
    return true;
}

static int open_failing(int fd, const char *name, int flags, mode_t mode)
{
    bool changes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    bool creates = (flags & O_CREAT) != 0 && faccessat(fd, name, F_OK, 0) != 0;
    if ((changes && fails(FAILS_READ_ONLY, FAILS_READ_ONLY, fd, name)) ||
        (creates && fails(FAILS_FULL, FAILS_FULL, fd, name))) {
        return -1;
    }
    return REAL(openat)(fd, name, flags, mode);
}

#define OPEN(symbol, ...)                                                                          \
    int symbol(__VA_ARGS__ const char *name, int flags, ...)                                       \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;                      \
        va_end(arguments);                                                                         \
        return open_failing(OPEN_FD, name, flags, mode);                                           \
    }
#define OPEN_FD AT_FDCWD
OPEN(open, )
OPEN(open64, )
#undef OPEN_FD
#define OPEN_FD directory_fd
OPEN(openat, int directory_fd, )
OPEN(openat64, int directory_fd, )

ssize_t pwrite(int fd, const void *ptr, size_t size, off_t offset)
{
    if (fails(FAILS_FULL, FAILS_READ_ONLY, fd, NULL)) {
        return errno == ENOSPC && size > 1 ? REAL(pwrite)(fd, ptr, size / 2, offset) : -1;
    }
    return REAL(pwrite)(fd, ptr, size, offset);
}

ssize_t pwrite64(int fd, const void *ptr, size_t size, off_t offset)
{
    return pwrite(fd, ptr, size, offset);
}

ssize_t write(int fd, const void *ptr, size_t size)
{
    return fails(FAILS_FULL, FAILS_READ_ONLY, fd, NULL) ? -1 : REAL(write)(fd, ptr, size);
}

int ftruncate(int fd, off_t size)
{
    return fails(FAILS_READ_ONLY, FAILS_READ_ONLY, fd, NULL) ? -1 : REAL(ftruncate)(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int fsync(int fd)
{
    int result = REAL(fsync)(fd);
    return fails(FAILS_SYNC, FAILS_SYNC, fd, NULL) ? -1 : result;
}

int fdatasync(int fd)
{
    int result = REAL(fdatasync)(fd);
    return fails(FAILS_SYNC, FAILS_SYNC, fd, NULL) ? -1 : result;
}

int mkdirat(int fd, const char *name, mode_t mode)
{
    return fails(FAILS_FULL, FAILS_READ_ONLY, fd, name) ? -1 : REAL(mkdirat)(fd, name, mode);
}

int unlinkat(int fd, const char *name, int flags)
{
    return fails(FAILS_READ_ONLY, FAILS_READ_ONLY, fd, name) ? -1 : REAL(unlinkat)(fd, name, flags);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return fails(FAILS_READ_ONLY, FAILS_READ_ONLY, from_fd, from)
               ? -1
               : REAL(renameat)(from_fd, from, to_fd, to);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
