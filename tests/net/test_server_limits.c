/* test_server_limits.c: the server over real sockets: limits, clocks, the end, opening.
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

/* ---- limits ---- */

Test(net_server, answers_what_it_refuses_and_closes)
{
    start();
    expect_answer("GET / HTTP/1.1\r\n\r\n" GET("/hello"), 400, "Connection: close");
    expect_answer("GET / HTTP/2.0\r\n\r\n", 505, "HTTP Version Not Supported");
    expect_answer("CONNECT a:1 HTTP/1.1\r\n\r\n", 501, "Not Implemented");
    expect_answer("\x16\x03\x01", 400, "Bad Request");
    cr_assert_eq(atomic_load(&net_server_stats(fixture.server)->refused), 4);
    cr_assert_eq(atomic_load(&fixture.handled_count), 0);
    stop();
}

Test(net_server, bounds_heads_and_bodies)
{
    fixture_init(&fixture);
    fixture.limits.request_line_bytes_max = 30;
    fixture.limits.header_bytes_max = 100;
    fixture.limits.header_count_max = 3;
    fixture.limits.body_bytes_max = 10;
    fixture_start(&fixture);
    expect_answer(GET_CLOSE("/aaaaaaaaaaaaaaaa"), 200, "OK"); /* 30 */
    expect_answer(GET_CLOSE("/aaaaaaaaaaaaaaaaa"), 414, "URI Too Long");
    expect_answer("GET / HTTP/1.1\r\n" CLOSE "A: b\r\n\r\n", 200, "OK");
    expect_answer("GET / HTTP/1.1\r\n" CLOSE "A: b\r\nA: b\r\n\r\n", 431, "Too Large");
    expect_answer("POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 10\r\n\r\n0123456789", 200,
                  "0123456789");
    expect_answer("POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: 11\r\n\r\n0123456789a", 413,
                  "Content Too Large");
    stop();
}

Test(net_server, bounds_all_bodies_together)
{
    fixture_init(&fixture);
    fixture.limits.bodies_bytes_max = 100;
    fixture_start(&fixture);
    char text[300];
    (void)snprintf(text, sizeof(text),
                   "POST /later?x HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\n%060d", 0);
    int fd = client_connect(&fixture);
    client_send(fd, text);
    fixture_wait_later(&fixture, 1);
    for (int size = 39; size <= 41; size++) {
        (void)snprintf(text, sizeof(text),
                       "POST /echo HTTP/1.1\r\n" CLOSE "Content-Length: %d\r\n\r\n%0*d", size, size,
                       0);
        expect_answer(text, size <= 40 ? 200 : 503, "Connection: close");
    }
    fixture_release(&fixture);
    expect_next(fd, 200, "x");
    expect_answer(text, 200, "OK"); /* there is room again */
    close(fd);
    stop();
}

Test(net_server, bounds_the_requests_of_a_connection)
{
    fixture_init(&fixture);
    fixture.limits.keep_alive_requests_max = 3;
    fixture_start(&fixture);
    int fd = client_connect(&fixture);
    client_send(fd, GET("/hello") GET("/hello") GET("/hello") GET("/hello"));
    for (int i = 0; i < 3; i++) {
        char *answer = client_read_answer(fd);
        cr_assert_eq(client_status(answer), 200);
        cr_assert_eq(strstr(answer, "Connection: close") != NULL, i == 2);
        heap_free(answer);
    }
    expect_end(fd);
    stop();
}

/* ---- clocks ---- */

static void start_with_short_clocks(void)
{
    fixture_init(&fixture);
    fixture.limits.header_timeout_ms = 80;
    fixture.limits.body_grace_ms = 80;
    fixture.limits.body_rate_bytes_min = 1000 * 1000;
    fixture.limits.keep_alive_timeout_ms = 80;
    fixture.limits.write_timeout_ms = 80;
    fixture_start(&fixture);
}

/* Sends a byte now and then until the server answers or hangs up. */
static void trickle(int fd, const char *piece)
{
    char byte;
    while (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK)) {
        client_send(fd, piece);
        (void)usleep(5000);
    }
}

Test(net_server, gives_a_head_no_more_than_its_time)
{
    fixture_init(&fixture);
    fixture.limits.header_timeout_ms = 200;
    fixture_start(&fixture);
    int fd = client_connect(&fixture); /* nothing comes */
    expect_next(fd, 408, "Request Timeout");
    expect_end(fd);
    fd = client_connect(&fixture);
    client_send(fd, "GET / HTTP/1.1\r\nX: ");
    trickle(fd, "x");
    expect_next(fd, 408, "Connection: close");
    expect_end(fd);
    fd = client_connect(&fixture);
    client_send(fd, GET("/hello") "GET / "); /* a later request has its time too */
    expect_next(fd, 200, "hello");
    expect_next(fd, 408, "Request Timeout");
    expect_end(fd);
    stop();
}

Test(net_server, demands_a_rate_of_bodies)
{
    start_with_short_clocks();
    int fd = client_connect(&fixture);
    client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n");
    trickle(fd, "x");
    expect_next(fd, 408, "too slowly");
    expect_end(fd);
    fd = client_connect(&fixture);
    client_send(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    trickle(fd, "1\r\nx\r\n");
    expect_next(fd, 408, "too slowly");
    expect_end(fd);
    stop();
}

Test(net_server, closes_idle_connections_without_a_word)
{
    start_with_short_clocks();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/hello"));
    expect_next(fd, 200, "hello");
    expect_end(fd);
    fd = client_connect(&fixture);
    client_send(fd, GET("/hello"));
    expect_next(fd, 200, "hello");
    client_send(fd, "\r\n"); /* an empty line is no request */
    expect_end(fd);
    stop();
}

Test(net_server, lets_the_handler_take_its_time)
{
    start_with_short_clocks();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/later?x"));
    fixture_wait_later(&fixture, 1);
    for (int i = 0; i < 5;
         i++) { /* longer than any of the timeouts, seen from the server's clock */
        int other = client_connect(&fixture);
        expect_next(other, 408, "");
        close(other);
    }
    fixture_release(&fixture);
    expect_next(fd, 200, "x");
    close(fd);
    stop();
}

Test(net_server, drops_a_client_that_does_not_read)
{
    fixture_init(&fixture);
    fixture.limits.write_timeout_ms = 80;
    fixture.response_bytes = 32 * 1024 * 1024;
    fixture_start(&fixture);
    int fd = client_connect(&fixture);
    client_send(fd, GET_CLOSE("/large"));
    fixture_wait_open(&fixture, 1);
    fixture_wait_open(&fixture, 0);
    char *answer = client_read_all(fd);
    cr_assert_lt(strlen(answer), fixture.response_bytes);
    heap_free(answer);
    close(fd);
    stop();
}

Test(net_server, sends_a_large_answer_to_a_slow_reader)
{
    fixture_init(&fixture);
    fixture.response_bytes = 16 * 1024 * 1024;
    fixture.limits.keep_alive_timeout_ms = 20; /* a quick tick: it sees that the answer moves */
    fixture_start(&fixture);
    int fd = client_connect(&fixture);
    client_send(fd, GET("/large") GET_CLOSE("/hello"));
    struct buffer text;
    char piece[100 * 1000];
    ssize_t size;
    buffer_init(&text, SIZE_MAX / 2);
    while ((size = recv(fd, piece, sizeof(piece), 0)) > 0) {
        buffer_append(&text, piece, (size_t)size);
        (void)usleep(text.size < 2000000 ? 2000 : 0); /* slow at first: the server must wait */
    }
    const uint8_t *body = memmem(text.ptr, text.size, "\r\n\r\n", 4);
    cr_assert_not_null(body);
    body += 4;
    cr_assert_gt(text.size, fixture.response_bytes);
    for (size_t i = 0; i < fixture.response_bytes; i++) {
        cr_assert_eq(body[i], 'a' + i % 23);
    }
    cr_assert_not_null(
        memmem(body + fixture.response_bytes, 500, "\r\n\r\nhello", strlen("\r\n\r\nhello")));
    buffer_release(&text);
    close(fd);
    stop();
}

/* ---- the end ---- */

Test(net_server, drains_what_is_in_flight_and_closes_the_rest)
{
    start();
    int idle = client_connect(&fixture);
    client_send(idle, GET("/hello"));
    expect_next(idle, 200, "hello");
    int fresh = client_connect(&fixture);
    fixture_wait_open(&fixture, 2);
    int busy = client_connect(&fixture);
    client_send(busy, GET("/later?x"));
    int half = client_connect(&fixture);
    client_send(half, "GET /hello HTTP/1.1\r\n");
    fixture_wait_later(&fixture, 1);
    fixture_wait_open(&fixture, 4);
    int last = client_connect(&fixture); /* once this is answered, the half head has been read */
    client_send(last, GET_CLOSE("/hello"));
    expect_next(last, 200, "hello");
    expect_end(last);
    fixture_drain(&fixture);
    expect_end(idle);
    expect_end(fresh);
    cr_assert_eq(fixture.drained_count, 0);
    client_send(half, HOST "\r\n");
    expect_next(half, 200, "Connection: close");
    expect_end(half);
    fixture_release(&fixture);
    expect_next(busy, 200, "Connection: close");
    expect_end(busy);
    fixture_wait_drained(&fixture);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_neq(connect(refused, (struct sockaddr *)&address, sizeof(address)), 0);
    close(refused);
    stop();
}

Test(net_server, drains_at_once_when_there_is_nothing)
{
    start();
    fixture_drain(&fixture);
    fixture_wait_drained(&fixture);
    stop();
    cr_assert_eq(fixture.drained_count, 1);
}

/* The handler holds an exchange while the server closes: closed comes after its response. */
Test(net_server, closes_by_force_but_waits_for_the_handler)
{
    start();
    int fd = client_connect(&fixture);
    client_send(fd, GET("/later?x"));
    fixture_wait_later(&fixture, 1);
    fixture_drain(&fixture);
    fixture_close(&fixture);
    fixture_wait_gone(&fixture, 1);
    expect_end(fd);
    cr_assert_eq(fixture.closed_count, 0);
    fixture_release(&fixture);
    uv_thread_join(&fixture.thread);
    cr_assert_eq(fixture.closed_count, 1);
    cr_assert_eq(fixture.drained_count, 0);
}

/* ---- opening ---- */

static bool open_on(uv_loop_t *loop, const char *host, uint16_t port, struct net_server **server,
                    struct err *err)
{
    static const struct net_handler handler;
    return net_server_open(loop, host, port, &net_limits_default, &handler, server, err);
}

static void expect_open_fails(const char *host, uint16_t port, const char *needle)
{
    uv_loop_t loop;
    struct net_server *server = NULL;
    struct err err = {0};
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert(!open_on(&loop, host, port, &server, &err));
    cr_expect_eq(err.code, ERR_IO);
    cr_expect(strstr(err.message, needle) != NULL, "%s", err.message);
    cr_assert_null(server);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(net_server, says_what_and_where_when_it_cannot_listen)
{
    char where[64];
    start();
    (void)snprintf(where, sizeof(where), "address already in use: 127.0.0.1:%u",
                   (unsigned)fixture.port);
    expect_open_fails("127.0.0.1", fixture.port, where);
    expect_open_fails("192.0.2.1", 0, "192.0.2.1:0 (no interface");
    expect_open_fails("no such host", 0, "\"no such host\"");
    stop();
}

Test(net_server, opens_only_with_memory)
{
    uv_loop_t loop;
    struct net_server *server = NULL;
    struct err err = {0};
    cr_assert_eq(uv_loop_init(&loop), 0);
    heap_fail_after(1);
    bool opened = open_on(&loop, "127.0.0.1", 0, &server, &err);
    heap_fail_after(0);
    cr_assert(!opened);
    cr_assert_eq(err.code, ERR_NO_MEMORY);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

Test(net_server, listens_on_localhost)
{
    fixture_init(&fixture);
    fixture.host = "localhost";
    fixture_start(&fixture);
    expect_answer(GET_CLOSE("/hello"), 200, "hello");
    stop();
}

Test(net_server, listens_on_ipv6_and_names_ipv4_peers_as_such)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        cr_skip("skipped: IPv6, get it by a machine with an IPv6 loopback");
    }
    close(fd);
    fixture_init(&fixture);
    fixture.host = "::";
    fixture_start(&fixture);
    expect_answer(GET_CLOSE("/describe"), 200, "from 127.0.0.1\n");
    address.sin6_port = htons(fixture.port);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    client_send(fd, GET_CLOSE("/describe"));
    expect_next(fd, 200, "from ::1\n");
    expect_end(fd);
    stop();
}

Test(net_server, takes_a_connection_later_when_there_is_no_memory_for_it)
{
    start();
    expect_answer(GET_CLOSE("/hello"), 200, "hello");
    fixture_wait_open(&fixture, 0);
    heap_fail_after(1);
    int fd = client_connect(&fixture);
    client_send(fd, GET_CLOSE("/hello"));
    for (int i = 0; i < 100; i++) { /* the loop has its chance to see it meanwhile */
        cr_assert_eq(atomic_load(&net_server_stats(fixture.server)->connections_open), 0);
        (void)usleep(1000);
    }
    heap_fail_after(0);
    expect_next(fd, 200, "hello");
    expect_end(fd);
    stop();
}

/* Memory fails at the n-th allocation while a request is taken and answered: the client gets an
 * answer, a 503 or the end, and the server goes on. */
Test(net_server, survives_failing_memory)
{
    start();
    for (size_t n = 1; n < 12; n++) {
        char byte;
        int fd = client_connect(&fixture);
        heap_fail_after(n);
        client_send(fd, "POST /204 HTTP/1.1\r\n" CLOSE "Transfer-Encoding: chunked\r\n\r\n");
        client_send(fd, "1\r\nx\r\n0\r\n\r\n");
        /* At n = 1 the connection itself has no memory, and is taken only when there is some. */
        ssize_t size = n > 1 ? recv(fd, &byte, 1, MSG_PEEK) : 0;
        heap_fail_after(0);
        char *answer = client_read_all(fd);
        int status = client_status(answer);
        cr_expect(status == 204 || status == 503 || (status == -1 && size <= 0), "%d", status);
        heap_free(answer);
        close(fd);
    }
    expect_answer(GET_CLOSE("/hello"), 200, "hello");
    stop();
}
