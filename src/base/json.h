/* json.h: jansson with our strictness, and RFC 8785 canonical form (JCS).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

#include <jansson.h>

enum {
    JSON_DEPTH_MAX = 64,
    JSON_VALUES_MAX = 16384, /* what two bytes of text stand for takes 100 times as much memory */
    JSON_LONGS_MAX = 8,
    JSON_LONG_BYTES_MIN = 65536,
    JSON_COPIED_BYTES_MAX = 2 * 1024 * 1024, /* by a parser in pieces */
};

/* Makes jansson overwrite what it frees: opened arguments and results are JSON for a while. Once
 * per process, before the first value and the first thread. */
void json_wipe_on_free(void);

/* One JSON value and nothing after it; duplicate members, invalid UTF-8, NUL in strings, nesting
 * over JSON_DEPTH_MAX and more than JSON_VALUES_MAX commas and opening brackets are refused. A
 * fresh reference in *out. Fails with MALFORMED_REQUEST; the message says line, column and what. */
bool json_text_parse(struct bytes text, json_t **out, struct err *err) MUST_CHECK;

/* About what jansson holds for a value, not less: for budgets. */
size_t json_memory(const json_t *value);
/* The most that parsing so many bytes may take at a time, the result included. */
size_t json_parse_memory_max(size_t text_bytes);
/* The same in pieces, so that a large text cannot keep a thread. Strings of JSON_LONG_BYTES_MIN and
 * more, up to JSON_LONGS_MAX of them, may be made no values: an empty string stands in for each,
 * and json_parser_string tells what it stands for. */
enum json_longs {
    JSON_NO_LONGS,
    JSON_LONGS_ANYWHERE, /* escaped ones, too, which the parser keeps */
    JSON_LONG_MEMBERS,   /* members of the outermost object without escapes; all other strings have
                            JSON_COPIED_BYTES_MAX together */
};
struct json_parser;
struct json_long {
    const json_t *stand_in;
    struct bytes text;
};
/* NULL: no memory. The text must live as long as the parser. */
struct json_parser *json_parser_new(struct bytes text, enum json_longs longs);
/* Reads about so many bytes. Fails as json_text_parse; then, and when it is done, no more steps. */
bool json_parser_step(struct json_parser *parser, size_t bytes, bool *is_done,
                      struct err *err) MUST_CHECK;
/* When it is done: borrowed. */
const json_t *json_parser_value(const struct json_parser *parser);
struct bytes json_parser_string(const struct json_parser *parser, const json_t *string);
void json_parser_free(struct json_parser *parser);

/* Appends the canonical serialisation (RFC 8785): members sorted by UTF-16 code units, ECMAScript
 * numbers. Integers outside ±(2^53 - 1) are refused (they travel as strings), NaN and infinities
 * cannot occur. Fails with FORMAT, LIMIT or NO_MEMORY. */
bool json_canonical(const json_t *value, struct buffer *out, struct err *err) MUST_CHECK;

/* Appends plain compact JSON: members in their own order, any integer, the shortest digits of each
 * real number (0.1, not 0.10000000000000001). Fails with FORMAT (nesting), LIMIT or
 * NO_MEMORY. */
bool json_write(const json_t *value, struct buffer *out, struct err *err) MUST_CHECK;

/* ---- an object member by member, without values in between: what is written often ----
 *
 * Canonical if the caller names the members in order and integers stay within ±(2^53 - 1). Texts
 * must be UTF-8. Failures are the buffer's. */

void json_put_open(struct buffer *out);
void json_put_close(struct buffer *out);
/* The name, and the comma before it if it needs one; a value has to follow. */
void json_put_name(struct buffer *out, const char *name);
void json_put_string(struct buffer *out, const char *name, const char *text);
void json_put_text(struct buffer *out, const char *name, struct bytes text);
void json_put_integer(struct buffer *out, const char *name, int64_t value);
/* thousandths / 1000, as a number */
void json_put_thousandths(struct buffer *out, const char *name, uint64_t thousandths);
void json_put_hex(struct buffer *out, const char *name, struct bytes bytes);
void json_put_base64(struct buffer *out, const char *name, struct bytes bytes);
/* A piece of a string, escaped, without name and quotes. A piece ends where a character does. */
void json_put_piece(struct buffer *out, struct bytes text);
/* What is JSON already. */
void json_put_json(struct buffer *out, const char *name, struct bytes json);

#endif
