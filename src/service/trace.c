/* trace.c: reading and writing of trace context.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/trace.h"

#include "base/text.h"
#include "crypto/crypto.h"

#include <stdio.h>
#include <string.h>

enum {
    TRACE_ID_AT = 3, /* behind "00-" */
    TRACE_SPAN_AT = TRACE_ID_AT + TRACE_ID_CHARS + 1,
    TRACE_FLAGS_AT = TRACE_SPAN_AT + TRACE_SPAN_CHARS + 1,
};

static bool is_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") >= size;
}

static bool is_id(const char *text, size_t size)
{
    return is_hex(text, size) && strspn(text, "0") < size;
}

bool trace_parse(const char *traceparent, struct trace *out)
{
    if (strlen(traceparent) != TRACE_PARENT_CHARS || strncmp(traceparent, "00-", 3) != 0) {
        return false;
    }
    const char *id = traceparent + TRACE_ID_AT;
    const char *span = traceparent + TRACE_SPAN_AT;
    const char *flags = traceparent + TRACE_FLAGS_AT;
    if (!is_id(id, TRACE_ID_CHARS) || span[-1] != '-' || !is_id(span, TRACE_SPAN_CHARS) ||
        flags[-1] != '-' || !is_hex(flags, 2) || !text_hex_decode(flags, 2, &out->flags, 1)) {
        return false;
    }
    (void)snprintf(out->id, sizeof out->id, "%.*s", TRACE_ID_CHARS, id);
    (void)snprintf(out->parent, sizeof out->parent, "%.*s", TRACE_SPAN_CHARS, span);
    return true;
}

/* The only header of that name; NULL if there is none, or more than one. */
static const char *only_header(const struct message_request *request, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, name) == 0) {
            if (value != NULL) {
                return NULL;
            }
            value = request->headers[i].value;
        }
    }
    return value;
}

void trace_begin(const struct message_request *request, struct trace *out)
{
    uint8_t random[(TRACE_ID_CHARS + TRACE_SPAN_CHARS) / 2];
    const char *traceparent = only_header(request, "traceparent");
    *out = (struct trace){.flags = 0};
    crypto_random(random, sizeof random); /* all zero with a chance of 2^-64: then nobody minds */
    text_hex_encode(bytes_of(random, TRACE_SPAN_CHARS / 2), out->span);
    if (traceparent == NULL || !trace_parse(traceparent, out)) {
        text_hex_encode(bytes_of(random + TRACE_SPAN_CHARS / 2, TRACE_ID_CHARS / 2), out->id);
    }
}

void trace_format(const struct trace *trace, char out[static TRACE_PARENT_CHARS + 1])
{
    (void)snprintf(out, TRACE_PARENT_CHARS + 1, "00-%s-%s-%02x", trace->id, trace->span,
                   trace->flags);
}
