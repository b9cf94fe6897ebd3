/* message.c: looking things up in requests, and building responses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/message.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

const char *message_request_header(const struct message_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, name) == 0) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

/* Decodes "a%20b+c" of application/x-www-form-urlencoded; NULL for a bad escape or a NUL. */
static char *message_decode(const char *text, size_t size, struct arena *arena)
{
    char *out = arena_alloc(arena, size + 1, 1);
    if (out == NULL) {
        return NULL;
    }
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)text[i];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            if (size - i < 3 || !text_hex_decode(text + i + 1, 2, &byte, 1)) {
                return NULL;
            }
            i += 2;
        }
        if (byte == 0) {
            return NULL;
        }
        out[written++] = (char)byte;
    }
    return out;
}

const char *message_request_query(const struct message_request *request, const char *name,
                                  struct arena *arena, bool *duplicate)
{
    const char *found = NULL;
    size_t name_size = strlen(name);
    *duplicate = false;
    for (const char *at = request->query; *at != 0;) {
        size_t size = strcspn(at, "&");
        if (size >= name_size && strncmp(at, name, name_size) == 0 &&
            (size == name_size || at[name_size] == '=')) {
            *duplicate = *duplicate || found != NULL;
            size_t skip = size == name_size ? size : name_size + 1;
            struct bytes value = bytes_of(at + skip, size - skip);
            found = message_decode((const char *)value.ptr, value.size, arena);
            if (found == NULL) {
                found = arena_text(arena, value); /* whoever reads it finds out what is wrong */
            }
        }
        at += size;
        at += *at == '&';
    }
    return found;
}

void message_response_init(struct message_response *response, int status)
{
    *response = (struct message_response){.status = status};
    arena_init(&response->arena, NULL);
}

void message_response_header(struct message_response *response, const char *name, const char *value)
{
    assert(response->header_count < sizeof(response->headers) / sizeof(response->headers[0]));
    const char *copy = arena_strdup(&response->arena, value);
    if (copy != NULL) {
        response->headers[response->header_count++] = (struct message_header){name, copy};
    }
}

bool message_response_body(struct message_response *response, const char *content_type,
                           struct bytes body)
{
    struct bytes copy = arena_copy(&response->arena, body);
    if (copy.size != body.size) {
        return false;
    }
    response->content_type = content_type;
    response->body = copy;
    return true;
}
