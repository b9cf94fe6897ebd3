/* io.h: the system calls of the log behind a table, so that tests can make each of them fail.
 *
 * Every call returns what its system call returns and sets errno. Names are relative to a directory
 * descriptor.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_IO_H
#define AUDIT_IO_H

#include "base/bytes.h"

#include <sys/types.h>

struct audit_io {
    void *context;
    int (*make_directory)(void *context, int directory_fd, const char *name, mode_t mode);
    int (*open)(void *context, int directory_fd, const char *name, int flags, mode_t mode);
    ssize_t (*read)(void *context, int fd, void *ptr, size_t size, off_t offset);
    ssize_t (*write)(void *context, int fd, const void *ptr, size_t size, off_t offset);
    int (*sync_data)(void *context, int fd); /* fdatasync */
    int (*sync)(void *context, int fd);      /* fsync; for directories too */
    int (*truncate)(void *context, int fd, off_t size);
    int (*rename)(void *context, int directory_fd, const char *from, const char *to);
    int (*unlink)(void *context, int directory_fd, const char *name);
};

extern const struct audit_io audit_io_system;

/* The whole of `data` at `offset`, going on after short writes and EINTR. */
bool audit_io_write_all(const struct audit_io *io, int fd, struct bytes data, uint64_t offset,
                        struct err *err) MUST_CHECK;
/* Up to size bytes; *read_size is less only at the end of the file. */
bool audit_io_read_most(const struct audit_io *io, int fd, void *ptr, size_t size, uint64_t offset,
                        size_t *read_size, struct err *err) MUST_CHECK;
/* A small file, whole. NOT_FOUND if there is none, FORMAT if it is longer than out->size_max. */
bool audit_io_read_file(const struct audit_io *io, int directory_fd, const char *name,
                        struct buffer *out, struct err *err) MUST_CHECK;
/* Makes a file that was not there (else BUSY) and syncs it; the caller syncs the directory. */
bool audit_io_create_file(const struct audit_io *io, int directory_fd, const char *name,
                          mode_t mode, struct bytes content, struct err *err) MUST_CHECK;
/* Readers see the old or the new content, also after a power cut: a temporary file, fsync, rename,
 * fsync of the directory. */
bool audit_io_replace_file(const struct audit_io *io, int directory_fd, const char *name,
                           const char *temporary_name, struct bytes content,
                           struct err *err) MUST_CHECK;

#endif
