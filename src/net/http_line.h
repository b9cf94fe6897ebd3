/* http_line: the lines of HTTP/1.1 (request line, header lines, chunk sizes, trailers), scanned
 * byte by byte before anything else looks at them.
 *
 * A line ends with CRLF and with nothing else, and holds no control character but the tab
 * (RFC 9112 section 2.2: a bare CR is not to be tolerated; we tolerate no bare LF either). Parsers
 * that disagree about where a line ends are how requests get smuggled. The outcome does not depend
 * on how a line is cut into pieces.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_HTTP_LINE_H
#define NET_HTTP_LINE_H

#include "base/bytes.h"

struct http_line {
    size_t size;   /* of the line so far, without CRLF */
    bool after_cr; /* the CR has come, the LF has not */
};

enum http_line_result {
    HTTP_LINE_MORE, /* all of the input is taken, the line goes on */
    HTTP_LINE_END,  /* the LF is the last byte taken */
    HTTP_LINE_BAD,  /* a control character, a bare CR or a bare LF */
    HTTP_LINE_LONG, /* more than size_max bytes */
};

/* Takes the next bytes of the line. After END the caller resets `line` to zero for the next one
 * (its size is still wanted). *taken is the number of bytes looked at. */
enum http_line_result http_line_scan(struct http_line *line, struct bytes input, size_t size_max,
                                     size_t *taken);

#endif
