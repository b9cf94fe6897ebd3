/* io.c: the table of system calls as the system has them, and whole-file operations on top of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_make_directory(void *context, int directory_fd, const char *name, mode_t mode)
{
    (void)context;
    return mkdirat(directory_fd, name, mode);
}

static int system_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    (void)context;
    return openat(directory_fd, name, flags | O_CLOEXEC, mode);
}

static ssize_t system_read(void *context, int fd, void *ptr, size_t size, off_t offset)
{
    (void)context;
    return pread(fd, ptr, size, offset);
}

static ssize_t system_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    (void)context;
    return pwrite(fd, ptr, size, offset);
}

static int system_sync_data(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static int system_sync(void *context, int fd)
{
    (void)context;
    return fsync(fd);
}

static int system_truncate(void *context, int fd, off_t size)
{
    (void)context;
    return ftruncate(fd, size);
}

static int system_rename(void *context, int directory_fd, const char *from, const char *to)
{
    (void)context;
    return renameat(directory_fd, from, directory_fd, to);
}

static int system_unlink(void *context, int directory_fd, const char *name)
{
    (void)context;
    return unlinkat(directory_fd, name, 0);
}

const struct audit_io audit_io_system = {
    .context = NULL,
    .make_directory = system_make_directory,
    .open = system_open,
    .read = system_read,
    .write = system_write,
    .sync_data = system_sync_data,
    .sync = system_sync,
    .truncate = system_truncate,
    .rename = system_rename,
    .unlink = system_unlink,
};

bool audit_io_write_all(const struct audit_io *io, int fd, struct bytes data, uint64_t offset,
                        struct err *err)
{
    size_t done = 0;
    while (done < data.size) {
        ssize_t size =
            io->write(io->context, fd, data.ptr + done, data.size - done, (off_t)(offset + done));
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            return err_set(err, ERR_IO, "write: %s", size < 0 ? strerror(errno) : "no progress");
        }
        done += (size_t)size;
    }
    return true;
}

bool audit_io_read_most(const struct audit_io *io, int fd, void *ptr, size_t size, uint64_t offset,
                        size_t *read_size, struct err *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got =
            io->read(io->context, fd, (uint8_t *)ptr + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_set(err, ERR_IO, "read: %s", strerror(errno));
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    *read_size = done;
    return true;
}

bool audit_io_read_file(const struct audit_io *io, int directory_fd, const char *name,
                        struct buffer *out, struct err *err)
{
    uint8_t chunk[1024];
    bool ok = false;
    int fd = io->open(io->context, directory_fd, name, O_RDONLY, 0);
    if (fd < 0) {
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", name,
                       strerror(errno));
    }
    for (uint64_t offset = 0;;) {
        size_t size = 0;
        if (!audit_io_read_most(io, fd, chunk, sizeof(chunk), offset, &size, err)) {
            err_wrap(err, "%s", name);
            goto out;
        }
        buffer_append(out, chunk, size);
        offset += size;
        if (out->failed && offset <= out->size_max) {
            err_set(err, ERR_NO_MEMORY, "%s: no memory for reading it", name);
            goto out;
        }
        if (out->failed) {
            err_set(err, ERR_FORMAT, "%s: longer than %zu bytes", name, out->size_max);
            goto out;
        }
        if (size < sizeof(chunk)) {
            break;
        }
    }
    ok = true;
out:
    close(fd);
    return ok;
}

bool audit_io_create_file(const struct audit_io *io, int directory_fd, const char *name,
                          mode_t mode, struct bytes content, struct err *err)
{
    bool ok = false;
    int fd = io->open(io->context, directory_fd, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0) {
        return err_set(err, errno == EEXIST ? ERR_BUSY : ERR_IO, "%s: %s", name, strerror(errno));
    }
    if (!audit_io_write_all(io, fd, content, 0, err)) {
        err_wrap(err, "%s", name);
        goto out;
    }
    if (io->sync(io->context, fd) != 0) {
        err_set(err, ERR_IO, "%s: fsync: %s", name, strerror(errno));
        goto out;
    }
    ok = true;
out:
    close(fd);
    return ok;
}

bool audit_io_replace_file(const struct audit_io *io, int directory_fd, const char *name,
                           const char *temporary_name, struct bytes content, struct err *err)
{
    /* What a crash left of an earlier try; it was never visible under the real name. */
    if (io->unlink(io->context, directory_fd, temporary_name) != 0 && errno != ENOENT) {
        return err_set(err, ERR_IO, "%s: unlink: %s", temporary_name, strerror(errno));
    }
    if (!audit_io_create_file(io, directory_fd, temporary_name, 0644, content, err)) {
        return false;
    }
    if (io->rename(io->context, directory_fd, temporary_name, name) != 0) {
        return err_set(err, ERR_IO, "%s: rename: %s", name, strerror(errno));
    }
    if (io->sync(io->context, directory_fd) != 0) {
        return err_set(err, ERR_IO, "%s: fsync of the directory: %s", name, strerror(errno));
    }
    return true;
}
