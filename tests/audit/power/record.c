/* record.c: a library for LD_PRELOAD that writes down what a program does to one directory, and
 * what it says to its peers (recording.h).
 *
 * Every call is passed on; what succeeded under WH_RECORD_DIRECTORY is appended to WH_RECORD_FILE.
 * One lock makes the order of the records the order of the operations. Only a sync, which may take
 * long, runs without it, between two records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "recording.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 65536 };

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;
static int record_fd = -1;
static char root[PATH_MAX];
static uint64_t sync_count;
static bool watched[DESCRIPTORS_MAX]; /* [fd]: opened under the root */

static void record_put(struct record record, const void *name, const void *data)
{
    if (record_fd < 0) {
        return;
    }
    struct iovec parts[] = {{&record, sizeof(record)},
                            {(void *)(uintptr_t)name, record.name_size},
                            {(void *)(uintptr_t)data, record.data_size}};
    size_t size = sizeof(record) + record.name_size + record.data_size;
    if (REAL(writev)(record_fd, parts, 3) != (ssize_t)size) {
        static const char complaint[] = "record: the recording cannot be written\n";
        (void)!REAL(write)(STDERR_FILENO, complaint, sizeof(complaint) - 1);
        abort();
    }
}

/* ---- which calls are of interest ---- */

/* The absolute path, if it is the root or below it. */
static bool path_resolve(int directory_fd, const char *name, char out[static PATH_MAX])
{
    char base[PATH_MAX] = "";
    if (record_fd < 0) {
        return false;
    }
    if (name[0] != '/') {
        char link[64];
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", directory_fd);
        ssize_t size =
            readlink(directory_fd == AT_FDCWD ? "/proc/self/cwd" : link, base, sizeof(base) - 2);
        if (size <= 0) {
            return false;
        }
        base[size] = '/';
        base[size + 1] = '\0';
    }
    size_t root_size = strlen(root);
    int size = snprintf(out, PATH_MAX, "%s%s", base, name);
    return size > 0 && size < PATH_MAX && strncmp(out, root, root_size) == 0 &&
           (out[root_size] == '/' || out[root_size] == '\0') && strstr(out, "/..") == NULL;
}

static uint64_t node_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* Parent and last name of a path below the root; the root itself has parent 0 and no name. */
static const char *path_split(const char *path, uint64_t *parent)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *parent = 0;
    if (strcmp(path, root) == 0) {
        return "";
    }
    (void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    *parent = node_of(directory);
    return slash + 1;
}

static bool is_watched(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX && watched[fd];
}

static bool is_socket(int fd)
{
    struct stat status;
    return record_fd >= 0 && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

static uint64_t node_of_fd(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

static void record_name(enum record_kind kind, const char *path, uint64_t node, mode_t mode)
{
    uint64_t parent;
    const char *name = path_split(path, &parent);
    record_put((struct record){.kind = kind,
                               .node = node,
                               .parent = parent,
                               .offset = mode & 07777,
                               .name_size = (uint32_t)strlen(name)},
               name, NULL);
}

/* ---- what is there at the beginning ---- */

static void hold_file(const FTSENT *entry, uint64_t parent)
{
    char *content = calloc(1, (size_t)entry->fts_statp->st_size + 1);
    int fd = REAL(open)(entry->fts_path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, content, (size_t)entry->fts_statp->st_size);
    if (size < 0) {
        abort();
    }
    record_put((struct record){.kind = RECORD_HELD_FILE,
                               .node = entry->fts_statp->st_ino,
                               .parent = parent,
                               .offset = entry->fts_statp->st_mode & 07777,
                               .name_size = entry->fts_namelen,
                               .data_size = (uint64_t)size},
               entry->fts_name, content);
    REAL(close)(fd);
    free(content);
}

static void hold_all(void)
{
    char *paths[] = {root, NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; walk != NULL && (entry = fts_read(walk)) != NULL;) {
        bool is_root = entry->fts_level == 0;
        uint64_t parent = is_root ? 0 : entry->fts_parent->fts_statp->st_ino;
        if (entry->fts_info == FTS_F) {
            hold_file(entry, parent);
        } else if (entry->fts_info == FTS_D) {
            record_put((struct record){.kind = RECORD_HELD_DIRECTORY,
                                       .node = entry->fts_statp->st_ino,
                                       .parent = parent,
                                       .offset = entry->fts_statp->st_mode & 07777,
                                       .name_size = is_root ? 0 : entry->fts_namelen},
                       entry->fts_name, NULL);
        }
    }
    if (walk != NULL) {
        (void)fts_close(walk);
    }
}

__attribute__((constructor)) static void begin(void)
{
    const char *directory = getenv(RECORD_DIRECTORY_VARIABLE);
    const char *file = getenv(RECORD_FILE_VARIABLE);
    struct stat status;
    if (directory == NULL || file == NULL) {
        return;
    }
    (void)snprintf(root, sizeof(root), "%s", directory);
    record_fd = REAL(open)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record_fd >= 0 && fstat(record_fd, &status) == 0 && status.st_size == 0) {
        hold_all(); /* a later process goes on where the one before it ended */
    }
    sync_count = (uint64_t)getpid() << 32;
}

/* ---- files ---- */

static int open_recorded(int (*call)(int, const char *, int, ...), int directory_fd,
                         const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    if (!path_resolve(directory_fd, name, path)) {
        return call(directory_fd, name, flags, mode);
    }
    pthread_mutex_lock(&record_lock);
    bool existed = access(path, F_OK) == 0;
    int fd = call(directory_fd, name, flags, mode);
    int code = errno;
    if (fd >= 0 && fd < DESCRIPTORS_MAX) {
        watched[fd] = true;
        if (!existed) {
            record_name(RECORD_CREATE, path, node_of_fd(fd), mode);
        } else if ((flags & O_TRUNC) != 0) {
            record_put((struct record){.kind = RECORD_TRUNCATE, .node = node_of_fd(fd)}, NULL,
                       NULL);
        }
    }
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return fd;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

#define OPEN_AT(name)                                                                              \
    int name(int directory_fd, const char *path, int flags, ...)                                   \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        return open_recorded(REAL(openat), directory_fd, path, flags, mode);                       \
    }
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        return open_recorded(REAL(openat), AT_FDCWD, path, flags, mode);                           \
    }
OPEN_AT(openat)
OPEN_AT(openat64)
OPEN(open)
OPEN(open64)

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX) {
        watched[fd] = false;
    }
    return REAL(close)(fd);
}

static ssize_t write_recorded(int fd, const struct iovec *parts, int count, off_t offset)
{
    pthread_mutex_lock(&record_lock);
    ssize_t size = REAL(pwritev)(fd, parts, count, offset);
    int code = errno;
    uint64_t at = (uint64_t)offset;
    for (ssize_t left = size; left > 0; parts++) {
        size_t part = parts->iov_len < (size_t)left ? parts->iov_len : (size_t)left;
        record_put(
            (struct record){
                .kind = RECORD_WRITE, .node = node_of_fd(fd), .offset = at, .data_size = part},
            NULL, parts->iov_base);
        at += part;
        left -= (ssize_t)part;
    }
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return size;
}

static void send_recorded(int fd, const struct iovec *parts, size_t count)
{
    pthread_mutex_lock(&record_lock);
    for (size_t i = 0; i < count; i++) {
        record_put((struct record){.kind = RECORD_SEND,
                                   .node = (uint64_t)fd,
                                   .data_size = parts[i].iov_len},
                   NULL, parts[i].iov_base);
    }
    pthread_mutex_unlock(&record_lock);
}

ssize_t pwrite(int fd, const void *ptr, size_t size, off_t offset)
{
    struct iovec part = {(void *)(uintptr_t)ptr, size};
    return is_watched(fd) ? write_recorded(fd, &part, 1, offset)
                          : REAL(pwrite)(fd, ptr, size, offset);
}

ssize_t pwrite64(int fd, const void *ptr, size_t size, off_t offset)
{
    return pwrite(fd, ptr, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return is_watched(fd) ? write_recorded(fd, parts, count, offset)
                          : REAL(pwritev)(fd, parts, count, offset);
}

/* At the descriptor's own offset, which moves along. */
static ssize_t write_onwards(int fd, const struct iovec *parts, int count)
{
    bool append = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    off_t offset = lseek(fd, 0, append ? SEEK_END : SEEK_CUR);
    ssize_t size = write_recorded(fd, parts, count, offset);
    if (size > 0) {
        (void)lseek(fd, offset + size, SEEK_SET);
    }
    return size;
}

ssize_t write(int fd, const void *ptr, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)ptr, size};
    if (is_watched(fd)) {
        return write_onwards(fd, &part, 1);
    }
    if (is_socket(fd)) {
        send_recorded(fd, &part, 1);
    }
    return REAL(write)(fd, ptr, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (is_watched(fd)) {
        return write_onwards(fd, parts, count);
    }
    if (is_socket(fd)) {
        send_recorded(fd, parts, (size_t)count);
    }
    return REAL(writev)(fd, parts, count);
}

ssize_t send(int fd, const void *ptr, size_t size, int flags)
{
    struct iovec part = {(void *)(uintptr_t)ptr, size};
    send_recorded(fd, &part, 1);
    return REAL(send)(fd, ptr, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    send_recorded(fd, message->msg_iov, message->msg_iovlen);
    return REAL(sendmsg)(fd, message, flags);
}

static int truncate_recorded(int fd, off_t size)
{
    pthread_mutex_lock(&record_lock);
    int result = REAL(ftruncate)(fd, size);
    int code = errno;
    if (result == 0 && is_watched(fd)) {
        record_put((struct record){.kind = RECORD_TRUNCATE,
                                   .node = node_of_fd(fd),
                                   .offset = (uint64_t)size},
                   NULL, NULL);
    }
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return result;
}

int ftruncate(int fd, off_t size)
{
    return truncate_recorded(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return truncate_recorded(fd, size);
}

static int sync_recorded(int (*call)(int), int fd)
{
    if (!is_watched(fd)) {
        return call(fd);
    }
    struct record record = {.kind = RECORD_SYNC_BEGIN, .node = node_of_fd(fd)};
    pthread_mutex_lock(&record_lock);
    record.offset = ++sync_count;
    record_put(record, NULL, NULL);
    pthread_mutex_unlock(&record_lock);
    int result = call(fd);
    int code = errno;
    pthread_mutex_lock(&record_lock);
    record.kind = result == 0 ? RECORD_SYNC_END : RECORD_SYNC_FAILED;
    record_put(record, NULL, NULL);
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return result;
}

int fsync(int fd)
{
    return sync_recorded(REAL(fsync), fd);
}

int fdatasync(int fd)
{
    return sync_recorded(REAL(fdatasync), fd);
}

/* ---- names ---- */

int mkdirat(int directory_fd, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    bool ours = path_resolve(directory_fd, name, path);
    pthread_mutex_lock(&record_lock);
    int result = REAL(mkdirat)(directory_fd, name, mode);
    int code = errno;
    if (result == 0 && ours) {
        record_name(RECORD_MAKE_DIRECTORY, path, node_of(path), mode);
    }
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int directory_fd, const char *name, int flags)
{
    char path[PATH_MAX];
    bool ours = path_resolve(directory_fd, name, path);
    pthread_mutex_lock(&record_lock);
    int result = REAL(unlinkat)(directory_fd, name, flags);
    int code = errno;
    if (result == 0 && ours) {
        record_name(RECORD_UNLINK, path, 0, 0);
    }
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

/* Within the directory only: nothing moves a file into a log or out of it. */
int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    char from_path[PATH_MAX];
    char to_path[PATH_MAX];
    bool ours = path_resolve(from_fd, from, from_path) && path_resolve(to_fd, to, to_path);
    pthread_mutex_lock(&record_lock);
    int result = REAL(renameat)(from_fd, from, to_fd, to);
    int code = errno;
    if (result == 0 && ours) {
        struct record record = {.kind = RECORD_RENAME};
        const char *from_name = path_split(from_path, &record.parent);
        const char *to_name = path_split(to_path, &record.node);
        record.name_size = (uint32_t)strlen(from_name);
        record.data_size = strlen(to_name);
        record_put(record, from_name, to_name);
    }
    pthread_mutex_unlock(&record_lock);
    errno = code;
    return result;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
