/* test_prefer.c: Prefer and Idempotency-Key, as clients write them well and badly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/prefer.h"

#include <criterion/criterion.h>
#include <string.h>

static struct message_request request_of(struct message_header *headers, const char *name,
                                         const char *first, const char *second)
{
    headers[0] = (struct message_header){"host", "node"};
    headers[1] = (struct message_header){name, first};
    headers[2] = (struct message_header){name, second};
    return (struct message_request){.headers = headers, .header_count = second != NULL ? 3 : 2};
}

struct prefer_row {
    const char *first, *second;
    bool respond_async;
    uint32_t wait_seconds;
};

static const struct prefer_row prefer_rows[] = {
    {"", NULL, false, 0},
    {"respond-async", NULL, true, 0},
    {"Respond-Async", NULL, true, 0},
    {"respond-async, wait=10", NULL, true, 10},
    {"respond-async,wait=10", NULL, true, 10},
    {"wait=10 , respond-async", NULL, true, 10},
    {"respond-async", "wait=10", true, 10},
    {"foo; bar", "respond-async", true, 0},
    {"foo=\"a,b;\\\"c\"; bar=\"x\" ; baz, respond-async; p=1", NULL, true, 0},
    {", ,, respond-async,,", NULL, true, 0},
    {"respond-async=\"\"", NULL, true, 0},
    {"respond-async=yes", NULL, false, 0},
    {"respond-async=no, respond-async", NULL, false, 0},
    {"wait = 7", NULL, false, 7},
    {"wait=\"7\"", NULL, false, 7},
    {"wait=59", NULL, false, 59},
    {"wait=60", NULL, false, 60},
    {"wait=61", NULL, false, 60},
    {"wait=18446744073709551615", NULL, false, 60},
    {"wait=18446744073709551616", NULL, false, 0},
    {"wait=5, wait=9", NULL, false, 5},
    {"wait=5", "wait=9", false, 5},
    {"wait=x, wait=9", NULL, false, 0},
    {"wait", NULL, false, 0},
    {"wait=", NULL, false, 0},
    {"wait=-1", NULL, false, 0},
    {"wait=1.5", NULL, false, 0},
    {"respond-async wait=10", NULL, false, 0},
    {"respond-asynchronously", NULL, false, 0},
    {"\"respond-async\"", NULL, false, 0},
    {"foo=\"unterminated, respond-async", NULL, false, 0},
    {"foo=\"\\", "respond-async", true, 0},
    {"respond-async; ; x", NULL, true, 0},
    {"@, respond-async", NULL, false, 0},
};

Test(service_prefer, is_read_by_its_grammar)
{
    for (size_t i = 0; i < sizeof(prefer_rows) / sizeof(prefer_rows[0]); i++) {
        const struct prefer_row *row = &prefer_rows[i];
        struct message_header headers[3];
        struct message_request request = request_of(headers, "prefer", row->first, row->second);
        struct preferences got;
        preferences_read(&request, &got);
        cr_expect_eq(got.respond_async, row->respond_async, "%s", row->first);
        cr_expect_eq(got.wait_seconds, row->wait_seconds, "%s: %u", row->first, got.wait_seconds);
    }
}

Test(service_prefer, without_a_line_there_is_no_preference)
{
    struct message_header headers[3];
    struct message_request request = request_of(headers, "preferred", "respond-async", "wait=1");
    struct preferences got;
    preferences_read(&request, &got);
    cr_expect(!got.respond_async && got.wait_seconds == 0);
}

/* "": there is none; NULL: refused. */
static const char *key_of(const char *first, const char *second, uint8_t *hash)
{
    struct message_header headers[3];
    struct message_request request = request_of(headers, "idempotency-key", first, second);
    struct err err = {.code = ERR_NONE};
    bool found = false;
    if (!idempotency_key_read(&request, &found, hash, &err)) {
        cr_expect_eq(err.code, ERR_MALFORMED_REQUEST);
        cr_expect_not_null(strstr(err.message, "Idempotency-Key"));
        return NULL;
    }
    return found ? "found" : "";
}

Test(service_prefer, an_idempotency_key_is_a_string_or_a_bare_word)
{
    static const struct {
        const char *text, *means;
    } rows[] = {
        {"\"a\"", "a"},
        {"a", "a"},
        {"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"\" a, b; \\\"c\\\" \\\\ \"", " a, b; \"c\" \\ "},
        {"QUJD+/==", "QUJD+/=="},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t hash[CRYPTO_SHA256_BYTES], expected[CRYPTO_SHA256_BYTES];
        crypto_sha256(bytes_of_string(rows[i].means), expected);
        cr_expect_str_eq(key_of(rows[i].text, NULL, hash), "found", "%s", rows[i].text);
        cr_expect_arr_eq(hash, expected, sizeof(hash), "%s", rows[i].text);
    }
}

Test(service_prefer, an_idempotency_key_that_is_none_is_refused)
{
    static const char *const rows[] = {
        "",         "\"\"",         "\"",  "\"a",          "a\"",   "\"a\"b",   "\"a\"; p=1",
        "a b",      "a,b",          "a;b", "\"a\\b\"",     "\"a\\", "\"\x7f\"", "\"\t\"",
        "\xc3\xa9", "\"\xc3\xa9\"", "(a)", "\"a\", \"b\"", "'a\"",
    };
    uint8_t hash[CRYPTO_SHA256_BYTES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_null(key_of(rows[i], NULL, hash), "%s", rows[i]);
    }
    cr_expect_null(key_of("a", "a", hash), "two lines, even if they say the same");
}

Test(service_prefer, an_idempotency_key_has_255_bytes_at_most)
{
    char text[300] = "";
    uint8_t hash[CRYPTO_SHA256_BYTES];
    memset(text, 'k', 255);
    cr_expect_not_null(key_of(text, NULL, hash));
    text[255] = 'k';
    cr_expect_null(key_of(text, NULL, hash));
    text[0] = '"';
    text[256] = '"';
    cr_expect_not_null(key_of(text, NULL, hash), "quotes do not count");
    text[256] = 'k';
    text[257] = '"';
    cr_expect_null(key_of(text, NULL, hash));
}

Test(service_prefer, no_line_means_no_idempotency_key)
{
    struct message_header headers[3];
    struct message_request request = request_of(headers, "idempotency", "a", NULL);
    uint8_t hash[CRYPTO_SHA256_BYTES];
    struct err err;
    bool found = true;
    cr_expect(idempotency_key_read(&request, &found, hash, &err));
    cr_expect_not(found);
}
