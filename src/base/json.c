/* json.c: jansson's loader with our strictness.
 *
 * jansson already refuses invalid UTF-8, trailing text (without JSON_DISABLE_EOF_CHECK) and NUL in
 * strings (without JSON_ALLOW_NUL); duplicates are refused by flag. Its own nesting limit is 2048 C
 * frames: a scan before parsing brings that down to JSON_DEPTH_MAX, so that everything that walks a
 * value may recurse.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#include "base/arena.h"

void json_wipe_on_free(void)
{
    json_set_alloc_funcs(heap_alloc, heap_free_wiped);
}

/* True if brackets nest deeper than JSON_DEPTH_MAX. Brackets inside strings do not count. */
static bool json_is_too_deep(struct bytes text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.ptr[i];
        if (in_string) {
            if (byte == '\\') {
                i++;
            } else if (byte == '"') {
                in_string = false;
            }
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '[' || byte == '{') {
            if (++depth > JSON_DEPTH_MAX) {
                return true;
            }
        } else if ((byte == ']' || byte == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

bool json_text_parse(struct bytes text, json_t **out, struct err *err)
{
    if (text.size == 0) {
        return err_set(err, ERR_MALFORMED_REQUEST, "JSON expected, got nothing");
    }
    if (json_is_too_deep(text)) {
        return err_set(err, ERR_MALFORMED_REQUEST, "JSON nests deeper than %d levels",
                       JSON_DEPTH_MAX);
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
