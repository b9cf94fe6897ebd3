/* test_verify_chain.c: verifying over several segments, changes of keys and pruned beginnings, and
 * what control entries claim. The histories are made by hand, so that their keys can lie.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"
#include "audit/support.h"
#include "audit/tree.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 4, HASHES_MAX = 2048 };
static const char origin[] = "log.example/chain";

/* ---- a history ---- */

struct history {
    char directory[PATH_BYTES];
    struct crypto_signer *signers[KEYS];
    struct audit_key keys[KEYS];
    char vkeys[KEYS][AUDIT_VKEY_CHARS_MAX + 1];
    struct audit_range range;
    uint8_t prev[AUDIT_HASH_BYTES];
    uint8_t hashes[HASHES_MAX][AUDIT_HASH_BYTES];
    uint64_t segment_first;
    struct buffer segment; /* not written yet */
    int64_t now_ms;
};

static void history_put(struct history *history, const char *type, json_t *fields)
{
    struct buffer leaf;
    struct err err;
    char prev[2 * AUDIT_HASH_BYTES + 1];
    char time[CLOCK_RFC3339_CHARS + 1];
    json_t *object = fields != NULL ? fields : json_object();
    text_hex_encode(bytes_of(history->prev, sizeof(history->prev)), prev);
    clock_rfc3339_encode(history->now_ms++, time);
    json_object_set_new(object, "v", json_integer(1));
    json_object_set_new(object, "index", json_integer((json_int_t)history->range.size));
    json_object_set_new(object, "prev", json_string(prev));
    json_object_set_new(object, "time", json_string(time));
    json_object_set_new(object, "type", json_string(type));
    buffer_init(&leaf, AUDIT_LEAF_BYTES_MAX);
    cr_assert(json_canonical(object, &leaf, &err));
    audit_leaf_hash(buffer_bytes(&leaf), history->prev);
    memcpy(history->hashes[history->range.size], history->prev, AUDIT_HASH_BYTES);
    audit_range_append(&history->range, history->prev, NULL);
    buffer_append_u16be(&history->segment, (uint16_t)leaf.size);
    buffer_append_bytes(&history->segment, buffer_bytes(&leaf));
    buffer_release(&leaf);
    json_decref(object);
}

static void history_begin(struct history *history)
{
    char path[PATH_BYTES];
    memset(history, 0, sizeof(*history));
    directory_make(history->directory);
    path_join(path, history->directory, "entries");
    cr_assert_eq(mkdir(path, 0700), 0);
    audit_range_init(&history->range);
    buffer_init(&history->segment, 4 << 20);
    history->now_ms = 1795255200000;
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t public_key[128];
        history->signers[i] = crypto_signer_generate(CRYPTO_ED25519);
        crypto_signer_public(history->signers[i], public_key);
        audit_key_init(&history->keys[i], origin, public_key);
        audit_key_format(&history->keys[i], history->vkeys[i]);
    }
    history_put(history, "INIT",
                json_pack("{s:s,s:s}", "origin", origin, "vkey", history->vkeys[0]));
}

/* Requests with their results until the log has `size` entries. */
static void history_grow(struct history *history, uint64_t size)
{
    while (history->range.size < size) {
        uint64_t admit = history->range.size;
        history_put(history, "ADMIT", json_pack("{s:s}", "request_id", "x"));
        if (history->range.size < size) {
            history_put(history, "RESULT",
                        json_pack("{s:I,s:s}", "admit", (json_int_t)admit, "status", "success"));
        }
    }
}

/* The entries since the last cut become a file. */
static void history_cut(struct history *history)
{
    char name[64];
    snprintf(name, sizeof(name), "entries/%012" PRIu64 ".log", history->segment_first);
    file_write(history->directory, name, history->segment.ptr, history->segment.size);
    history->segment.size = 0;
    history->segment_first = history->range.size;
}

static void history_close_with(struct history *history, uint64_t size,
                               const uint8_t root[static AUDIT_HASH_BYTES])
{
    char hex[2 * AUDIT_HASH_BYTES + 1];
    text_hex_encode(bytes_of(root, AUDIT_HASH_BYTES), hex);
    history_put(history, "SEGMENT_CLOSE",
                json_pack("{s:I,s:s}", "size", (json_int_t)size, "root", hex));
}

static void history_close(struct history *history)
{
    uint8_t root[AUDIT_HASH_BYTES];
    audit_range_root(&history->range, root);
    history_close_with(history, history->range.size, root);
    history_cut(history);
}

static char *rotation_sign(const struct history *history, size_t key, const char *text)
{
    static char encoded[2][128];
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    cr_assert(crypto_signer_sign(history->signers[key], bytes_of_string(text), signature, &size));
    text_base64_encode(bytes_of(signature, size), encoded[key % 2]);
    return encoded[key % 2];
}

/* From key `old` to key `new`, signed by `signer_old` and `signer_new`, which are of different
 * parity. */
static void history_rotate_with(struct history *history, size_t old, size_t new, size_t signer_old,
                                size_t signer_new, uint64_t index)
{
    char text[1024];
    snprintf(text, sizeof(text), "wasm-hypervisor/1 key rotation\n%s\n%" PRIu64 "\n%s\n%s\n",
             origin, index, history->vkeys[old], history->vkeys[new]);
    history_put(history, "KEY_ROTATE",
                json_pack("{s:s,s:s,s:s,s:s}", "old_vkey", history->vkeys[old], "new_vkey",
                          history->vkeys[new], "old_signature",
                          rotation_sign(history, signer_old, text), "new_signature",
                          rotation_sign(history, signer_new, text)));
}

static void history_rotate(struct history *history, size_t old, size_t new)
{
    history_rotate_with(history, old, new, old, new, history->range.size);
}

/* The checkpoint of what is there, signed by that key. */
static void history_checkpoint(const struct history *history, size_t key, struct buffer *out)
{
    struct audit_checkpoint checkpoint = {.size = history->range.size};
    struct buffer text;
    struct err err;
    snprintf(checkpoint.origin, sizeof(checkpoint.origin), "%s", origin);
    audit_range_root(&history->range, checkpoint.root);
    buffer_init(&text, 4096);
    audit_checkpoint_format(&checkpoint, &text);
    cr_assert(audit_note_sign(buffer_bytes(&text), &history->keys[key], history->signers[key], out,
                              &err));
    buffer_release(&text);
}

/* Writes what is left, the checkpoint and log.vkey with that key. */
static void history_end(struct history *history, size_t key)
{
    struct buffer note;
    char line[AUDIT_VKEY_CHARS_MAX + 2];
    if (history->segment.size > 0) {
        history_cut(history);
    }
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    history_checkpoint(history, key, &note);
    file_write(history->directory, "checkpoint", note.ptr, note.size);
    buffer_release(&note);
    int size = snprintf(line, sizeof(line), "%s\n", history->vkeys[key]);
    file_write(history->directory, "log.vkey", line, (size_t)size);
}

static void history_release(struct history *history)
{
    char entries[PATH_BYTES];
    path_join(entries, history->directory, "entries");
    DIR *list = opendir(entries);
    const struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        char path[PATH_BYTES];
        path_join(path, entries, entry->d_name);
        unlink(path);
    }
    closedir(list);
    directory_remove(history->directory);
    buffer_release(&history->segment);
    for (size_t i = 0; i < KEYS; i++) {
        crypto_signer_free(history->signers[i]);
    }
}

static struct audit_report verify(const struct history *history, const char *vkey,
                                  struct bytes since)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(history->directory, vkey, since, NULL, NULL, &report, &err),
              "%s", err.message);
    return report;
}

static void expect_verdict(const struct history *history, const char *vkey,
                           enum audit_verdict verdict, uint64_t bad_index, const char *said)
{
    struct audit_report report = verify(history, vkey, bytes_of(NULL, 0));
    cr_expect_eq(report.verdict, verdict, "%s: %s", audit_verdict_name(report.verdict),
                 report.detail);
    cr_expect_eq(report.bad_index, bad_index, "%" PRIu64 ": %s", report.bad_index, report.detail);
    cr_expect_not_null(strstr(report.detail, said), "%s", report.detail);
}

/* ---- segments ---- */

/* Three of them: entries 0 to 299, 300 to 599, 600 to 699. */
static void history_segments(struct history *history)
{
    history_begin(history);
    history_grow(history, 299);
    history_close(history);
    history_grow(history, 599);
    history_close(history);
    history_grow(history, 700);
    history_end(history, 0);
}

Test(audit_verify_chain, segments_are_one_log)
{
    struct history history;
    history_segments(&history);
    struct audit_report report = verify(&history, history.vkeys[0], bytes_of(NULL, 0));
    cr_expect_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_expect(report.size == 700 && report.segment_count == 2 && report.pruned_entries == 0);
    history_release(&history);
}

Test(audit_verify_chain, a_changed_byte_is_named_in_whatever_bundle_and_segment_it_lies)
{
    static const uint64_t indexes[] = {0, 1, 254, 255, 256, 257, 298, 299, 300, 511, 512, 599, 600};
    struct history history;
    history_segments(&history);
    for (size_t row = 0; row < sizeof(indexes) / sizeof(indexes[0]); row++) {
        uint64_t first = indexes[row] < 300 ? 0 : indexes[row] < 600 ? 300 : 600;
        char name[64];
        size_t size = 0;
        size_t offset = 0;
        snprintf(name, sizeof(name), "entries/%012" PRIu64 ".log", first);
        uint8_t *content = file_read(history.directory, name, &size);
        for (uint64_t i = first; i < indexes[row]; i++) {
            offset += 2 + (size_t)content[offset] * 256 + content[offset + 1];
        }
        /* The last digit of its time: it stays an entry, with another hash. */
        uint8_t *time = memmem(content + offset, size - offset, "Z\",\"type\"", 9);
        cr_assert_not_null(time);
        time[-1] ^= 1;
        file_write(history.directory, name, content, size);
        expect_verdict(&history, NULL, AUDIT_TAMPERED, indexes[row], "");
        time[-1] ^= 1;
        file_write(history.directory, name, content, size);
        heap_free(content);
    }
    expect_verdict(&history, NULL, AUDIT_OK, UINT64_MAX, "700 entries");
    history_release(&history);
}

Test(audit_verify_chain, a_missing_segment_is_truncated_where_it_began)
{
    static const uint64_t firsts[] = {0, 300, 600};
    for (size_t i = 0; i < 3; i++) {
        struct history history;
        char path[PATH_BYTES];
        char name[64];
        history_segments(&history);
        snprintf(name, sizeof(name), "entries/%012" PRIu64 ".log", firsts[i]);
        path_join(path, history.directory, name);
        cr_assert_eq(unlink(path), 0);
        expect_verdict(&history, NULL, AUDIT_TRUNCATED, firsts[i], "ends in entry");
        history_release(&history);
    }
}

Test(audit_verify_chain, a_segment_ends_where_its_name_and_the_next_ones_say)
{
    static const char second[] = "entries/000000000300.log";
    struct history history;
    struct buffer longer;
    size_t size = 0;
    history_segments(&history);
    uint8_t *content = file_read(history.directory, second, &size);
    file_write(history.directory, second, content, size - 1);
    expect_verdict(&history, NULL, AUDIT_TRUNCATED, 599, "");
    buffer_init(&longer, size + 1);
    buffer_append(&longer, content, size);
    buffer_append_u8(&longer, 0);
    file_write(history.directory, second, longer.ptr, longer.size);
    expect_verdict(&history, NULL, AUDIT_TAMPERED, 600, "goes on where the next one begins");
    buffer_release(&longer);
    heap_free(content);
    history_release(&history);
}

Test(audit_verify_chain, segments_are_closed_by_an_entry_and_by_nothing_else)
{
    struct history history;
    history_begin(&history);
    history_grow(&history, 10);
    history_cut(&history); /* without a SEGMENT_CLOSE */
    history_grow(&history, 20);
    history_end(&history, 0);
    expect_verdict(&history, NULL, AUDIT_TAMPERED, 10, "none was closed before it");
    history_release(&history);

    uint8_t root[AUDIT_HASH_BYTES];
    history_begin(&history);
    history_grow(&history, 10);
    audit_range_root(&history.range, root);
    history_close_with(&history, 10, root); /* and the file goes on */
    history_grow(&history, 20);
    history_end(&history, 0);
    expect_verdict(&history, NULL, AUDIT_TAMPERED, 11, "closed the segment that it lies in");
    history_release(&history);
}

Test(audit_verify_chain, a_close_is_held_to_its_size_and_root)
{
    for (int row = 0; row < 2; row++) {
        struct history history;
        uint8_t root[AUDIT_HASH_BYTES];
        history_begin(&history);
        history_grow(&history, 10);
        audit_range_root(&history.range, root);
        root[31] ^= row == 1;
        history_close_with(&history, row == 0 ? 9 : 10, root);
        history_cut(&history);
        history_grow(&history, 20);
        history_end(&history, 0);
        expect_verdict(&history, NULL, AUDIT_TAMPERED, 10,
                       row == 0 ? "another size" : "another root");
        history_release(&history);
    }
}

Test(audit_verify_chain, a_kept_checkpoint_of_any_size_tells_the_same_from_another_history)
{
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 300, 511, 512, 513, 599, 600, 699, 700};
    struct history history;
    history_segments(&history);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buffer note;
        struct audit_range whole = history.range;
        buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
        for (int changed = 0; changed < 2; changed++) {
            audit_range_init(&history.range);
            for (uint64_t leaf = 0; leaf < sizes[i]; leaf++) {
                audit_range_append(&history.range,
                                   history.hashes[changed && leaf == sizes[i] - 1 ? 700 : leaf],
                                   NULL);
            }
            note.size = 0;
            history_checkpoint(&history, 0, &note);
            struct audit_report report = verify(&history, NULL, buffer_bytes(&note));
            cr_expect_eq(report.verdict, changed ? AUDIT_FORKED : AUDIT_OK, "size %" PRIu64 ": %s",
                         sizes[i], report.detail);
        }
        history.range = whole;
        buffer_release(&note);
    }
    history_release(&history);
}

/* ---- keys ---- */

Test(audit_verify_chain, any_key_of_the_chain_leads_to_all_others)
{
    struct history history;
    struct buffer note;
    history_begin(&history);
    history_grow(&history, 40);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    history_checkpoint(&history, 0, &note);
    history_rotate(&history, 0, 1);
    history_grow(&history, 300);
    history_rotate(&history, 1, 2);
    history_grow(&history, 310);
    history_end(&history, 2);
    for (size_t key = 0; key < 3; key++) {
        struct audit_report report = verify(&history, history.vkeys[key], buffer_bytes(&note));
        cr_expect_eq(report.verdict, AUDIT_OK, "key %zu: %s", key, report.detail);
        cr_expect_eq(report.rotation_count, 2);
    }
    expect_verdict(&history, history.vkeys[3], AUDIT_UNVERIFIABLE, UINT64_MAX, "not signed by");
    buffer_release(&note);
    history_release(&history);
}

Test(audit_verify_chain, a_key_that_was_replaced_signs_nothing_more)
{
    struct history history;
    struct buffer note;
    history_begin(&history);
    history_rotate(&history, 0, 1);
    history_grow(&history, 10);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    history_checkpoint(&history, 0, &note); /* too late for key 0 */
    history_end(&history, 1);
    struct audit_report report = verify(&history, history.vkeys[1], buffer_bytes(&note));
    cr_expect_eq(report.verdict, AUDIT_UNVERIFIABLE, "%s", report.detail);
    file_write(history.directory, "checkpoint", note.ptr, note.size);
    expect_verdict(&history, history.vkeys[0], AUDIT_TAMPERED, UINT64_MAX,
                   "not signed by the key that the entries say is in use");
    expect_verdict(&history, history.vkeys[1], AUDIT_UNVERIFIABLE, UINT64_MAX, "");
    buffer_release(&note);
    history_release(&history);
}

Test(audit_verify_chain, the_first_checkpoint_after_a_rotation_may_carry_both_signatures)
{
    struct history history;
    struct buffer both;
    struct buffer one;
    history_begin(&history);
    history_rotate(&history, 0, 1);
    history_end(&history, 1);
    buffer_init(&both, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&one, AUDIT_CHECKPOINT_BYTES_MAX);
    history_checkpoint(&history, 0, &both);
    history_checkpoint(&history, 1, &one);
    const uint8_t *line = memmem(one.ptr, one.size, "\n\n", 2);
    buffer_append(&both, line + 2, one.size - (size_t)(line + 2 - one.ptr));
    file_write(history.directory, "checkpoint", both.ptr, both.size);
    expect_verdict(&history, history.vkeys[0], AUDIT_OK, UINT64_MAX, "2 entries");
    expect_verdict(&history, history.vkeys[1], AUDIT_OK, UINT64_MAX, "2 entries");
    buffer_release(&both);
    buffer_release(&one);
    history_release(&history);
}

Test(audit_verify_chain, a_rotation_needs_both_signatures_over_its_own_place)
{
    static const struct {
        size_t old, new, signer_old, signer_new;
        uint64_t index;
        const char *said;
    } rows[] = {
        {0, 1, 2, 1, 10, "did not both sign"}, /* not the old key */
        {0, 1, 0, 3, 10, "did not both sign"}, /* not the new key */
        {0, 1, 0, 1, 11, "did not both sign"}, /* for another place */
        {2, 1, 2, 1, 10, "was not in use"},    /* replaces a key that never was */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct history history;
        history_begin(&history);
        history_grow(&history, 10);
        history_rotate_with(&history, rows[i].old, rows[i].new, rows[i].signer_old,
                            rows[i].signer_new, rows[i].index);
        history_grow(&history, 20);
        history_end(&history, 1);
        expect_verdict(&history, history.vkeys[1], AUDIT_TAMPERED, 10, rows[i].said);
        history_release(&history);
    }
}

Test(audit_verify_chain, an_init_in_the_middle_names_no_new_key)
{
    struct history history;
    history_begin(&history);
    history_put(&history, "INIT",
                json_pack("{s:s,s:s}", "origin", origin, "vkey", history.vkeys[1]));
    history_end(&history, 1);
    expect_verdict(&history, history.vkeys[1], AUDIT_TAMPERED, 1, "only entry 0");
    expect_verdict(&history, history.vkeys[0], AUDIT_UNVERIFIABLE, UINT64_MAX, "");
    history_release(&history);
}

/* ---- pruning ---- */

/* The first segment's entries are gone; entry 300 answers one of them. */
static void history_prune(struct history *history, bool is_said, uint64_t to)
{
    char path[PATH_BYTES];
    history_begin(history);
    history_grow(history, 298);
    history_put(history, "ADMIT", json_pack("{s:s}", "request_id", "x"));
    history_close(history);
    history_put(history, "RESULT", json_pack("{s:i,s:s}", "admit", 298, "status", "success"));
    history_put(history, "RECOVERED", json_pack("{s:[i]}", "admits", 297));
    if (is_said) {
        history_put(history, "PRUNE",
                    json_pack("{s:i,s:I,s:s}", "from", 0, "to", (json_int_t)to, "reason", "age"));
    }
    history_grow(history, 600);
    history_end(history, 0);
    path_join(path, history->directory, "entries/000000000000.log");
    cr_assert_eq(unlink(path), 0);
    file_write(history->directory, "entries/000000000000.hashes", history->hashes,
               (size_t)300 * AUDIT_HASH_BYTES);
}

Test(audit_verify_chain, pruned_entries_are_known_by_their_hashes)
{
    struct history history;
    history_prune(&history, true, 300);
    struct audit_report report = verify(&history, history.vkeys[0], bytes_of(NULL, 0));
    cr_expect_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_expect(report.pruned_entries == 300 && report.size == 600);
    for (uint64_t at = 0; at < 300; at += 23) {
        uint8_t *hashes = &history.hashes[0][0];
        hashes[at * AUDIT_HASH_BYTES] ^= 1;
        file_write(history.directory, "entries/000000000000.hashes", hashes,
                   (size_t)300 * AUDIT_HASH_BYTES);
        hashes[at * AUDIT_HASH_BYTES] ^= 1;
        expect_verdict(&history, NULL, AUDIT_TAMPERED, at == 299 ? 299 : UINT64_MAX, "");
    }
    history_release(&history);
}

Test(audit_verify_chain, what_is_not_there_and_not_pruned_is_truncated)
{
    struct history history;
    char path[PATH_BYTES];
    history_prune(&history, false, 0);
    expect_verdict(&history, NULL, AUDIT_TRUNCATED, 0, "no PRUNE entry says why");
    history_release(&history);
    history_prune(&history, true, 100);
    expect_verdict(&history, NULL, AUDIT_TRUNCATED, 100, "no PRUNE entry says why");
    history_release(&history);
    history_prune(&history, true, 302);
    expect_verdict(&history, NULL, AUDIT_OK, UINT64_MAX, "");
    file_write(history.directory, "entries/000000000000.hashes", history.hashes,
               (size_t)299 * AUDIT_HASH_BYTES);
    expect_verdict(&history, NULL, AUDIT_TRUNCATED, 299, "");
    path_join(path, history.directory, "entries/000000000000.hashes");
    unlink(path);
    expect_verdict(&history, NULL, AUDIT_TRUNCATED, 0, "");
    history_release(&history);
}

/* ---- single control entries ---- */

Test(audit_verify_chain, control_entries_are_held_to_what_they_claim)
{
    static const struct {
        const char *type;
        const char *fields;
        const char *said; /* NULL: fine */
    } rows[] = {
        {"PRUNE", "{\"from\":0,\"to\":3,\"reason\":\"age\"}", NULL},
        {"PRUNE", "{\"from\":0,\"to\":6,\"reason\":\"age\"}", "cannot be pruned"},
        {"PRUNE", "{\"from\":3,\"to\":3,\"reason\":\"age\"}", "cannot be pruned"},
        {"PRUNE", "{\"from\":-1,\"to\":3,\"reason\":\"age\"}", "cannot be pruned"},
        {"AUTH_FAILURES",
         "{\"from_time\":\"2026-11-21T09:00:00.000Z\",\"to_time\":\"2026-11-21T09:01:00.000Z\","
         "\"count\":5,\"unknown\":3,\"expired\":2}",
         NULL},
        {"AUTH_FAILURES",
         "{\"from_time\":\"2026-11-21T09:00:00.000Z\",\"to_time\":\"2026-11-21T09:01:00.000Z\","
         "\"count\":5,\"unknown\":3}",
         "do not add up"},
        {"AUTH_FAILURES",
         "{\"from_time\":\"2026-11-21T09:02:00.000Z\",\"to_time\":\"2026-11-21T09:01:00.000Z\","
         "\"count\":1,\"unknown\":1}",
         "of a time that cannot be"},
        {"AUTH_FAILURES",
         "{\"from_time\":\"2026-11-21T09:02:00.000Z\",\"to_time\":\"2027-11-21T09:01:00.000Z\","
         "\"count\":1,\"unknown\":1}",
         NULL},
        {"KEY_ROTATE", "{\"old_vkey\":\"x\",\"new_vkey\":\"y\"}", "names no verifier keys"},
        {"EPOCH", "{\"epoch\":\"x\"}", NULL},
        {"WHATEVER_COMES", "{\"x\":1}", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct history history;
        struct err err;
        json_t *fields = NULL;
        cr_assert(json_text_parse(bytes_of_string(rows[i].fields), &fields, &err));
        history_begin(&history);
        history_grow(&history, 5);
        history_put(&history, rows[i].type, fields);
        history_end(&history, 0);
        expect_verdict(&history, history.vkeys[0], rows[i].said == NULL ? AUDIT_OK : AUDIT_TAMPERED,
                       rows[i].said == NULL ? UINT64_MAX : 5,
                       rows[i].said == NULL ? "" : rows[i].said);
        history_release(&history);
    }
}

/* ---- proofs out of a directory ---- */

Test(audit_verify_chain, every_entry_of_a_directory_can_be_proved)
{
    struct history history;
    struct audit_directory *directory = NULL;
    struct audit_source source;
    struct audit_report report;
    struct buffer roots;
    struct buffer note;
    struct err err;
    history_prune(&history, true, 300);
    buffer_init(&roots, 1 << 20);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    const struct audit_expectation expectation = {.roots = &roots, .note = &note};
    cr_assert(audit_directory_open(history.directory, &directory, &source, &err));
    cr_assert(audit_verify(&source, &expectation, &report, &err));
    cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    for (uint64_t index = 0; index < 600; index += index % 256 < 3 || index % 256 > 250 ? 1 : 13) {
        struct buffer leaf;
        struct buffer proof;
        struct audit_checkpoint checkpoint;
        uint64_t proved = 0;
        buffer_init(&leaf, AUDIT_LEAF_BYTES_MAX);
        buffer_init(&proof, 1 << 16);
        cr_assert(audit_source_prove(&source, buffer_bytes(&roots), buffer_bytes(&note), index,
                                     &leaf, &proof, &err),
                  "%s", err.message);
        cr_expect_eq(leaf.size == 0, index < 300, "pruned entries have no bytes");
        cr_expect_eq(audit_tlog_proof_verify(buffer_bytes(&proof), history.vkeys[0],
                                             history.hashes[index], &proved, &checkpoint),
                     AUDIT_OK, "%" PRIu64, index);
        cr_expect_eq(proved, index);
        buffer_release(&leaf);
        buffer_release(&proof);
    }
    cr_expect_not(audit_source_prove(&source, buffer_bytes(&roots), buffer_bytes(&note), 600, &note,
                                     &note, &err));
    cr_expect_eq(err.code, ERR_NOT_FOUND);
    audit_directory_close(directory);
    buffer_release(&roots);
    buffer_release(&note);
    history_release(&history);
}

Test(audit_verify_chain, without_memory_there_is_no_verdict)
{
    struct history history;
    size_t refusals = 0;
    history_segments(&history);
    for (size_t n = 1;; n++) {
        struct audit_report report;
        struct err err;
        heap_fail_after(n);
        bool ok = audit_verify_directory(history.directory, history.vkeys[0], bytes_of(NULL, 0),
                                         NULL, NULL, &report, &err);
        heap_fail_after(0);
        if (ok) {
            cr_expect_eq(report.verdict, AUDIT_OK, "%zu: %s", n, report.detail);
            break;
        }
        cr_expect_eq(err.code, ERR_NO_MEMORY, "%zu: %s", n, err.message);
        refusals++;
    }
    cr_expect_gt(refusals, 10);
    history_release(&history);
}
