/* http_target: the request line and what hangs on it: target forms, Host, percent-decoding.
 *
 * llhttp takes many targets and versions that a strict server must not (RFC 9112 sections 2.3 and
 * 3.2); here is our own reading of the line, and llhttp parses it a second time. A request passes
 * only if both agree that it is good.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_HTTP_TARGET_H
#define NET_HTTP_TARGET_H

#include "base/arena.h"

/* Why a request is refused: status 0 means it is not. `reason` is static. */
struct http_refusal {
    int status;
    const char *reason;
};

struct http_request_line {
    struct bytes method;
    struct bytes target;
    int minor; /* HTTP/1.<minor>: 0 or 1 */
};

struct http_target {
    struct bytes authority; /* of the absolute form, else empty */
    struct bytes path;      /* still percent-encoded; begins with '/' */
    struct bytes query;     /* without '?'; empty if there is none */
};

/* `line` is without CRLF. The results borrow from it. */
struct http_refusal http_request_line_parse(struct bytes line, struct http_request_line *out);

/* Origin form, absolute form (http and https), and "*" for OPTIONS, whose path is "/". */
struct http_refusal http_target_parse(struct bytes target, struct bytes method,
                                      struct http_target *out);

/* A host name, IPv4 address or bracketed IPv6 address with an optional port (RFC 9110 section
 * 7.2). */
bool http_host_is_valid(struct bytes host);

/* *out is NUL-terminated and from the arena. Refused: a malformed escape, a control character (NUL
 * above all), bytes that are not UTF-8. */
struct http_refusal http_path_decode(struct bytes path, struct arena *arena, const char **out);

#endif
