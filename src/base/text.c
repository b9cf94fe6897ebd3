/* text.c: hexadecimal, base64, UUID, UTF-8, decimal.
 *
 * None of it is secret-dependent in a way that matters: keys are never kept as text. Base64 works
 * on whole groups with two 256-entry tables, since a program of a megabyte arrives in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"

#include <string.h>

static const char text_hex_digits[] = "0123456789abcdef";

void text_hex_encode(struct bytes in, char *out)
{
    for (size_t i = 0; i < in.size; i++) {
        out[2 * i] = text_hex_digits[in.ptr[i] >> 4];
        out[2 * i + 1] = text_hex_digits[in.ptr[i] & 15];
    }
    out[2 * in.size] = 0;
}

/* A digit's value + 1; 0: it is none. */
static const uint8_t text_hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool text_hex_decode(const char *text, size_t text_size, uint8_t *out, size_t size)
{
    if (text_size != 2 * size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned high = text_hex_values[(uint8_t)text[2 * i]];
        unsigned low = text_hex_values[(uint8_t)text[2 * i + 1]];
        if (high == 0 || low == 0) {
            return false;
        }
        out[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return true;
}

static const char text_base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t text_base64_encoded_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

void text_base64_encode(struct bytes in, char *out)
{
    const uint8_t *at = in.ptr;
    size_t left = in.size;
    for (; left >= 3; left -= 3, at += 3, out += 4) {
        uint32_t group = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        out[0] = text_base64_alphabet[group >> 18];
        out[1] = text_base64_alphabet[group >> 12 & 63];
        out[2] = text_base64_alphabet[group >> 6 & 63];
        out[3] = text_base64_alphabet[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)at[0] << 16 | (left == 2 ? (uint32_t)at[1] << 8 : 0);
        out[0] = text_base64_alphabet[group >> 18];
        out[1] = text_base64_alphabet[group >> 12 & 63];
        out[2] = left == 2 ? text_base64_alphabet[group >> 6 & 63] : '=';
        out[3] = '=';
        out += 4;
    }
    *out = 0;
}

enum { TEXT_BASE64_BAD = 64 };

/* The value of each byte of the alphabet plus one; 0 is outside. */
static const uint8_t text_base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* Four characters to 24 bits; false if one is outside the alphabet. */
static bool text_base64_group(const char *text, uint32_t *out)
{
    uint32_t group = 0;
    uint32_t bad = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = (uint32_t)text_base64_values[(uint8_t)text[i]] - 1;
        bad |= value;
        group = group << 6 | (value & 63);
    }
    *out = group;
    return bad < TEXT_BASE64_BAD;
}

/* The last group, which may end in one or two '='. */
static bool text_base64_tail(const char *text, uint8_t *out, size_t *size)
{
    char padded[4];
    (void)memcpy(padded, text, 4);
    size_t count = 3;
    if (padded[3] == '=') {
        padded[3] = 'A';
        count = 2;
        if (padded[2] == '=') {
            padded[2] = 'A';
            count = 1;
        }
    }
    uint32_t group;
    if (!text_base64_group(padded, &group)) {
        return false;
    }
    if ((group & ((1U << (8 * (3 - count))) - 1)) != 0) {
        return false; /* spare bits must be zero: one text for one value */
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = (uint8_t)(group >> (16 - 8 * i));
    }
    *size = count;
    return true;
}

bool text_base64_decode(const char *text, size_t text_size, uint8_t *out, size_t *out_size)
{
    if (text_size % 4 != 0) {
        return false;
    }
    if (text_size == 0) {
        *out_size = 0;
        return true;
    }
    uint8_t *at = out;
    size_t position = 0;
    for (; position + 4 < text_size; position += 4, at += 3) {
        uint32_t group;
        if (!text_base64_group(text + position, &group)) {
            return false;
        }
        at[0] = (uint8_t)(group >> 16);
        at[1] = (uint8_t)(group >> 8);
        at[2] = (uint8_t)group;
    }
    size_t tail;
    if (!text_base64_tail(text + position, at, &tail)) {
        return false;
    }
    *out_size = (size_t)(at - out) + tail;
    return true;
}

void text_uuid_encode(const uint8_t uuid[static TEXT_UUID_BYTES],
                      char out[static TEXT_UUID_CHARS + 1])
{
    char *at = out;
    for (size_t i = 0; i < TEXT_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *at++ = '-';
        }
        text_hex_encode(bytes_of(&uuid[i], 1), at);
        at += 2;
    }
}

bool text_uuid_decode(const char *text, size_t text_size, uint8_t out[static TEXT_UUID_BYTES])
{
    if (text_size != TEXT_UUID_CHARS) {
        return false;
    }
    uint8_t uuid[TEXT_UUID_BYTES];
    const char *at = text;
    for (size_t i = 0; i < TEXT_UUID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-') {
            return false;
        }
        if (!text_hex_decode(at, 2, &uuid[i], 1)) {
            return false;
        }
        at += 2;
    }
    if (uuid[6] >> 4 != 4 || uuid[8] >> 6 != 2) {
        return false;
    }
    (void)memcpy(out, uuid, sizeof(uuid));
    return true;
}

/* The length of the well-formed sequence at `at` (Unicode 15, table 3-7), or 0. */
static size_t text_utf8_sequence(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < length) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (at[i] >> 6 != 2) {
            return 0;
        }
    }
    return length;
}

bool text_is_utf8(struct bytes in)
{
    for (size_t position = 0; position < in.size;) {
        size_t length = text_utf8_sequence(in.ptr + position, in.size - position);
        if (length == 0) {
            return false;
        }
        position += length;
    }
    return true;
}

void text_utf8_mend(char *text)
{
    size_t size = strlen(text);
    for (size_t position = 0; position < size;) {
        size_t length = text_utf8_sequence((const uint8_t *)text + position, size - position);
        if (length == 0) {
            text[position] = '?';
            length = 1;
        }
        position += length;
    }
}

bool text_u64_decode(const char *text, size_t text_size, uint64_t *out)
{
    if (text_size == 0 || (text_size > 1 && text[0] == '0')) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text_size; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return true;
}
