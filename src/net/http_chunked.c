/* http_chunked.c: the chunked body (RFC 9112 section 7.1), cut into lines and data for llhttp.
 *
 *     SIZE[;ext]CRLF data CRLF ... 0CRLF [trailer: lineCRLF ...] CRLF
 *     └ CHUNK_SIZE ┘ DATA └END┘            └ TRAILERS ──────────────┘
 *
 * llhttp decodes; here every framing line is bounded and must end in CRLF, the framing as a whole
 * may cost no more than a multiple of the data (endless extensions, zeros before the size), and
 * trailers are dropped, or refused if they could change how a request is framed, routed or
 * authorised.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_parser_internal.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

/* ---- llhttp's callbacks ---- */

int http_chunked_header(struct http_parser *parser, uint64_t size)
{
    struct http_body *body = parser->body;
    if (size > body->size_max - body->size) {
        (void)http_parser_refuse(parser, 413, "The request body is too large");
        return HPE_USER;
    }
    parser->chunk_left = size;
    parser->phase = size > 0 ? HTTP_PHASE_CHUNK_DATA : HTTP_PHASE_TRAILERS;
    return 0;
}

int http_chunked_trailer_name(struct http_parser *parser, const char *at, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (parser->trailer_name_size < sizeof(parser->trailer_name)) {
            parser->trailer_name[parser->trailer_name_size] = at[i];
        }
        parser->trailer_name_size++;
    }
    return 0;
}

static bool trailer_is_forbidden(const char *name, size_t size)
{
    static const char *const forbidden[] = {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "max-forwards",
        "te",
        "trailer",
        "proxy-authorization",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-api-key",
        "proxy-connection",
        "forwarded",
    };
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        assert(strlen(forbidden[i]) <= HTTP_TRAILER_NAME_BYTES_MAX);
        if (strlen(forbidden[i]) == size && strncasecmp(forbidden[i], name, size) == 0) {
            return true;
        }
    }
    return false;
}

int http_chunked_trailer_complete(struct http_parser *parser)
{
    size_t size = parser->trailer_name_size;
    parser->trailer_name_size = 0;
    if (size == 0 || trailer_is_forbidden(parser->trailer_name, size)) {
        (void)http_parser_refuse(parser, 400, "The request has a trailer that may not be one");
        return HPE_USER;
    }
    return 0;
}

/* ---- lines and data ---- */

static size_t http_chunked_line_max(const struct http_parser *parser)
{
    if (parser->phase == HTTP_PHASE_TRAILERS) {
        return http_parser_header_max(parser);
    }
    return parser->phase == HTTP_PHASE_CHUNK_SIZE ? HTTP_CHUNK_LINE_BYTES_MAX
                                                  : 0; /* nothing but CRLF closes a chunk */
}

/* A framing line has ended. Head and trailers share one limit, so trailers count where headers
 * did. */
static enum http_event http_chunked_line_end(struct http_parser *parser,
                                             enum http_parser_phase phase)
{
    size_t size = parser->line.size;
    parser->line = (struct http_line){0};
    parser->framing_bytes += size + 2;
    if (phase == HTTP_PHASE_CHUNK_END) {
        parser->phase = HTTP_PHASE_CHUNK_SIZE;
    } else if (phase == HTTP_PHASE_TRAILERS) {
        parser->header_bytes += size + 2;
        parser->header_count++;
    }
    uint64_t allowed = parser->limits->header_bytes_max +
                       (uint64_t)HTTP_CHUNK_OVERHEAD_PER_BYTE * parser->body->size;
    if (phase == HTTP_PHASE_CHUNK_SIZE && parser->framing_bytes > allowed) {
        return http_parser_refuse(parser, 400, "The chunks are mostly framing");
    }
    return HTTP_EVENT_MORE;
}

static enum http_event http_chunked_line(struct http_parser *parser, struct bytes input,
                                         size_t *consumed)
{
    enum http_parser_phase phase = parser->phase;
    if (phase == HTTP_PHASE_TRAILERS && parser->line.size == 0 &&
        (input.ptr[0] == ' ' || input.ptr[0] == '\t')) {
        return http_parser_refuse(parser, 400, "A trailer line begins with a blank");
    }
    enum http_line_result result =
        http_line_scan(&parser->line, input, http_chunked_line_max(parser), consumed);
    if (result == HTTP_LINE_LONG && phase == HTTP_PHASE_TRAILERS) {
        return http_parser_refuse(parser, 431, "The trailers are too large or too many");
    }
    if (result == HTTP_LINE_LONG || result == HTTP_LINE_BAD) {
        return http_parser_refuse(parser, 400, "A chunk is malformed");
    }
    enum http_event event = http_parser_run(parser, bytes_of(input.ptr, *consumed));
    if (event == HTTP_EVENT_MORE && result == HTTP_LINE_END) {
        event = http_chunked_line_end(parser, phase);
    }
    return event;
}

static enum http_event http_chunked_data(struct http_parser *parser, struct bytes input,
                                         size_t *consumed)
{
    size_t size = input.size < parser->chunk_left ? input.size : (size_t)parser->chunk_left;
    parser->chunk_left -= size;
    *consumed = size;
    enum http_event event = http_parser_run(parser, bytes_of(input.ptr, size));
    if (event == HTTP_EVENT_MORE && parser->chunk_left == 0) {
        parser->phase = HTTP_PHASE_CHUNK_END;
    }
    return event;
}

enum http_event http_chunked_feed(struct http_parser *parser, struct bytes input, size_t *consumed)
{
    assert(input.size > 0);
    return parser->phase == HTTP_PHASE_CHUNK_DATA ? http_chunked_data(parser, input, consumed)
                                                  : http_chunked_line(parser, input, consumed);
}
