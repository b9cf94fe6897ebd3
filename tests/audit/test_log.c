/* test_log.c: making, opening, submitting, reading.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/support.h"
#include "base/arena.h"
#include "base/text.h"
#include "support/gate.h"
#include "support/new_log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char entries_file[] = "entries/000000000000.log";

/* ---- making ---- */

static mode_t mode_of(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    struct stat status;
    path_join(path, directory, name);
    cr_assert_eq(stat(path, &status), 0, "%s", path);
    return status.st_mode & 0777;
}

Test(audit_log, init_makes_private_files_and_one_entry)
{
    char base[PATH_BYTES];
    char directory[PATH_BYTES];
    struct err err;
    directory_make(base);
    path_join(directory, base, "log");
    cr_assert(new_log(directory, NULL, &clock_system, &err), "%s", err.message);
    cr_assert_eq(mode_of(directory, "."), 0700);
    cr_assert_eq(mode_of(directory, "signing-key.pem"), 0600);
    cr_assert_eq(mode_of(directory, entries_file), 0600);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    const char *origin = audit_log_origin(log);
    cr_assert_eq(audit_log_size(log), 1);
    cr_assert_eq(strncmp(origin, "wasm-hypervisor.local/", 22), 0);
    cr_assert_eq(strlen(origin), 22 + 16);
    cr_assert_eq(strncmp(audit_log_vkey(log), origin, strlen(origin)), 0);
    audit_log_close(log);
    directory_remove(directory);
    directory_remove(base);
}

Test(audit_log, init_takes_the_longest_origin)
{
    char origin[AUDIT_ORIGIN_CHARS_MAX + 2];
    char directory[PATH_BYTES];
    struct err err;
    directory_make(directory);
    memset(origin, 'o', sizeof(origin));
    origin[AUDIT_ORIGIN_CHARS_MAX + 1] = '\0';
    cr_assert_not(new_log(directory, origin, &clock_system, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    origin[AUDIT_ORIGIN_CHARS_MAX] = '\0';
    cr_assert(new_log(directory, origin, &clock_system, &err), "%s", err.message);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    cr_assert_str_eq(audit_log_origin(log), origin);
    log_admit(log, 1);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_log, init_refuses_what_is_there_already_and_what_cannot_be)
{
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    struct err err;
    directory_make(directory);
    cr_assert_not(new_log(directory, "with blank", &clock_system, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert_not(new_log(directory, "", &clock_system, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    path_join(path, directory, "a/b");
    cr_assert_not(new_log(path, "o", &clock_system, &err));
    cr_assert_eq(err.code, ERR_IO);
    file_write(directory, "checkpoint", "x", 1);
    cr_assert_not(new_log(directory, "o", &clock_system, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    path_join(path, directory, "checkpoint");
    cr_assert_not(new_log(path, "o", &clock_system, &err));
    cr_assert_eq(err.code, ERR_IO);
    directory_remove(directory);
}

/* ---- opening ---- */

Test(audit_log, one_process_at_a_time)
{
    char directory[PATH_BYTES];
    struct audit_log *log = log_new(directory, 3);
    log_expect_refused(directory, ERR_BUSY);
    audit_log_close(log);
    struct err err;
    cr_assert(log_try_open(directory, &err));
    directory_remove(directory);
}

Test(audit_log, a_missing_log_is_refused)
{
    static const char *const names[] = {"checkpoint", "log.vkey", "signing-key.pem", entries_file};
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    path_join(path, "/nowhere", "at-all");
    log_expect_refused(path, ERR_TAMPERED);
    for (size_t i = 0; i < 4; i++) {
        directory_make(directory);
        log_make(directory, 3);
        path_join(path, directory, names[i]);
        unlink(path);
        log_expect_refused(directory, ERR_TAMPERED);
        directory_remove(directory);
    }
    directory_make(directory);
    log_expect_refused(directory, ERR_TAMPERED);
    directory_remove(directory);
}

Test(audit_log, damaged_small_files_are_refused)
{
    static const struct {
        const char *name;
        const char *content;
        enum err_code code;
    } rows[] = {
        {"log.vkey", "", ERR_TAMPERED},
        {"log.vkey", "garbage\n", ERR_TAMPERED},
        {"log.vkey", "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
         ERR_TAMPERED},
        {"log.vkey", "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
         ERR_TAMPERED},
        {"signing-key.pem", "garbage", ERR_FORMAT},
        {"checkpoint", "\n", ERR_TAMPERED},
        {"checkpoint", "garbage\n", ERR_TAMPERED},
        {"checkpoint",
         "log.example/test\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
         "\xe2\x80\x94 other AAAAAAAA\n",
         ERR_TAMPERED},
        {entries_file, "", ERR_TAMPERED},
        {entries_file, "garbage garbage", ERR_TAMPERED},
    };
    char directory[PATH_BYTES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        directory_make(directory);
        log_make(directory, 3);
        file_write(directory, rows[i].name, rows[i].content, strlen(rows[i].content));
        log_expect_refused(directory, rows[i].code);
        directory_remove(directory);
    }
}

Test(audit_log, oversized_small_files_are_refused)
{
    static char filler[8192];
    char directory[PATH_BYTES];
    memset(filler, 'x', sizeof(filler));
    directory_make(directory);
    log_make(directory, 2);
    file_write(directory, "checkpoint", filler, sizeof(filler));
    log_expect_refused(directory, ERR_TAMPERED);
    file_write(directory, "log.vkey", filler, sizeof(filler));
    log_expect_refused(directory, ERR_TAMPERED);
    directory_remove(directory);
}

Test(audit_log, a_signing_key_that_others_can_read_is_refused)
{
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    struct err err;
    directory_make(directory);
    log_make(directory, 2);
    path_join(path, directory, "signing-key.pem");
    chmod(path, 0640);
    log_expect_refused(directory, ERR_CONFIG);
    chmod(path, 0600);
    cr_assert(log_try_open(directory, &err), "%s", err.message);
    directory_remove(directory);
}

Test(audit_log, another_logs_signing_key_is_refused)
{
    char one[PATH_BYTES];
    char two[PATH_BYTES];
    size_t size = 0;
    directory_make(one);
    directory_make(two);
    log_make(one, 2);
    log_make(two, 2);
    uint8_t *key = file_read(two, "signing-key.pem", &size);
    file_write(one, "signing-key.pem", key, size);
    heap_free(key);
    log_expect_refused(one, ERR_TAMPERED);
    uint8_t *checkpoint = file_read(one, "checkpoint", &size);
    file_write(two, "checkpoint", checkpoint, size);
    heap_free(checkpoint);
    log_expect_refused(two, ERR_TAMPERED);
    directory_remove(one);
    directory_remove(two);
}

/* ---- submitting and reading ---- */

Test(audit_log, every_entry_can_be_proved_at_any_later_time)
{
    char directory[PATH_BYTES];
    struct audit_checkpoint checkpoint;
    struct err err;
    struct audit_log *log = log_new(directory, 100);
    uint64_t size = audit_log_size(log);
    cr_assert_eq(size, 101, "the 99th entry was an ADMIT: a RECOVERED follows");
    for (uint64_t index = 0; index < size; index++) {
        struct buffer leaf;
        struct buffer proof;
        uint8_t hash[AUDIT_HASH_BYTES];
        uint64_t proved = 0;
        buffer_init(&leaf, 65536);
        buffer_init(&proof, 65536);
        cr_assert(audit_log_prove(log, index, &leaf, &proof, &err), "%s", err.message);
        audit_leaf_hash(buffer_bytes(&leaf), hash);
        cr_assert_eq(audit_tlog_proof_verify(buffer_bytes(&proof), audit_log_vkey(log), hash,
                                             &proved, &checkpoint),
                     AUDIT_OK);
        cr_assert(proved == index && checkpoint.size == size);
        cr_assert_str_eq(checkpoint.origin, "log.example/test");
        buffer_release(&leaf);
        buffer_release(&proof);
    }
    struct buffer none;
    buffer_init(&none, 65536);
    cr_assert_not(audit_log_prove(log, size, &none, &none, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_log, proofs_and_checkpoints_that_do_not_fit_fail)
{
    char directory[PATH_BYTES];
    struct err err;
    struct audit_log *log = log_new(directory, 3);
    struct buffer small;
    struct buffer large;
    buffer_init(&large, 65536);
    buffer_init(&small, 10);
    cr_assert_not(audit_log_checkpoint(log, &small));
    buffer_release(&small);
    buffer_init(&small, 10);
    cr_assert_not(audit_log_prove(log, 1, &small, &large, &err));
    cr_assert_eq(err.code, ERR_NO_MEMORY);
    buffer_release(&small);
    buffer_init(&small, 10);
    cr_assert_not(audit_log_prove(log, 1, &large, &small, &err));
    cr_assert_eq(err.code, ERR_NO_MEMORY);
    buffer_release(&small);
    buffer_release(&large);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_log, an_entry_that_changed_on_the_disk_is_not_proved)
{
    char directory[PATH_BYTES];
    struct err err;
    size_t size = 0;
    struct audit_log *log = log_new(directory, 5);
    uint8_t *entries = file_read(directory, entries_file, &size);
    uint8_t *found = memmem(entries, size, "\"n\":1", 5);
    cr_assert_not_null(found);
    found[4] = '2';
    file_write(directory, entries_file, entries, size);
    struct buffer leaf;
    struct buffer proof;
    buffer_init(&leaf, 65536);
    buffer_init(&proof, 65536);
    cr_assert_not(audit_log_prove(log, 1, &leaf, &proof, &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    cr_assert_eq(proof.size, 0);
    buffer_release(&leaf);
    file_write(directory, entries_file, entries, 10);
    cr_assert_not(audit_log_prove(log, 1, &leaf, &proof, &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    heap_free(entries);
    buffer_release(&leaf);
    audit_log_close(log);
    directory_remove(directory);
}

struct seen {
    uint64_t first;
    uint64_t count;
    uint64_t stop_after;
};

static bool visit(void *context, uint64_t index, struct bytes leaf)
{
    struct seen *seen = context;
    char start[64];
    if (seen->count == 0) {
        seen->first = index;
    }
    cr_assert_eq(index, seen->first + seen->count);
    snprintf(start, sizeof(start), "\"index\":%d,", (int)index);
    cr_assert_not_null(memmem(leaf.ptr, leaf.size, start, strlen(start)));
    seen->count++;
    return seen->count != seen->stop_after;
}

Test(audit_log, each_visits_committed_entries_from_anywhere)
{
    static const uint64_t firsts[] = {0, 1, 31, 32, 33, 63, 64, 98, 99, 100};
    char directory[PATH_BYTES];
    struct err err;
    struct audit_log *log = log_new(directory, 99);
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        struct seen seen = {0};
        cr_assert(audit_log_each(log, firsts[i], visit, &seen, &err), "%s", err.message);
        cr_assert_eq(seen.count, firsts[i] < 99 ? 99 - firsts[i] : 0);
        cr_assert(seen.count == 0 || seen.first == firsts[i]);
    }
    struct seen seen = {.stop_after = 5};
    cr_assert(audit_log_each(log, 40, visit, &seen, &err));
    cr_assert_eq(seen.count, 5);
    audit_log_close(log);
    directory_remove(directory);
}

Test(audit_log, fields_that_break_the_rules_are_refused_and_change_nothing)
{
    char directory[PATH_BYTES];
    struct err err;
    directory_make(directory);
    log_make(directory, 3); /* INIT, ADMIT 1, RESULT */
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    char *large = heap_alloc(2000);
    memset(large, 'x', 1999);
    const struct {
        enum audit_kind kind;
        json_t *fields;
        enum err_code code;
    } rows[] = {
        {AUDIT_ADMIT, json_pack("{s:s}", "prev", "x"), ERR_FORMAT},
        {AUDIT_ADMIT, json_pack("{s:f}", "x", 0.5), ERR_FORMAT},
        {AUDIT_ADMIT, json_pack("{s:s}", "x", large), ERR_LIMIT},
        {AUDIT_RESULT, json_pack("{}"), ERR_FORMAT},
        {AUDIT_RESULT, json_pack("{s:i}", "admit", 1), ERR_FORMAT},  /* answered already */
        {AUDIT_RESULT, json_pack("{s:i}", "admit", 0), ERR_FORMAT},  /* no ADMIT */
        {AUDIT_RESULT, json_pack("{s:i}", "admit", 99), ERR_FORMAT}, /* nothing */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(audit_log_submit(log, rows[i].kind, rows[i].fields, NULL, NULL, &err));
        cr_expect_eq(err.code, rows[i].code, "row %zu: %s", i, err.message);
        json_decref(rows[i].fields);
    }
    cr_assert_eq(log_admit(log, 1), 3);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    heap_free(large);
    directory_remove(directory);
}

static void gate_cb(void *context, const struct audit_commit *commit)
{
    struct gate *gate = context;
    cr_assert(commit->ok);
    gate_pass(gate);
}

/* But for RESULTs: what was admitted must end. */
Test(audit_log, refuses_beyond_the_pending_limit)
{
    char directory[PATH_BYTES];
    struct test_clock clock;
    struct gate gate;
    struct waiter waiter;
    struct err err;
    struct audit_log *log = NULL;
    struct audit_recovery recovery;
    directory_make(directory);
    log_make(directory, 1);
    test_clock_init(&clock);
    struct audit_config config = {
        .directory = directory, .clock = &clock.clock, .pending_entries_max = 5};
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    gate_init(&gate, true);
    waiter_init(&waiter, audit_log_vkey(log));
    json_t *fields = json_object();
    json_t *result = json_pack("{s:I,s:s}", "admit", (json_int_t)log_admit(log, 1), "status", "x");
    cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, gate_cb, &gate, &err));
    gate_wait(&gate); /* now the writer is held */
    for (int i = 0; i < 5; i++) {
        cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, waiter_cb, &waiter, &err));
    }
    cr_assert_not(audit_log_submit(log, AUDIT_EPOCH, fields, waiter_cb, &waiter, &err));
    cr_assert_eq(err.code, ERR_OVERLOADED);
    cr_assert_not(audit_log_rotate(log, waiter_cb, &waiter, &err));
    cr_assert_eq(err.code, ERR_OVERLOADED);
    cr_assert(audit_log_submit(log, AUDIT_RESULT, result, waiter_cb, &waiter, &err));
    gate_set(&gate, false);
    waiter_wait(&waiter, 6);
    cr_assert(waiter.ok_count == 6 && waiter.bad_proof_count == 0 && waiter.in_order);
    cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, NULL, NULL, &err));
    json_decref(result);
    json_decref(fields);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

struct resubmit {
    struct audit_log *log;
    struct waiter *waiter;
    int left;
};

static void resubmit_cb(void *context, const struct audit_commit *commit)
{
    struct resubmit *resubmit = context;
    struct err err;
    if (resubmit->left-- > 0) {
        json_t *fields = json_object();
        cr_assert(
            audit_log_submit(resubmit->log, AUDIT_EPOCH, fields, resubmit_cb, resubmit, &err));
        json_decref(fields);
    }
    waiter_cb(resubmit->waiter, commit);
}

Test(audit_log, a_callback_may_submit)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct err err;
    struct audit_log *log = log_new(directory, 1);
    waiter_init(&waiter, audit_log_vkey(log));
    struct resubmit resubmit = {.log = log, .waiter = &waiter, .left = 9};
    json_t *fields = json_object();
    cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, resubmit_cb, &resubmit, &err));
    json_decref(fields);
    waiter_wait(&waiter, 10);
    cr_assert(waiter.ok_count == 10 && waiter.in_order && waiter.bad_proof_count == 0);
    audit_log_close(log);
    directory_remove(directory);
}

enum { THREADS = 8, PER_THREAD = 60 };

struct submitter {
    struct audit_log *log;
    struct waiter *waiter;
};

static void *submitter_run(void *context)
{
    const struct submitter *submitter = context;
    struct err err;
    for (int i = 0; i < PER_THREAD; i++) {
        json_t *fields = json_pack("{s:i}", "n", i);
        cr_assert(audit_log_submit(submitter->log, AUDIT_ADMIT, fields, waiter_cb,
                                   submitter->waiter, &err),
                  "%s", err.message);
        json_decref(fields);
    }
    return NULL;
}

Test(audit_log, many_threads_submit_and_each_entry_is_proved_in_order)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct audit_log *log = NULL;
    struct audit_recovery recovery;
    struct err err;
    pthread_t threads[THREADS];
    directory_make(directory);
    log_make(directory, 1);
    /* Small batches, so that there are many. */
    struct audit_config config = {
        .directory = directory, .clock = &clock_system, .batch_entries_max = 7};
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    waiter_init(&waiter, audit_log_vkey(log));
    struct submitter submitter = {.log = log, .waiter = &waiter};
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, submitter_run, &submitter);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    waiter_wait(&waiter, THREADS * PER_THREAD);
    cr_assert(waiter.ok_count == THREADS * PER_THREAD && waiter.in_order);
    cr_assert_eq(waiter.bad_proof_count, 0);
    cr_assert_eq(audit_log_size(log), 1 + THREADS * PER_THREAD);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}

Test(audit_log, closing_commits_what_is_pending)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct err err;
    struct audit_log *log = log_new(directory, 1);
    waiter_init(&waiter, NULL);
    json_t *fields = json_object();
    for (int i = 0; i < 50; i++) {
        cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, waiter_cb, &waiter, &err));
    }
    json_decref(fields);
    audit_log_close(log);
    cr_assert_eq(waiter.ok_count, 50);
    log = log_open(directory, &clock_system, NULL);
    cr_assert_eq(audit_log_size(log), 51);
    audit_log_close(log);
    audit_log_close(NULL);
    directory_remove(directory);
}

Test(audit_log, the_prefix_of_a_log_is_never_read_beyond_its_window)
{
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    struct audit_log *log = log_new(directory, 1);
    struct waiter waiter;
    struct err err;
    char text[700];
    waiter_init(&waiter, audit_log_vkey(log));
    memset(text, 'y', sizeof(text));
    /* Entries of all sizes over several windows of 64 KiB, so that they straddle its ends. */
    for (int i = 0; i < 500; i++) {
        text[200 + i] = '\0';
        json_t *fields = json_pack("{s:s}", "text", text);
        text[200 + i] = 'y';
        cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, waiter_cb, &waiter, &err));
        json_decref(fields);
    }
    waiter_wait(&waiter, 500);
    cr_assert(waiter.bad_proof_count == 0 && waiter.ok_count == 500);
    audit_log_close(log);
    log = log_open(directory, &clock_system, &recovery);
    cr_assert_eq(recovery.size, 501);
    audit_log_close(log);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
    directory_remove(directory);
}
