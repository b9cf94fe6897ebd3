/* rotate.c: ending a segment and beginning the next.
 *
 * SEGMENT_CLOSE{size, root} says of which tree it is the end: of all entries before it, whether
 * they are on the disk yet or not, so it gets its place like any other entry. Its batch ends with
 * it. Once that is on the disk, the next segment's file is made and its name synced, and only then
 * does anything go there. A crash in between leaves a last segment that is closed; opening makes
 * the next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The first millisecond of the month after that time, UTC. */
static int64_t month_end_ms(int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL) {
        return INT64_MAX;
    }
    struct tm next = {.tm_year = parts.tm_year, .tm_mon = parts.tm_mon + 1, .tm_mday = 1};
    return (int64_t)timegm(&next) * 1000;
}

bool audit_segment_end(struct audit_log *log, struct audit_pending **closing, struct err *err)
{
    uint8_t root[AUDIT_HASH_BYTES];
    char hex[2 * AUDIT_HASH_BYTES + 1];
    audit_range_root(&log->placed, root);
    text_hex_encode(bytes_of(root, sizeof(root)), hex);
    json_t *fields = json_pack("{s:I, s:s}", "size", (json_int_t)log->placed.size, "root", hex);
    if (fields == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
    }
    bool ok = audit_pending_new(log, AUDIT_SEGMENT_CLOSE, fields, closing, err);
    json_decref(fields);
    if (!ok) {
        return false;
    }
    (*closing)->after = AUDIT_AFTER_BEGIN_SEGMENT;
    log->segment.first = log->next_index;
    log->segment.bytes = 0;
    log->segment.until_ms = 0;
    return true;
}

bool audit_segment_end_due(struct audit_log *log, int64_t time_ms, struct audit_pending **closing,
                           struct err *err)
{
    const struct audit_config *config = &log->config;
    bool is_over = config->rotates_monthly && time_ms >= log->segment.until_ms;
    bool is_full = config->segment_bytes_max > 0 && log->segment.bytes >= config->segment_bytes_max;
    if (log->segment.until_ms == 0 || !(is_over || is_full)) {
        return true;
    }
    return audit_segment_end(log, closing, err);
}

void audit_segment_count(struct audit_log *log, int64_t time_ms, size_t leaf_size)
{
    log->segment.bytes += AUDIT_ENTRY_PREFIX_BYTES + leaf_size;
    if (log->segment.until_ms == 0) {
        log->segment.until_ms = month_end_ms(time_ms);
    }
}

bool audit_segments_sync(struct audit_log *log, struct err *err)
{
    const struct audit_io *io = log->io;
    int fd = io->open(io->context, log->directory_fd, AUDIT_ENTRIES_DIRECTORY,
                      O_RDONLY | O_DIRECTORY, 0);
    bool ok = fd >= 0 && io->sync(io->context, fd) == 0;
    if (!ok) {
        err_set(err, ERR_IO, "%s: fsync: %s", AUDIT_ENTRIES_DIRECTORY, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

bool audit_segment_begin(struct audit_log *log, struct err *err)
{
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    const struct audit_io *io = log->io;
    audit_segment_name(log->check.size, AUDIT_SEGMENT_ENTRIES, name);
    int fd = io->open(io->context, log->directory_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
        return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
    }
    if (!audit_segments_sync(log, err)) {
        close(fd);
        return false;
    }
    pthread_mutex_lock(&log->mutex);
    bool ok = audit_segments_add(&log->segments, log->check.size, err);
    pthread_mutex_unlock(&log->mutex);
    if (!ok) {
        close(fd);
        return false;
    }
    if (log->entries_fd >= 0) {
        close(log->entries_fd);
    }
    pthread_mutex_lock(&log->mutex);
    log->entries_fd = fd;
    log->file_size = 0;
    log->ahead.end = 0;
    pthread_mutex_unlock(&log->mutex);
    return true;
}
