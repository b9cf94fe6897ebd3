/* file.c: see file.h.
 *
 * All names are relative to the directory's descriptor, so it is the same directory that is written
 * to and synced.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/file.h"

#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0600 };

static bool failed(struct err *err, const char *path)
{
    return err_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

/* The descriptor of the directory that `path` is in, or -1. */
static int directory_open(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *directory = heap_strdup(slash == NULL ? "." : path);
    if (directory == NULL) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for a path");
        return -1;
    }
    if (slash != NULL) {
        directory[slash == path ? 1 : slash - path] = '\0'; /* the root keeps its slash */
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    heap_free(directory);
    if (fd < 0) {
        (void)failed(err, path);
    }
    return fd;
}

static bool write_whole(int fd, struct bytes content)
{
    size_t done = 0;
    while (done < content.size) {
        ssize_t put = write(fd, content.ptr + done, content.size - done);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* A new file in any case: one that was left there might be a link, or be open to others. */
static bool write_new(int directory_fd, const char *name, struct bytes content)
{
    if (unlinkat(directory_fd, name, 0) != 0 && errno != ENOENT) {
        return false;
    }
    int fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return false;
    }
    bool ok = write_whole(fd, content) && fsync(fd) == 0;
    int cause = errno;
    if (close(fd) != 0 && ok) {
        return false;
    }
    errno = cause;
    return ok;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static bool is_there(int directory_fd, const char *name)
{
    struct stat status;
    return fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool put(int directory_fd, const char *path, struct bytes content, struct err *err)
{
    const char *name = name_of(path);
    char name_new[NAME_MAX + sizeof ".new"]; /* too long a name is for the system to refuse */
    (void)snprintf(name_new, sizeof name_new, "%.*s.new", NAME_MAX, name);
    if (!write_new(directory_fd, name_new, content) ||
        renameat(directory_fd, name_new, directory_fd, name) != 0) {
        (void)failed(err, path);
        (void)unlinkat(directory_fd, name_new, 0);
        return false;
    }
    return fsync(directory_fd) == 0 || failed(err, path);
}

bool file_create(const char *path, struct bytes content, struct err *err)
{
    int fd = directory_open(path, err);
    if (fd < 0) {
        return false;
    }
    bool ok = false;
    if (is_there(fd, name_of(path))) {
        errno = EEXIST;
        (void)failed(err, path);
    } else {
        ok = put(fd, path, content, err);
    }
    close(fd);
    return ok;
}

bool file_replace(const char *path, struct bytes content, struct err *err)
{
    int fd = directory_open(path, err);
    bool ok = fd >= 0 && put(fd, path, content, err);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}
