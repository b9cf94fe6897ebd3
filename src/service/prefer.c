/* prefer.c: the two header fields, read strictly by their grammar.
 *
 *     Prefer     = 1#preference
 *     preference = parameter *( OWS ";" [ OWS parameter ] )
 *     parameter  = see field.h
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/prefer.h"

#include "base/text.h"
#include "service/field.h"

#include <string.h>

/* ---- Prefer ---- */

struct seen { /* only the first of each counts */
    bool respond_async, wait;
};

static void preference_note(struct bytes name, struct bytes value, struct seen *seen,
                            struct preferences *out)
{
    uint64_t seconds = 0;
    if (field_is_word(name, "respond-async") && !seen->respond_async) {
        seen->respond_async = true;
        out->respond_async = value.size == 0; /* RFC 7240: an empty value is the same as none */
    } else if (field_is_word(name, "wait") && !seen->wait) {
        seen->wait = true;
        if (value.ptr != NULL && text_u64_decode((const char *)value.ptr, value.size, &seconds)) {
            out->wait_seconds =
                seconds < PREFER_WAIT_SECONDS_MAX ? (uint32_t)seconds : PREFER_WAIT_SECONDS_MAX;
        }
    }
}

/* One line, up to where it stops making sense. */
static void line_read(struct bytes line, struct seen *seen, struct preferences *out)
{
    struct reader reader = reader_of(line);
    do {
        struct bytes name, value, ignored;
        field_skip_blanks(&reader);
        if (field_take_char(&reader, ',')) {
            continue; /* lists may have empty elements */
        }
        if (!field_take_parameter(&reader, &name, &value)) {
            return;
        }
        field_skip_blanks(&reader);
        while (field_take_char(&reader, ';')) {
            struct bytes parameter;
            field_skip_blanks(&reader);
            (void)field_take_parameter(&reader, &parameter, &ignored);
            field_skip_blanks(&reader);
        }
        if (reader_left(&reader) > 0 && !field_take_char(&reader, ',')) {
            return;
        }
        preference_note(name, value, seen, out);
    } while (reader_left(&reader) > 0);
}

void preferences_read(const struct message_request *request, struct preferences *out)
{
    struct seen seen = {0};
    *out = (struct preferences){0};
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, "prefer") == 0) {
            line_read(bytes_of_string(request->headers[i].value), &seen, out);
        }
    }
}

/* ---- Idempotency-Key ---- */

/* A structured-field string: printable ASCII, and a backslash only before a quote or another. */
static bool unquote(struct bytes quoted, struct buffer *out)
{
    struct reader reader = reader_of(quoted);
    uint8_t byte = 0;
    while (reader_u8(&reader, &byte)) {
        if (byte == '\\' && (!reader_u8(&reader, &byte) || (byte != '"' && byte != '\\'))) {
            return false;
        }
        if (byte < 0x20 || byte > 0x7e) {
            return false;
        }
        buffer_append_u8(out, byte);
    }
    return !out->failed;
}

/* Many clients send a bare UUID, so a word of what tokens and base64 have does as well. */
static bool is_bare(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!field_is_token_char(text.ptr[i]) && strchr(":/=", text.ptr[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool key_decode(struct bytes text, struct buffer *out)
{
    struct reader reader = reader_of(text);
    struct bytes quoted;
    if (field_take_quoted(&reader, &quoted)) {
        return reader_left(&reader) == 0 && unquote(quoted, out);
    }
    buffer_append_bytes(out, text);
    return is_bare(text) && !out->failed;
}

bool idempotency_key_read(const struct message_request *request, bool *found,
                          uint8_t hash[static CRYPTO_SHA256_BYTES], struct err *err)
{
    struct buffer key;
    const char *text = NULL;
    *found = false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, "idempotency-key") == 0) {
            if (text != NULL) {
                return err_set(err, ERR_MALFORMED_REQUEST, "there are two Idempotency-Key");
            }
            text = request->headers[i].value;
        }
    }
    if (text == NULL) {
        return true;
    }
    buffer_init(&key, IDEMPOTENCY_KEY_BYTES_MAX);
    bool ok = key_decode(bytes_of_string(text), &key) && key.size > 0;
    if (ok) {
        crypto_sha256(buffer_bytes(&key), hash);
        *found = true;
    }
    buffer_release(&key);
    return ok || err_set(err, ERR_MALFORMED_REQUEST,
                         "Idempotency-Key must be a quoted string (or a bare word) of 1 to %d "
                         "printable ASCII characters",
                         IDEMPOTENCY_KEY_BYTES_MAX);
}
