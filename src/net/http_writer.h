/* http_writer: an answer's head as bytes (RFC 9112 section 4, RFC 9110 section 6.6.1 for Date).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_HTTP_WRITER_H
#define NET_HTTP_WRITER_H

#include "base/message.h"

enum { HTTP_DATE_CHARS = 29 }; /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* The text of the current second, made once per second. */
struct http_date {
    int64_t second;
    char text[HTTP_DATE_CHARS + 1];
};

void http_date_update(struct http_date *date, int64_t wall_ms);

enum http_connection {
    HTTP_CONNECTION_DEFAULT,    /* HTTP/1.1 stays open: no header */
    HTTP_CONNECTION_KEEP_ALIVE, /* HTTP/1.0 asked for it */
    HTTP_CONNECTION_CLOSE,
};

/* Status line, headers and the empty line, from the arena; ptr NULL when there is no memory. A
 * header value cannot end its line: control characters in it become blanks. */
struct bytes http_writer_head(const struct message_response *response, const char *date,
                              enum http_connection connection, struct arena *arena);

/* What follows the head: nothing for HEAD, 204 and 304. */
struct bytes http_writer_body(const struct message_response *response, bool head_request);

#endif
