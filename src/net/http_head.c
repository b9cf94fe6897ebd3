/* http_head.c: a whole head becomes a message_request.
 *
 * The head is copied into the request's arena once. llhttp reads the copy, and its callbacks cut
 * it into strings in place: the NUL goes where the colon or the CR was, which llhttp has passed by
 * then. Then come the checks that llhttp leaves to the server (RFC 9112 sections 3.2, 6.1, 6.3;
 * RFC 9110 section 10.1.1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_parser_internal.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

/* ---- llhttp's callbacks ---- */

/* Marks [at, at + size) as the next piece of what lies at [*start, *end) of the text. */
static void http_head_extend(const struct http_parser *parser, const char *at, size_t size,
                             size_t *start, size_t *end)
{
    size_t offset = (size_t)(at - parser->text);
    if (*end == 0) {
        *start = offset;
    }
    *end = offset + size;
}

int http_head_name(struct http_parser *parser, const char *at, size_t size)
{
    http_head_extend(parser, at, size, &parser->name_start, &parser->name_end);
    return 0;
}

int http_head_value(struct http_parser *parser, const char *at, size_t size)
{
    http_head_extend(parser, at, size, &parser->value_start, &parser->value_end);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int http_head_value_complete(struct http_parser *parser)
{
    struct message_request *request = parser->request;
    if (request->header_count == parser->header_count || parser->name_end <= parser->name_start) {
        (void)http_parser_refuse(parser, 400, "A header line has no name");
        return HPE_USER;
    }
    char *name = parser->text + parser->name_start;
    for (size_t i = 0; i < parser->name_end - parser->name_start; i++) {
        if (name[i] >= 'A' && name[i] <= 'Z') {
            name[i] = (char)(name[i] - 'A' + 'a');
        }
    }
    parser->text[parser->name_end] = 0;
    const char *value = "";
    if (parser->value_end > parser->value_start) {
        while (parser->value_end > parser->value_start &&
               is_blank(parser->text[parser->value_end - 1])) {
            parser->value_end--;
        }
        parser->text[parser->value_end] = 0;
        value = parser->text + parser->value_start;
    }
    parser->headers[request->header_count++] = (struct message_header){name, value};
    parser->name_start = parser->name_end = parser->value_start = parser->value_end = 0;
    return 0;
}

/* ---- the checks ---- */

struct http_head_counts {
    size_t host, transfer_encoding, content_length, expect;
    struct message_header *host_header;
};

/* One header line. The reason it cannot stand, or NULL. */
static const char *http_head_check_one(struct http_parser *parser, struct message_header *header,
                                       struct http_head_counts *counts)
{
    if (strcmp(header->name, "host") == 0) {
        counts->host_header = header;
        if (counts->host++ > 0) {
            return "The request has more than one Host header";
        }
        if (!http_host_is_valid(bytes_of_string(header->value))) {
            return "The Host header does not name a valid host";
        }
    } else if (strcmp(header->name, "transfer-encoding") == 0) {
        if (counts->transfer_encoding++ > 0 || strcasecmp(header->value, "chunked") != 0) {
            return "The only Transfer-Encoding understood is chunked";
        }
        if (parser->http_1_0) {
            return "HTTP/1.0 has no Transfer-Encoding";
        }
    } else if (strcmp(header->name, "content-length") == 0) {
        counts->content_length++;
    } else if (strcmp(header->name, "expect") == 0) {
        counts->expect++;
        parser->expects_continue = strcasecmp(header->value, "100-continue") == 0;
    }
    return NULL;
}

/* How long the body is, and whether that is allowed. llhttp has refused a second Content-Length,
 * and one beside a Transfer-Encoding. */
static enum http_event http_head_check_body(struct http_parser *parser,
                                            const struct http_head_counts *counts)
{
    size_t size_max = parser->limits->body_bytes_max;
    bool chunked = counts->transfer_encoding > 0;
    if (counts->content_length > 0) {
        if (parser->llhttp.content_length > size_max) {
            return http_parser_refuse(parser, 413, "The request body is too large");
        }
        size_max = (size_t)parser->llhttp.content_length;
    }
    parser->has_body = chunked || (counts->content_length > 0 && size_max > 0);
    if (parser->has_body && !http_body_expect(parser->body, size_max, !chunked)) {
        return http_parser_refuse(parser, 503, "There is no memory for the request body");
    }
    return HTTP_EVENT_HEAD;
}

static enum http_event http_head_check(struct http_parser *parser, struct http_head_counts *counts)
{
    struct message_request *request = parser->request;
    for (size_t i = 0; i < request->header_count; i++) {
        const char *reason = http_head_check_one(parser, &parser->headers[i], counts);
        if (reason != NULL) {
            return http_parser_refuse(parser, 400, reason);
        }
    }
    if (counts->host == 0 && !parser->http_1_0) {
        return http_parser_refuse(parser, 400, "The request has no Host header");
    }
    bool met = counts->expect == 0 || (counts->expect == 1 && parser->expects_continue);
    if (!met && !parser->http_1_0) {
        return http_parser_refuse(parser, 417, "The only expectation met is 100-continue");
    }
    parser->expects_continue = parser->expects_continue && !parser->http_1_0;
    parser->keep_alive = llhttp_should_keep_alive(&parser->llhttp) != 0 &&
                         (parser->llhttp.flags & F_CONNECTION_CLOSE) == 0;
    return http_head_check_body(parser, counts);
}

/* ---- the request ---- */

/* The authority of an absolute target takes the place of Host (RFC 9112 section 3.2.2). */
static bool http_head_set_host(struct http_parser *parser, struct bytes authority,
                               struct message_header *host)
{
    struct message_request *request = parser->request;
    if (authority.size == 0) {
        return true;
    }
    char *value = arena_text(parser->arena, authority);
    if (host == NULL) {
        host = &parser->headers[request->header_count++];
        host->name = "host";
    }
    host->value = value;
    return value != NULL;
}

/* Reads the request line; what it finds borrows from `head`. */
static struct http_refusal http_head_line(struct http_parser *parser, struct bytes head,
                                          struct http_request_line *line,
                                          struct http_target *target)
{
    struct http_refusal refusal =
        http_request_line_parse(bytes_of(head.ptr, parser->request_line_size), line);
    if (refusal.status != 0) {
        return refusal;
    }
    parser->http_1_0 = line->minor == 0;
    if (bytes_equal(line->method, bytes_of_string("CONNECT"))) {
        return (struct http_refusal){501, "This is not a proxy"};
    }
    refusal = http_target_parse(line->target, line->method, target);
    if (refusal.status != 0) {
        return refusal;
    }
    return http_path_decode(target->path, parser->arena, &parser->request->path);
}

static bool http_head_allocate(struct http_parser *parser, struct bytes head,
                               const struct http_request_line *line,
                               const struct http_target *target)
{
    struct message_request *request = parser->request;
    request->method = arena_text(parser->arena, line->method);
    request->query = arena_text(parser->arena, target->query);
    parser->headers =
        ARENA_ARRAY(parser->arena, struct message_header, (size_t)parser->header_count + 1);
    parser->text = arena_text(parser->arena, head);
    request->headers = parser->headers;
    return request->method != NULL && request->query != NULL && parser->headers != NULL &&
           parser->text != NULL;
}

enum http_event http_head_parse(struct http_parser *parser, struct bytes head)
{
    struct http_request_line line;
    struct http_target target;
    struct http_refusal refusal = http_head_line(parser, head, &line, &target);
    if (refusal.status != 0) {
        return http_parser_refuse(parser, refusal.status, refusal.reason);
    }
    if (!http_head_allocate(parser, head, &line, &target)) {
        return http_parser_refuse(parser, 503, "There is no memory for the request");
    }
    enum http_event event = http_parser_run(parser, bytes_of(parser->text, head.size));
    if (event == HTTP_EVENT_REFUSED) {
        return event;
    }
    if (event != HTTP_EVENT_HEAD || parser->request->header_count != parser->header_count) {
        return http_parser_refuse(parser, 400, "The head is malformed");
    }
    struct http_head_counts counts = {0};
    event = http_head_check(parser, &counts);
    if (event == HTTP_EVENT_HEAD &&
        !http_head_set_host(parser, target.authority, counts.host_header)) {
        return http_parser_refuse(parser, 503, "There is no memory for the request");
    }
    return event;
}
