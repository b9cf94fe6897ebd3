/* http_parser_internal: what the files of the parser share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_HTTP_PARSER_INTERNAL_H
#define NET_HTTP_PARSER_INTERNAL_H

#include "http_parser.h"

/* Sets the refusal and the last phase; always HTTP_EVENT_REFUSED. */
enum http_event http_parser_refuse(struct http_parser *parser, int status, const char *reason);
/* Runs llhttp over the bytes, which must all be taken; its errors become refusals. HTTP_EVENT_MORE,
 * or HTTP_EVENT_HEAD and HTTP_EVENT_COMPLETE where llhttp paused at the end of the headers or of
 * the message. */
enum http_event http_parser_run(struct http_parser *parser, struct bytes bytes);

/* How long the next header or trailer line may be, so that the limits of all of them hold. */
size_t http_parser_header_max(const struct http_parser *parser);

/* http_head.c: `head` is everything up to and including the empty line. HTTP_EVENT_HEAD or
 * HTTP_EVENT_REFUSED.
 */
enum http_event http_head_parse(struct http_parser *parser, struct bytes head);
int http_head_name(struct http_parser *parser, const char *at, size_t size);
int http_head_value(struct http_parser *parser, const char *at, size_t size);
int http_head_value_complete(struct http_parser *parser);

/* http_chunked.c: one step through a chunked body. */
enum http_event http_chunked_feed(struct http_parser *parser, struct bytes input, size_t *consumed);
int http_chunked_header(struct http_parser *parser, uint64_t size);
int http_chunked_trailer_name(struct http_parser *parser, const char *at, size_t size);
int http_chunked_trailer_complete(struct http_parser *parser);

#endif
