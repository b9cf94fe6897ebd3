/* failing_log.c: the system's calls, but for one batch (support/failing_log.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/failing_log.h"

#include "audit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct {
    struct audit_io io;
    int entries_fd;
    int batches; /* synced so far */
    int fail_at; /* 0: never */
    bool writes;
    void (*renaming)(const char *to); /* NULL: nobody wants to know */
} failing;

static pthread_mutex_t failing_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t failing_changed = PTHREAD_COND_INITIALIZER;

static int failing_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    int fd = audit_io_system.open(context, directory_fd, name, flags, mode);
    if (strcmp(name, AUDIT_ENTRIES_FILE) == 0 && (flags & O_ACCMODE) == O_RDWR) {
        failing.entries_fd = fd;
    }
    return fd;
}

static bool failing_is_now(int fd, bool is_write)
{
    pthread_mutex_lock(&failing_lock);
    bool is_now = failing.fail_at != 0 && failing.batches + 1 >= failing.fail_at &&
                  fd == failing.entries_fd && !(is_write && failing.writes);
    pthread_mutex_unlock(&failing_lock);
    return is_now;
}

static ssize_t failing_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    if (failing_is_now(fd, true)) {
        errno = ENOSPC;
        return -1;
    }
    return audit_io_system.write(context, fd, ptr, size, offset);
}

static int failing_sync_data(void *context, int fd)
{
    if (failing_is_now(fd, false)) {
        errno = EIO;
        return -1;
    }
    int result = audit_io_system.sync_data(context, fd);
    pthread_mutex_lock(&failing_lock);
    failing.batches += fd == failing.entries_fd;
    pthread_cond_broadcast(&failing_changed);
    pthread_mutex_unlock(&failing_lock);
    return result;
}

static int failing_rename(void *context, int directory_fd, const char *from, const char *to)
{
    pthread_mutex_lock(&failing_lock);
    void (*renaming)(const char *to) = failing.renaming;
    pthread_mutex_unlock(&failing_lock);
    if (renaming != NULL) {
        renaming(to);
    }
    return audit_io_system.rename(context, directory_fd, from, to);
}

bool failing_log_open(const struct audit_config *config,
                      void (*fatal)(void *context, const struct err *err), void *context,
                      struct audit_log **out, struct audit_recovery *recovery, struct err *err)
{
    memset(&failing, 0, sizeof(failing));
    failing.io = audit_io_system;
    failing.io.open = failing_open;
    failing.io.write = failing_write;
    failing.io.sync_data = failing_sync_data;
    failing.io.rename = failing_rename;
    return audit_log_open_with(&failing.io, config, fatal, context, out, recovery, err);
}

void failing_log_wait(int batches)
{
    pthread_mutex_lock(&failing_lock);
    while (failing.batches < batches) {
        pthread_cond_wait(&failing_changed, &failing_lock);
    }
    pthread_mutex_unlock(&failing_lock);
}

void failing_log_fail(int batch, bool writes)
{
    pthread_mutex_lock(&failing_lock);
    failing.fail_at = batch;
    failing.writes = writes;
    pthread_mutex_unlock(&failing_lock);
}

void failing_log_on_rename(void (*renaming)(const char *to))
{
    pthread_mutex_lock(&failing_lock);
    failing.renaming = renaming;
    pthread_mutex_unlock(&failing_lock);
}
