/* json_filter.c: keeps those objects of a JSON array that have a member with a given value.
 *
 *   filter(string array, string name, string value) -> string: a JSON array
 *   count(string array, string name, string value) -> i32: how many it would keep
 *
 * `value` is JSON text itself ("\"open\"", "42", "true") and is compared byte for byte; kept
 * objects are copied as they were written. Traps on text that is not an array of objects.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "guest.h"

struct cursor {
    const char *at, *end;
};

struct span {
    const char *ptr;
    size_t size;
};

static bool span_equal(struct span a, struct span b)
{
    if (a.size != b.size) {
        return false;
    }
    for (size_t index = 0; index < a.size; index++) {
        if (a.ptr[index] != b.ptr[index]) {
            return false;
        }
    }
    return true;
}

static char peek(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' ||
                                        *cursor->at == '\r' || *cursor->at == '\t')) {
        cursor->at++;
    }
    if (cursor->at == cursor->end) {
        __builtin_trap();
    }
    return *cursor->at;
}

static void expect(struct cursor *cursor, char c)
{
    if (peek(cursor) != c) {
        __builtin_trap();
    }
    cursor->at++;
}

/* What is between the quotes, escapes left as they are. */
static struct span read_string(struct cursor *cursor)
{
    expect(cursor, '"');
    const char *start = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        cursor->at += *cursor->at == '\\' ? 2 : 1;
    }
    if (cursor->at >= cursor->end) {
        __builtin_trap();
    }
    return (struct span){start, (size_t)(cursor->at++ - start)};
}

static bool is_scalar(char c)
{
    return c != ',' && c != ']' && c != '}' && c != ' ' && c != '\n' && c != '\r' && c != '\t';
}

/* Any value, as it is written. Nesting is counted, not recursed into. */
static struct span read_value(struct cursor *cursor)
{
    (void)peek(cursor);
    const char *start = cursor->at;
    size_t depth = 0;
    do {
        char c = peek(cursor);
        if (c == '"') {
            (void)read_string(cursor);
        } else if (c == '{' || c == '[') {
            depth++;
            cursor->at++;
        } else if (c == '}' || c == ']') {
            if (depth-- == 0) {
                __builtin_trap();
            }
            cursor->at++;
        } else if (depth > 0 && (c == ',' || c == ':')) {
            cursor->at++;
        } else {
            const char *scalar = cursor->at;
            while (cursor->at < cursor->end && is_scalar(*cursor->at) &&
                   !(depth > 0 && *cursor->at == ':')) {
                cursor->at++;
            }
            if (cursor->at == scalar) {
                __builtin_trap();
            }
        }
    } while (depth > 0);
    return (struct span){start, (size_t)(cursor->at - start)};
}

/* Reads one object; true if the wanted member has the wanted value. */
static bool read_object(struct cursor *cursor, struct span name, struct span value)
{
    bool matches = false;
    expect(cursor, '{');
    if (peek(cursor) == '}') {
        cursor->at++;
        return false;
    }
    for (;;) {
        struct span member = read_string(cursor);
        expect(cursor, ':');
        struct span content = read_value(cursor);
        matches |= span_equal(member, name) && span_equal(content, value);
        if (peek(cursor) == '}') {
            cursor->at++;
            return matches;
        }
        expect(cursor, ',');
    }
}

/* Walks the array; kept objects go to `out` unless it is NULL. */
static int32_t walk(struct cursor cursor, struct span name, struct span value, struct text *out)
{
    int32_t kept = 0;
    expect(&cursor, '[');
    if (peek(&cursor) == ']') {
        return 0;
    }
    for (;;) {
        (void)peek(&cursor);
        const char *start = cursor.at;
        if (read_object(&cursor, name, value)) {
            if (out != NULL && kept > 0) {
                text_char(out, ',');
            }
            if (out != NULL) {
                text_bytes(out, start, (size_t)(cursor.at - start));
            }
            kept++;
        }
        if (peek(&cursor) == ']') {
            return kept;
        }
        expect(&cursor, ',');
    }
}

EXPORT("filter")
int64_t filter(const char *array, size_t array_size, const char *name, size_t name_size,
               const char *value, size_t value_size)
{
    struct text out = text_new();
    text_char(&out, '[');
    (void)walk((struct cursor){array, array + array_size}, (struct span){name, name_size},
               (struct span){value, value_size}, &out);
    text_char(&out, ']');
    return text_result(out);
}

EXPORT("count")
int32_t count(const char *array, size_t array_size, const char *name, size_t name_size,
              const char *value, size_t value_size)
{
    return walk((struct cursor){array, array + array_size}, (struct span){name, name_size},
                (struct span){value, value_size}, NULL);
}
