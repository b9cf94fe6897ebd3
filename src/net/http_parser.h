/* http_parser: bytes in, requests out (RFC 9112). Knows no sockets and no clock.
 *
 * The head is collected whole, line by line (http_line), and then read by llhttp (http_head.c),
 * with checks of our own around it; the framing lines of a chunked body pass the same guard before
 * llhttp sees them (http_chunked.c). After HTTP_EVENT_HEAD the caller may refuse, or feed on; after
 * HTTP_EVENT_COMPLETE the request is whole and http_parser_start begins the next one. After
 * HTTP_EVENT_REFUSED the stream is out of step for ever: answer and close.
 *
 *     http_parser_start ─> MORE ... ─> HEAD ─> MORE ... ─> COMPLETE ─> http_parser_start ...
 *                            └──────────┴─ REFUSED
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_HTTP_PARSER_H
#define NET_HTTP_PARSER_H

#include "base/message.h"
#include "http_body.h"
#include "http_line.h"
#include "http_target.h"
#include "net.h"

#include <llhttp.h>

enum http_event {
    HTTP_EVENT_MORE,     /* all of the input is consumed */
    HTTP_EVENT_HEAD,     /* the head is complete; the request has all but its body */
    HTTP_EVENT_COMPLETE, /* the request is complete */
    HTTP_EVENT_REFUSED,  /* parser->refusal says why */
};

enum http_parser_phase {
    HTTP_PHASE_BLANK,        /* before the request line: stray empty lines */
    HTTP_PHASE_REQUEST_LINE, /* in it */
    HTTP_PHASE_HEADERS,      /* in a header line */
    HTTP_PHASE_BODY_START,   /* HTTP_EVENT_HEAD was returned, llhttp waits at the body */
    HTTP_PHASE_BODY,         /* of a known length */
    HTTP_PHASE_CHUNK_SIZE,   /* in the line that opens a chunk */
    HTTP_PHASE_CHUNK_DATA,   /* in its data */
    HTTP_PHASE_CHUNK_END,    /* in the CRLF that closes it */
    HTTP_PHASE_TRAILERS,     /* in a line after the last chunk */
    HTTP_PHASE_END,          /* COMPLETE or REFUSED was returned */
};

enum {
    HTTP_CHUNK_LINE_BYTES_MAX = 256,   /* a size and its extensions */
    HTTP_BLANK_BYTES_MAX = 4,          /* two empty lines before a request */
    HTTP_CHUNK_OVERHEAD_PER_BYTE = 16, /* framing may cost so many times the data it frames ... */
    HTTP_TRAILER_NAME_BYTES_MAX = 32,  /* longer names are none of the forbidden ones */
};

struct http_parser {
    const struct net_limits *limits;
    llhttp_t llhttp;
    enum http_parser_phase phase;

    /* The request being taken in; the caller's. */
    struct message_request *request;
    struct arena *arena;
    struct http_body *body;

    /* The head, while it comes. */
    struct http_line line;
    struct buffer head; /* what came in earlier pieces */
    size_t blank_bytes;
    size_t request_line_size;
    size_t header_bytes; /* of finished header lines, with CRLF */
    uint32_t header_count;

    /* The head, while llhttp reads it: offsets into `text`. */
    char *text;
    size_t name_start, name_end, value_start, value_end;
    struct message_header *headers; /* header_count + 1 of them */

    /* The body, while it comes. */
    uint64_t chunk_left;
    uint64_t framing_bytes; /* all that is not body */
    char trailer_name[HTTP_TRAILER_NAME_BYTES_MAX];
    size_t trailer_name_size;

    /* What the connection wants to know, from HTTP_EVENT_HEAD on. */
    bool has_body;
    bool expects_continue;
    bool keep_alive;
    bool http_1_0;
    struct http_refusal refusal;
};

/* `limits` must outlive the parser. */
void http_parser_init(struct http_parser *parser, const struct net_limits *limits);
void http_parser_release(struct http_parser *parser);
/* The next request goes to `request`, its memory to `arena` and `body`; all three are empty and
 * live at least until the next start. */
void http_parser_start(struct http_parser *parser, struct message_request *request,
                       struct arena *arena, struct http_body *body);
/* *consumed says how much of the input belongs to this request so far. To be called again, with the
 * rest (which may be empty), after HTTP_EVENT_HEAD. */
enum http_event http_parser_feed(struct http_parser *parser, struct bytes input, size_t *consumed);
/* True until the first byte of a request line. */
bool http_parser_is_idle(const struct http_parser *parser);

#endif
