/* field.c: what header fields are made of (field.h). The fields come from strangers, so there is a
 * reader and no pointer of ours walks by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/field.h"

#include <string.h>
#include <strings.h>

bool field_is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool field_take_char(struct reader *reader, char c)
{
    uint8_t byte = 0;
    return reader_left(reader) > 0 && *reader->ptr == (uint8_t)c && reader_u8(reader, &byte);
}

void field_skip_blanks(struct reader *reader)
{
    while (field_take_char(reader, ' ') || field_take_char(reader, '\t')) {
    }
}

bool field_take_token(struct reader *reader, struct bytes *out)
{
    size_t size = 0;
    while (size < reader_left(reader) && field_is_token_char(reader->ptr[size])) {
        size++;
    }
    return size > 0 && reader_take(reader, size, out);
}

bool field_take_quoted(struct reader *reader, struct bytes *out)
{
    uint8_t byte = 0;
    if (!field_take_char(reader, '"')) {
        return false;
    }
    const uint8_t *start = reader->ptr;
    while (reader_u8(reader, &byte)) {
        if (byte == '"') {
            *out = bytes_of(start, (size_t)(reader->ptr - start) - 1);
            return true;
        }
        if (byte == '\\' && !reader_u8(reader, &byte)) {
            return false;
        }
    }
    return false;
}

bool field_take_parameter(struct reader *reader, struct bytes *name, struct bytes *value)
{
    *value = (struct bytes){NULL, 0};
    if (!field_take_token(reader, name)) {
        return false;
    }
    field_skip_blanks(reader);
    if (!field_take_char(reader, '=')) {
        return true;
    }
    field_skip_blanks(reader);
    return field_take_token(reader, value) || field_take_quoted(reader, value);
}

bool field_is_word(struct bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.ptr, word, text.size) == 0;
}
