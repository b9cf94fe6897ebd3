/* http_writer.c: see http_writer.h. The size of a head is bounded first, so that it is written in
 * one go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_writer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- Date ---- */

void http_date_update(struct http_date *date, int64_t wall_ms)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t second = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (date->text[0] != 0 && date->second == (int64_t)second) {
        return;
    }
    if (gmtime_r(&second, &tm) == NULL || tm.tm_year < 70 || tm.tm_year > 9999 - 1900) {
        second = 0;
        (void)gmtime_r(&second, &tm);
    }
    /* Not strftime: its names follow the locale. The moduli tell the compiler what fits. */
    (void)snprintf(date->text, sizeof(date->text), "%s, %02u %s %04u %02u:%02u:%02u GMT",
                   days[tm.tm_wday], (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
                   (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    date->second = wall_ms / 1000;
}

/* ---- the head ---- */

static const char *http_status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {303, "See Other"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status) {
            return phrases[i].phrase;
        }
    }
    return ""; /* the phrase may be empty, the space before it may not be missing */
}

/* Appends to memory that is known to suffice. */
static char *http_put(char *at, const char *text)
{
    size_t size = strlen(text);
    (void)memcpy(at, text, size);
    return at + size;
}

static char *http_put_header(char *at, const char *name, const char *value)
{
    at = http_put(at, name);
    at = http_put(at, ": ");
    for (; *value != 0; value++) {
        bool plain = ((uint8_t)*value >= 0x20 && *value != 0x7f) || *value == '\t';
        *at++ = plain ? *value : ' ';
    }
    return http_put(at, "\r\n");
}

static bool http_status_has_body(int status)
{
    return status != 204 && status != 304;
}

static char *http_put_length(char *at, const struct message_response *response)
{
    char length[24];
    if (!http_status_has_body(response->status)) {
        return at;
    }
    (void)snprintf(length, sizeof(length), "%zu", response->body.size);
    return http_put_header(at, "Content-Length", length);
}

static size_t http_writer_head_size_max(const struct message_response *response)
{
    size_t size = 256; /* status line, Date, Content-Length, Connection, all names and line ends */
    if (response->content_type != NULL) {
        size += strlen(response->content_type);
    }
    for (size_t i = 0; i < response->header_count; i++) {
        size += strlen(response->headers[i].name) + strlen(response->headers[i].value) +
                strlen(": \r\n");
    }
    return size;
}

struct bytes http_writer_head(const struct message_response *response, const char *date,
                              enum http_connection connection, struct arena *arena)
{
    assert(response->status >= 200 && response->status <= 599);
    size_t size_max = http_writer_head_size_max(response);
    char *start = arena_alloc(arena, size_max, 1);
    if (start == NULL) {
        return bytes_of(NULL, 0);
    }
    char *at = start;
    at += snprintf(at, 64, "HTTP/1.1 %d %s\r\n", response->status,
                   http_status_phrase(response->status));
    at = http_put_header(at, "Date", date);
    if (response->content_type != NULL && http_status_has_body(response->status)) {
        at = http_put_header(at, "Content-Type", response->content_type);
    }
    at = http_put_length(at, response);
    for (size_t i = 0; i < response->header_count; i++) {
        at = http_put_header(at, response->headers[i].name, response->headers[i].value);
    }
    if (connection != HTTP_CONNECTION_DEFAULT) {
        at = http_put_header(at, "Connection",
                             connection == HTTP_CONNECTION_CLOSE ? "close" : "keep-alive");
    }
    at = http_put(at, "\r\n");
    assert((size_t)(at - start) <= size_max);
    return bytes_of(start, (size_t)(at - start));
}

struct bytes http_writer_body(const struct message_response *response, bool head_request)
{
    if (head_request || !http_status_has_body(response->status)) {
        return bytes_of(NULL, 0);
    }
    return response->body;
}
