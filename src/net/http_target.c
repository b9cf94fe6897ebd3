/* http_target.c: see http_target.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_target.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

static const struct http_refusal http_accepted = {0, NULL};

static struct http_refusal http_refusal_of(int status, const char *reason)
{
    return (struct http_refusal){status, reason};
}

static bool bytes_are(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_of_string(text));
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_alphanumeric(uint8_t byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_one_of(uint8_t byte, const char *set)
{
    return byte != 0 && strchr(set, byte) != NULL;
}

/* RFC 9110 section 5.6.2 */
static bool is_token(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.ptr[i];
        if (!is_alphanumeric(byte) && !is_one_of(byte, "!#$%&'*+-.^_`|~")) {
            return false;
        }
    }
    return bytes.size > 0;
}

/* Splits at the first `separator`; false if there is none. */
static bool bytes_split(struct bytes in, uint8_t separator, struct bytes *before,
                        struct bytes *after)
{
    const uint8_t *at = in.size > 0 ? memchr(in.ptr, separator, in.size) : NULL;
    if (at == NULL) {
        return false;
    }
    size_t size = (size_t)(at - in.ptr);
    *before = bytes_of(in.ptr, size);
    *after = bytes_of(at + 1, in.size - size - 1);
    return true;
}

/* ---- the request line ---- */

static struct http_refusal http_version_parse(struct bytes version, int *minor)
{
    if (version.size != 8 || memcmp(version.ptr, "HTTP/", 5) != 0 || !is_digit(version.ptr[5]) ||
        version.ptr[6] != '.' || !is_digit(version.ptr[7])) {
        return http_refusal_of(400, "The request line does not end with an HTTP version");
    }
    if (!bytes_are(version, "HTTP/1.1") && !bytes_are(version, "HTTP/1.0")) {
        return http_refusal_of(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    *minor = version.ptr[7] - '0';
    return http_accepted;
}

struct http_refusal http_request_line_parse(struct bytes line, struct http_request_line *out)
{
    struct bytes rest;
    struct bytes version;
    if (!bytes_split(line, ' ', &out->method, &rest) || !is_token(out->method)) {
        return http_refusal_of(400, "The request line does not begin with a method and a space");
    }
    if (!bytes_split(rest, ' ', &out->target, &version)) {
        return http_refusal_of(400, "The request line has no HTTP version");
    }
    return http_version_parse(version, &out->minor);
}

/* ---- the target ---- */

static bool target_bytes_are_legal(struct bytes target)
{
    for (size_t i = 0; i < target.size; i++) {
        uint8_t byte = target.ptr[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == '#') {
            return false;
        }
    }
    return target.size > 0;
}

/* "http://" or "https://", in either case; the rest is what follows. */
static bool target_is_absolute(struct bytes target, struct bytes *rest)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t size = strlen(schemes[i]);
        if (target.size >= size && strncasecmp((const char *)target.ptr, schemes[i], size) == 0) {
            *rest = bytes_of(target.ptr + size, target.size - size);
            return true;
        }
    }
    return false;
}

/* Cuts the authority off the front; what is left begins with '/' or '?' or is empty. */
static struct bytes target_cut_authority(struct bytes rest, struct bytes *authority)
{
    size_t size = 0;
    while (size < rest.size && rest.ptr[size] != '/' && rest.ptr[size] != '?') {
        size++;
    }
    *authority = bytes_of(rest.ptr, size);
    return bytes_of(rest.ptr + size, rest.size - size);
}

struct http_refusal http_target_parse(struct bytes target, struct bytes method,
                                      struct http_target *out)
{
    *out = (struct http_target){.path = bytes_of_string("/"), .query = bytes_of_string("")};
    struct bytes rest = target;
    if (!target_bytes_are_legal(target)) {
        return http_refusal_of(400, "The request target has characters that must be encoded");
    }
    if (bytes_are(target, "*") && bytes_are(method, "OPTIONS")) {
        return http_accepted;
    }
    if (target_is_absolute(target, &rest)) {
        rest = target_cut_authority(rest, &out->authority);
        if (!http_host_is_valid(out->authority)) {
            return http_refusal_of(400, "The request target does not name a valid host");
        }
    } else if (rest.ptr[0] != '/') {
        return http_refusal_of(400, "The request target must begin with a slash");
    }
    struct bytes path = rest;
    (void)bytes_split(rest, '?', &path, &out->query);
    if (path.size > 0) {
        out->path = path;
    }
    return http_accepted;
}

/* ---- Host ---- */

static bool port_is_valid(struct bytes port)
{
    uint32_t value = 0;
    for (size_t i = 0; i < port.size; i++) {
        if (!is_digit(port.ptr[i]) || i >= 5) {
            return false;
        }
        value = value * 10 + (uint32_t)(port.ptr[i] - '0');
    }
    return value <= UINT16_MAX;
}

/* The size of "[::1]" at the front, 0 if it is not one. What is inside is not resolved here, so
 * the alphabet is enough. */
static size_t ipv6_literal_size(struct bytes host)
{
    for (size_t i = 1; i < host.size; i++) {
        if (host.ptr[i] == ']') {
            return i > 2 ? i + 1 : 0;
        }
        if (!is_one_of(host.ptr[i], "0123456789abcdefABCDEF:.")) {
            return 0;
        }
    }
    return 0;
}

bool http_host_is_valid(struct bytes host)
{
    size_t size = 0;
    if (host.size > 0 && host.ptr[0] == '[') {
        size = ipv6_literal_size(host);
    } else {
        while (size < host.size &&
               (is_alphanumeric(host.ptr[size]) || is_one_of(host.ptr[size], "-._"))) {
            size++;
        }
    }
    if (size == 0) {
        return false;
    }
    if (size == host.size) {
        return true;
    }
    return host.ptr[size] == ':' &&
           port_is_valid(bytes_of(host.ptr + size + 1, host.size - size - 1));
}

/* ---- the path ---- */

struct http_refusal http_path_decode(struct bytes path, struct arena *arena, const char **out)
{
    char *text = arena_alloc(arena, path.size + 1, 1);
    if (text == NULL) {
        return http_refusal_of(503, "There is no memory for the request");
    }
    size_t written = 0;
    for (size_t i = 0; i < path.size; i++) {
        uint8_t byte = path.ptr[i];
        if (byte == '%') {
            if (path.size - i < 3 ||
                !text_hex_decode((const char *)path.ptr + i + 1, 2, &byte, 1)) {
                return http_refusal_of(400, "The path has a malformed percent escape");
            }
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f) {
            return http_refusal_of(400, "The path has a control character");
        }
        text[written++] = (char)byte;
    }
    if (!text_is_utf8(bytes_of(text, written))) {
        return http_refusal_of(400, "The path is not UTF-8");
    }
    *out = text;
    return http_accepted;
}
