/* test_leaf.c: what a log entry may be, and that nothing else is read as one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "audit/unanswered.h"
#include "base/json.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t zeros[AUDIT_HASH_BYTES];

#define ZEROS64 "0000000000000000000000000000000000000000000000000000000000000000"
#define TIME "\"time\":\"2026-11-21T10:00:00.000Z\""

static bool build(enum audit_kind kind, json_t *fields, struct buffer *out, struct err *err)
{
    buffer_init(out, 4096);
    bool ok = audit_leaf_build(kind, 7, zeros, 1795255200000, fields, out, err);
    json_decref(fields);
    return ok;
}

Test(audit_leaf, is_canonical_json_with_its_own_members_sorted_in)
{
    struct buffer leaf;
    struct err err;
    cr_assert(build(
        AUDIT_ADMIT,
        json_pack("{s:s,s:b,s:I}", "request_id", "x\"\n", "async", 1, "a_number", (json_int_t)-5),
        &leaf, &err));
    const char *expected = "{\"a_number\":-5,\"async\":true,\"index\":7,\"prev\":\"" ZEROS64
                           "\",\"request_id\":\"x\\\"\\n\"," TIME ",\"type\":\"ADMIT\",\"v\":1}";
    cr_assert(bytes_equal(buffer_bytes(&leaf), bytes_of_string(expected)), "%.*s", (int)leaf.size,
              (const char *)leaf.ptr);
    struct audit_leaf parsed;
    const char *why = NULL;
    cr_assert(audit_leaf_parse(buffer_bytes(&leaf), &parsed, &why), "%s", why);
    cr_assert(parsed.index == 7 && parsed.kind_is_known && parsed.kind == AUDIT_ADMIT);
    cr_assert_eq(parsed.time_ms, 1795255200000);
    cr_assert_not(parsed.has_admit);
    buffer_release(&leaf);
}

/* Some are put in order without allocating, more are not. */
Test(audit_leaf, sorts_however_many_fields_there_are)
{
    for (int count = 0; count <= 40; count++) {
        struct buffer leaf;
        struct err err;
        struct audit_leaf parsed;
        const char *why = NULL;
        json_t *fields = json_object();
        for (int i = count; i-- > 0;) {
            char name[] = {(char)('a' + i * 7 % 26), (char)('a' + i % 26), (char)('0' + i / 26), 0};
            cr_assert_eq(json_object_set_new(fields, name, json_integer(i)), 0);
        }
        cr_assert(build(AUDIT_ADMIT, json_incref(fields), &leaf, &err));
        cr_assert(audit_leaf_parse(buffer_bytes(&leaf), &parsed, &why), "%d: %s", count, why);
        json_t *read = json_loadb((const char *)leaf.ptr, leaf.size, JSON_REJECT_DUPLICATES, NULL);
        cr_expect_eq(json_object_size(read), (size_t)count + 5);
        cr_expect_eq(json_object_update_existing(read, fields), 0);
        struct buffer again;
        buffer_init(&again, 4096);
        cr_expect(json_canonical(read, &again, &err));
        cr_expect(bytes_equal(buffer_bytes(&again), buffer_bytes(&leaf)), "%d", count);
        buffer_release(&again);
        buffer_release(&leaf);
        json_decref(read);
        json_decref(fields);
    }
}

Test(audit_leaf, refuses_fields_that_it_cannot_hold)
{
    json_t *bad[] = {
        json_pack("[]"),
        json_pack("{s:s}", "v", "2"),
        json_pack("{s:s}", "type", "x"),
        json_pack("{s:s}", "index", "x"),
        json_pack("{s:s}", "prev", "x"),
        json_pack("{s:s}", "time", "x"),
        json_pack("{s:f}", "a", 1.5),
        json_pack("{s:n}", "a"),
        json_pack("{s:{}}", "a"),
        json_pack("{s:[i]}", "admits", 1),
        json_pack("{s:s}", "", "x"),
        json_pack("{s:s}", "Upper", "x"),
        json_pack("{s:s}", "\xc3\xa4", "x"),
        json_pack("{s:I}", "a", (json_int_t)1 << 53),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buffer leaf;
        struct err err;
        cr_assert_not_null(bad[i]);
        cr_expect_not(build(AUDIT_ADMIT, bad[i], &leaf, &err), "row %zu", i);
        cr_expect_eq(err.code, ERR_FORMAT, "row %zu", i);
        cr_expect_eq(leaf.size, 0);
        buffer_release(&leaf);
    }
}

Test(audit_leaf, has_a_longest_size)
{
    char text[AUDIT_LEAF_BYTES_MAX + 1];
    struct buffer leaf;
    struct err err;
    cr_assert(build(AUDIT_ADMIT, json_pack("{s:s}", "a", ""), &leaf, &err));
    size_t room = AUDIT_LEAF_BYTES_MAX - leaf.size;
    buffer_release(&leaf);
    memset(text, 'x', sizeof(text));
    text[room] = '\0';
    cr_assert(build(AUDIT_ADMIT, json_pack("{s:s}", "a", text), &leaf, &err));
    cr_assert_eq(leaf.size, AUDIT_LEAF_BYTES_MAX);
    buffer_release(&leaf);
    text[room] = 'x';
    text[room + 1] = '\0';
    cr_assert_not(build(AUDIT_ADMIT, json_pack("{s:s}", "a", text), &leaf, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    buffer_release(&leaf);
}

Test(audit_leaf, far_too_long_fields_are_over_the_limit_too)
{
    static char text[128 * 1024];
    struct buffer leaf;
    struct err err;
    memset(text, 'x', sizeof(text) - 1);
    cr_assert_not(build(AUDIT_ADMIT, json_pack("{s:s}", "a", text), &leaf, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    buffer_release(&leaf);
}

Test(audit_leaf, a_full_recovered_leaf_fits)
{
    struct buffer leaf;
    struct err err;
    json_t *admits = json_array();
    buffer_init(&leaf, 4096);
    for (int i = 0; i < AUDIT_RECOVERED_ADMITS_MAX; i++) {
        json_array_append_new(admits, json_integer((json_int_t)AUDIT_INDEX_MAX));
    }
    json_t *fields = json_pack("{s:o}", "admits", admits);
    cr_assert(audit_leaf_build(AUDIT_RECOVERED, AUDIT_INDEX_MAX, zeros, 253402300799999, fields,
                               &leaf, &err),
              "%s", err.message);
    json_decref(fields);
    struct audit_leaf parsed;
    const char *why = NULL;
    cr_assert(audit_leaf_parse(buffer_bytes(&leaf), &parsed, &why), "%s", why);
    uint64_t index = 0;
    int count = 0;
    for (struct bytes left = parsed.admits; audit_leaf_next_admit(&left, &index); count++) {
        cr_assert_eq(index, AUDIT_INDEX_MAX);
    }
    cr_assert_eq(count, AUDIT_RECOVERED_ADMITS_MAX);
    buffer_release(&leaf);
}

#define LEAF(index, type, more)                                                                    \
    "{" more "\"index\":" index ",\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":\"" type "\",\"v\":"  \
    "1}"

Test(audit_leaf, reads_nothing_but_canonical_leaves)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        " " LEAF("7", "EPOCH", ""),
        LEAF("7", "EPOCH", "") "\n",
        LEAF("7", "EPOCH", "") "}",
        LEAF("7", "EPOCH", " "),
        LEAF("07", "EPOCH", ""),
        LEAF("-7", "EPOCH", ""),
        LEAF("7.0", "EPOCH", ""),
        LEAF("7e0", "EPOCH", ""),
        LEAF("\"7\"", "EPOCH", ""),
        LEAF("9007199254740992", "EPOCH", ""),
        LEAF("", "EPOCH", ""),
        LEAF("7", "EPOCH", "\"z\":1,"),
        LEAF("7", "EPOCH", "\"a\":1,\"a\":1,"),
        LEAF("7", "EPOCH", "\"a\":null,"),
        LEAF("7", "EPOCH", "\"a\":tru,"),
        LEAF("7", "EPOCH", "\"a\":{},"),
        LEAF("7", "EPOCH", "\"a\":[],"),
        LEAF("7", "EPOCH", "\"a\":[1,],"),
        LEAF("7", "EPOCH", "\"a\":[-1],"),
        LEAF("7", "EPOCH", "\"a\":-0,"),
        LEAF("7", "EPOCH", "\"a\":\"\t\","),
        LEAF("7", "EPOCH", "\"a\" :1,"),
        LEAF("7", "EPOCH", "\"a\":,"),
        LEAF("7", "EPOCH", "a:1,"),
        LEAF("7", "RESULT", ""),
        LEAF("7", "RESULT", "\"admit\":\"3\","),
        LEAF("7", "RESULT", "\"admit\":-3,"),
        LEAF("7", "RECOVERED", ""),
        "{\"index\":7," TIME ",\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\",\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\"," TIME ",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":\"EPOCH\"}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":\"EPOCH\",\"v\":2}",
        "{\"index\":7,\"prev\":\"00\"," TIME ",\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\",\"time\":\"yesterday\",\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":5,\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":true,\"v\":1}",
        "{\"index\":7,\"prev\":true," TIME ",\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":true,\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\",\"time\":false,\"type\":\"EPOCH\",\"v\":1}",
        "{\"index\":7,\"prev\":\"" ZEROS64 "\"," TIME ",\"type\":\"EPOCH\",\"v\":true}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_leaf leaf;
        const char *why = NULL;
        cr_expect_not(audit_leaf_parse(bytes_of_string(bad[i]), &leaf, &why), "%s", bad[i]);
        cr_expect_not_null(why);
    }
}

Test(audit_leaf, reads_what_it_need_not_know)
{
    struct audit_leaf leaf;
    const char *why = NULL;
    const char *text = LEAF("7", "OF_TOMORROW",
                            "\"a\":\"\\u001f\\\"x\",\"b\":false,\"c\":[1,2],"
                            "\"d\":-12,");
    cr_assert(audit_leaf_parse(bytes_of_string(text), &leaf, &why), "%s", why);
    cr_assert_not(leaf.kind_is_known);
    cr_assert_eq(leaf.index, 7);
}

Test(audit_leaf, no_cut_leaf_is_read)
{
    static const char whole[] = LEAF("7", "RESULT", "\"admit\":3,");
    struct audit_leaf leaf;
    const char *why = NULL;
    cr_assert(audit_leaf_parse(bytes_of_string(whole), &leaf, &why), "%s", why);
    cr_assert(leaf.has_admit && leaf.admit == 3);
    for (size_t size = 0; size < sizeof(whole) - 1; size++) {
        cr_expect_not(audit_leaf_parse(bytes_of(whole, size), &leaf, &why), "%zu bytes", size);
    }
}

Test(audit_leaf, over_1024_bytes_is_no_leaf)
{
    char text[2048];
    char filler[1024];
    struct audit_leaf leaf;
    const char *why = NULL;
    for (size_t size = AUDIT_LEAF_BYTES_MAX; size <= AUDIT_LEAF_BYTES_MAX + 1; size++) {
        const char rest[] = LEAF("7", "EPOCH", "\"a\":\"%s\",");
        size_t filler_size = size - (sizeof(rest) - 1 - 2);
        memset(filler, 'x', filler_size);
        filler[filler_size] = '\0';
        snprintf(text, sizeof(text), LEAF("7", "EPOCH", "\"a\":\"%s\","), filler);
        cr_assert_eq(strlen(text), size);
        cr_assert_eq(audit_leaf_parse(bytes_of_string(text), &leaf, &why),
                     size <= AUDIT_LEAF_BYTES_MAX);
    }
}

/* ---- which ADMITs wait ---- */

static bool apply(struct audit_unanswered *set, uint64_t index, enum audit_kind kind,
                  uint64_t admit, const char *admits, struct err *err)
{
    struct audit_leaf leaf = {.index = index,
                              .kind = kind,
                              .kind_is_known = true,
                              .has_admit = kind == AUDIT_RESULT,
                              .admit = admit,
                              .admits = bytes_of_string(admits)};
    return audit_unanswered_apply(set, &leaf, err);
}

Test(audit_unanswered, an_answer_must_be_for_an_admit_that_waits)
{
    struct audit_unanswered set = {0};
    struct err err;
    uint64_t found = 0;
    cr_assert(apply(&set, 1, AUDIT_ADMIT, 0, "", &err));
    cr_assert(apply(&set, 5000, AUDIT_ADMIT, 0, "", &err));
    cr_assert(apply(&set, 70000, AUDIT_ADMIT, 0, "", &err));
    cr_assert_eq(set.count, 3);
    cr_assert(audit_unanswered_next(&set, 0, &found) && found == 1);
    cr_assert(audit_unanswered_next(&set, 2, &found) && found == 5000);
    cr_assert(audit_unanswered_next(&set, 5000, &found) && found == 5000);
    cr_assert_not(audit_unanswered_next(&set, 70001, &found));
    cr_assert_not(apply(&set, 70001, AUDIT_RESULT, 2, "", &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    cr_assert_not(apply(&set, 70001, AUDIT_RESULT, UINT64_MAX, "", &err));
    cr_assert(apply(&set, 70001, AUDIT_RESULT, 5000, "", &err));
    cr_assert_not(apply(&set, 70002, AUDIT_RESULT, 5000, "", &err), "twice");
    cr_assert_not(apply(&set, 70002, AUDIT_RECOVERED, 0, "1,5000", &err));
    cr_assert_not(apply(&set, 70002, AUDIT_RECOVERED, 0, "70000,1", &err));
    cr_assert_not(apply(&set, 70002, AUDIT_RECOVERED, 0, "1,1", &err));
    cr_assert_eq(set.count, 2, "a refused leaf changes nothing");
    cr_assert(apply(&set, 70002, AUDIT_RECOVERED, 0, "1,70000", &err));
    cr_assert(set.count == 0 && set.recovered == 2);
    audit_unanswered_release(&set);
}
