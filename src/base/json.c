/* json.c: jansson's loader with our strictness.
 *
 * jansson already refuses invalid UTF-8, trailing text (without JSON_DISABLE_EOF_CHECK) and NUL in
 * strings (without JSON_ALLOW_NUL); duplicates are refused by flag. Its own nesting limit is 2048 C
 * frames: a scan before parsing brings that down to JSON_DEPTH_MAX, so that everything that walks a
 * value may recurse. The same scan bounds the number of values: of empty objects, 3 bytes each,
 * jansson makes 350 bytes each, and its memory is not in any budget.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#include "base/arena.h"

#include <string.h>

void json_wipe_on_free(void)
{
    json_set_alloc_funcs(heap_alloc, heap_free_wiped);
}

/* Refuses nesting deeper than JSON_DEPTH_MAX, and more values than JSON_VALUES_MAX: each but the
 * first has a comma or an opening bracket before it. What is inside strings does not count. */
static bool json_scan(struct bytes text, struct err *err)
{
    size_t depth = 0;
    size_t values = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.ptr[i];
        bool opens = byte == '[' || byte == '{';
        if (in_string) {
            i += byte == '\\';
            in_string = byte != '"';
            continue;
        }
        in_string = byte == '"';
        values += opens || byte == ',';
        depth += opens;
        depth -= (byte == ']' || byte == '}') && depth > 0;
        if (depth > JSON_DEPTH_MAX) {
            return err_set(err, ERR_MALFORMED_REQUEST, "JSON nests deeper than %d levels",
                           JSON_DEPTH_MAX);
        }
        if (values > JSON_VALUES_MAX) {
            return err_set(err, ERR_MALFORMED_REQUEST, "JSON of more than %d values",
                           JSON_VALUES_MAX);
        }
    }
    return true;
}

bool json_text_parse(struct bytes text, json_t **out, struct err *err)
{
    if (text.size == 0) {
        return err_set(err, ERR_MALFORMED_REQUEST, "JSON expected, got nothing");
    }
    if (!json_scan(text, err)) {
        return false;
    }
    json_error_t error;
    json_t *value = json_loadb((const char *)text.ptr, text.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (value == NULL) {
        return err_set(err, ERR_MALFORMED_REQUEST, "JSON, line %d, column %d: %s", error.line,
                       error.column, error.text);
    }
    *out = value;
    return true;
}

/* ---- what it takes ---- */

enum { /* jansson's structures and malloc's rounding, measured generously */
       NUMBER_BYTES = 48,
       STRING_BYTES = 112,
       ARRAY_BYTES = 128, /* eight elements */
       ELEMENT_BYTES = 24,
       OBJECT_BYTES = 320, /* eight members */
       MEMBER_BYTES = 144,
};

size_t json_memory(const json_t *value)
{
    size_t size = 0;
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *name;
        json_t *member;
        json_t *walked = (json_t *)(uintptr_t)value; /* jansson's iterators want it mutable */
        size = OBJECT_BYTES;
        json_object_foreach (walked, name, member) {
            size += MEMBER_BYTES + strlen(name) + json_memory(member);
        }
        return size;
    }
    case JSON_ARRAY:
        size = ARRAY_BYTES;
        for (size_t i = 0; i < json_array_size(value); i++) {
            size += ELEMENT_BYTES + json_memory(json_array_get(value, i));
        }
        return size;
    case JSON_STRING:
        return STRING_BYTES + json_string_length(value);
    case JSON_INTEGER:
    case JSON_REAL:
        return NUMBER_BYTES;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return 0;
}

/* A string is built in a buffer that doubles and is then copied; each value but the first takes two
 * bytes of text at least. */
size_t json_parse_memory_max(size_t text_bytes)
{
    size_t values = text_bytes / 2 < JSON_VALUES_MAX ? text_bytes / 2 : JSON_VALUES_MAX;
    return text_bytes * 3 + (values + 1) * (OBJECT_BYTES + MEMBER_BYTES);
}
