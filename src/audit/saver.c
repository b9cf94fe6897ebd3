/* saver.c: the file `checkpoint`, and the thread that replaces it.
 *
 * It takes three syncs, and nobody who waits for a commit is to wait for them. So the writer
 * publishes each signed head in memory, and the saver takes the newest one under the mutex and
 * writes it while the writer goes on: when no other has come for AUDIT_SAVE_MS_MIN, or when the
 * file has lagged for AUDIT_SAVE_MS_MAX. The file can never be newer than the data, as a head is
 * published only when its entries are on the disk.
 *
 * One thread at a time replaces it. Who needs the newest head on the disk before something else
 * (the end of a segment, a new key, closing) waits for that one, and then does it itself.
 *
 * The same thread keeps zeros ahead of the entries (ahead.c).
 *
 * A failure is kept: nothing is published after it, and the writer is woken and ends the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "base/process.h"
#include "base/wait.h"

#include <string.h>

enum { NS_PER_MS = 1000000 };

/* Holds the mutex. */
static void saver_fail(struct audit_log *log, const struct err *err)
{
    log->save.failed = true;
    log->save.err = *err;
    pthread_cond_signal(&log->wake);
}

/* When the file is to be replaced if no other head comes. It lags. */
static uint64_t due_ns(const struct audit_log *log)
{
    uint64_t quiet_ns = log->committed.at_ns + (uint64_t)AUDIT_SAVE_MS_MIN * NS_PER_MS;
    uint64_t latest_ns = log->save.lags_since_ns + (uint64_t)AUDIT_SAVE_MS_MAX * NS_PER_MS;
    return quiet_ns < latest_ns ? quiet_ns : latest_ns;
}

/* Holds the mutex, but for the time of the system calls. Nobody else is at it. */
static bool save_newest(struct audit_log *log, struct err *err)
{
    struct audit_save *save = &log->save;
    if (save->failed) {
        *err = save->err;
        return false;
    }
    if (save->lags_since_ns == 0) {
        return true;
    }
    save->is_under_way = true;
    save->lags_since_ns = 0;
    save->note.size = 0;
    buffer_append_bytes(&save->note, buffer_bytes(&log->committed.note));
    pthread_mutex_unlock(&log->mutex);
    bool ok =
        save->note.failed
            ? err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint")
            : audit_io_replace_file(log->io, log->directory_fd, AUDIT_CHECKPOINT_FILE,
                                    AUDIT_CHECKPOINT_TEMPORARY, buffer_bytes(&save->note), err);
    pthread_mutex_lock(&log->mutex);
    save->is_under_way = false;
    if (!ok) {
        saver_fail(log, err);
    }
    pthread_cond_broadcast(&save->changed);
    return ok;
}

bool audit_log_save(struct audit_log *log, struct err *err)
{
    pthread_mutex_lock(&log->mutex);
    while (log->save.is_under_way) {
        pthread_cond_wait(&log->save.changed, &log->mutex);
    }
    bool ok = save_newest(log, err);
    pthread_mutex_unlock(&log->mutex);
    return ok;
}

static void *saver_run(void *context)
{
    struct audit_log *log = context;
    struct audit_save *save = &log->save;
    struct err err;
    process_thread_name("log saver");
    process_thread_be_prompt();
    pthread_mutex_lock(&log->mutex);
    while (!save->ends && !save->failed) {
        if (audit_ahead_is_due(log)) {
            if (!audit_ahead_write(log, &err)) {
                saver_fail(log, &err);
            }
        } else if (save->lags_since_ns == 0 || save->is_under_way) {
            pthread_cond_wait(&save->changed, &log->mutex);
        } else if (clock_monotonic_ns(&clock_system) < due_ns(log)) {
            (void)wait_until(&save->changed, &log->mutex, due_ns(log));
        } else if (!save_newest(log, &err)) {
            break;
        }
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}

bool audit_saver_start(struct audit_log *log, struct err *err)
{
    int code = pthread_create(&log->save.thread, NULL, saver_run, log);
    return code == 0 ||
           err_set(err, ERR_NO_MEMORY, "the thread of the checkpoint file: %s", strerror(code));
}

void audit_saver_end(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    log->save.ends = true;
    pthread_cond_broadcast(&log->save.changed);
    pthread_mutex_unlock(&log->mutex);
    pthread_join(log->save.thread, NULL);
}
