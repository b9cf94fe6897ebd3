/* test_fixture.c: the bytes of a log do not change by accident: a fixed key and a fixed clock give
 * the files in fixtures/, and docs/audit-log.md shows just those.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/entries.h"
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES WH_SOURCE_DIR "/tests/audit/fixtures"
static const char entries_file[] = "entries/000000000000.log";
static const char proof_file[] = "entry-1.tlog-proof";
static const char request_one[] = "11111111-1111-4111-8111-111111111111";
static const char request_two[] = "22222222-2222-4222-8222-222222222222";

/* The key of RFC 8032 section 7.1, TEST 1, which protects nothing. */
static const char known_key[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                "-----END PRIVATE KEY-----\n";

static int64_t fixed_ms;

static int64_t fixed_wall(void *context)
{
    (void)context;
    int64_t now = fixed_ms;
    fixed_ms += 1250;
    return now;
}

struct kept {
    struct waiter waiter;
    struct buffer proof;
};

static void keep_cb(void *context, const struct audit_commit *commit)
{
    struct kept *kept = context;
    buffer_append_bytes(&kept->proof, commit->tlog_proof);
    waiter_cb(&kept->waiter, commit);
}

/* Keeps the proof, if there is a buffer for it. */
static void submit(struct audit_log *log, enum audit_kind kind, json_t *fields,
                   struct buffer *proof)
{
    struct kept kept;
    struct err err;
    cr_assert_not_null(fields);
    waiter_init(&kept.waiter, audit_log_vkey(log));
    buffer_init(&kept.proof, 65536);
    cr_assert(audit_log_submit(log, kind, fields, keep_cb, &kept, &err), "%s", err.message);
    waiter_wait(&kept.waiter, 1);
    cr_assert(kept.waiter.ok_count == 1 && kept.waiter.bad_proof_count == 0);
    if (proof != NULL) {
        buffer_append_bytes(proof, buffer_bytes(&kept.proof));
    }
    buffer_release(&kept.proof);
    waiter_release(&kept.waiter);
    json_decref(fields);
}

static void hash_text(const char *of, char out[static 65])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of_string(of), hash);
    text_hex_encode(bytes_of(hash, sizeof(hash)), out);
}

/* INIT, ADMIT, RESULT, ADMIT; then, as after a crash, RECOVERED. */
static void make_example(const char *directory, struct buffer *proof)
{
    const struct clock clock = {.monotonic_ns = clock_system.monotonic_ns, .wall_ms = fixed_wall};
    struct crypto_signer *signer = NULL;
    struct audit_recovery recovery;
    struct err err;
    char key_directory[PATH_BYTES];
    char path[PATH_BYTES];
    char request[65];
    char result[65];
    fixed_ms = 1795255200000;
    directory_make(key_directory);
    file_write(key_directory, "signing-key.pem", known_key, sizeof(known_key) - 1);
    path_join(path, key_directory, "signing-key.pem");
    cr_assert(crypto_signer_load(path, &signer, &err), "%s", err.message);
    directory_remove(key_directory);
    const struct audit_config config = {.directory = directory, .clock = &clock};
    cr_assert(audit_log_init_with(&audit_io_system, &config, "log.example/node-1", signer, &err),
              "%s", err.message);
    struct audit_log *log = log_open(directory, &clock, NULL);
    hash_text("request one", request);
    hash_text("result one", result);
    submit(log, AUDIT_ADMIT,
           json_pack("{s:s,s:s}", "request_id", request_one, "request_commitment", request), proof);
    submit(log, AUDIT_RESULT,
           json_pack("{s:i,s:s,s:s,s:s,s:s,s:i,s:i}", "admit", 1, "request_id", request_one,
                     "request_commitment", request, "result_commitment", result, "status",
                     "success", "gas_consumed", 13529, "gas_schedule", 1),
           NULL);
    hash_text("request two", request);
    submit(log, AUDIT_ADMIT,
           json_pack("{s:s,s:s}", "request_id", request_two, "request_commitment", request), NULL);
    audit_log_close(log);
    log = log_open(directory, &clock, &recovery);
    cr_assert(recovery.unanswered_count == 1 && recovery.size == 5);
    audit_log_close(log);
}

static void expect_same(const char *made, const char *kept_directory, const char *name)
{
    size_t made_size = 0;
    size_t kept_size = 0;
    uint8_t *made_bytes = file_read(made, name, &made_size);
    uint8_t *kept_bytes = file_read(kept_directory, name, &kept_size);
    cr_assert(made_bytes != NULL && kept_bytes != NULL, "%s", name);
    cr_expect(bytes_equal(bytes_of(made_bytes, made_size), bytes_of(kept_bytes, kept_size)),
              "%s has other bytes than the fixture", name);
    heap_free(made_bytes);
    heap_free(kept_bytes);
}

Test(audit_fixture, a_log_has_the_same_bytes_as_ever)
{
    static const char *const names[] = {entries_file, "checkpoint", "log.vkey"};
    char directory[PATH_BYTES];
    struct buffer proof;
    directory_make(directory);
    buffer_init(&proof, 65536);
    make_example(directory, &proof);
    file_write(directory, proof_file, proof.ptr, proof.size);
    for (size_t i = 0; i < 3; i++) {
        if (getenv("WH_WRITE_FIXTURES") != NULL) {
            size_t size = 0;
            uint8_t *bytes = file_read(directory, names[i], &size);
            file_write(FIXTURES "/example", names[i], bytes, size);
            file_write(FIXTURES, proof_file, proof.ptr, proof.size);
            heap_free(bytes);
        }
        expect_same(directory, FIXTURES "/example", names[i]);
    }
    expect_same(directory, FIXTURES, proof_file);
    char path[PATH_BYTES];
    path_join(path, directory, proof_file);
    remove(path);
    buffer_release(&proof);
    directory_remove(directory);
}

Test(audit_fixture, the_example_verifies)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(FIXTURES "/example", NULL, bytes_of(NULL, 0), NULL, NULL,
                                     &report, &err),
              "%s", err.message);
    cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_assert(report.size == 5 && report.recovered_count == 1 && report.unanswered_count == 0);
}

static void expect_in_page(struct bytes page, struct bytes what)
{
    cr_expect_not_null(memmem(page.ptr, page.size, what.ptr, what.size),
                       "docs/audit-log.md does not show: %.*s", (int)what.size,
                       (const char *)what.ptr);
}

/* Every line of the file is in the page. */
static void expect_lines_in_page(struct bytes page, const char *directory, const char *name)
{
    size_t size = 0;
    char *text = (char *)file_read(directory, name, &size);
    cr_assert_not_null(text);
    text[size] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        expect_in_page(page, bytes_of_string(line));
    }
    heap_free(text);
}

Test(audit_fixture, the_page_shows_the_examples_bytes)
{
    size_t page_size = 0;
    size_t size = 0;
    uint8_t *text = file_read(WH_SOURCE_DIR, "docs/audit-log.md", &page_size);
    uint8_t *entries = file_read(FIXTURES "/example", entries_file, &size);
    cr_assert(text != NULL && entries != NULL);
    struct bytes page = bytes_of(text, page_size);
    struct reader reader = reader_of(bytes_of(entries, size));
    struct audit_range range;
    audit_range_init(&range);
    while (reader_left(&reader) > 0) {
        uint16_t leaf_size = 0;
        struct bytes leaf;
        uint8_t hash[AUDIT_HASH_BYTES];
        char hex[2 * AUDIT_HASH_BYTES + 1];
        cr_assert(reader_u16be(&reader, &leaf_size) && reader_take(&reader, leaf_size, &leaf));
        audit_leaf_hash(leaf, hash);
        audit_range_append(&range, hash, NULL);
        text_hex_encode(bytes_of(hash, sizeof(hash)), hex);
        expect_in_page(page, leaf);
        expect_in_page(page, bytes_of_string(hex));
        snprintf(hex, sizeof(hex), "%02x %02x", leaf_size >> 8, leaf_size & 0xff);
        expect_in_page(page, bytes_of_string(hex));
    }
    expect_lines_in_page(page, FIXTURES "/example", "checkpoint");
    expect_lines_in_page(page, FIXTURES "/example", "log.vkey");
    expect_lines_in_page(page, FIXTURES, proof_file);
    heap_free(text);
    heap_free(entries);
}
