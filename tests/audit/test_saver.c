/* test_saver.c: the checkpoint file follows beside the commits: none waits for it, what needs it
 * waits, and its failure ends the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"
#include "support/gate.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* The system's calls, but renaming stands before a gate. */
static struct audit_io gated_io;
static struct gate gate;
static _Atomic bool rename_fails;
static _Atomic int fatal_count;

static int gate_rename(void *context, int directory_fd, const char *from, const char *to)
{
    gate_pass(&gate);
    if (atomic_load(&rename_fails)) {
        errno = EIO;
        return -1;
    }
    return audit_io_system.rename(context, directory_fd, from, to);
}

static void fatal_cb(void *context, const struct err *err)
{
    (void)context;
    cr_assert_eq(err->code, ERR_IO);
    cr_assert_not_null(strstr(err->message, "checkpoint: rename"), "%s", err->message);
    atomic_fetch_add(&fatal_count, 1);
}

static struct audit_log *gated_log(char directory[static PATH_BYTES])
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    directory_make(directory);
    log_make(directory, 1);
    gate_init(&gate, false);
    gated_io = audit_io_system;
    gated_io.rename = gate_rename;
    cr_assert(audit_log_open_with(&gated_io, &config, fatal_cb, NULL, &log, &recovery, &err), "%s",
              err.message);
    return log;
}

/* How many entries the file says. */
static uint64_t file_says(const char *directory, const char *vkey)
{
    struct audit_checkpoint checkpoint;
    size_t size = 0;
    uint8_t *note = file_read(directory, AUDIT_CHECKPOINT_FILE, &size);
    cr_assert_eq(audit_checkpoint_verify(bytes_of(note, size), vkey, &checkpoint), AUDIT_OK);
    heap_free(note);
    return checkpoint.size;
}

Test(audit_saver, no_commit_waits_for_the_file)
{
    char directory[PATH_BYTES];
    struct audit_log *log = gated_log(directory);
    gate_set(&gate, true);
    log_admit(log, 1);
    gate_wait(&gate);
    for (int i = 2; i < 10; i++) {
        log_admit(log, i);
    }
    cr_assert_eq(file_says(directory, audit_log_vkey(log)), 1);
    gate_set(&gate, false);
    audit_log_close(log);
    struct audit_log *again = log_open(directory, &clock_system, NULL);
    cr_assert_geq(file_says(directory, audit_log_vkey(again)), 10);
    audit_log_close(again);
    directory_remove(directory);
}

static struct audit_log *synced_log; /* once it is open: opening syncs, too */
static int syncs_seen;

static int seen_sync_data(void *context, int fd)
{
    int result = audit_io_system.sync_data(context, fd);
    uint64_t began_ns = synced_log != NULL ? audit_log_sync_began_ns(synced_log) : 0;
    syncs_seen += began_ns != 0 && began_ns <= clock_monotonic_ns(&clock_system) ? 1 : 0;
    return result;
}

Test(audit_saver, a_sync_under_way_is_seen)
{
    char directory[PATH_BYTES];
    struct audit_log *log = gated_log(directory);
    cr_assert_eq(audit_log_sync_began_ns(log), 0);
    gated_io.sync_data = seen_sync_data;
    synced_log = log; /* its writer reads it for an entry that is submitted later */
    log_admit(log, 1);
    cr_assert_eq(syncs_seen, 1);
    cr_assert_eq(audit_log_sync_began_ns(log), 0);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_saver, the_file_follows_while_entries_come)
{
    char directory[PATH_BYTES];
    struct audit_log *log = gated_log(directory);
    for (int i = 0; file_says(directory, audit_log_vkey(log)) == 1; i++) {
        log_admit(log, i);
    }
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_saver, the_end_of_a_segment_waits_for_the_newest_head)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct err err;
    struct audit_log *log = gated_log(directory);
    waiter_init(&waiter, NULL);
    gate_set(&gate, true);
    log_admit(log, 1);
    gate_wait(&gate); /* with a head of two entries */
    cr_assert(audit_log_rotate(log, waiter_cb, &waiter, &err), "%s", err.message);
    gate_set(&gate, false);
    waiter_wait(&waiter, 1);
    cr_assert_eq(file_says(directory, audit_log_vkey(log)), 3);
    waiter_release(&waiter);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_saver, its_failure_ends_the_log_though_nothing_is_committed)
{
    char directory[PATH_BYTES];
    struct err err;
    struct audit_log *log = gated_log(directory);
    atomic_store(&rename_fails, true);
    log_admit(log, 1);
    while (atomic_load(&fatal_count) == 0) {
        sched_yield();
    }
    json_t *fields = json_object();
    cr_assert_not(audit_log_submit(log, AUDIT_ADMIT, fields, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_CLOSED);
    json_decref(fields);
    audit_log_close(log);
    cr_assert_eq(atomic_load(&fatal_count), 1);
    log = log_open(directory, &clock_system, NULL);
    cr_assert_geq(audit_log_size(log), 2);
    audit_log_close(log);
    directory_remove(directory);
}
