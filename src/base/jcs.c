/* jcs.c: the JSON Canonicalization Scheme, RFC 8785.
 *
 * Members are sorted by the UTF-16 code units of their names (section 3.2.3), strings escape only
 * what must be (3.2.2.2), numbers are written as ECMAScript's Number::toString does (3.2.2.3): the
 * shortest digits that read back as the same double. Recursion is bounded: json_text_parse allows
 * JSON_DEPTH_MAX levels, and what the program builds itself is flat.
 *
 * json_write shares all of it but the order of members and the bound on integers: plain JSON whose
 * numbers are as short as they can be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#include "base/arena.h"
#include "base/text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JCS_INTEGER_BITS = 53,
    JCS_DIGITS_SURE = 15,
    JCS_DIGITS_MAX = 17,
    JCS_DECIMAL_CHARS = 20,
    JCS_FEW_MEMBERS = 16,
};

/* What is written for a byte that cannot stand for itself. */
static void jcs_escape(struct buffer *out, uint8_t byte)
{
    static const char short_escapes[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char letter = 0;
    if (byte == '"' || byte == '\\') {
        letter = (char)byte;
    } else if (byte < sizeof(short_escapes)) {
        letter = short_escapes[byte];
    }
    if (letter != 0) {
        buffer_append(out, (const char[]){'\\', letter}, 2);
    } else {
        buffer_printf(out, "\\u%04x", byte);
    }
}

/* Bytes in all eight places. */
#define JCS_EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of eight bytes may be less than `least` (at most 128); for sure if none is. */
static uint64_t jcs_any_less(uint64_t eight, uint64_t least)
{
    return (eight - JCS_EIGHT(least)) & ~eight & JCS_EIGHT(0x80);
}

/* How many bytes at the beginning stand for themselves; not all of them, maybe. */
static size_t jcs_plain(const char *text, size_t size)
{
    size_t done = 0;
    for (uint64_t eight; size - done >= sizeof(eight); done += sizeof(eight)) {
        (void)memcpy(&eight, text + done, sizeof(eight));
        if ((jcs_any_less(eight, 0x20) | jcs_any_less(eight ^ JCS_EIGHT('"'), 1) |
             jcs_any_less(eight ^ JCS_EIGHT('\\'), 1)) != 0) {
            break;
        }
    }
    return done;
}

static void jcs_contents(struct buffer *out, const char *text, size_t size)
{
    size_t run = 0; /* where what stands for itself begins */
    for (size_t i = jcs_plain(text, size); i < size; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            buffer_append(out, text + run, i - run);
            jcs_escape(out, byte);
            run = i + 1;
            i += jcs_plain(text + run, size - run);
        }
    }
    buffer_append(out, text + run, size - run);
}

static void jcs_string(struct buffer *out, const char *text, size_t size)
{
    buffer_append_u8(out, '"');
    jcs_contents(out, text, size);
    buffer_append_u8(out, '"');
}

/* How many digits it has. */
static size_t jcs_decimal(uint64_t value, char out[static JCS_DECIMAL_CHARS])
{
    char reversed[JCS_DECIMAL_CHARS];
    size_t size = 0;
    do {
        reversed[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < size; i++) {
        out[i] = reversed[size - 1 - i];
    }
    return size;
}

/* Thousandths, which is what milliseconds are to us: among decimals of at most 15 digits there is
 * only one that reads back as the same double. */
static bool jcs_thousandths(double value, char digits[static JCS_DIGITS_MAX + 1], int *exponent)
{
    if (value >= 1e9) {
        return false;
    }
    uint64_t count = (uint64_t)(value * 1000 + 0.5);
    if (count == 0 || (double)count / 1000 != value) {
        return false;
    }
    char text[JCS_DECIMAL_CHARS];
    size_t size = jcs_decimal(count, text);
    *exponent = (int)size - 3;
    while (text[size - 1] == '0') {
        size--;
    }
    memcpy(digits, text, size);
    digits[size] = 0;
    return true;
}

/* The shortest decimal digits that read back as `value` (> 0): digits without point, and the
 * exponent n of 0.DIGITS * 10^n. Any JCS_DIGITS_SURE digits survive in a normal double: where fewer
 * do, those are the ones with zeros at the end. */
static int jcs_shortest_digits(double value, char digits[static JCS_DIGITS_MAX + 1])
{
    char text[40];
    int exponent_of_thousandths = 0;
    if (jcs_thousandths(value, digits, &exponent_of_thousandths)) {
        return exponent_of_thousandths;
    }
    int first = value >= DBL_MIN ? JCS_DIGITS_SURE - 1 : 0;
    for (int precision = first; precision < JCS_DIGITS_MAX; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    char *exponent = strchr(text, 'e');
    size_t count = 0;
    for (const char *at = text; at < exponent && count < JCS_DIGITS_MAX; at++) {
        if (*at != '.') {
            digits[count++] = *at;
        }
    }
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    digits[count] = 0;
    return (int)strtol(exponent + 1, NULL, 10) + 1;
}

static void jcs_append_decimal(struct buffer *out, uint64_t value)
{
    char digits[JCS_DECIMAL_CHARS];
    buffer_append(out, digits, jcs_decimal(value, digits));
}

static void jcs_append_signed(struct buffer *out, int64_t value)
{
    if (value < 0) {
        buffer_append_u8(out, '-');
    }
    jcs_append_decimal(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void jcs_repeat_zero(struct buffer *out, int count)
{
    for (int i = 0; i < count; i++) {
        buffer_append_u8(out, '0');
    }
}

/* ECMA-262 Number::toString, radix 10. */
static void jcs_real(struct buffer *out, double value)
{
    if (value == 0) {
        buffer_append_u8(out, '0');
        return;
    }
    if (value < 0) {
        buffer_append_u8(out, '-');
        value = -value;
    }
    char digits[JCS_DIGITS_MAX + 1];
    int n = jcs_shortest_digits(value, digits);
    int k = (int)strlen(digits);
    if (k <= n && n <= 21) {
        buffer_append_string(out, digits);
        jcs_repeat_zero(out, n - k);
    } else if (0 < n && n <= 21) {
        buffer_printf(out, "%.*s.%s", n, digits, digits + n);
    } else if (-6 < n && n <= 0) {
        buffer_append_string(out, "0.");
        jcs_repeat_zero(out, -n);
        buffer_append_string(out, digits);
    } else {
        buffer_printf(out, k == 1 ? "%.1s%s" : "%.1s.%s", digits, digits + 1);
        buffer_printf(out, "e%+d", n - 1);
    }
}

struct jcs {
    struct buffer *out;
    struct err *err;
    bool canonical;
};

static bool jcs_integer(struct jcs *jcs, json_int_t value)
{
    const json_int_t limit = ((json_int_t)1 << JCS_INTEGER_BITS) - 1;
    if (jcs->canonical && (value > limit || value < -limit)) {
        return err_set(jcs->err, ERR_FORMAT,
                       "the integer %" JSON_INTEGER_FORMAT
                       " is beyond 2^53 - 1: it must travel as a string",
                       value);
    }
    jcs_append_signed(jcs->out, value);
    return true;
}

struct jcs_member {
    const char *name;
    const json_t *value;
};

/* Orders UTF-8 texts by their UTF-16 code units: as bytes, except that U+E000..U+FFFF (lead EE, EF)
 * come after the supplementary planes (lead F0..F4), whose first code unit is a surrogate below
 * E000. */
static int jcs_compare(const void *a, const void *b)
{
    const uint8_t *left = (const uint8_t *)((const struct jcs_member *)a)->name;
    const uint8_t *right = (const uint8_t *)((const struct jcs_member *)b)->name;
    while (*left == *right && *left != 0) {
        left++;
        right++;
    }
    bool left_high = *left >= 0xee && *left <= 0xef;
    bool right_high = *right >= 0xee && *right <= 0xef;
    if (left_high != right_high && *left >= 0xee && *right >= 0xee) {
        return left_high ? 1 : -1;
    }
    return (int)*left - (int)*right;
}

static bool jcs_value(struct jcs *jcs, const json_t *value, int depth);

static bool jcs_members(struct jcs *jcs, const struct jcs_member *members, size_t count, int depth)
{
    buffer_append_u8(jcs->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buffer_append_u8(jcs->out, ',');
        }
        jcs_string(jcs->out, members[i].name, strlen(members[i].name));
        buffer_append_u8(jcs->out, ':');
        if (!jcs_value(jcs, members[i].value, depth + 1)) {
            return false;
        }
    }
    buffer_append_u8(jcs->out, '}');
    return true;
}

static bool jcs_object(struct jcs *jcs, const json_t *object, int depth)
{
    struct jcs_member few[JCS_FEW_MEMBERS];
    size_t count = json_object_size(object);
    struct jcs_member *many =
        count > JCS_FEW_MEMBERS ? heap_alloc_array(count, sizeof(*many)) : NULL;
    struct jcs_member *members = count > JCS_FEW_MEMBERS ? many : few;
    if (members == NULL) {
        return err_set(jcs->err, ERR_NO_MEMORY, "no memory to sort %zu members", count);
    }
    size_t filled = 0;
    const char *name;
    json_t *value;
    json_t *walked = (json_t *)(uintptr_t)object; /* jansson's iterators want a mutable object */
    json_object_foreach (walked, name, value) {
        members[filled++] = (struct jcs_member){name, value};
    }
    if (jcs->canonical) {
        qsort(members, count, sizeof(*members), jcs_compare);
    }
    bool ok = jcs_members(jcs, members, count, depth);
    heap_free(many);
    return ok;
}

static bool jcs_array(struct jcs *jcs, const json_t *array, int depth)
{
    buffer_append_u8(jcs->out, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0) {
            buffer_append_u8(jcs->out, ',');
        }
        if (!jcs_value(jcs, json_array_get(array, i), depth + 1)) {
            return false;
        }
    }
    buffer_append_u8(jcs->out, ']');
    return true;
}

static bool jcs_value(struct jcs *jcs, const json_t *value, int depth)
{
    if (depth > JSON_DEPTH_MAX) {
        return err_set(jcs->err, ERR_FORMAT, "JSON nests deeper than %d levels", JSON_DEPTH_MAX);
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return jcs_object(jcs, value, depth);
    case JSON_ARRAY:
        return jcs_array(jcs, value, depth);
    case JSON_STRING:
        jcs_string(jcs->out, json_string_value(value), json_string_length(value));
        return true;
    case JSON_INTEGER:
        return jcs_integer(jcs, json_integer_value(value));
    case JSON_REAL:
        jcs_real(jcs->out, json_real_value(value));
        return true;
    case JSON_TRUE:
        buffer_append_string(jcs->out, "true");
        return true;
    case JSON_FALSE:
        buffer_append_string(jcs->out, "false");
        return true;
    case JSON_NULL:
        buffer_append_string(jcs->out, "null");
        return true;
    }
    return err_set(jcs->err, ERR_FORMAT, "a JSON value of no known type");
}

static bool jcs_write(const json_t *value, bool canonical, struct buffer *out, struct err *err)
{
    struct jcs jcs = {out, err, canonical};
    if (!jcs_value(&jcs, value, 1)) {
        return false;
    }
    if (out->no_memory) {
        return err_set(err, ERR_NO_MEMORY, "no memory for JSON");
    }
    if (out->failed) {
        return err_set(err, ERR_LIMIT, "JSON is over %zu bytes", out->size_max);
    }
    return true;
}

bool json_canonical(const json_t *value, struct buffer *out, struct err *err)
{
    return jcs_write(value, true, out, err);
}

bool json_write(const json_t *value, struct buffer *out, struct err *err)
{
    return jcs_write(value, false, out, err);
}

/* ---- member by member ---- */

void json_put_open(struct buffer *out)
{
    buffer_append_u8(out, '{');
}

void json_put_close(struct buffer *out)
{
    buffer_append_u8(out, '}');
}

void json_put_name(struct buffer *out, const char *name)
{
    if (out->size > 0 && out->ptr[out->size - 1] != '{') {
        buffer_append_u8(out, ',');
    }
    jcs_string(out, name, strlen(name));
    buffer_append_u8(out, ':');
}

void json_put_string(struct buffer *out, const char *name, const char *text)
{
    json_put_text(out, name, bytes_of_string(text));
}

void json_put_text(struct buffer *out, const char *name, struct bytes text)
{
    json_put_name(out, name);
    jcs_string(out, (const char *)text.ptr, text.size);
}

void json_put_piece(struct buffer *out, struct bytes text)
{
    jcs_contents(out, (const char *)text.ptr, text.size);
}

void json_put_integer(struct buffer *out, const char *name, int64_t value)
{
    json_put_name(out, name);
    jcs_append_signed(out, value);
}

void json_put_thousandths(struct buffer *out, const char *name, uint64_t thousandths)
{
    char fraction[] = {'.', '0', '0', '0'};
    uint64_t rest = thousandths % 1000;
    size_t size = rest == 0 ? 0 : rest % 100 == 0 ? 2 : rest % 10 == 0 ? 3 : 4;
    json_put_integer(out, name, (int64_t)(thousandths / 1000));
    fraction[1] = (char)('0' + rest / 100);
    fraction[2] = (char)('0' + rest / 10 % 10);
    fraction[3] = (char)('0' + rest % 10);
    buffer_append(out, fraction, size);
}

/* Lets `write` fill in what is known to take `size` characters, a NUL behind them. */
static void put_encoded(struct buffer *out, const char *name, size_t size, struct bytes bytes,
                        void (*write)(struct bytes bytes, char *text))
{
    json_put_name(out, name);
    buffer_append_u8(out, '"');
    char *text = (char *)buffer_extend(out, size);
    if (text != NULL) {
        write(bytes, text);
    }
    buffer_append_u8(out, '"');
}

void json_put_hex(struct buffer *out, const char *name, struct bytes bytes)
{
    put_encoded(out, name, 2 * bytes.size, bytes, text_hex_encode);
}

void json_put_base64(struct buffer *out, const char *name, struct bytes bytes)
{
    put_encoded(out, name, text_base64_encoded_size(bytes.size), bytes, text_base64_encode);
}

void json_put_json(struct buffer *out, const char *name, struct bytes json)
{
    json_put_name(out, name);
    buffer_append_bytes(out, json);
}
