/* test_rotate.c: segments: ended on demand, by size and by the calendar, and read across; what a
 * crash leaves in between.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static uint64_t rotate(struct audit_log *log)
{
    struct waiter waiter;
    struct err err;
    waiter_init(&waiter, NULL);
    cr_assert(audit_log_rotate(log, waiter_cb, &waiter, &err), "%s", err.message);
    waiter_wait(&waiter, 1);
    cr_assert_eq(waiter.ok_count, 1);
    uint64_t index = waiter.last_index;
    waiter_release(&waiter);
    return index;
}

static size_t segment_list(const char *directory, uint64_t firsts[static 8])
{
    struct audit_segments segments;
    struct err err;
    int fd = audit_io_system.open(NULL, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
    cr_assert(audit_segments_list(fd, AUDIT_SEGMENT_ENTRIES, &segments, &err), "%s", err.message);
    close(fd);
    size_t count = segments.count;
    cr_assert_leq(count, 8);
    memcpy(firsts, segments.firsts, count * sizeof(*firsts));
    audit_segments_release(&segments);
    return count;
}

static bool visit_count(void *context, uint64_t index, struct bytes leaf)
{
    uint64_t *next = context;
    (void)leaf;
    cr_assert_eq(index, *next);
    (*next)++;
    return true;
}

/* Every entry is read and proved, from any place on. */
static void check_all(struct audit_log *log)
{
    struct err err;
    uint64_t size = audit_log_size(log);
    for (uint64_t index = 0; index < size; index++) {
        struct buffer leaf;
        struct buffer proof;
        uint64_t next = index;
        buffer_init(&leaf, 65536);
        buffer_init(&proof, 65536);
        cr_assert(audit_log_prove(log, index, &leaf, &proof, &err), "%s", err.message);
        cr_assert(audit_log_each(log, index, visit_count, &next, &err), "%s", err.message);
        cr_assert_eq(next, size);
        buffer_release(&leaf);
        buffer_release(&proof);
    }
}

static void check_directory(const char *directory, uint64_t size, uint64_t segments_closed)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err),
              "%s", err.message);
    cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_assert_eq(report.size + report.pending_entries, size);
    cr_assert_eq(report.segment_count, segments_closed);
}

/* INIT, 39 entries, SEGMENT_CLOSE 40; 9 entries, SEGMENT_CLOSE 50; 3 more. */
static void make_three(const char *directory)
{
    log_make(directory, 39); /* ends with a RESULT */
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    log_result(log, log_admit(log, 1));
    cr_assert_eq(rotate(log), 41);
    for (int i = 0; i < 4; i++) {
        log_result(log, log_admit(log, i));
    }
    cr_assert_eq(rotate(log), 50);
    log_result(log, log_admit(log, 1));
    audit_log_close(log);
}

Test(audit_rotate, entries_are_read_and_proved_across_segments)
{
    char directory[PATH_BYTES];
    uint64_t firsts[8];
    struct audit_recovery recovery;
    directory_make(directory);
    make_three(directory);
    cr_assert_eq(segment_list(directory, firsts), 3);
    cr_assert(firsts[0] == 0 && firsts[1] == 42 && firsts[2] == 51);
    check_directory(directory, 53, 2);
    struct audit_log *log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.size == 53 && recovery.unsigned_entries == 0);
    check_all(log);
    log_admit(log, 1);
    check_all(log);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_rotate, an_empty_segment_is_not_ended)
{
    char directory[PATH_BYTES];
    uint64_t firsts[8];
    directory_make(directory);
    log_make(directory, 3);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    cr_assert_eq(rotate(log), 3);
    cr_assert_eq(rotate(log), 3);
    audit_log_close(log);
    log = log_open(directory, &clock_system, NULL);
    cr_assert_eq(rotate(log), 3);
    audit_log_close(log);
    cr_assert_eq(segment_list(directory, firsts), 2);
    check_directory(directory, 4, 1);
    directory_remove(directory);
}

Test(audit_rotate, a_segment_ends_when_it_is_full)
{
    char directory[PATH_BYTES];
    uint64_t firsts[8];
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 1);
    heap_free(file_read(directory, "entries/000000000000.log", &size));
    struct audit_config config = {
        .directory = directory, .clock = &clock_system, .segment_bytes_max = size + 1};
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    log_admit(log, 1); /* a byte is missing */
    cr_assert_eq(log_admit(log, 2), 3, "after the SEGMENT_CLOSE");
    audit_log_close(log);
    cr_assert_eq(segment_list(directory, firsts), 2);
    cr_assert_eq(firsts[1], 3);
    config.segment_bytes_max = size;
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    audit_log_close(log);
    check_directory(directory, 5, 1);
    directory_remove(directory);
}

/* A clock that is set by the test. */
static int64_t set_wall(void *context)
{
    return *(const int64_t *)context;
}

Test(audit_rotate, the_first_entry_of_a_month_begins_a_segment)
{
    char directory[PATH_BYTES];
    uint64_t firsts[8];
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    int64_t now_ms = 1798761599999; /* 2026-12-31T23:59:59.999Z */
    const struct clock clock = {
        .monotonic_ns = clock_system.monotonic_ns, .wall_ms = set_wall, .context = &now_ms};
    struct audit_config config = {.directory = directory, .clock = &clock, .rotates_monthly = true};
    directory_make(directory);
    cr_assert(audit_log_init(directory, "log.example/m", &clock, &err));
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    cr_assert_eq(log_admit(log, 1), 1);
    now_ms++; /* 2027 */
    cr_assert_eq(log_admit(log, 2), 3);
    now_ms += (int64_t)31 * 86400000 - 1;
    cr_assert_eq(log_admit(log, 3), 4);
    audit_log_close(log);
    cr_assert_eq(segment_list(directory, firsts), 2);
    now_ms++; /* February; the segment's month is known from its entries */
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    cr_assert_eq(recovery.unanswered_count, 3);
    cr_assert_eq(audit_log_size(log), 6, "and a RECOVERED");
    cr_assert_eq(log_admit(log, 4), 7);
    audit_log_close(log);
    cr_assert_eq(segment_list(directory, firsts), 3);
    cr_assert(firsts[1] == 3 && firsts[2] == 7);
    config.rotates_monthly = false;
    now_ms += (int64_t)400 * 86400000;
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    log_admit(log, 5);
    audit_log_close(log);
    cr_assert_eq(segment_list(directory, firsts), 3);
    directory_remove(directory);
}

Test(audit_rotate, a_closed_segment_without_a_next_one_gets_it_when_the_log_is_opened)
{
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    uint64_t firsts[8];
    directory_make(directory);
    log_make(directory, 3);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    rotate(log);
    audit_log_close(log);
    path_join(path, directory, "entries/000000000004.log");
    cr_assert_eq(unlink(path), 0);
    log = log_open(directory, &clock_system, NULL);
    log_admit(log, 1);
    check_all(log);
    audit_log_close(log);
    cr_assert_eq(segment_list(directory, firsts), 2);
    check_directory(directory, 5, 1);
    directory_remove(directory);
}

Test(audit_rotate, segments_that_do_not_follow_each_other_are_refused)
{
    static const char *const names[] = {"entries/000000000000.log", "entries/000000000042.log",
                                        "entries/000000000051.log"};
    char base[PATH_BYTES];
    char copy[PATH_BYTES];
    char path[PATH_BYTES];
    directory_make(base);
    make_three(base);
    for (size_t i = 0; i < 3; i++) {
        size_t size = 0;
        uint8_t *content = file_read(base, names[i], &size);
        directory_make(copy); /* one is gone */
        log_copy(base, copy);
        path_join(path, copy, names[i]);
        unlink(path);
        log_expect_refused(copy, ERR_TAMPERED);
        file_write(copy, names[i], content, size - 1); /* is cut */
        log_expect_refused(copy, ERR_TAMPERED);
        file_write(copy, names[i], content, size); /* and whole again, beside a stranger */
        file_write(copy, "entries/000000000047.log", content, size);
        log_expect_refused(copy, ERR_TAMPERED);
        path_join(path, copy, "entries/000000000047.log");
        unlink(path);
        struct err err;
        cr_assert(log_try_open(copy, &err), "%s", err.message);
        if (i < 2) { /* goes on behind its end */
            uint8_t *longer = heap_alloc(size + 3);
            memcpy(longer, content, size);
            memcpy(longer + size, "\0\1x", 3);
            file_write(copy, names[i], longer, size + 3);
            log_expect_refused(copy, ERR_TAMPERED);
            heap_free(longer);
        }
        heap_free(content);
        directory_remove(copy);
    }
    directory_remove(base);
}

Test(audit_rotate, a_checkpoint_in_an_earlier_segment_is_caught_up_with)
{
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 39);
    uint8_t *note = file_read(directory, "checkpoint", &size);
    directory_remove(directory);
    heap_free(note);
    directory_make(directory);
    log_make(directory, 5);
    note = file_read(directory, "checkpoint", &size);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    rotate(log);
    log_result(log, log_admit(log, 1));
    rotate(log);
    log_result(log, log_admit(log, 1));
    audit_log_close(log);
    file_write(directory, "checkpoint", note, size);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.unsigned_entries == 6 && recovery.size == 11);
    check_all(log);
    audit_log_close(log);
    check_directory(directory, 11, 2);
    heap_free(note);
    directory_remove(directory);
}
