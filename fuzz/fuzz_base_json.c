/* fuzz_base_json: what JSON is, and which value it is, is jansson's opinion and ours, whole and in
 * pieces. Only our own limits may make a difference.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* After a number jansson overlooks a NUL. */
static bool may_differ(struct bytes text, const struct err *err)
{
    return strstr(err->message, "too ") != NULL || memchr(text.ptr, 0, text.size) != NULL;
}

static void compare_pieces(struct bytes text, const json_t *whole, size_t bytes)
{
    struct err err;
    bool is_done = false;
    struct json_parser *parser = json_parser_new(text, (enum json_longs)(bytes % 3));
    bool ok = true;
    while (ok && !is_done) {
        ok = json_parser_step(parser, bytes, &is_done, &err);
    }
    assert(ok == (whole != NULL));
    assert(!ok || json_equal(whole, json_parser_value(parser)));
    json_parser_free(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    json_error_t error;
    json_t *ours = NULL;
    struct bytes text = bytes_of(data, size);
    bool ok = json_text_parse(text, &ours, &err);
    json_t *theirs = size == 0 ? NULL
                               : json_loadb((const char *)data, size,
                                            JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    assert(ok == (theirs != NULL) || (!ok && may_differ(text, &err)));
    assert(!ok || json_equal(ours, theirs));
    for (size_t bytes = 1; bytes < 100; bytes = bytes * 3 + 2) {
        compare_pieces(text, ours, bytes);
    }
    json_decref(ours);
    json_decref(theirs);
    return 0;
}
