/* json_parser.c: JSON text to jansson's values (RFC 8259), in pieces of any size.
 *
 * jansson's own loader takes a text at once, ten nanoseconds for each byte: a quarter of a second
 * for the largest request. This one keeps all its state in a struct and goes on where it was. What
 * it accepts, and the value that it makes of it, are jansson's (fuzz_base_json compares): strict
 * UTF-8, no NUL in strings, no duplicate members, no integers over 64 bits.
 *
 * Containers that are open lie on a stack of JSON_DEPTH_MAX. A string is scanned to its end, which
 * may take many steps; if nothing in it is escaped, it is then copied from the text, or, if it is a
 * long one (enum json_longs), not copied at all.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_BYTES_MAX = 1000,
    VALUE_BYTES = 64, /* what making a value costs, in bytes of a string */
};

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* after '[' */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* after '{' */
    EXPECT_COLON,
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING, /* the value is complete */
};

struct level {
    json_t *container;
    char *key; /* of the member that comes next; an object's */
};

struct json_parser {
    struct reader reader;
    enum json_longs mode;
    enum expect expect;
    size_t depth;
    size_t count; /* of commas and opening brackets */
    json_t *value;
    struct level levels[JSON_DEPTH_MAX];

    bool in_string;
    bool is_key;
    const uint8_t *string; /* its first byte; later: the first that is not in `unescaped` yet */
    bool has_escapes;
    struct buffer unescaped;

    const char *reason; /* why it is no JSON */
    bool has_no_memory;
    struct json_long longs[JSON_LONGS_MAX];
    struct buffer kept[JSON_LONGS_MAX]; /* of those with escapes */
    size_t long_count;
    size_t copied; /* bytes of the other strings */
};

static bool bad(struct json_parser *parser, const char *reason)
{
    parser->reason = reason;
    return false;
}

static bool no_memory(struct json_parser *parser)
{
    parser->has_no_memory = true;
    return false;
}

static uint8_t byte_at(const struct json_parser *parser, size_t offset)
{
    const struct reader *reader = &parser->reader;
    return offset < reader_left(reader) ? reader->ptr[offset] : 0;
}

static void skip(struct json_parser *parser, size_t size)
{
    parser->reader.ptr += size;
}

/* ---- values ---- */

/* Puts a value, which is stolen, where it belongs. */
static bool put_value(struct json_parser *parser, json_t *value)
{
    if (value == NULL) {
        return no_memory(parser);
    }
    if (parser->depth == 0) {
        parser->value = value;
        parser->expect = EXPECT_NOTHING;
        return true;
    }
    struct level *level = &parser->levels[parser->depth - 1];
    parser->expect = EXPECT_COMMA_OR_END;
    if (json_is_array(level->container)) {
        return json_array_append_new(level->container, value) == 0 || no_memory(parser);
    }
    bool ok = json_object_set_new_nocheck(level->container, level->key, value) == 0;
    heap_free_wiped(level->key);
    level->key = NULL;
    return ok || no_memory(parser);
}

static bool open_container(struct json_parser *parser, json_t *container, enum expect expect)
{
    if (container == NULL) {
        return no_memory(parser);
    }
    parser->levels[parser->depth++] = (struct level){.container = container};
    parser->expect = expect;
    return true;
}

static bool close_container(struct json_parser *parser)
{
    struct level *level = &parser->levels[--parser->depth];
    json_t *container = level->container;
    *level = (struct level){0};
    return put_value(parser, container);
}

/* ---- strings ---- */

/* The size of the UTF-8 sequence of two to four bytes at `at`; 0 if it is none. */
static size_t sequence_size(const uint8_t *at, size_t left)
{
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    struct bytes sequence = bytes_of(at, size);
    return size <= left && at[0] >= 0xc2 && text_is_utf8(sequence) ? size : 0;
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Of eight bytes, whether all are plain: each test sets the highest bit of a byte that is not. */
static bool are_plain(const uint8_t *at)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t tops = 0x8080808080808080u;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t quote = word ^ ones * '"';
    uint64_t slash = word ^ ones * '\\';
    return (((word - ones * 0x20) | (quote - ones) | (slash - ones) | word) & tops) == 0;
}

static bool hex4(const struct json_parser *parser, size_t offset, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t byte = byte_at(parser, offset + i);
        uint32_t digit = byte >= '0' && byte <= '9'   ? byte - '0'
                         : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                         : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                                      : 16;
        if (digit == 16) {
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

static void append_code_point(struct buffer *out, uint32_t code)
{
    if (code < 0x80) {
        buffer_append_u8(out, (uint8_t)code);
    } else if (code < 0x800) {
        buffer_append_u8(out, (uint8_t)(0xc0 | code >> 6));
        buffer_append_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        buffer_append_u8(out, (uint8_t)(0xe0 | code >> 12));
        buffer_append_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buffer_append_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        buffer_append_u8(out, (uint8_t)(0xf0 | code >> 18));
        buffer_append_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        buffer_append_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        buffer_append_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

/* \uXXXX, or two of them that are a surrogate pair; at the backslash. */
static bool read_unicode(struct json_parser *parser)
{
    uint32_t code, low;
    size_t size = 6;
    if (!hex4(parser, 2, &code)) {
        return bad(parser, "a \\u without four hexadecimal digits");
    }
    if (code >= 0xd800 && code < 0xdc00) {
        bool is_pair = byte_at(parser, 6) == '\\' && byte_at(parser, 7) == 'u' &&
                       hex4(parser, 8, &low) && low >= 0xdc00 && low < 0xe000;
        if (!is_pair) {
            return bad(parser, "half of a surrogate pair");
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        size = 12;
    } else if (code >= 0xdc00 && code < 0xe000) {
        return bad(parser, "half of a surrogate pair");
    }
    if (code == 0) {
        return bad(parser, "NUL in a string");
    }
    append_code_point(&parser->unescaped, code);
    skip(parser, size);
    return true;
}

static bool read_escape(struct json_parser *parser)
{
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    const uint8_t *begin = parser->string;
    size_t size = (size_t)(parser->reader.ptr - begin);
    parser->has_escapes = true;
    if (parser->unescaped.size + size >= JSON_LONG_BYTES_MIN) {
        buffer_expect(&parser->unescaped, size + reader_left(&parser->reader)); /* never again */
    }
    buffer_append(&parser->unescaped, begin, size);
    uint8_t letter = byte_at(parser, 1);
    const char *name = letter == 0 ? NULL : strchr(names, letter);
    if (letter == 'u') {
        if (!read_unicode(parser)) {
            return false;
        }
    } else if (name != NULL) {
        buffer_append_u8(&parser->unescaped, (uint8_t)bytes[name - names]);
        skip(parser, 2);
    } else {
        return bad(parser, "an unknown escape");
    }
    parser->string = parser->reader.ptr;
    return true;
}

/* What the string is, up to its closing quote: valid until the next one. */
static bool string_text(struct json_parser *parser, struct bytes *out)
{
    size_t size = (size_t)(parser->reader.ptr - parser->string);
    *out = bytes_of(parser->string, size);
    if (parser->has_escapes) {
        buffer_append(&parser->unescaped, parser->string, size);
        *out = buffer_bytes(&parser->unescaped);
    }
    return !parser->unescaped.failed ||
           (parser->unescaped.size_max > SIZE_MAX / 4 ? no_memory(parser)
                                                      : bad(parser, "a string that is too long"));
}

static bool put_key(struct json_parser *parser, struct bytes text)
{
    struct level *level = &parser->levels[parser->depth - 1];
    level->key = heap_alloc(text.size + 1);
    if (level->key == NULL) {
        return no_memory(parser);
    }
    if (text.size > 0) {
        memcpy(level->key, text.ptr, text.size);
    }
    if (json_object_get(level->container, level->key) != NULL) {
        return bad(parser, "a duplicate member");
    }
    parser->expect = EXPECT_COLON;
    return true;
}

/* May it be copied? */
static bool count_copy(struct json_parser *parser, struct bytes text)
{
    parser->copied += text.size;
    return parser->mode != JSON_LONG_MEMBERS || parser->copied <= JSON_COPIED_BYTES_MAX ||
           bad(parser, "strings that are too long");
}

static bool is_long(const struct json_parser *parser, struct bytes text)
{
    bool is_member =
        !parser->has_escapes && parser->depth == 1 && json_is_object(parser->levels[0].container);
    return text.size >= JSON_LONG_BYTES_MIN && parser->long_count < JSON_LONGS_MAX &&
           (parser->mode == JSON_LONGS_ANYWHERE ||
            (parser->mode == JSON_LONG_MEMBERS && is_member));
}

static bool put_string(struct json_parser *parser, struct bytes text)
{
    const char *chars = text.size == 0 ? "" : (const char *)text.ptr;
    if (!is_long(parser, text)) {
        return count_copy(parser, text) &&
               put_value(parser, json_stringn_nocheck(chars, text.size));
    }
    json_t *stand_in = json_string_nocheck("");
    if (parser->has_escapes) {
        parser->kept[parser->long_count] = parser->unescaped;
        buffer_init(&parser->unescaped, 0); /* transferred */
    }
    parser->longs[parser->long_count++] = (struct json_long){stand_in, text};
    return put_value(parser, stand_in);
}

/* Only what was written is wiped: the rest of the room that a long one took was never touched, and
 * touching it now would take longer than a piece may. */
static void text_release(struct buffer *text)
{
    memory_wipe(text->ptr, text->size);
    buffer_release(text);
}

static bool end_string(struct json_parser *parser)
{
    struct bytes text;
    if (!string_text(parser, &text)) {
        return false;
    }
    skip(parser, 1);
    parser->in_string = false;
    bool ok = parser->is_key ? count_copy(parser, text) && put_key(parser, text)
                             : put_string(parser, text);
    text_release(&parser->unescaped);
    return ok;
}

static bool begin_string(struct json_parser *parser, bool is_key)
{
    skip(parser, 1);
    parser->in_string = true;
    parser->is_key = is_key;
    parser->has_escapes = false;
    parser->string = parser->reader.ptr;
    buffer_init(&parser->unescaped,
                parser->mode != JSON_LONG_MEMBERS ? SIZE_MAX / 2 : (size_t)JSON_COPIED_BYTES_MAX);
    return true;
}

/* What is between quotes, up to `end`, which may be the middle of it. */
static bool read_string(struct json_parser *parser, const uint8_t *end)
{
    struct reader *reader = &parser->reader;
    while (reader->ptr < end) {
        while (end - reader->ptr >= 8 && are_plain(reader->ptr)) {
            reader->ptr += 8;
        }
        while (reader->ptr < end && is_plain(*reader->ptr)) {
            reader->ptr++;
        }
        if (reader->ptr >= end) {
            break;
        }
        uint8_t byte = *reader->ptr;
        if (byte == '"') {
            return end_string(parser);
        }
        if (byte < 0x20) {
            return bad(parser, "a control character in a string");
        }
        if (byte == '\\') {
            if (!read_escape(parser)) {
                return false;
            }
            continue;
        }
        size_t size = sequence_size(reader->ptr, reader_left(reader));
        if (size == 0) {
            return bad(parser, "invalid UTF-8");
        }
        skip(parser, size);
    }
    return reader_left(reader) > 0 || bad(parser, "a string without an end");
}

/* ---- numbers and words ---- */

static size_t digits_at(const struct json_parser *parser, size_t offset)
{
    size_t count = 0;
    while (count <= NUMBER_BYTES_MAX && byte_at(parser, offset + count) >= '0' &&
           byte_at(parser, offset + count) <= '9') {
        count++;
    }
    return count;
}

/* The size of the number that begins here; 0 if none does. */
static size_t number_size(const struct json_parser *parser, bool *is_real)
{
    size_t size = byte_at(parser, 0) == '-';
    size_t digits = byte_at(parser, size) == '0' ? 1 : digits_at(parser, size);
    *is_real = false;
    if (digits == 0) {
        return 0;
    }
    size += digits;
    if (byte_at(parser, size) == '.') {
        digits = digits_at(parser, size + 1);
        *is_real = true;
        if (digits == 0) {
            return 0;
        }
        size += 1 + digits;
    }
    if (byte_at(parser, size) == 'e' || byte_at(parser, size) == 'E') {
        uint8_t sign = byte_at(parser, size + 1);
        size += sign == '+' || sign == '-' ? 2 : 1;
        digits = digits_at(parser, size);
        *is_real = true;
        if (digits == 0) {
            return 0;
        }
        size += digits;
    }
    return size;
}

static bool read_number(struct json_parser *parser)
{
    char text[NUMBER_BYTES_MAX + 1];
    bool is_real;
    size_t size = number_size(parser, &is_real);
    uint8_t next = byte_at(parser, size);
    if (size == 0 || (next >= '0' && next <= '9')) {
        return bad(parser, "an invalid number");
    }
    if (size > NUMBER_BYTES_MAX) {
        return bad(parser, "a number that is too long");
    }
    memcpy(text, parser->reader.ptr, size);
    text[size] = 0;
    skip(parser, size);
    errno = 0;
    if (!is_real) {
        long long integer = strtoll(text, NULL, 10);
        return errno == ERANGE ? bad(parser, "an integer that is too large")
                               : put_value(parser, json_integer(integer));
    }
    double real = strtod(text, NULL);
    return isinf(real) ? bad(parser, "a number that is too large")
                       : put_value(parser, json_real(real));
}

static bool read_word(struct json_parser *parser)
{
    static const struct {
        const char *word;
        json_t *(*make)(void);
    } words[] = {{"true", json_true}, {"false", json_false}, {"null", json_null}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t size = strlen(words[i].word);
        if (reader_left(&parser->reader) >= size &&
            memcmp(parser->reader.ptr, words[i].word, size) == 0) {
            skip(parser, size);
            uint8_t next = byte_at(parser, 0);
            bool goes_on = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z');
            return goes_on ? bad(parser, "an unknown word") : put_value(parser, words[i].make());
        }
    }
    return bad(parser, "something that is no JSON");
}

/* ---- tokens ---- */

/* A comma or an opening bracket: each value but the first has one before it. */
static bool count_one(struct json_parser *parser)
{
    skip(parser, 1);
    return ++parser->count <= JSON_VALUES_MAX || bad(parser, "too many values");
}

static bool read_value(struct json_parser *parser, uint8_t byte)
{
    if (byte == '"') {
        return begin_string(parser, false);
    }
    if (byte == '-' || (byte >= '0' && byte <= '9')) {
        return read_number(parser);
    }
    if (byte != '{' && byte != '[') {
        return read_word(parser);
    }
    if (parser->depth == JSON_DEPTH_MAX) {
        return bad(parser, "too deep nesting");
    }
    return count_one(parser) &&
           (byte == '{' ? open_container(parser, json_object(), EXPECT_KEY_OR_END)
                        : open_container(parser, json_array(), EXPECT_VALUE_OR_END));
}

static bool read_comma_or_end(struct json_parser *parser, uint8_t byte)
{
    bool is_array = json_is_array(parser->levels[parser->depth - 1].container);
    if (byte == ',') {
        parser->expect = is_array ? EXPECT_VALUE : EXPECT_KEY;
        return count_one(parser);
    }
    if (byte == (is_array ? ']' : '}')) {
        skip(parser, 1);
        return close_container(parser);
    }
    return bad(parser, is_array ? "',' or ']' expected" : "',' or '}' expected");
}

static bool read_token(struct json_parser *parser, uint8_t byte)
{
    switch (parser->expect) {
    case EXPECT_VALUE_OR_END:
    case EXPECT_KEY_OR_END:
        if (byte == (parser->expect == EXPECT_KEY_OR_END ? '}' : ']')) {
            skip(parser, 1);
            return close_container(parser);
        }
        parser->expect = parser->expect == EXPECT_KEY_OR_END ? EXPECT_KEY : EXPECT_VALUE;
        return true;
    case EXPECT_VALUE:
        return read_value(parser, byte);
    case EXPECT_KEY:
        return byte == '"' ? begin_string(parser, true) : bad(parser, "a member's name expected");
    case EXPECT_COLON:
        parser->expect = EXPECT_VALUE;
        skip(parser, 1);
        return byte == ':' || bad(parser, "':' expected");
    case EXPECT_COMMA_OR_END:
        return read_comma_or_end(parser, byte);
    case EXPECT_NOTHING:
        break;
    }
    return bad(parser, "the end expected");
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Reads on for about `bytes`. */
static bool read_some(struct json_parser *parser, size_t bytes)
{
    struct reader *reader = &parser->reader;
    size_t left = bytes;
    while (left > 0 && reader_left(reader) > 0) {
        const uint8_t *begin = reader->ptr;
        size_t cost = 0;
        if (parser->in_string) {
            const uint8_t *end = left < reader_left(reader) ? begin + left : reader->end;
            if (!read_string(parser, end)) {
                return false;
            }
        } else if (is_space(*begin)) {
            skip(parser, 1);
        } else {
            cost = VALUE_BYTES;
            if (!read_token(parser, *begin)) {
                return false;
            }
        }
        cost += (size_t)(reader->ptr - begin);
        left -= cost < left ? cost : left;
    }
    return reader_left(reader) > 0 || (parser->expect == EXPECT_NOTHING && !parser->in_string) ||
           bad(parser, "the text ends too early");
}

/* ---- the parser ---- */

static bool tell(const struct json_parser *parser, struct err *err)
{
    if (parser->has_no_memory) {
        return err_set(err, ERR_NO_MEMORY, "no memory for JSON");
    }
    size_t line = 1;
    const uint8_t *begin = parser->reader.start;
    for (const uint8_t *at;
         (at = memchr(begin, '\n', (size_t)(parser->reader.ptr - begin))) != NULL; line++) {
        begin = at + 1;
    }
    return err_set(err, ERR_MALFORMED_REQUEST, "JSON, line %zu, byte %zu: %s", line,
                   (size_t)(parser->reader.ptr - begin) + 1, parser->reason);
}

static void parser_release(struct json_parser *parser)
{
    for (size_t i = 0; i < parser->depth; i++) {
        json_decref(parser->levels[i].container);
        heap_free_wiped(parser->levels[i].key);
    }
    json_decref(parser->value);
    text_release(&parser->unescaped);
    for (size_t i = 0; i < parser->long_count; i++) {
        text_release(&parser->kept[i]);
    }
}

static bool parser_step(struct json_parser *parser, size_t bytes, bool *is_done, struct err *err)
{
    if (parser->reader.start == parser->reader.end) {
        return err_set(err, ERR_MALFORMED_REQUEST, "JSON expected, got nothing");
    }
    if (!read_some(parser, bytes)) {
        return tell(parser, err);
    }
    *is_done = reader_left(&parser->reader) == 0;
    return true;
}

struct json_parser *json_parser_new(struct bytes text, enum json_longs longs)
{
    struct json_parser *parser = HEAP_NEW(struct json_parser);
    if (parser != NULL) {
        parser->reader = reader_of(text);
        parser->mode = longs;
    }
    return parser;
}

bool json_parser_step(struct json_parser *parser, size_t bytes, bool *is_done, struct err *err)
{
    return parser_step(parser, bytes, is_done, err);
}

const json_t *json_parser_value(const struct json_parser *parser)
{
    return parser->value;
}

struct bytes json_parser_string(const struct json_parser *parser, const json_t *string)
{
    for (size_t i = 0; i < parser->long_count; i++) {
        if (parser->longs[i].stand_in == string) {
            return parser->longs[i].text;
        }
    }
    return bytes_of(json_string_value(string), json_string_length(string));
}

void json_parser_free(struct json_parser *parser)
{
    if (parser != NULL) {
        parser_release(parser);
        heap_free(parser);
    }
}

bool json_text_parse(struct bytes text, json_t **out, struct err *err)
{
    struct json_parser parser = {.reader = reader_of(text)};
    bool is_done;
    bool ok = parser_step(&parser, SIZE_MAX, &is_done, err);
    if (ok) {
        *out = parser.value;
        parser.value = NULL; /* transferred */
    }
    parser_release(&parser);
    return ok;
}
