/* test_recover.c: what opening finds after a crash, and how the checkpoint file follows the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <semaphore.h>
#include <string.h>

static const char entries_file[] = "entries/000000000000.log";

/* ---- recovering ---- */

Test(audit_recover, admits_without_result_are_recovered_once)
{
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    struct audit_report report;
    struct err err;
    struct audit_log *log = log_new(directory, 1);
    uint64_t answered = log_admit(log, 0);
    for (int i = 0; i < 100; i++) {
        log_admit(log, i);
    }
    log_result(log, answered);
    audit_log_close(log);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert_eq(recovery.unanswered_count, 100);
    cr_assert_eq(recovery.size, 1 + 1 + 100 + 1 + 3, "40 + 40 + 20 indexes in three leaves");
    cr_assert(recovery.unsigned_entries == 0 && recovery.torn_bytes_cut == 0);
    json_t *fields = json_pack("{s:i}", "admit", 2);
    cr_assert_not(audit_log_submit(log, AUDIT_RESULT, fields, NULL, NULL, &err),
                  "what was recovered is closed");
    json_decref(fields);
    audit_log_close(log);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.unanswered_count == 0 && recovery.size == 106);
    audit_log_close(log);
    cr_assert(
        audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_assert(report.verdict == AUDIT_OK && report.recovered_count == 100);
    cr_assert_eq(report.unanswered_count, 0);
    directory_remove(directory);
}

/* Entries of a longer log under the checkpoint of when it had `signed_size` of them. */
static void make_unsigned(const char *directory, size_t signed_size, size_t size)
{
    size_t note_size = 0;
    struct audit_log *log;
    log_make(directory, signed_size);
    uint8_t *note = file_read(directory, "checkpoint", &note_size);
    struct test_clock clock;
    test_clock_init(&clock);
    log = log_open(directory, &clock.clock, NULL);
    for (size_t i = signed_size; i < size; i++) {
        log_admit(log, (int)i);
    }
    audit_log_close(log);
    file_write(directory, "checkpoint", note, note_size);
    heap_free(note);
}

Test(audit_recover, whole_entries_beyond_the_checkpoint_are_kept)
{
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    struct audit_report report;
    struct err err;
    directory_make(directory);
    make_unsigned(directory, 3, 6);
    cr_assert(
        audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_assert(report.verdict == AUDIT_OK && report.size == 3 && report.pending_entries == 3);
    struct audit_log *log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.unsigned_entries == 3 && recovery.unanswered_count == 3);
    cr_assert_eq(recovery.size, 7, "and a RECOVERED leaf");
    log_admit(log, 1);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

/* Zeros at the end count for none: they may have been written ahead. */
static size_t torn_size(const uint8_t *entries, size_t from, size_t to)
{
    while (to > from && entries[to - 1] == 0) {
        to--;
    }
    return to - from;
}

Test(audit_recover, a_tail_cut_at_any_byte_loses_only_what_is_not_whole)
{
    char directory[PATH_BYTES];
    char copy[PATH_BYTES];
    size_t size = 0;
    size_t whole_3 = 0; /* bytes of three entries, and so on */
    size_t whole[4] = {0};
    directory_make(directory);
    make_unsigned(directory, 3, 6);
    uint8_t *entries = file_read(directory, entries_file, &size);
    size_t offset = 0;
    for (int i = 0; i < 6; i++) {
        offset += 2 + (size_t)entries[offset] * 256 + entries[offset + 1];
        if (i >= 2) {
            whole[i - 2] = offset;
        }
    }
    whole_3 = whole[0];
    for (size_t cut = whole_3; cut < size; cut++) {
        struct audit_recovery recovery;
        size_t kept = cut >= whole[3] ? 3 : cut >= whole[2] ? 2 : cut >= whole[1] ? 1 : 0;
        directory_make(copy);
        log_copy(directory, copy);
        file_write(copy, entries_file, entries, cut);
        struct audit_log *log = log_open(copy, &clock_system, &recovery);
        cr_assert_eq(recovery.torn_bytes_cut, torn_size(entries, whole[kept], cut));
        cr_assert_eq(recovery.unsigned_entries, kept);
        audit_log_close(log);
        cr_assert_eq(log_verdict(copy), AUDIT_OK);
        directory_remove(copy);
    }
    /* The same in zeros that were written ahead. */
    for (size_t cut = whole_3; cut < size; cut += 7) {
        struct audit_recovery recovery;
        size_t kept = cut >= whole[3] ? 3 : cut >= whole[2] ? 2 : cut >= whole[1] ? 1 : 0;
        uint8_t *blanked = heap_alloc(size);
        memcpy(blanked, entries, size);
        memset(blanked + cut, 0, size - cut);
        directory_make(copy);
        log_copy(directory, copy);
        file_write(copy, entries_file, blanked, size);
        cr_assert_eq(log_verdict(copy), AUDIT_OK);
        struct audit_log *log = log_open(copy, &clock_system, &recovery);
        cr_assert_eq(recovery.torn_bytes_cut, torn_size(entries, whole[kept], cut));
        cr_assert_eq(recovery.unsigned_entries, kept);
        audit_log_close(log);
        cr_assert_eq(log_verdict(copy), AUDIT_OK);
        heap_free(blanked);
        directory_remove(copy);
    }
    /* What the checkpoint signs must be there, whole. */
    for (size_t cut = 0; cut < whole_3; cut += 13) {
        directory_make(copy);
        log_copy(directory, copy);
        file_write(copy, entries_file, entries, cut);
        log_expect_refused(copy, ERR_TAMPERED);
        cr_assert_eq(log_verdict(copy), AUDIT_TRUNCATED);
        directory_remove(copy);
    }
    heap_free(entries);
    directory_remove(directory);
}

Test(audit_recover, a_tail_of_zeros_is_cut_and_one_of_foreign_entries_too)
{
    static const uint8_t zeros[600];
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 3);
    uint8_t *entries = file_read(directory, entries_file, &size);
    uint8_t *longer = heap_alloc(2 * size + sizeof(zeros));
    memcpy(longer, entries, size);
    memcpy(longer + size, zeros, sizeof(zeros));
    file_write(directory, entries_file, longer, size + sizeof(zeros));
    struct audit_log *log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.torn_bytes_cut == 0 && recovery.unsigned_entries == 0);
    audit_log_close(log);
    size_t cut_size = 0;
    heap_free(file_read(directory, entries_file, &cut_size));
    cr_assert_eq(cut_size, size);
    memcpy(longer + size, entries, size); /* the same entries once more: they do not link */
    file_write(directory, entries_file, longer, 2 * size);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.torn_bytes_cut == size && recovery.size == 3);
    audit_log_close(log);
    heap_free(entries);
    heap_free(longer);
    directory_remove(directory);
}

Test(audit_recover, what_is_longer_than_a_batch_is_no_torn_tail)
{
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 3);
    uint8_t *entries = file_read(directory, entries_file, &size);
    uint8_t *longer = heap_alloc(size + AUDIT_TORN_BYTES_MAX + 1);
    memset(longer, 0, size + AUDIT_TORN_BYTES_MAX);
    memcpy(longer, entries, size);
    longer[size + AUDIT_TORN_BYTES_MAX] = 'x';
    file_write(directory, entries_file, longer, size + AUDIT_TORN_BYTES_MAX + 1);
    log_expect_refused(directory, ERR_TAMPERED);
    longer[size + AUDIT_TORN_BYTES_MAX - 1] = 'x';
    file_write(directory, entries_file, longer, size + AUDIT_TORN_BYTES_MAX);
    struct audit_log *log = log_open(directory, &clock_system, &recovery);
    cr_assert(recovery.torn_bytes_cut == AUDIT_TORN_BYTES_MAX && recovery.size == 3);
    audit_log_close(log);
    heap_free(entries);
    heap_free(longer);
    directory_remove(directory);
}

Test(audit_recover, a_checkpoint_that_a_power_cut_emptied_is_made_anew)
{
    static const uint8_t zeros[300];
    static const size_t sizes[] = {0, 1, sizeof(zeros)};
    char directory[PATH_BYTES];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct audit_recovery recovery;
        size_t before_size = 0;
        size_t after_size = 0;
        directory_make(directory);
        log_make(directory, 3);
        uint8_t *before = file_read(directory, "checkpoint", &before_size);
        file_write(directory, "checkpoint", zeros, sizes[i]);
        struct audit_log *log = log_open(directory, &clock_system, &recovery);
        cr_assert(recovery.checkpoint_lost && recovery.unsigned_entries == 3);
        cr_assert_eq(recovery.size, 3);
        /* Ed25519 is deterministic: the same head once more, before anybody submits. */
        uint8_t *after = file_read(directory, "checkpoint", &after_size);
        cr_assert(before_size == after_size && memcmp(before, after, after_size) == 0);
        heap_free(before);
        heap_free(after);
        audit_log_close(log);
        log = log_open(directory, &clock_system, &recovery);
        cr_assert(!recovery.checkpoint_lost && recovery.unsigned_entries == 0);
        audit_log_close(log);
        file_write(directory, "checkpoint", zeros, sizes[i]);
        file_write(directory, entries_file, zeros, sizes[i]);
        log_expect_refused(directory, ERR_TAMPERED);
        directory_remove(directory);
    }
}

/* ---- the checkpoint file ---- */

/* The system's calls, and what they did to the log's files. */
struct watch {
    struct audit_io io;
    sem_t replaced; /* posted when the checkpoint was */
    _Atomic int replaced_count;
    int entries_fd;
    bool synced; /* the entries, since they were opened */
    bool written;
    off_t written_first; /* from where on, before the first sync */
    off_t written_end;
};

static int watch_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    struct watch *watch = context;
    int fd = audit_io_system.open(NULL, directory_fd, name, flags, mode);
    if (strcmp(name, entries_file) == 0) {
        watch->entries_fd = fd;
    }
    return fd;
}

static ssize_t watch_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    struct watch *watch = context;
    if (fd == watch->entries_fd && !watch->synced) {
        watch->written_first = watch->written ? watch->written_first : offset;
        watch->written_end = offset + (off_t)size;
        watch->written = true;
    }
    return audit_io_system.write(NULL, fd, ptr, size, offset);
}

static int watch_sync(void *context, int fd)
{
    struct watch *watch = context;
    watch->synced = watch->synced || fd == watch->entries_fd;
    return audit_io_system.sync(NULL, fd);
}

static int watch_rename(void *context, int directory_fd, const char *from, const char *to)
{
    struct watch *watch = context;
    int result = audit_io_system.rename(NULL, directory_fd, from, to);
    if (strcmp(to, "checkpoint") == 0) {
        watch->replaced_count++;
        sem_post(&watch->replaced);
    }
    return result;
}

static struct audit_log *watch_log(struct watch *watch, const char *directory)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    *watch = (struct watch){.io = audit_io_system, .entries_fd = -1};
    sem_init(&watch->replaced, 0, 0);
    watch->io.context = watch;
    watch->io.open = watch_open;
    watch->io.write = watch_write;
    watch->io.sync = watch_sync;
    watch->io.rename = watch_rename;
    cr_assert(audit_log_open_with(&watch->io, &config, NULL, NULL, &log, &recovery, &err), "%s",
              err.message);
    return log;
}

static uint64_t checkpoint_size(const char *directory, const char *vkey)
{
    struct audit_checkpoint checkpoint;
    size_t size = 0;
    uint8_t *note = file_read(directory, "checkpoint", &size);
    cr_assert_eq(audit_checkpoint_verify(bytes_of(note, size), vkey, &checkpoint), AUDIT_OK);
    heap_free(note);
    return checkpoint.size;
}

Test(audit_recover, the_checkpoint_file_follows_by_itself_for_many_commits_at_once)
{
    enum { COMMITS = 200 };
    struct watch watch;
    char directory[PATH_BYTES];
    directory_make(directory);
    log_make(directory, 1);
    struct audit_log *log = watch_log(&watch, directory);
    for (int i = 0; i < COMMITS; i++) {
        log_admit(log, i);
    }
    cr_assert_lt(watch.replaced_count, COMMITS);
    while (checkpoint_size(directory, audit_log_vkey(log)) < 1 + COMMITS) {
        sem_wait(&watch.replaced);
    }
    int count = watch.replaced_count;
    audit_log_close(log);
    cr_assert_eq(watch.replaced_count, count, "it was up to date");
    directory_remove(directory);
}

Test(audit_recover, the_checkpoint_file_is_up_to_date_when_the_log_is_closed)
{
    struct watch watch;
    char directory[PATH_BYTES];
    char vkey[512];
    directory_make(directory);
    log_make(directory, 1);
    struct audit_log *log = watch_log(&watch, directory);
    snprintf(vkey, sizeof(vkey), "%s", audit_log_vkey(log));
    for (int i = 0; i < 5; i++) {
        log_admit(log, i);
    }
    audit_log_close(log);
    cr_assert_eq(checkpoint_size(directory, vkey), 6);
    directory_remove(directory);
}

Test(audit_recover, unsigned_entries_are_written_again_and_synced_before_they_are_signed)
{
    struct watch watch;
    char directory[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    make_unsigned(directory, 3, 60);
    heap_free(file_read(directory, entries_file, &size));
    struct audit_log *log = watch_log(&watch, directory);
    cr_assert(watch.written && watch.synced && watch.replaced_count == 1);
    cr_assert(watch.written_first > 0 && watch.written_end == (off_t)size, "all that was unsigned");
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
    directory_make(directory);
    log_make(directory, 3);
    log = watch_log(&watch, directory);
    cr_assert(!watch.synced && !watch.written && watch.replaced_count == 0, "nothing to mend");
    audit_log_close(log);
    directory_remove(directory);
}
