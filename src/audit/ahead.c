/* ahead.c: zeros that are written behind the entries before the entries come.
 *
 * To make an appended entry durable the file system has to write the entry, where its block lies,
 * and how long the file has become, one after the other; and on a busy machine a thread that waits
 * three times also waits three times for a processor. Where zeros lie on the disk already, only the
 * entry is written. So the saver keeps AUDIT_AHEAD_BYTES of zeros behind the entries and syncs
 * them; where it is late, entries are appended as if there were none.
 *
 *     | entries            | zeros, on the disk     | zeros, being written |
 *     0             file_size                      from                   end
 *
 * What is being zeroed belongs to the saver until it is done: the writer waits if it comes so far,
 * and says under the mutex how far it will write, so the saver never begins before that. It leaves
 * a gap of AUDIT_AHEAD_GAP_BYTES before it, a hole in the file if need be, so that the writer does
 * not have to wait. A file that ends a segment, and the last one when the log is closed, is cut to
 * its entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const uint8_t zeros[AUDIT_AHEAD_BYTES];

static_assert((int)AUDIT_AHEAD_BYTES <= (int)AUDIT_TORN_BYTES_MAX,
              "opening takes them for what a crash left");

bool audit_ahead_is_due(const struct audit_log *log)
{
    return log->ahead.is_wanted && !log->closing && !log->ahead.is_under_way &&
           log->ahead.end < log->file_size + AUDIT_AHEAD_BYTES / 2;
}

/* Through a descriptor of its own: if the system fails to write, it says so once to each, and the
 * writer must hear of it, too. */
static bool zeros_write(struct audit_log *log, const char *name, uint64_t from, uint64_t end,
                        struct err *err)
{
    const struct audit_io *io = log->io;
    int fd = io->open(io->context, log->directory_fd, name, O_WRONLY, 0);
    if (fd < 0) {
        return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
    }
    bool ok = audit_io_write_all(io, fd, bytes_of(zeros, (size_t)(end - from)), from, err) ||
              err_wrap(err, "%s: zeros behind the entries", name);
    if (ok && io->sync(io->context, fd) != 0) {
        ok = err_set(err, ERR_IO, "%s: zeros behind the entries: fsync: %s", name, strerror(errno));
    }
    close(fd);
    return ok;
}

bool audit_ahead_write(struct audit_log *log, struct err *err)
{
    struct audit_ahead *ahead = &log->ahead;
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    const uint64_t nearest = log->file_size + AUDIT_AHEAD_GAP_BYTES;
    const uint64_t from = ahead->end > nearest ? ahead->end : nearest;
    const uint64_t end = log->file_size + AUDIT_AHEAD_BYTES;
    audit_segment_name(log->segments.firsts[log->segments.count - 1], AUDIT_SEGMENT_ENTRIES, name);
    ahead->is_under_way = true;
    ahead->from = from;
    ahead->end = end;
    pthread_mutex_unlock(&log->mutex);
    bool ok = zeros_write(log, name, from, end, err);
    pthread_mutex_lock(&log->mutex);
    ahead->is_under_way = false;
    pthread_cond_broadcast(&log->save.changed);
    return ok;
}

void audit_ahead_claim(struct audit_log *log, uint64_t end)
{
    struct audit_ahead *ahead = &log->ahead;
    pthread_mutex_lock(&log->mutex);
    while (ahead->is_under_way && end > ahead->from) {
        pthread_cond_wait(&log->save.changed, &log->mutex);
    }
    ahead->end = end > ahead->end ? end : ahead->end;
    pthread_mutex_unlock(&log->mutex);
}

bool audit_ahead_cut(struct audit_log *log, struct err *err)
{
    struct audit_ahead *ahead = &log->ahead;
    const struct audit_io *io = log->io;
    pthread_mutex_lock(&log->mutex);
    while (ahead->is_under_way) {
        pthread_cond_wait(&log->save.changed, &log->mutex);
    }
    bool is_longer = ahead->end > log->file_size;
    ahead->end = UINT64_MAX; /* none are due in this file any more */
    pthread_mutex_unlock(&log->mutex);
    return !is_longer ||
           (io->truncate(io->context, log->entries_fd, (off_t)log->file_size) == 0 &&
            io->sync(io->context, log->entries_fd) == 0) ||
           err_set(err, ERR_IO, "%s: cutting the zeros behind the entries: %s",
                   AUDIT_ENTRIES_DIRECTORY, strerror(errno));
}
