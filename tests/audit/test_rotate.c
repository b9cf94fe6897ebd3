/* test_rotate.c: segments: ended on demand, by size and by the calendar, and read across; what a
 * crash leaves in between.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "audit/verify.h"
#include "base/arena.h"
#include "support/new_log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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
        cr_assert(audit_log_each(log, index, log_visit, &next, &err), "%s", err.message);
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
    cr_assert_eq(log_rotate(log), 41);
    for (int i = 0; i < 4; i++) {
        log_result(log, log_admit(log, i));
    }
    cr_assert_eq(log_rotate(log), 50);
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
    struct audit_log *log = log_new(directory, 3);
    cr_assert_eq(log_rotate(log), 3);
    cr_assert_eq(log_rotate(log), 3);
    audit_log_close(log);
    log = log_open(directory, &clock_system, NULL);
    cr_assert_eq(log_rotate(log), 3);
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
    cr_assert(new_log(directory, "log.example/m", &clock, &err));
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
    struct audit_log *log = log_new(directory, 3);
    log_rotate(log);
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
    log_rotate(log);
    log_result(log, log_admit(log, 1));
    log_rotate(log);
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

/* ---- the key ---- */

static enum audit_verdict verify_with(const char *directory, const char *vkey)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(directory, vkey, bytes_of(NULL, 0), NULL, NULL, &report, &err),
              "%s", err.message);
    return report.verdict;
}

Test(audit_rotate, every_key_of_the_chain_verifies_the_log_and_no_other_does)
{
    char directory[PATH_BYTES];
    char other[PATH_BYTES];
    char vkeys[3][512];
    struct audit_recovery recovery;
    directory_make(directory);
    directory_make(other);
    log_make(directory, 3);
    log_make(other, 3);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    for (int i = 0; i < 3; i++) {
        snprintf(vkeys[i], sizeof(vkeys[i]), "%s", audit_log_vkey(log));
        if (i < 2) {
            const char *held = audit_log_vkey(log);
            log_rotate_key(log);
            cr_assert_str_eq(held, vkeys[i], "it stays what it was");
            log_result(log, log_admit(log, i));
            log_rotate(log);
        }
        cr_assert_str_eq(audit_log_first_vkey(log), vkeys[0]);
    }
    check_all(log);
    audit_log_close(log);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert_eq(recovery.size, 3 + 2 * 4);
    cr_assert_str_eq(audit_log_vkey(log), vkeys[2]);
    cr_assert_str_eq(audit_log_first_vkey(log), vkeys[0]);
    log_result(log, log_admit(log, 7));
    audit_log_close(log);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(verify_with(directory, vkeys[i]), AUDIT_OK, "key %d", i);
    }
    log = log_open(other, &clock_system, NULL);
    cr_assert_eq(verify_with(directory, audit_log_vkey(log)), AUDIT_UNVERIFIABLE);
    audit_log_close(log);
    size_t size = 0;
    char expected[3 * 512 + 8];
    snprintf(expected, sizeof(expected), "%s\n%s\n%s\n", vkeys[2], vkeys[1], vkeys[0]);
    uint8_t *lines = file_read(directory, "log.vkey", &size);
    cr_assert(size == strlen(expected) && memcmp(lines, expected, size) == 0);
    heap_free(lines);
    cr_assert_null(file_read(directory, "signing-key.next.pem", &size));
    directory_remove(directory);
    directory_remove(other);
}

static void file_copy(const char *from, const char *from_name, const char *to, const char *name)
{
    size_t size = 0;
    uint8_t *content = file_read(from, from_name, &size);
    cr_assert_not_null(content);
    file_write(to, name, content, size);
    heap_free(content);
}

/* The directory as a crash between the steps of a change leaves it, from one before and one after
 * it: what is there of the new key is the entry, or more. */
Test(audit_rotate, a_crash_between_the_steps_of_a_change_of_the_key_is_mended)
{
    char before[PATH_BYTES];
    char after[PATH_BYTES];
    char vkeys[2][512];
    directory_make(before);
    directory_make(after);
    log_make(before, 5);
    log_copy(before, after);
    struct audit_log *log = log_open(after, &clock_system, NULL);
    snprintf(vkeys[0], sizeof(vkeys[0]), "%s", audit_log_vkey(log));
    log_rotate_key(log);
    snprintf(vkeys[1], sizeof(vkeys[1]), "%s", audit_log_vkey(log));
    audit_log_close(log);
    for (int steps = 0; steps <= 5; steps++) {
        char directory[PATH_BYTES];
        size_t size = 0;
        directory_make(directory);
        log_copy(before, directory);
        if (steps == 0) { /* within the first */
            file_write(directory, "signing-key.next.pem.new", "-----BEGIN PRIV", 15);
        } else {
            file_copy(after, "signing-key.pem", directory,
                      steps < 5 ? "signing-key.next.pem" : "signing-key.pem");
        }
        if (steps >= 2) {
            file_copy(after, "entries/000000000000.log", directory, "entries/000000000000.log");
        }
        if (steps >= 3) {
            file_copy(after, "checkpoint", directory, "checkpoint");
        }
        if (steps >= 4) {
            file_copy(after, "log.vkey", directory, "log.vkey");
        }
        log = log_open(directory, &clock_system, NULL);
        cr_assert_str_eq(audit_log_vkey(log), vkeys[steps >= 2], "step %d", steps);
        log_result(log, log_admit(log, 1));
        log_rotate_key(log);
        audit_log_close(log);
        cr_assert_null(file_read(directory, "signing-key.next.pem", &size));
        cr_assert_null(file_read(directory, "signing-key.next.pem.new", &size));
        cr_assert_eq(verify_with(directory, vkeys[0]), AUDIT_OK, "step %d", steps);
        cr_assert_eq(verify_with(directory, vkeys[1]), steps >= 2 ? AUDIT_OK : AUDIT_UNVERIFIABLE);
        directory_remove(directory);
    }
    directory_remove(before);
    directory_remove(after);
}

Test(audit_rotate, a_change_that_cannot_be_signed_says_so)
{
    static const uint8_t another[CRYPTO_ED25519_PUBLIC_BYTES];
    char directory[PATH_BYTES];
    struct audit_pending *rotating = NULL;
    struct err err;
    struct audit_log *log = log_new(directory, 1);
    log->next_signer = crypto_signer_generate(CRYPTO_ED25519);
    audit_key_init(&log->next_key, log->key.name, another);
    cr_assert_not(audit_key_place(log, &rotating, &err));
    cr_assert_eq(err.code, ERR_CRYPTO, "%s", err.message);
    cr_assert_not(audit_key_cosign(log, &err));
    cr_assert_eq(err.code, ERR_CRYPTO, "%s", err.message);
    audit_key_abandon(log);
    log_result(log, log_admit(log, 1));
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

Test(audit_rotate, a_key_that_the_entries_do_not_name_is_refused)
{
    char before[PATH_BYTES];
    char after[PATH_BYTES];
    directory_make(before);
    directory_make(after);
    log_make(before, 5);
    log_copy(before, after);
    struct audit_log *log = log_open(after, &clock_system, NULL);
    log_rotate_key(log);
    audit_log_close(log);
    file_copy(before, "log.vkey", after, "log.vkey"); /* the old key, and its file */
    file_copy(before, "signing-key.pem", after, "signing-key.pem");
    log_expect_refused(after, ERR_TAMPERED);
    directory_remove(before);
    directory_remove(after);
}

Test(audit_rotate, each_line_of_the_keys_must_be_one)
{
    static const char *const ends[] = {"", "\n", "x\n", "x"};
    char directory[PATH_BYTES];
    char text[1024];
    struct audit_log *log = log_new(directory, 1);
    snprintf(text, sizeof(text), "%s\n", audit_log_vkey(log));
    size_t old_size = strlen(text);
    log_rotate_key(log);
    audit_log_close(log);
    size_t size = 0;
    char *keys = (char *)file_read(directory, "log.vkey", &size);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(text, sizeof(text), "%.*s%s", (int)(size - 1), keys, ends[i]);
        file_write(directory, "log.vkey", text, strlen(text));
        if (strcmp(ends[i], "\n") != 0) {
            log_expect_refused(directory, ERR_TAMPERED);
        }
    }
    file_write(directory, "log.vkey", keys, size - old_size); /* the first key is forgotten */
    audit_log_close(log_open(directory, &clock_system, NULL));
    file_write(directory, "log.vkey", "", 0);
    log_expect_refused(directory, ERR_TAMPERED);
    file_write(directory, "log.vkey", keys, size);
    audit_log_close(log_open(directory, &clock_system, NULL));
    heap_free(keys);
    directory_remove(directory);
}

Test(audit_rotate, one_change_of_the_key_at_a_time)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct err err;
    struct audit_log *log = log_new(directory, 1);
    file_write(directory, "signing-key.next.pem", "x", 1); /* in the way */
    cr_assert_not(audit_log_rotate_key(log, NULL, NULL, &err));
    waiter_init(&waiter, NULL);
    cr_assert(audit_log_rotate_key(log, waiter_cb, &waiter, &err), "%s", err.message);
    bool second = audit_log_rotate_key(log, waiter_cb, &waiter, &err);
    cr_assert(second || err.code == ERR_BUSY);
    waiter_wait(&waiter, 1 + second);
    cr_assert_eq(waiter.failed_count, 0);
    waiter_release(&waiter);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

Test(audit_rotate, a_log_has_as_many_keys_as_a_verifier_follows)
{
    char directory[PATH_BYTES];
    struct err err;
    struct audit_log *log = log_new(directory, 1);
    for (int i = 1; i < AUDIT_TRUSTED_KEYS_MAX; i++) {
        log_rotate_key(log);
    }
    cr_assert_not(audit_log_rotate_key(log, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    audit_log_close(log);
    log = log_open(directory, &clock_system, NULL);
    cr_assert_not(audit_log_rotate_key(log, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    log_result(log, log_admit(log, 1));
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

/* ---- under load ---- */

enum { LOAD_THREADS = 4, LOAD_ENTRIES = 200, LOAD_ROTATIONS = 10 };

struct load {
    struct audit_log *log;
    struct waiter waiter;
};

static void *load_run(void *context)
{
    struct load *load = context;
    struct err err;
    for (int i = 0; i < LOAD_ENTRIES; i++) {
        json_t *fields = json_pack("{s:i}", "n", i);
        cr_assert(audit_log_submit(load->log, AUDIT_EPOCH, fields, waiter_cb, &load->waiter, &err));
        json_decref(fields);
    }
    return NULL;
}

Test(audit_rotate, under_load_nothing_is_lost_and_all_keys_verify)
{
    char directory[PATH_BYTES];
    char first_vkey[512];
    char last_vkey[512];
    struct load load;
    pthread_t threads[LOAD_THREADS];
    load.log = log_new(directory, 1);
    snprintf(first_vkey, sizeof(first_vkey), "%s", audit_log_vkey(load.log));
    waiter_init(&load.waiter, NULL);
    for (int i = 0; i < LOAD_THREADS; i++) {
        pthread_create(&threads[i], NULL, load_run, &load);
    }
    for (int i = 0; i < LOAD_ROTATIONS; i++) {
        log_rotate(load.log);
        log_rotate_key(load.log);
    }
    for (int i = 0; i < LOAD_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    waiter_wait(&load.waiter, LOAD_THREADS * LOAD_ENTRIES);
    cr_assert(load.waiter.ok_count == LOAD_THREADS * LOAD_ENTRIES && load.waiter.in_order);
    cr_assert_eq(audit_log_size(load.log), 1 + LOAD_THREADS * LOAD_ENTRIES + 2 * LOAD_ROTATIONS);
    check_all(load.log);
    snprintf(last_vkey, sizeof(last_vkey), "%s", audit_log_vkey(load.log));
    audit_log_close(load.log);
    cr_assert_eq(verify_with(directory, first_vkey), AUDIT_OK);
    cr_assert_eq(verify_with(directory, last_vkey), AUDIT_OK);
    waiter_release(&load.waiter);
    directory_remove(directory);
}
