/* test_ahead.c: zeros behind the entries: there while the log is open, gone where it is closed,
 * never in the way of entries, and no part of the log to any reader.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"
#include "support/gate.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

static const char entries_file[] = "entries/000000000000.log";

/* Until the saver has nothing to do. The bytes of entries in the file. */
static uint64_t settle(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    while (log->ahead.is_under_way || audit_ahead_is_due(log)) {
        pthread_cond_wait(&log->save.changed, &log->mutex);
    }
    uint64_t size = log->file_size;
    pthread_mutex_unlock(&log->mutex);
    return size;
}

static size_t file_size(const char *directory, const char *name)
{
    size_t size = 0;
    heap_free(file_read(directory, name, &size));
    return size;
}

/* The size of the whole entries at the beginning of a file. */
static size_t entries_size(const char *directory, const char *name)
{
    size_t size = 0;
    size_t at = 0;
    uint8_t *entries = file_read(directory, name, &size);
    while (at + 2 <= size && (entries[at] != 0 || entries[at + 1] != 0)) {
        at += 2 + (size_t)entries[at] * 256 + entries[at + 1];
    }
    cr_assert(audit_is_zeros(bytes_of(entries + at, size - at)));
    heap_free(entries);
    return at;
}

Test(audit_ahead, zeros_are_there_while_the_log_is_open_and_no_part_of_it)
{
    char directory[PATH_BYTES];
    char copy[PATH_BYTES];
    struct audit_recovery recovery;
    directory_make(directory);
    directory_make(copy);
    log_make(directory, 3);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    cr_assert_eq(file_size(directory, entries_file), settle(log), "nobody has submitted");
    log_admit(log, 1);
    uint64_t used = settle(log);
    size_t size = file_size(directory, entries_file);
    cr_assert(size > used && size <= used + AUDIT_AHEAD_BYTES);
    cr_assert_eq(entries_size(directory, entries_file), used);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    log_admit(log, 2);
    cr_assert_gt(settle(log), used);
    cr_assert_eq(file_size(directory, entries_file), size, "it took the place of zeros");

    /* As a crash would leave it. */
    log_copy(directory, copy);
    cr_assert_eq(log_verdict(copy), AUDIT_OK);
    struct audit_log *again = log_open(copy, &clock_system, &recovery);
    cr_assert(recovery.torn_bytes_cut == 0 && recovery.size >= 5);
    audit_log_close(again);
    cr_assert_eq(log_verdict(copy), AUDIT_OK);

    log_rotate(log);
    cr_assert_eq(entries_size(directory, entries_file), file_size(directory, entries_file));
    log_admit(log, 3);
    cr_assert_gt(settle(log), 0);
    audit_log_close(log);
    const char last[] = "entries/000000000006.log";
    cr_assert_gt(file_size(directory, last), 0);
    cr_assert_eq(entries_size(directory, last), file_size(directory, last));
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(copy);
    directory_remove(directory);
}

static void submit(struct audit_log *log, struct waiter *waiter, int count)
{
    struct err err;
    json_t *fields = json_pack("{s:s}", "request_id", "00000000-0000-4000-8000-000000000000");
    for (int i = 0; i < count; i++) {
        cr_assert(audit_log_submit(log, AUDIT_ADMIT, fields, waiter_cb, waiter, &err));
    }
    json_decref(fields);
}

Test(audit_ahead, there_are_always_enough_and_never_more)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct audit_log *log = log_new(directory, 1);
    for (int round = 0; round < 40; round++) {
        waiter_init(&waiter, audit_log_vkey(log));
        submit(log, &waiter, 50);
        waiter_wait(&waiter, 50);
        cr_assert(waiter.ok_count == 50 && waiter.bad_proof_count == 0);
        waiter_release(&waiter);
        uint64_t used = settle(log);
        size_t size = file_size(directory, entries_file);
        cr_assert(size >= used + AUDIT_AHEAD_BYTES / 2 && size <= used + AUDIT_AHEAD_BYTES);
    }
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    audit_log_close(log);
    cr_assert_eq(entries_size(directory, entries_file), file_size(directory, entries_file));
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

/* ---- entries and zeros at the same time ---- */

static struct audit_io gated_io;
static struct gate gate;

/* Zeros wait before it. */
static ssize_t gate_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    if (audit_is_zeros(bytes_of(ptr, size))) {
        gate_pass(&gate);
    }
    return audit_io_system.write(context, fd, ptr, size, offset);
}

enum { SUBMITTED_BYTES_MAX = 230 }; /* of an entry */

/* Does the writer want to go where the zeros are that wait? It may have taken some of the entries
 * only, and leaves the others in the queue until it has been there. */
static bool reaches_the_zeros(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    size_t taken = log->pending_count - log->queue_count;
    bool reaches = log->file_size + taken * SUBMITTED_BYTES_MAX > log->ahead.from;
    pthread_mutex_unlock(&log->mutex);
    return reaches;
}

Test(audit_ahead, entries_come_before_zeros_that_are_late_and_never_under_them)
{
    char directory[PATH_BYTES];
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct waiter waiter;
    struct err err;
    enum { FIT = 100, MORE = 500 };
    directory_make(directory);
    log_make(directory, 1);
    gate_init(&gate, true);
    gated_io = audit_io_system;
    gated_io.write = gate_write;
    cr_assert(audit_log_open_with(&gated_io, &config, NULL, NULL, &log, &recovery, &err));
    log_admit(log, 1);
    gate_wait(&gate);
    waiter_init(&waiter, audit_log_vkey(log));
    submit(log, &waiter, FIT);
    waiter_wait(&waiter, FIT);

    submit(log, &waiter, MORE);
    while (!reaches_the_zeros(log)) {
        sched_yield();
    }
    gate_set(&gate, false);
    waiter_wait(&waiter, FIT + MORE);
    cr_assert(waiter.ok_count == FIT + MORE && waiter.bad_proof_count == 0);
    waiter_release(&waiter);
    audit_log_close(log);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.torn_bytes_cut == 0 && recovery.size >= 2 + FIT + MORE);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

/* ---- damage ---- */

Test(audit_ahead, a_changed_zero_is_cut_and_reported)
{
    static const uint8_t zeros[1500];
    static const size_t places[] = {0, 1, 2, 3, 255, 256, 1023, 1024, 1026, sizeof(zeros) - 1};
    char directory[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 3);
    uint8_t *entries = file_read(directory, entries_file, &size);
    uint8_t *longer = heap_alloc(size + sizeof(zeros));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        for (int way = 0; way < 2; way++) {
            struct audit_recovery recovery;
            memcpy(longer, entries, size);
            memset(longer + size, 0, sizeof(zeros));
            longer[size + places[i]] = way == 0 ? 1 : 0xff;
            file_write(directory, entries_file, longer, size + sizeof(zeros));
            cr_assert_eq(log_verdict(directory), AUDIT_OK, "nothing there is signed");
            struct audit_log *log = log_open(directory, &clock_system, &recovery);
            cr_assert_eq(recovery.torn_bytes_cut, places[i] + 1);
            audit_log_close(log);
            cr_assert_eq(file_size(directory, entries_file), size);
        }
    }
    heap_free(longer);
    heap_free(entries);
    directory_remove(directory);
}

Test(audit_ahead, zeros_in_the_place_of_a_length_are_named)
{
    char directory[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 5);
    uint8_t *entries = file_read(directory, entries_file, &size);
    size_t offset = 0;
    for (uint64_t index = 0; index < 5; index++) {
        struct audit_report report;
        struct err err;
        uint8_t length[2] = {entries[offset], entries[offset + 1]};
        memset(entries + offset, 0, 2);
        file_write(directory, entries_file, entries, size);
        cr_assert(
            audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
        cr_assert(report.verdict == AUDIT_TAMPERED && report.bad_index == index, "%s",
                  report.detail);
        log_expect_refused(directory, ERR_TAMPERED);
        memcpy(entries + offset, length, 2);
        offset += 2 + (size_t)length[0] * 256 + length[1];
    }
    heap_free(entries);
    directory_remove(directory);
}

Test(audit_ahead, zeros_behind_a_segment_that_was_ended_are_refused)
{
    char directory[PATH_BYTES];
    size_t size = 0;
    struct audit_log *log = log_new(directory, 3);
    log_rotate(log);
    log_admit(log, 1);
    audit_log_close(log);
    uint8_t *entries = file_read(directory, entries_file, &size);
    static const size_t counts[] = {1, 2, 300};
    uint8_t *longer = heap_alloc(size + counts[2]);
    memcpy(longer, entries, size);
    memset(longer + size, 0, counts[2]);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        file_write(directory, entries_file, longer, size + counts[i]);
        cr_assert_eq(log_verdict(directory), AUDIT_TAMPERED);
        log_expect_refused(directory, ERR_TAMPERED);
    }
    heap_free(longer);
    heap_free(entries);
    directory_remove(directory);
}
