/* fuzz_audit_leaf.c: the scanner that reads every entry of a log when it is opened or verified,
 * beside a slow reader of the same form: jansson, and the canonical text of what it read.
 *
 * What is canonical JSON, both must accept or both refuse. What the scanner accepts beyond that
 * differs inside of strings only, which it does not look at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "base/json.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_number(const json_t *value, json_int_t min)
{
    return json_is_integer(value) && json_integer_value(value) >= min &&
           json_integer_value(value) <= (json_int_t)AUDIT_INDEX_MAX;
}

static bool are_numbers(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!is_number(json_array_get(value, i), 0)) {
            return false;
        }
    }
    return json_array_size(value) > 0;
}

static bool is_hash(const char *text)
{
    return text != NULL && strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

static bool is_leaf(json_t *object)
{
    const char *name;
    json_t *value;
    int64_t time_ms;
    const char *time = json_string_value(json_object_get(object, "time"));
    const char *type = json_string_value(json_object_get(object, "type"));
    json_object_foreach (object, name, value) {
        if (name[0] == '\0' ||
            !(json_is_string(value) || json_is_boolean(value) ||
              is_number(value, -(json_int_t)AUDIT_INDEX_MAX) || are_numbers(value))) {
            return false;
        }
    }
    return json_integer_value(json_object_get(object, "v")) == 1 &&
           is_number(json_object_get(object, "index"), 0) &&
           is_hash(json_string_value(json_object_get(object, "prev"))) && time != NULL &&
           clock_rfc3339_decode(time, strlen(time), &time_ms) && type != NULL &&
           (strcmp(type, "RESULT") != 0 || is_number(json_object_get(object, "admit"), 0)) &&
           (strcmp(type, "RECOVERED") != 0 || json_is_array(json_object_get(object, "admits")));
}

/* Is it canonical JSON? *accepts: and an entry. */
static bool read_slowly(struct bytes input, bool *accepts)
{
    struct buffer text;
    struct err err;
    json_t *object = NULL;
    buffer_init(&text, 4096);
    bool canonical = json_text_parse(input, &object, &err) && json_is_object(object) &&
                     json_canonical(object, &text, &err) && bytes_equal(input, buffer_bytes(&text));
    *accepts = canonical && input.size <= AUDIT_LEAF_BYTES_MAX && is_leaf(object);
    buffer_release(&text);
    json_decref(object);
    return canonical;
}

static bool is_plain(struct bytes input)
{
    for (size_t i = 0; i < input.size; i++) {
        if (input.ptr[i] < ' ' || input.ptr[i] > '~' || input.ptr[i] == '\\') {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct audit_leaf leaf;
    const char *why = NULL;
    uint64_t index = 0;
    bool slow_accepts = false;
    bool accepts = audit_leaf_parse(bytes_of(data, size), &leaf, &why);
    bool canonical = read_slowly(bytes_of(data, size), &slow_accepts);
    assert(accepts ? canonical || !is_plain(bytes_of(data, size)) : why != NULL);
    assert(!canonical || accepts == slow_accepts);
    while (accepts && audit_leaf_next_admit(&leaf.admits, &index)) {
        assert(index <= AUDIT_INDEX_MAX);
    }
    return 0;
}
