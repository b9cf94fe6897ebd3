/* test_http_writer.c: heads of answers, byte for byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http_writer.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *date_of(int64_t wall_ms)
{
    static struct http_date date;
    http_date_update(&date, wall_ms);
    return date.text;
}

Test(net_http_writer, writes_dates_in_the_form_of_rfc_9110)
{
    cr_assert_str_eq(date_of(784111777000), "Sun, 06 Nov 1994 08:49:37 GMT");
    cr_assert_str_eq(date_of(784111777999), "Sun, 06 Nov 1994 08:49:37 GMT");
    cr_assert_str_eq(date_of(784111778000), "Sun, 06 Nov 1994 08:49:38 GMT");
    cr_assert_str_eq(date_of(1709164800000), "Thu, 29 Feb 2024 00:00:00 GMT");
    cr_assert_str_eq(date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    cr_assert_str_eq(date_of(INT64_MAX), "Thu, 01 Jan 1970 00:00:00 GMT"); /* no year that fits */
}

static void expect_head(const struct message_response *response, enum http_connection connection,
                        const char *expected)
{
    struct arena arena;
    arena_init(&arena, NULL);
    struct bytes head = http_writer_head(response, "DATE", connection, &arena);
    cr_expect(bytes_equal(head, bytes_of_string(expected)), "%.*s", (int)head.size,
              (const char *)head.ptr);
    arena_release(&arena);
}

Test(net_http_writer, writes_heads)
{
    struct message_response response;
    message_response_init(&response, 200);
    expect_head(&response, HTTP_CONNECTION_DEFAULT,
                "HTTP/1.1 200 OK\r\nDate: DATE\r\nContent-Length: 0\r\n\r\n");
    cr_assert(message_response_body(&response, "text/plain", bytes_of_string("abc")));
    message_response_header(&response, "Retry-After", "1");
    expect_head(&response, HTTP_CONNECTION_CLOSE,
                "HTTP/1.1 200 OK\r\nDate: DATE\r\nContent-Type: text/plain\r\n"
                "Content-Length: 3\r\nRetry-After: 1\r\nConnection: close\r\n\r\n");
    response.status = 299; /* no phrase is known */
    response.header_count = 0;
    expect_head(&response, HTTP_CONNECTION_KEEP_ALIVE,
                "HTTP/1.1 299 \r\nDate: DATE\r\nContent-Type: text/plain\r\n"
                "Content-Length: 3\r\nConnection: keep-alive\r\n\r\n");
    response.status = 304;
    expect_head(&response, HTTP_CONNECTION_DEFAULT,
                "HTTP/1.1 304 Not Modified\r\nDate: DATE\r\n\r\n");
    arena_release(&response.arena);
}

Test(net_http_writer, sends_bodies_where_they_may_be)
{
    struct message_response response = {.status = 200, .body = bytes_of_string("abc")};
    cr_assert_eq(http_writer_body(&response, false).size, 3);
    cr_assert_eq(http_writer_body(&response, true).size, 0);
    response.status = 204;
    cr_assert_eq(http_writer_body(&response, false).size, 0);
    response.status = 304;
    cr_assert_eq(http_writer_body(&response, false).size, 0);
}

Test(net_http_writer, has_no_head_without_memory)
{
    struct message_response response = {.status = 200};
    struct budget budget;
    struct arena arena;
    budget_init(&budget, NULL, 10);
    arena_init(&arena, &budget);
    cr_assert_null(http_writer_head(&response, "DATE", HTTP_CONNECTION_DEFAULT, &arena).ptr);
}
