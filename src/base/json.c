/* json.c: jansson's memory: overwritten when it is freed, and how much it is. json_parser.c reads,
 * jcs.c writes.
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
