/* http_parser.c: the phases of a request, and the llhttp callbacks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_parser_internal.h"

#include <assert.h>

enum http_event http_parser_refuse(struct http_parser *parser, int status, const char *reason)
{
    parser->refusal = (struct http_refusal){status, reason};
    parser->phase = HTTP_PHASE_END;
    return HTTP_EVENT_REFUSED;
}

/* ---- llhttp ---- */

static struct http_parser *http_parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

static int http_parser_name_cb(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *parser = http_parser_of(llhttp);
    return parser->phase == HTTP_PHASE_TRAILERS ? http_chunked_trailer_name(parser, at, size)
                                                : http_head_name(parser, at, size);
}

static int http_parser_name_complete_cb(llhttp_t *llhttp)
{
    struct http_parser *parser = http_parser_of(llhttp);
    return parser->phase == HTTP_PHASE_TRAILERS ? http_chunked_trailer_complete(parser) : 0;
}

static int http_parser_value_cb(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *parser = http_parser_of(llhttp);
    return parser->phase == HTTP_PHASE_TRAILERS ? 0 : http_head_value(parser, at, size);
}

static int http_parser_value_complete_cb(llhttp_t *llhttp)
{
    struct http_parser *parser = http_parser_of(llhttp);
    return parser->phase == HTTP_PHASE_TRAILERS ? 0 : http_head_value_complete(parser);
}

static int http_parser_headers_complete_cb(llhttp_t *llhttp)
{
    llhttp->upgrade = 0; /* an offer to upgrade is declined by ignoring it (RFC 9110 7.8) */
    return HPE_PAUSED;
}

static int http_parser_chunk_header_cb(llhttp_t *llhttp)
{
    return http_chunked_header(http_parser_of(llhttp), llhttp->content_length);
}

static int http_parser_body_cb(llhttp_t *llhttp, const char *at, size_t size)
{
    struct http_parser *parser = http_parser_of(llhttp);
    if (!http_body_append(parser->body, bytes_of(at, size))) {
        (void)http_parser_refuse(parser, 503, "There is no memory for the request body");
        return HPE_USER;
    }
    return 0;
}

static int http_parser_message_complete_cb(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED;
}

static const llhttp_settings_t http_parser_settings = {
    .on_header_field = http_parser_name_cb,
    .on_header_field_complete = http_parser_name_complete_cb,
    .on_header_value = http_parser_value_cb,
    .on_header_value_complete = http_parser_value_complete_cb,
    .on_headers_complete = http_parser_headers_complete_cb,
    .on_chunk_header = http_parser_chunk_header_cb,
    .on_body = http_parser_body_cb,
    .on_message_complete = http_parser_message_complete_cb,
};

static enum http_event http_parser_run_error(struct http_parser *parser, llhttp_errno_t error)
{
    if (parser->refusal.status != 0) {
        return HTTP_EVENT_REFUSED; /* one of the callbacks above said why */
    }
    if (error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT) {
        return http_parser_refuse(parser, 501, "The method is not known here");
    }
    const char *reason = llhttp_get_error_reason(&parser->llhttp);
    return http_parser_refuse(parser, 400, reason != NULL ? reason : "The request is malformed");
}

enum http_event http_parser_run(struct http_parser *parser, struct bytes bytes)
{
    const char *start = bytes.size > 0 ? (const char *)bytes.ptr : "";
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, start, bytes.size);
    if (error == HPE_OK) {
        return HTTP_EVENT_MORE;
    }
    if (error != HPE_PAUSED) {
        return http_parser_run_error(parser, error);
    }
    if (llhttp_get_error_pos(&parser->llhttp) != start + bytes.size) {
        return http_parser_refuse(parser, 400, "The request does not end where its lines say");
    }
    llhttp_resume(&parser->llhttp);
    return parser->phase == HTTP_PHASE_HEADERS ? HTTP_EVENT_HEAD : HTTP_EVENT_COMPLETE;
}

/* ---- the life of a request ---- */

void http_parser_init(struct http_parser *parser, const struct net_limits *limits)
{
    *parser = (struct http_parser){.limits = limits, .phase = HTTP_PHASE_END};
    /* A line too much is refused before it is kept, so this is never reached. */
    buffer_init(&parser->head, (size_t)limits->request_line_bytes_max + limits->header_bytes_max +
                                   2 * sizeof("\r\n"));
}

void http_parser_release(struct http_parser *parser)
{
    buffer_release(&parser->head);
}

void http_parser_start(struct http_parser *parser, struct message_request *request,
                       struct arena *arena, struct http_body *body)
{
    struct buffer head = parser->head;
    *parser = (struct http_parser){
        .limits = parser->limits, .head = head, .request = request, .arena = arena, .body = body};
    parser->phase = HTTP_PHASE_BLANK;
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &http_parser_settings);
    parser->llhttp.data = parser;
}

bool http_parser_is_idle(const struct http_parser *parser)
{
    return parser->phase == HTTP_PHASE_BLANK || parser->phase == HTTP_PHASE_END;
}

/* ---- the head ---- */

/* A server should take at least one empty line before a request (RFC 9112 section 2.2). */
static enum http_event http_parser_feed_blank(struct http_parser *parser, struct bytes input,
                                              size_t *consumed)
{
    while (*consumed < input.size) {
        uint8_t byte = input.ptr[*consumed];
        bool after_cr = parser->blank_bytes % 2 == 1;
        if (!after_cr && byte != '\r') {
            parser->phase = HTTP_PHASE_REQUEST_LINE;
            return HTTP_EVENT_MORE;
        }
        if ((after_cr && byte != '\n') || parser->blank_bytes == HTTP_BLANK_BYTES_MAX) {
            return http_parser_refuse(parser, 400, "Stray line ends before the request");
        }
        parser->blank_bytes++;
        (*consumed)++;
    }
    return HTTP_EVENT_MORE;
}

static enum http_event http_parser_line_error(struct http_parser *parser,
                                              enum http_line_result result)
{
    if (result == HTTP_LINE_BAD) {
        return http_parser_refuse(parser, 400,
                                  "The head has a control character or a bare line end");
    }
    assert(result == HTTP_LINE_LONG);
    if (parser->phase == HTTP_PHASE_REQUEST_LINE) {
        return http_parser_refuse(parser, 414, "The request line is too long");
    }
    return http_parser_refuse(parser, 431, "The header fields are too large or too many");
}

size_t http_parser_header_max(const struct http_parser *parser)
{
    const struct net_limits *limits = parser->limits;
    size_t used = parser->header_bytes + 2;
    if (parser->header_count == limits->header_count_max || used >= limits->header_bytes_max) {
        return 0;
    }
    return limits->header_bytes_max - used;
}

/* Scans one line, or the piece of it that is there. HTTP_EVENT_HEAD after the empty line. */
static enum http_event http_parser_scan(struct http_parser *parser, struct bytes input,
                                        size_t *taken)
{
    bool header = parser->phase == HTTP_PHASE_HEADERS;
    if (header && parser->line.size == 0 && !parser->line.after_cr && input.size > 0 &&
        (input.ptr[0] == ' ' || input.ptr[0] == '\t')) {
        return http_parser_refuse(parser, 400, "A header line begins with a blank");
    }
    size_t size_max =
        header ? http_parser_header_max(parser) : parser->limits->request_line_bytes_max;
    enum http_line_result result = http_line_scan(&parser->line, input, size_max, taken);
    if (result == HTTP_LINE_MORE) {
        return HTTP_EVENT_MORE;
    }
    if (result != HTTP_LINE_END) {
        return http_parser_line_error(parser, result);
    }
    size_t size = parser->line.size;
    parser->line = (struct http_line){0};
    if (!header) {
        parser->request_line_size = size;
        parser->phase = HTTP_PHASE_HEADERS;
        return HTTP_EVENT_MORE;
    }
    if (size == 0) {
        return HTTP_EVENT_HEAD;
    }
    parser->header_bytes += size + 2;
    parser->header_count++;
    return HTTP_EVENT_MORE;
}

/* Keeps a head that is not complete yet, or puts its last piece to the others. */
static bool http_parser_keep(struct http_parser *parser, struct bytes piece)
{
    buffer_append_bytes(&parser->head, piece);
    return !parser->head.failed;
}

static enum http_event http_parser_feed_head(struct http_parser *parser, struct bytes input,
                                             size_t *consumed)
{
    size_t start = *consumed;
    enum http_event event = HTTP_EVENT_MORE;
    while (event == HTTP_EVENT_MORE && *consumed < input.size) {
        size_t taken = 0;
        event = http_parser_scan(parser, bytes_of(input.ptr + *consumed, input.size - *consumed),
                                 &taken);
        *consumed += taken;
    }
    if (event == HTTP_EVENT_REFUSED) {
        return event;
    }
    struct bytes piece = bytes_of(input.ptr + start, *consumed - start);
    bool whole = event == HTTP_EVENT_HEAD && parser->head.size == 0;
    if (!whole && !http_parser_keep(parser, piece)) {
        return http_parser_refuse(parser, 503, "There is no memory for the request");
    }
    if (event == HTTP_EVENT_HEAD) {
        event = http_head_parse(parser, whole ? piece : buffer_bytes(&parser->head));
        buffer_release(&parser->head);
    }
    return event;
}

/* ---- the body ---- */

/* Decides what comes after the head; llhttp needs no byte to find out that there is no body. */
static enum http_event http_parser_start_body(struct http_parser *parser)
{
    if (!parser->has_body) {
        parser->phase = HTTP_PHASE_BODY;
        return http_parser_run(parser, bytes_of(NULL, 0));
    }
    bool chunked = (parser->llhttp.flags & F_CHUNKED) != 0;
    parser->phase = chunked ? HTTP_PHASE_CHUNK_SIZE : HTTP_PHASE_BODY;
    return HTTP_EVENT_MORE;
}

static enum http_event http_parser_feed_body(struct http_parser *parser, struct bytes input,
                                             size_t *consumed)
{
    size_t left = parser->body->size_max - parser->body->size;
    size_t size = input.size < left ? input.size : left;
    *consumed += size;
    return http_parser_run(parser, bytes_of(input.ptr, size));
}

static enum http_event http_parser_step(struct http_parser *parser, struct bytes input,
                                        size_t *consumed)
{
    switch (parser->phase) {
    case HTTP_PHASE_BLANK:
        return http_parser_feed_blank(parser, input, consumed);
    case HTTP_PHASE_REQUEST_LINE:
    case HTTP_PHASE_HEADERS:
        return http_parser_feed_head(parser, input, consumed);
    case HTTP_PHASE_BODY_START:
        return http_parser_start_body(parser);
    case HTTP_PHASE_BODY:
        return http_parser_feed_body(parser, input, consumed);
    case HTTP_PHASE_CHUNK_SIZE:
    case HTTP_PHASE_CHUNK_DATA:
    case HTTP_PHASE_CHUNK_END:
    case HTTP_PHASE_TRAILERS:
        return http_chunked_feed(parser, input, consumed);
    case HTTP_PHASE_END:
        break;
    }
    return HTTP_EVENT_REFUSED; /* not reached, see http_parser_feed */
}

enum http_event http_parser_feed(struct http_parser *parser, struct bytes input, size_t *consumed)
{
    assert(parser->phase != HTTP_PHASE_END);
    *consumed = 0;
    enum http_event event = HTTP_EVENT_MORE;
    while (event == HTTP_EVENT_MORE &&
           (*consumed < input.size || parser->phase == HTTP_PHASE_BODY_START)) {
        size_t taken = 0;
        struct bytes rest = bytes_of(input.ptr + *consumed, input.size - *consumed);
        event = http_parser_step(parser, rest, &taken);
        *consumed += taken;
    }
    if (event == HTTP_EVENT_HEAD) {
        parser->phase = HTTP_PHASE_BODY_START;
    } else if (event == HTTP_EVENT_COMPLETE) {
        parser->phase = HTTP_PHASE_END;
        parser->request->body = bytes_of(parser->body->ptr, parser->body->size);
    }
    return event;
}
