/* test_verify.c: whatever is done to a log's files, the verdict is right and names the first bad
 * entry.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "audit/note.h"
#include "audit/support.h"
#include "audit/tree.h"
#include "base/arena.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char entries_file[] = "entries/000000000000.log";

static struct audit_report verify_with(const char *directory, const char *vkey, struct bytes since)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(directory, vkey, since, NULL, NULL, &report, &err), "%s",
              err.message);
    return report;
}

static struct audit_report verify(const char *directory)
{
    return verify_with(directory, NULL, bytes_of(NULL, 0));
}

static bool opens(const char *directory)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    if (!audit_log_open(&config, NULL, NULL, &log, &recovery, &err)) {
        cr_assert_eq(err.code, ERR_TAMPERED, "%s", err.message);
        return false;
    }
    audit_log_close(log);
    return true;
}

/* The offsets of `count` entries and of the end. */
static void offsets_find(const uint8_t *entries, size_t count, size_t *offsets)
{
    offsets[0] = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = entries + offsets[i];
        offsets[i + 1] = offsets[i] + 2 + (size_t)entry[0] * 256 + entry[1];
    }
}

Test(audit_verify, a_good_log_is_ok_and_says_what_it_is)
{
    char directory[PATH_BYTES];
    directory_make(directory);
    log_make(directory, 40);
    struct audit_report report = verify(directory);
    cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_assert(report.size == 40 && report.bad_index == UINT64_MAX);
    cr_assert(report.unanswered_count == 1 && report.recovered_count == 0);
    cr_assert_eq(report.pending_entries, 0);
    cr_assert_str_eq(report.origin, "log.example/test");
    cr_assert_eq(strlen(report.root_hex), 64);
    cr_assert_not_null(strstr(report.detail, "the key that the directory itself holds"),
                       "an auditor should bring the key along");
    directory_remove(directory);
}

static void progress(void *context, uint64_t done, uint64_t total)
{
    uint64_t *last = context;
    last[0] = done;
    last[1] = total;
}

Test(audit_verify, progress_reaches_the_end)
{
    char directory[PATH_BYTES];
    struct audit_report report;
    struct err err;
    directory_make(directory);
    log_make(directory, 5);
    uint64_t last[2] = {0, 0};
    cr_assert(
        audit_verify_directory(directory, NULL, bytes_of(NULL, 0), progress, last, &report, &err));
    cr_assert(last[0] == 5 && last[1] == 5);
    directory_remove(directory);
}

Test(audit_verify, every_flipped_byte_of_an_entry_is_found_and_named)
{
    enum { ENTRIES = 40 };
    char directory[PATH_BYTES];
    size_t offsets[ENTRIES + 1];
    size_t size = 0;
    directory_make(directory);
    log_make(directory, ENTRIES);
    uint8_t *entries = file_read(directory, entries_file, &size);
    offsets_find(entries, ENTRIES, offsets);
    cr_assert_eq(offsets[ENTRIES], size);
    for (size_t entry = 0, at = 0; at < size; at++) {
        entry += at == offsets[entry + 1];
        entries[at] ^= (uint8_t)(1 << at % 8);
        file_write(directory, entries_file, entries, size);
        struct audit_report report = verify(directory);
        cr_expect(report.verdict == AUDIT_TAMPERED || report.verdict == AUDIT_TRUNCATED,
                  "byte %zu: %s", at, audit_verdict_name(report.verdict));
        cr_expect_eq(report.bad_index, entry, "byte %zu of entry %zu: %s", at - offsets[entry],
                     entry, report.detail);
        if (at % 7 == 0) {
            cr_expect_not(opens(directory), "byte %zu", at);
        }
        entries[at] ^= (uint8_t)(1 << at % 8);
    }
    heap_free(entries);
    directory_remove(directory);
}

Test(audit_verify, no_flipped_byte_of_the_checkpoint_goes_unseen)
{
    char directory[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 9);
    uint8_t *note = file_read(directory, "checkpoint", &size);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        note[bit / 8] ^= (uint8_t)(1 << bit % 8);
        file_write(directory, "checkpoint", note, size);
        enum audit_verdict verdict = verify(directory).verdict;
        cr_expect(verdict == AUDIT_TAMPERED || verdict == AUDIT_UNVERIFIABLE, "bit %zu: %s", bit,
                  audit_verdict_name(verdict));
        cr_expect_not(opens(directory), "bit %zu", bit);
        note[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++) {
        file_write(directory, "checkpoint", note, cut);
        cr_expect_neq(verify(directory).verdict, AUDIT_OK, "%zu bytes", cut);
    }
    heap_free(note);
    directory_remove(directory);
}

Test(audit_verify, no_flipped_byte_of_the_verifier_key_goes_unseen)
{
    char directory[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    log_make(directory, 3);
    uint8_t *vkey = file_read(directory, "log.vkey", &size);
    char known[512];
    snprintf(known, sizeof(known), "%.*s", (int)size - 1, (const char *)vkey);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        vkey[bit / 8] ^= (uint8_t)(1 << bit % 8);
        file_write(directory, "log.vkey", vkey, size);
        enum audit_verdict verdict = verify(directory).verdict;
        /* Hexadecimal digits of the id in the other case are the same key. */
        bool other_case = bit % 8 == 5 && vkey[bit / 8] >= 'A' && vkey[bit / 8] <= 'F';
        cr_expect(verdict == AUDIT_UNVERIFIABLE || (verdict == AUDIT_OK && other_case),
                  "bit %zu: %s", bit, audit_verdict_name(verdict));
        cr_expect_eq(verify_with(directory, known, bytes_of(NULL, 0)).verdict, AUDIT_OK,
                     "the file is not looked at when the key is given");
        vkey[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    heap_free(vkey);
    directory_remove(directory);
}

Test(audit_verify, an_unknown_key_is_unverifiable)
{
    char directory[PATH_BYTES];
    char other[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    directory_make(other);
    log_make(directory, 3);
    log_make(other, 3);
    uint8_t *vkey = file_read(other, "log.vkey", &size);
    vkey[size - 1] = '\0';
    struct audit_report report = verify_with(directory, (const char *)vkey, bytes_of(NULL, 0));
    cr_assert_eq(report.verdict, AUDIT_UNVERIFIABLE);
    cr_assert_eq(report.size, 3, "what it says can be read all the same");
    report = verify_with(directory, "not a key", bytes_of(NULL, 0));
    cr_assert_eq(report.verdict, AUDIT_UNVERIFIABLE);
    heap_free(vkey);
    directory_remove(directory);
    directory_remove(other);
}

Test(audit_verify, missing_parts_have_their_verdicts)
{
    static const struct {
        const char *name;
        enum audit_verdict verdict;
    } rows[] = {{"checkpoint", AUDIT_TRUNCATED},
                {"log.vkey", AUDIT_UNVERIFIABLE},
                {entries_file, AUDIT_TRUNCATED}};
    for (size_t i = 0; i < 3; i++) {
        char directory[PATH_BYTES];
        char path[PATH_BYTES];
        directory_make(directory);
        log_make(directory, 3);
        path_join(path, directory, rows[i].name);
        unlink(path);
        cr_expect_eq(verify(directory).verdict, rows[i].verdict, "%s", rows[i].name);
        /* Not a file: it cannot be read at all. */
        mkdir(path, 0700);
        struct audit_report report;
        struct err err;
        cr_expect_not(
            audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err),
            "%s", rows[i].name);
        cr_expect_eq(err.code, ERR_IO);
        rmdir(path);
        directory_remove(directory);
    }
    struct audit_report report;
    struct err err;
    cr_assert_not(audit_verify_directory("/nowhere/at/all", NULL, bytes_of(NULL, 0), NULL, NULL,
                                         &report, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

Test(audit_verify, an_oversized_checkpoint_is_tampered)
{
    static uint8_t filler[8192];
    char directory[PATH_BYTES];
    memset(filler, 'x', sizeof(filler));
    directory_make(directory);
    log_make(directory, 2);
    file_write(directory, "checkpoint", filler, sizeof(filler));
    cr_assert_eq(verify(directory).verdict, AUDIT_TAMPERED);
    directory_remove(directory);
}

Test(audit_verify, swapped_removed_and_repeated_entries_are_found)
{
    enum { ENTRIES = 9 };
    char directory[PATH_BYTES];
    size_t offsets[ENTRIES + 1];
    size_t size = 0;
    directory_make(directory);
    log_make(directory, ENTRIES);
    uint8_t *entries = file_read(directory, entries_file, &size);
    offsets_find(entries, ENTRIES, offsets);
    static const size_t orders[][ENTRIES + 1] = {
        {0, 1, 3, 2, 4, 5, 6, 7, 8, ENTRIES},       /* two swapped */
        {1, 0, 2, 3, 4, 5, 6, 7, 8, ENTRIES},       /* the first two */
        {0, 1, 2, 3, 5, 6, 7, 8, ENTRIES, ENTRIES}, /* one removed */
        {0, 1, 2, 2, 3, 4, 5, 6, 7, 8},             /* one repeated */
    };
    static const uint64_t bad[] = {2, 0, 4, 3};
    for (size_t row = 0; row < 4; row++) {
        struct buffer out;
        buffer_init(&out, 2 * size);
        for (size_t i = 0; i <= ENTRIES && orders[row][i] < ENTRIES; i++) {
            size_t entry = orders[row][i];
            buffer_append(&out, entries + offsets[entry], offsets[entry + 1] - offsets[entry]);
        }
        file_write(directory, entries_file, out.ptr, out.size);
        struct audit_report report = verify(directory);
        cr_expect_eq(report.verdict, AUDIT_TAMPERED, "row %zu", row);
        cr_expect_eq(report.bad_index, bad[row], "row %zu: %s", row, report.detail);
        cr_expect_not(opens(directory));
        buffer_release(&out);
    }
    heap_free(entries);
    directory_remove(directory);
}

/* ---- against a checkpoint that the auditor kept ---- */

static struct audit_log *append(const char *directory, int number)
{
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    log_admit(log, number);
    log_admit(log, number + 1);
    return log;
}

Test(audit_verify, an_older_checkpoint_tells_growth_from_rollback_and_fork)
{
    char directory[PATH_BYTES];
    char copy[PATH_BYTES];
    size_t old_size = 0;
    size_t new_size = 0;
    directory_make(directory);
    directory_make(copy);
    log_make(directory, 5);
    log_copy(directory, copy);
    uint8_t *old_note = file_read(directory, "checkpoint", &old_size);
    audit_log_close(append(directory, 1));
    uint8_t *new_note = file_read(directory, "checkpoint", &new_size);
    struct bytes since_old = bytes_of(old_note, old_size);
    struct bytes since_new = bytes_of(new_note, new_size);
    cr_expect_eq(verify_with(directory, NULL, since_old).verdict, AUDIT_OK);
    cr_expect_eq(verify_with(directory, NULL, since_new).verdict, AUDIT_OK);
    cr_expect_eq(verify_with(copy, NULL, since_new).verdict, AUDIT_ROLLED_BACK);
    /* The rolled back copy goes another way, with the same key. */
    audit_log_close(append(copy, 100));
    cr_expect_eq(verify(copy).verdict, AUDIT_OK, "on its own it is a good log");
    cr_expect_eq(verify_with(copy, NULL, since_old).verdict, AUDIT_OK);
    cr_expect_eq(verify_with(copy, NULL, since_new).verdict, AUDIT_FORKED);
    audit_log_close(append(copy, 200));
    cr_expect_eq(verify_with(copy, NULL, since_new).verdict, AUDIT_FORKED);
    /* What was kept is not a checkpoint of this key: nothing can be said. */
    new_note[0] ^= 1;
    cr_expect_eq(verify_with(directory, NULL, since_new).verdict, AUDIT_UNVERIFIABLE);
    heap_free(old_note);
    heap_free(new_note);
    directory_remove(directory);
    directory_remove(copy);
}

Test(audit_verify, a_newer_checkpoint_over_older_data_is_truncated)
{
    char directory[PATH_BYTES];
    char copy[PATH_BYTES];
    size_t size = 0;
    directory_make(directory);
    directory_make(copy);
    log_make(directory, 5);
    log_copy(directory, copy);
    audit_log_close(append(directory, 1));
    uint8_t *note = file_read(directory, "checkpoint", &size);
    file_write(copy, "checkpoint", note, size);
    struct audit_report report = verify(copy);
    cr_assert(report.verdict == AUDIT_TRUNCATED && report.bad_index == 5, "%s", report.detail);
    cr_assert_not(opens(copy));
    heap_free(note);
    directory_remove(directory);
    directory_remove(copy);
}

/* ---- histories made by hand ---- */

struct forgery {
    struct buffer entries;
    struct audit_range range;
    uint8_t prev[AUDIT_HASH_BYTES];
};

static void forge(struct forgery *forgery, enum audit_kind kind, json_t *fields)
{
    struct buffer leaf;
    struct err err;
    buffer_init(&leaf, 4096);
    cr_assert(audit_leaf_build(kind, forgery->range.size, forgery->prev, 1795255200000, fields,
                               &leaf, &err),
              "%s", err.message);
    json_decref(fields);
    audit_leaf_hash(buffer_bytes(&leaf), forgery->prev);
    audit_range_append(&forgery->range, forgery->prev, NULL);
    buffer_append_u16be(&forgery->entries, (uint16_t)leaf.size);
    buffer_append_bytes(&forgery->entries, buffer_bytes(&leaf));
    buffer_release(&leaf);
}

static void forge_begin(struct forgery *forgery)
{
    memset(forgery, 0, sizeof(*forgery));
    audit_range_init(&forgery->range);
    buffer_init(&forgery->entries, 1 << 20);
}

/* Writes the entries, and with `sign` a checkpoint under the directory's own key. */
static void forge_end(struct forgery *forgery, const char *directory, bool sign)
{
    file_write(directory, entries_file, forgery->entries.ptr, forgery->entries.size);
    buffer_release(&forgery->entries);
    if (!sign) {
        return;
    }
    char path[PATH_BYTES];
    struct crypto_signer *signer = NULL;
    struct audit_key key;
    struct audit_checkpoint checkpoint = {.size = forgery->range.size,
                                          .origin = "log.example/test"};
    struct buffer text;
    struct buffer note;
    struct err err;
    uint8_t public_key[128];
    path_join(path, directory, "signing-key.pem");
    cr_assert(crypto_signer_load(path, &signer, &err));
    crypto_signer_public(signer, public_key);
    audit_key_init(&key, "log.example/test", public_key);
    audit_range_root(&forgery->range, checkpoint.root);
    buffer_init(&text, 4096);
    buffer_init(&note, 4096);
    audit_checkpoint_format(&checkpoint, &text);
    cr_assert(audit_note_sign(buffer_bytes(&text), &key, signer, &note, &err));
    file_write(directory, "checkpoint", note.ptr, note.size);
    crypto_signer_free(signer);
    buffer_release(&text);
    buffer_release(&note);
}

Test(audit_verify, a_history_made_anew_without_the_key_is_found)
{
    char directory[PATH_BYTES];
    struct forgery forgery;
    directory_make(directory);
    log_make(directory, 3);
    forge_begin(&forgery);
    forge(&forgery, AUDIT_INIT, NULL);
    forge(&forgery, AUDIT_ADMIT, NULL);
    forge(&forgery, AUDIT_RESULT, json_pack("{s:i}", "admit", 1));
    forge_end(&forgery, directory, false);
    struct audit_report report = verify(directory);
    cr_assert_eq(report.verdict, AUDIT_TAMPERED);
    cr_assert_eq(report.bad_index, 2);
    cr_assert_not_null(strstr(report.detail, "made anew"));
    cr_assert_not(opens(directory));
    directory_remove(directory);
}

Test(audit_verify, what_the_key_signed_against_the_rules_is_found)
{
    for (int row = 0; row < 5; row++) {
        char directory[PATH_BYTES];
        struct forgery forgery;
        directory_make(directory);
        log_make(directory, 1);
        forge_begin(&forgery);
        uint64_t bad = 2;
        if (row == 1) {
            forgery.prev[0] = 1; /* the first names one before it */
            bad = 0;
        }
        forge(&forgery, AUDIT_INIT, NULL);
        forge(&forgery, AUDIT_ADMIT, NULL);
        if (row == 2) {
            forgery.prev[0] ^= 1; /* a broken link, under a good root */
        }
        forge(&forgery, AUDIT_RESULT, json_pack("{s:i}", "admit", row == 3 ? 0 : 1));
        if (row == 4) {
            forge(&forgery, AUDIT_RECOVERED, json_pack("{s:[i]}", "admits", 1));
            bad = 3;
        }
        forge_end(&forgery, directory, true);
        struct audit_report report = verify(directory);
        if (row == 0) {
            cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
        } else {
            cr_expect_eq(report.verdict, AUDIT_TAMPERED, "row %d", row);
            cr_expect_eq(report.bad_index, bad, "row %d: %s", row, report.detail);
        }
        cr_expect_eq(opens(directory), row == 0);
        directory_remove(directory);
    }
}

Test(audit_verify, an_entry_without_form_under_a_good_root_is_found)
{
    char directory[PATH_BYTES];
    struct forgery forgery;
    uint8_t hash[AUDIT_HASH_BYTES];
    directory_make(directory);
    log_make(directory, 1);
    forge_begin(&forgery);
    forge(&forgery, AUDIT_INIT, NULL);
    buffer_append_u16be(&forgery.entries, 4);
    buffer_append_string(&forgery.entries, "null");
    audit_leaf_hash(bytes_of_string("null"), hash);
    audit_range_append(&forgery.range, hash, NULL);
    forge_end(&forgery, directory, true);
    struct audit_report report = verify(directory);
    cr_assert(report.verdict == AUDIT_TAMPERED && report.bad_index == 1, "%s", report.detail);
    cr_assert_not(opens(directory));
    directory_remove(directory);
}

Test(audit_verify, a_log_that_is_being_written_verifies_all_the_time)
{
    char directory[PATH_BYTES];
    struct waiter waiter;
    struct err err;
    struct audit_log *log = log_new(directory, 3);
    waiter_init(&waiter, NULL);
    json_t *fields = json_object();
    uint64_t before = 0;
    for (int i = 0; i < 50; i++) {
        cr_assert(audit_log_submit(log, AUDIT_EPOCH, fields, waiter_cb, &waiter, &err));
        struct audit_report report = verify(directory);
        cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
        cr_assert_geq(report.size, before);
        before = report.size;
    }
    json_decref(fields);
    audit_log_close(log);
    cr_assert_eq(verify(directory).size, 53);
    directory_remove(directory);
}
