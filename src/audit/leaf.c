/* leaf.c: building a leaf, and reading one back without jansson.
 *
 * Two are built for each execution: their fields are sorted in among the log's own members and
 * written once, not copied into a larger object first.
 *
 * Opening and verifying a log read every leaf, so the reader is a small scanner for just this form:
 * one flat object, names rising, no blanks. It accepts nothing that is not canonical in structure;
 * that the bytes are those that were committed is the tree's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"

#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(300 + AUDIT_RECOVERED_ADMITS_MAX * 17 <= AUDIT_LEAF_BYTES_MAX,
              "a RECOVERED leaf always fits");

static const char *const kind_names[] = {
    [AUDIT_INIT] = "INIT",
    [AUDIT_ADMIT] = "ADMIT",
    [AUDIT_RESULT] = "RESULT",
    [AUDIT_EPOCH] = "EPOCH",
    [AUDIT_RECOVERED] = "RECOVERED",
    [AUDIT_SEGMENT_CLOSE] = "SEGMENT_CLOSE",
    [AUDIT_KEY_ROTATE] = "KEY_ROTATE",
    [AUDIT_PRUNE] = "PRUNE",
    [AUDIT_AUTH_FAILURES] = "AUTH_FAILURES",
};
enum { KIND_COUNT = sizeof(kind_names) / sizeof(kind_names[0]) };

/* ---- building ---- */

static bool name_is_plain(const char *name)
{
    if (*name == '\0') {
        return false;
    }
    for (; *name != '\0'; name++) {
        bool plain =
            (*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') || *name == '_';
        if (!plain) {
            return false;
        }
    }
    return true;
}

static const char *const own_names[] = {"index", "prev", "time", "type", "v"};
enum {
    OWN_COUNT = sizeof(own_names) / sizeof(own_names[0]),
    MEMBERS_FEW = 16, /* more have to be allocated */
};

static bool name_is_own(const char *name)
{
    for (size_t i = 0; i < OWN_COUNT; i++) {
        if (strcmp(name, own_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool integer_array(const json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) == 0) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *element = json_array_get(value, i);
        if (!json_is_integer(element) || json_integer_value(element) < 0) {
            return false;
        }
    }
    return true;
}

static bool fields_check(enum audit_kind kind, json_t *fields, struct err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(fields)) {
        return err_set(err, ERR_FORMAT, "the fields of a log entry are an object");
    }
    json_object_foreach (fields, name, value) {
        bool simple = json_is_string(value) || json_is_integer(value) || json_is_boolean(value);
        bool listing = kind == AUDIT_RECOVERED && integer_array(value);
        if (!name_is_plain(name) || name_is_own(name) || (!simple && !listing)) {
            return err_set(err, ERR_FORMAT, "\"%.64s\" cannot be a field of a log entry", name);
        }
    }
    return true;
}

struct member {
    const char *name;
    const json_t *value; /* NULL: it is one of the log's own */
};

/* Names are plain ASCII, so this is the order of JCS. */
static int member_compare(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static void members_sort(json_t *fields, struct member *members, size_t count)
{
    const char *name;
    json_t *value;
    size_t filled = 0;
    for (; filled < OWN_COUNT; filled++) {
        members[filled] = (struct member){own_names[filled], NULL};
    }
    json_object_foreach (fields, name, value) {
        members[filled++] = (struct member){name, value};
    }
    assert(filled == count);
    qsort(members, count, sizeof(*members), member_compare);
}

static void own_put(enum audit_kind kind, int64_t time_ms, const char *name, struct buffer *text,
                    struct audit_leaf_places *places)
{
    static const uint8_t zeros[AUDIT_HASH_BYTES] = {0};
    char time[CLOCK_RFC3339_CHARS + 1];
    if (strcmp(name, "index") == 0) {
        json_put_integer(text, name, 0);
        places->index = text->size - 1;
    } else if (strcmp(name, "prev") == 0) {
        json_put_hex(text, name, bytes_of(zeros, sizeof(zeros)));
        places->prev = text->size - 1 - 2 * sizeof(zeros);
    } else if (strcmp(name, "time") == 0) {
        clock_rfc3339_encode(time_ms, time);
        json_put_string(text, name, time);
    } else if (strcmp(name, "type") == 0) {
        json_put_string(text, name, kind_names[kind]);
    } else {
        json_put_integer(text, name, AUDIT_LEAF_VERSION);
    }
}

static bool members_put(enum audit_kind kind, int64_t time_ms, const struct member *members,
                        size_t count, struct buffer *text, struct audit_leaf_places *places,
                        struct err *err)
{
    json_put_open(text);
    for (size_t i = 0; i < count && !text->failed; i++) {
        if (members[i].value == NULL) {
            own_put(kind, time_ms, members[i].name, text, places);
            continue;
        }
        json_put_name(text, members[i].name);
        if (!json_canonical(members[i].value, text, err)) {
            return false;
        }
    }
    json_put_close(text);
    if (text->no_memory) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
    }
    return !text->failed ||
           err_set(err, ERR_LIMIT, "a log entry is over %zu bytes", text->size_max);
}

bool audit_leaf_draft(enum audit_kind kind, int64_t time_ms, json_t *fields, struct buffer *text,
                      struct audit_leaf_places *places, struct err *err)
{
    struct member few[MEMBERS_FEW];
    assert((size_t)kind < KIND_COUNT && text->size == 0);
    if (fields != NULL && !fields_check(kind, fields, err)) {
        return false;
    }
    size_t count = OWN_COUNT + json_object_size(fields);
    struct member *many = count > MEMBERS_FEW ? heap_alloc_array(count, sizeof(*many)) : NULL;
    struct member *members = count > MEMBERS_FEW ? many : few;
    if (members == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
    }
    members_sort(fields, members, count);
    bool ok = members_put(kind, time_ms, members, count, text, places, err);
    heap_free(many);
    return ok;
}

bool audit_leaf_place(uint8_t *leaf, size_t *size, const struct audit_leaf_places *places,
                      uint64_t index, const uint8_t prev[static AUDIT_HASH_BYTES], struct err *err)
{
    char digits[24];
    char prev_hex[2 * AUDIT_HASH_BYTES + 1];
    assert(index <= AUDIT_INDEX_MAX && places->index < places->prev && places->prev < *size);
    size_t more = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, index) - 1;
    if (*size + more > AUDIT_LEAF_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "a log entry of %zu bytes is over the limit of %d",
                       *size + more, AUDIT_LEAF_BYTES_MAX);
    }
    text_hex_encode(bytes_of(prev, AUDIT_HASH_BYTES), prev_hex);
    memcpy(leaf + places->prev, prev_hex, sizeof(prev_hex) - 1);
    memmove(leaf + places->index + 1 + more, leaf + places->index + 1, *size - places->index - 1);
    memcpy(leaf + places->index, digits, more + 1);
    *size += more;
    return true;
}

bool audit_leaf_build(enum audit_kind kind, uint64_t index,
                      const uint8_t prev[static AUDIT_HASH_BYTES], int64_t time_ms, json_t *fields,
                      struct buffer *out, struct err *err)
{
    static const uint8_t room[AUDIT_INDEX_DIGITS_MAX] = {0};
    struct audit_leaf_places places;
    struct buffer text;
    bool ok = false;
    buffer_init(&text, AUDIT_DRAFT_BYTES_MAX + sizeof(room));
    if (!audit_leaf_draft(kind, time_ms, fields, &text, &places, err)) {
        goto out;
    }
    size_t size = text.size;
    buffer_append(&text, room, sizeof(room));
    if (text.failed) {
        err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
        goto out;
    }
    if (!audit_leaf_place(text.ptr, &size, &places, index, prev, err)) {
        goto out;
    }
    buffer_append(out, text.ptr, size);
    ok = !out->failed || err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
out:
    buffer_release(&text);
    return ok;
}

/* ---- reading ---- */

enum value_kind { VALUE_STRING, VALUE_INTEGER, VALUE_BOOLEAN, VALUE_INTEGERS };

struct value {
    enum value_kind kind;
    struct bytes text; /* a string's inside, as escaped; an integer's digits; an array's inside;
                        * nothing for a boolean */
};

static bool take_char(struct reader *reader, char wanted)
{
    if (reader_left(reader) == 0 || *reader->ptr != (uint8_t)wanted) {
        return false;
    }
    reader->ptr++;
    return true;
}

static bool take_word(struct reader *reader, const char *word)
{
    struct reader ahead = *reader;
    struct bytes got;
    if (!reader_take(&ahead, strlen(word), &got) || !bytes_equal(got, bytes_of_string(word))) {
        return false;
    }
    *reader = ahead;
    return true;
}

/* A string with an escape in it, character by character. */
static bool take_escaped(struct reader *reader, struct bytes *inside)
{
    const uint8_t *start = reader->ptr;
    for (;;) {
        uint8_t byte = 0;
        if (!reader_u8(reader, &byte) || byte < ' ') {
            return false;
        }
        if (byte == '"') {
            *inside = bytes_of(start, (size_t)(reader->ptr - start) - 1);
            return true;
        }
        if (byte == '\\' && !reader_u8(reader, &byte)) {
            return false;
        }
    }
}

/* Nearly all bytes of a log are inside of plain strings: the loop is one that compilers vectorize.
 */
static bool take_string(struct reader *reader, struct bytes *inside)
{
    if (!take_char(reader, '"')) {
        return false;
    }
    const uint8_t *start = reader->ptr;
    const uint8_t *end = memchr(start, '"', reader_left(reader));
    if (end == NULL) {
        return false;
    }
    size_t size = (size_t)(end - start);
    unsigned special = 0;
    for (size_t i = 0; i < size; i++) {
        special |= (unsigned)(start[i] < ' ') | (unsigned)(start[i] == '\\');
    }
    if (special != 0) {
        return take_escaped(reader, inside);
    }
    *inside = bytes_of(start, size);
    reader->ptr = end + 1;
    return true;
}

/* Digits, with the sign that JSON allows; no leading zero. */
static bool take_integer(struct reader *reader, struct bytes *digits)
{
    uint64_t magnitude = 0;
    const uint8_t *start = reader->ptr;
    bool negative = take_char(reader, '-');
    const uint8_t *first = reader->ptr;
    while (reader_left(reader) > 0 && *reader->ptr >= '0' && *reader->ptr <= '9') {
        reader->ptr++;
    }
    *digits = bytes_of(start, (size_t)(reader->ptr - start));
    return text_u64_decode((const char *)first, (size_t)(reader->ptr - first), &magnitude) &&
           magnitude <= AUDIT_INDEX_MAX && !(negative && magnitude == 0);
}

static bool take_integers(struct reader *reader, struct bytes *inside)
{
    struct bytes digits;
    if (!take_char(reader, '[')) {
        return false;
    }
    const uint8_t *start = reader->ptr;
    do {
        if (!take_integer(reader, &digits) || digits.ptr[0] == '-') {
            return false;
        }
    } while (take_char(reader, ','));
    *inside = bytes_of(start, (size_t)(reader->ptr - start));
    return take_char(reader, ']');
}

static bool take_value(struct reader *reader, struct value *out)
{
    if (reader_left(reader) == 0) {
        return false;
    }
    switch (*reader->ptr) {
    case '"':
        out->kind = VALUE_STRING;
        return take_string(reader, &out->text);
    case '[':
        out->kind = VALUE_INTEGERS;
        return take_integers(reader, &out->text);
    case 't':
    case 'f':
        out->kind = VALUE_BOOLEAN;
        return take_word(reader, "true") || take_word(reader, "false");
    default:
        out->kind = VALUE_INTEGER;
        return take_integer(reader, &out->text);
    }
}

static inline bool name_is(struct bytes name, const char *text)
{
    size_t size = strlen(text); /* known when this is compiled */
    return name.size == size && memcmp(name.ptr, text, size) == 0;
}

static bool value_u64(const struct value *value, uint64_t *out)
{
    return value->kind == VALUE_INTEGER &&
           text_u64_decode((const char *)value->text.ptr, value->text.size, out);
}

static void kind_find(struct bytes type, struct audit_leaf *leaf)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (name_is(type, kind_names[i])) {
            leaf->kind = (enum audit_kind)i;
            leaf->kind_is_known = true;
        }
    }
}

/* The members that every leaf has, as bits. */
enum { HAS_INDEX = 1, HAS_PREV = 2, HAS_TIME = 4, HAS_TYPE = 8, HAS_V = 16, HAS_ALL = 31 };

/* False if a member that means something here does not have its form. */
static bool member_use(struct bytes name, const struct value *value, struct audit_leaf *leaf,
                       unsigned *seen)
{
    const char *text = (const char *)value->text.ptr;
    size_t size = value->text.size;
    uint64_t version = 0;
    if (name_is(name, "index")) {
        *seen |= HAS_INDEX;
        return value_u64(value, &leaf->index);
    }
    if (name_is(name, "prev")) {
        *seen |= HAS_PREV;
        return value->kind == VALUE_STRING &&
               text_hex_decode(text, size, leaf->prev, sizeof(leaf->prev));
    }
    if (name_is(name, "time")) {
        *seen |= HAS_TIME;
        return value->kind == VALUE_STRING && clock_rfc3339_decode(text, size, &leaf->time_ms);
    }
    if (name_is(name, "type")) {
        *seen |= HAS_TYPE;
        if (value->kind != VALUE_STRING) {
            return false;
        }
        leaf->type = value->text;
        kind_find(value->text, leaf);
        return true;
    }
    if (name_is(name, "v")) {
        *seen |= HAS_V;
        return value_u64(value, &version) && version == AUDIT_LEAF_VERSION;
    }
    if (name_is(name, "admit")) {
        leaf->has_admit = value_u64(value, &leaf->admit);
    } else if (name_is(name, "admits") && value->kind == VALUE_INTEGERS) {
        leaf->admits = value->text;
    }
    return true;
}

static bool name_rises(struct bytes before, struct bytes name)
{
    size_t common = before.size < name.size ? before.size : name.size;
    int order = common == 0 ? 0 : memcmp(before.ptr, name.ptr, common);
    return order < 0 || (order == 0 && before.size < name.size);
}

static bool members_take(struct reader *reader, struct audit_leaf *leaf, const char **why)
{
    struct bytes before = bytes_of(NULL, 0);
    unsigned seen = 0;
    do {
        struct bytes name;
        struct value value = {0};
        if (!take_string(reader, &name) || !take_char(reader, ':') || !take_value(reader, &value)) {
            *why = "it is not a canonical JSON object";
            return false;
        }
        if (!name_rises(before, name)) {
            *why = "its members are not in order";
            return false;
        }
        if (!member_use(name, &value, leaf, &seen)) {
            *why = "a member has a value that it cannot have";
            return false;
        }
        before = name;
    } while (take_char(reader, ','));
    if (seen != HAS_ALL) {
        *why = "it lacks one of index, prev, time, type, v";
        return false;
    }
    return true;
}

bool audit_leaf_parse(struct bytes leaf, struct audit_leaf *out, const char **why)
{
    struct audit_leaf parsed = {0};
    struct reader reader = reader_of(leaf);
    if (leaf.size > AUDIT_LEAF_BYTES_MAX) {
        *why = "it is longer than a log entry can be";
        return false;
    }
    if (!take_char(&reader, '{')) {
        *why = "it is not a canonical JSON object";
        return false;
    }
    if (!members_take(&reader, &parsed, why)) {
        return false;
    }
    if (!take_char(&reader, '}') || reader_left(&reader) != 0) {
        *why = "it is not a canonical JSON object";
        return false;
    }
    if (parsed.kind_is_known && ((parsed.kind == AUDIT_RESULT && !parsed.has_admit) ||
                                 (parsed.kind == AUDIT_RECOVERED && parsed.admits.size == 0))) {
        *why = "it does not name the ADMIT that it belongs to";
        return false;
    }
    *out = parsed;
    return true;
}

bool audit_leaf_next_admit(struct bytes *admits, uint64_t *index)
{
    struct reader reader = reader_of(*admits);
    struct bytes digits;
    if (!take_integer(&reader, &digits)) {
        return false;
    }
    (void)take_char(&reader, ',');
    *admits = bytes_of(reader.ptr, reader_left(&reader));
    return text_u64_decode((const char *)digits.ptr, digits.size, index);
}
