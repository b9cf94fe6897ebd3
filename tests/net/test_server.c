/* test_server.c: the server over real sockets: answers, connections, refused bodies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server_checks.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- answers ---- */

Test(net_server, answers_with_length_type_and_date)
{
    start();
    expect_answer(GET_CLOSE("/hello"), 200, "HTTP/1.1 200 OK\r\n");
    expect_answer(GET_CLOSE("/hello"), 200, "\r\nContent-Length: 5\r\n");
    expect_answer(GET_CLOSE("/hello"), 200, "\r\nContent-Type: text/plain\r\n");
    expect_answer(GET_CLOSE("/hello"), 200, "\r\nConnection: close\r\n");
    expect_answer(GET_CLOSE("/hello"), 200, " GMT\r\n");
    expect_answer(GET_CLOSE("/hello"), 200, "\r\n\r\nhello");
    stop();
}

Test(net_server, hands_the_request_over)
{
    start();
    expect_answer("PUT /%64escribe?a=b HTTP/1.1\r\n" CLOSE "X-Y: z\r\n\r\n", 200,
                  "PUT /describe ? a=b from 127.0.0.1\nhost=a.example\nconnection=close\nx-y=z\n");
    stop();
}

Test(net_server, answers_head_without_a_body)
{
    start();
    expect_answer("HEAD /hello HTTP/1.1\r\n" CLOSE "\r\n", 200, "\r\nContent-Length: 5\r\n");
    expect_without("HEAD /hello HTTP/1.1\r\n" CLOSE "\r\n", "\r\n\r\nhello");
    int fd = client_connect(&fixture);
    client_send(fd, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n" GET_CLOSE("/hello"));
    char *both = client_read_all(fd);
    cr_assert_not_null(strstr(both, "\r\n\r\nHTTP/1.1 200 OK"));
    heap_free(both);
    close(fd);
    stop();
}

Test(net_server, gives_204_and_304_no_length)
{
    start();
    expect_answer(GET_CLOSE("/204"), 204, "No Content");
    expect_without(GET_CLOSE("/204"), "Content-Length");
    expect_answer(GET_CLOSE("/304"), 304, "Not Modified");
    expect_without(GET_CLOSE("/304"), "Content-Length");
    expect_answer(GET_CLOSE("/nothing"), 200, "\r\nContent-Length: 0\r\n");
    stop();
}

Test(net_server, lets_no_header_value_end_its_line)
{
    start();
    expect_answer(GET_CLOSE("/inject"), 200, "\r\nX-Text: a  X-Evil: b \r\n");
    stop();
}

Test(net_server, answers_options)
{
    start();
    expect_answer("OPTIONS * HTTP/1.1\r\n" CLOSE "\r\n", 200, "Content-Length: 0");
    expect_answer("OPTIONS /describe HTTP/1.1\r\n" CLOSE "\r\n", 200, "OPTIONS /describe");
    stop();
}

Test(net_server, takes_the_target_s_authority_for_host)
{
    start();
    expect_answer("GET http://b.example/describe HTTP/1.1\r\n" CLOSE "\r\n", 200,
                  "host=b.example\n");
    stop();
}

Test(net_server, echoes_bodies_of_both_framings)
{
    start();
    expect_answer("POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 3\r\n\r\nabc", 200,
                  "\r\n\r\nabc");
    expect_answer("POST /echo HTTP/1.1\r\n" CLOSE
                  "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n",
                  200, "\r\n\r\nabc");
    stop();
}

Test(net_server, echoes_a_large_body)
{
    enum { SIZE = 3 * 1000 * 1000 };
    start();
    char head[128];
    char *body = heap_alloc(SIZE + 1);
    for (size_t i = 0; i < SIZE; i++) {
        body[i] = (char)('a' + i % 26);
    }
    (void)snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: %d\r\n\r\n",
                   SIZE);
    int fd = client_connect(&fixture);
    client_send(fd, head);
    client_send_bytes(fd, body, SIZE);
    char *answer = client_read_all(fd);
    const char *start_of_body = strstr(answer, "\r\n\r\n");
    cr_assert_not_null(start_of_body);
    cr_assert(strcmp(start_of_body + 4, body) == 0);
    heap_free(answer);
    heap_free(body);
    close(fd);
    stop();
}

/* ---- connections ---- */

Test(net_server, takes_requests_byte_by_byte)
{
    static const char text[] =
        "POST /echo HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n";
    start();
    int fd = client_connect(&fixture);
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on));
    for (size_t i = 0; i < strlen(text); i++) {
        client_send_bytes(fd, text + i, 1);
    }
    expect_next(fd, 200, "\r\n\r\nabc");
    expect_end(fd);
    stop();
}

Test(net_server, keeps_http_1_1_open_and_http_1_0_if_asked)
{
    start();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/hello"));
    expect_next(fd, 200, "hello");
    client_send(fd, GET_CLOSE("/hello"));
    expect_next(fd, 200, "Connection: close");
    expect_end(fd);
    fd = client_connect(&fixture);
    client_send(fd, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect_next(fd, 200, "Connection: keep-alive");
    client_send(fd, "GET /hello HTTP/1.0\r\n\r\n");
    expect_next(fd, 200, "Connection: close");
    expect_end(fd);
    expect_without(GET_CLOSE("/hello"), "keep-alive");
    stop();
}

Test(net_server, closes_when_the_response_says_so)
{
    start();
    expect_answer(GET("/close"), 200, "Connection: close");
    stop();
}

Test(net_server, answers_pipelined_requests_in_order)
{
    start();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/later?1") GET("/hello") GET("/later?2") GET("/deny") GET("/echo")
                        GET_CLOSE("/async"));
    fixture_wait_later(&fixture, 1);
    fixture_release(&fixture);
    expect_next(fd, 200, "\r\n\r\n1");
    expect_next(fd, 200, "\r\n\r\nhello");
    fixture_wait_later(&fixture, 1);
    fixture_release(&fixture);
    expect_next(fd, 200, "\r\n\r\n2");
    expect_next(fd, 401, "denied");
    expect_next(fd, 200, "Content-Length: 0");
    expect_next(fd, 200, "async");
    expect_end(fd);
    stop();
}

Test(net_server, joins_what_comes_in_pieces_behind_a_request)
{
    start();
    int fd = client_connect(&fixture);
    int other = client_connect(&fixture);
    client_send(fd, GET("/later?x") "POST /echo HTTP/1.1\r\n" HOST "Content-Le");
    fixture_wait_later(&fixture, 1);
    static const char *const pieces[] = {"ngth: 4\r\n\r\na", "bc", "d" GET_CLOSE("/hello")};
    for (size_t i = 0; i < 3; i++) {
        client_send(fd, pieces[i]);
        client_send(other, GET("/hello")); /* once it is answered, the piece has been read */
        expect_next(other, 200, "hello");
    }
    fixture_release(&fixture);
    expect_next(fd, 200, "\r\n\r\nx");
    expect_next(fd, 200, "\r\n\r\nabcd");
    expect_next(fd, 200, "\r\n\r\nhello");
    expect_end(fd);
    close(other);
    stop();
}

/* More requests than are read ahead, so reading stops and starts again many times. */
Test(net_server, answers_thousands_of_pipelined_requests)
{
    enum { COUNT = 20000 };
    start();
    struct buffer text;
    buffer_init(&text, SIZE_MAX / 2);
    for (int i = 0; i < COUNT; i++) {
        buffer_append_string(&text, i % 100 == 0 ? GET("/deny") : GET("/hello"));
    }
    buffer_append_string(&text, GET_CLOSE("/hello"));
    int fd = client_connect(&fixture);
    pid_t writer = fork(); /* what is sent and what is read do not fit into the buffers */
    if (writer == 0) {
        client_send_bytes(fd, text.ptr, text.size);
        _exit(0);
    }
    for (int i = 0; i < COUNT; i++) {
        expect_next(fd, i % 100 == 0 ? 401 : 200, i % 100 == 0 ? "denied" : "hello");
    }
    expect_next(fd, 200, "hello");
    expect_end(fd);
    buffer_release(&text);
    stop();
}

Test(net_server, stops_reading_behind_a_request_and_goes_on_after_it)
{
    enum { COUNT = 5000 };
    start();
    struct buffer text;
    buffer_init(&text, SIZE_MAX / 2);
    buffer_append_string(&text, GET("/later?x"));
    for (int i = 0; i < COUNT; i++) {
        buffer_append_string(&text, GET("/204"));
    }
    int fd = client_connect(&fixture);
    client_send_bytes(fd, text.ptr, text.size); /* 200 KB: into the kernel's buffers */
    fixture_wait_later(&fixture, 1);
    fixture_release(&fixture);
    expect_next(fd, 200, "x");
    for (int i = 0; i < COUNT; i++) {
        expect_next(fd, 204, "");
    }
    buffer_release(&text);
    close(fd);
    stop();
}

Test(net_server, answers_from_other_threads)
{
    start();
    int fd = client_connect(&fixture);
    for (int i = 0; i < 50; i++) {
        client_send(fd, GET("/async"));
        expect_next(fd, 200, "async");
    }
    close(fd);
    stop();
}

Test(net_server, takes_several_answers_in_one_wakeup)
{
    enum { COUNT = 20 };
    int fds[COUNT];
    start();
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_connect(&fixture);
        client_send(fds[i], GET_CLOSE("/later?x"));
    }
    fixture_wait_later(&fixture, COUNT);
    fixture_release(&fixture);
    for (int i = 0; i < COUNT; i++) {
        expect_next(fds[i], 200, "x");
        expect_end(fds[i]);
    }
    stop();
}

Test(net_server, serves_two_hundred_connections_at_once)
{
    enum { COUNT = 200 };
    int fds[COUNT];
    start();
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_connect(&fixture);
        client_send(fds[i], GET("/later?x"));
    }
    fixture_wait_later(&fixture, COUNT);
    cr_assert_eq(atomic_load(&net_server_stats(fixture.server)->connections_open), COUNT);
    fixture_release(&fixture);
    for (int i = 0; i < COUNT; i++) {
        expect_next(fds[i], 200, "x");
        client_send(fds[i], GET_CLOSE("/hello"));
    }
    for (int i = 0; i < COUNT; i++) {
        expect_next(fds[i], 200, "hello");
        expect_end(fds[i]);
    }
    fixture_wait_open(&fixture, 0);
    cr_assert_eq(atomic_load(&fixture.handled_count), 2 * COUNT);
    stop();
}

Test(net_server, answers_a_client_that_has_closed_its_half)
{
    start();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/hello") GET("/hello"));
    (void)shutdown(fd, SHUT_WR);
    expect_next(fd, 200, "hello");
    expect_next(fd, 200, "hello");
    expect_end(fd);
    fd = client_connect(&fixture);
    client_send(fd, GET("/later?x") GET("/hello"));
    fixture_wait_later(&fixture, 1);
    (void)shutdown(fd, SHUT_WR);
    fixture_wait_gone(&fixture, 1); /* it looks the same as a client that is gone */
    fixture_release(&fixture);
    expect_next(fd, 200, "x");
    expect_next(fd, 200, "hello");
    expect_end(fd);
    stop();
}

Test(net_server, closes_quietly_when_a_request_is_cut_off)
{
    start();
    static const char *const texts[] = {"", "GET / HT", "GET / HTTP/1.1\r\nHost: a",
                                        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nab"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int fd = client_connect(&fixture);
        client_send(fd, texts[i]);
        (void)shutdown(fd, SHUT_WR);
        expect_end(fd);
    }
    fixture_wait_open(&fixture, 0);
    stop();
}

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

Test(net_server, tells_the_handler_once_when_the_client_is_gone)
{
    start();
    int closing = client_connect(&fixture);
    int resetting = client_connect(&fixture);
    client_send(closing, GET("/later?x"));
    client_send(resetting, GET("/later?x"));
    fixture_wait_later(&fixture, 2);
    close(closing);
    reset(resetting);
    fixture_wait_gone(&fixture, 2);
    fixture_release(&fixture); /* into the void */
    fixture_wait_open(&fixture, 0);
    cr_assert_eq(fixture.gone_count, 2);
    stop();
}

/* Reading has stopped behind the first request, so the end of the stream cannot be read. */
Test(net_server, notices_the_leaving_of_a_client_that_sent_too_much_ahead)
{
    enum { SIZE = 48 * 1024 }; /* more than is read ahead, less than the kernel's buffer */
    char *much = heap_alloc(SIZE + 1);
    memset(much, 'x', SIZE);
    fixture_init(&fixture);
    fixture.limits.header_timeout_ms = 100; /* a quick tick */
    fixture_start(&fixture);
    int fd = client_connect(&fixture);
    client_send(fd, GET("/later?x"));
    fixture_wait_later(&fixture, 1);
    client_send(fd, much);
    (void)shutdown(fd, SHUT_WR);
    fixture_wait_gone(&fixture, 1);
    fixture_release(&fixture);
    fixture_wait_open(&fixture, 0);
    cr_assert_eq(fixture.gone_count, 1);
    heap_free(much);
    close(fd);
    stop();
}

/* ---- bodies that are refused or announced ---- */

#define EXPECTING "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"

Test(net_server, says_continue_only_after_the_handler_has)
{
    start();
    int fd = client_connect(&fixture);
    client_send(fd, "POST /echo HTTP/1.1\r\n" HOST EXPECTING);
    expect_next(fd, 100, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fd, "abc");
    expect_next(fd, 200, "abc");
    client_send(fd, "POST /echo HTTP/1.1\r\n" HOST EXPECTING "abc"); /* does not wait */
    expect_next(fd, 200, "abc");
    client_send(fd, "POST /deny HTTP/1.1\r\n" HOST EXPECTING);
    expect_next(fd, 401, "Connection: close");
    expect_end(fd);
    expect_answer("POST /echo HTTP/1.1\r\n" CLOSE
                  "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
                  200, "Content-Length: 0");
    expect_answer("POST /echo HTTP/1.0\r\n" EXPECTING "abc", 200, "abc");
    expect_answer("POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", 417, "close");
    stop();
}

Test(net_server, refuses_early_and_stays_if_there_is_no_body)
{
    start();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/deny"));
    expect_next(fd, 401, "denied");
    client_send(fd, GET("/hello"));
    expect_next(fd, 200, "hello");
    client_send(fd, "POST /deny HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    expect_next(fd, 401, "denied");
    expect_end(fd);
    stop();
}

/* The client writes on for a while before it reads; a reset would lose the answer. */
Test(net_server, lets_a_refused_client_read_the_answer)
{
    enum { SIZE = 900 * 1000 };
    char *much = heap_alloc(SIZE);
    start();
    for (int i = 0; i < 20; i++) {
        int fd = client_connect(&fixture);
        client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n");
        client_send_bytes(fd, much, SIZE);
        expect_next(fd, 413, "too large");
        expect_end(fd);
    }
    heap_free(much);
    stop();
}

Test(net_server, hangs_up_on_a_refused_client_that_never_stops)
{
    char *much = heap_alloc(64 * 1024);
    start();
    int fd = client_connect(&fixture);
    client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n");
    ssize_t sent;
    while ((sent = send(fd, much, 64 * 1024, MSG_NOSIGNAL)) > 0) {
    }
    cr_assert(errno == EPIPE || errno == ECONNRESET);
    heap_free(much);
    close(fd);
    stop();
}
