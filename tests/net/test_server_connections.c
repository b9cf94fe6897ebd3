/* test_server_connections.c: who may have a connection when there are many, and who makes way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server_checks.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void start_with(uint32_t connections_max, uint32_t per_address_max)
{
    fixture_init(&fixture);
    fixture.limits.connections_max = connections_max;
    fixture.limits.connections_per_address_max = per_address_max;
    fixture_start(&fixture);
}

/* A connection with a request that is not answered before fixture_release. */
static int connect_busy(size_t count)
{
    int fd = client_connect(&fixture);
    client_send(fd, GET("/later?x"));
    fixture_wait_later(&fixture, count);
    return fd;
}

static int connect_idle(void)
{
    int fd = client_connect(&fixture);
    client_send(fd, GET("/hello"));
    expect_next(fd, 200, "hello");
    return fd;
}

/* ---- the whole server ---- */

Test(net_server, bounds_connections)
{
    int fds[3];
    start_with(3, 0);
    for (size_t i = 0; i < 3; i++) {
        fds[i] = connect_busy(i + 1);
    }
    int surplus = client_connect(&fixture);
    expect_next(surplus, 503, "too many connections");
    close(surplus);
    cr_expect_eq(atomic_load(&net_server_stats(fixture.server)->surplus), 1);
    cr_expect_eq(atomic_load(&net_server_stats(fixture.server)->surplus_of_address), 0);
    fixture_release(&fixture);
    for (size_t i = 0; i < 3; i++) {
        expect_next(fds[i], 200, "x");
        close(fds[i]);
    }
    fixture_wait_open(&fixture, 0);
    expect_answer(GET_CLOSE("/hello"), 200, "hello");
    stop();
}

Test(net_server, bounds_the_connections_that_are_told_503)
{
    enum { COUNT = 80 };
    int fds[COUNT];
    fixture_init(&fixture);
    fixture.limits.connections_max = 0;
    fixture_start(&fixture);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_connect(&fixture);
    }
    int told = 0;
    for (int i = 0; i < COUNT; i++) {
        char *answer = client_read_all(fds[i]);
        told += client_status(answer) == 503;
        heap_free(answer);
        close(fds[i]);
    }
    cr_assert_geq(told, 64);
    cr_expect_eq(atomic_load(&net_server_stats(fixture.server)->surplus), COUNT);
    fixture_wait_open(&fixture, 0);
    stop();
}

Test(net_server, the_longest_idle_connection_makes_way)
{
    start_with(3, 0);
    int first = connect_idle();
    int second = connect_idle();
    int third = connect_idle();
    client_send(first, GET("/hello")); /* no longer the longest */
    expect_next(first, 200, "hello");
    int fourth = connect_idle();
    expect_end(second);
    client_send(first, GET("/hello"));
    expect_next(first, 200, "hello");
    client_send(third, GET("/hello"));
    expect_next(third, 200, "hello");
    close(first);
    close(third);
    close(fourth);
    stop();
}

Test(net_server, what_is_under_way_does_not_make_way)
{
    start_with(4, 0);
    int busy = connect_busy(1);
    int head = client_connect(&fixture);
    client_send(head, "GET /hello HTTP/1.1\r\n");
    int body = client_connect(&fixture);
    client_send(body, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na");
    fixture_wait_open(&fixture, 3);
    for (int i = 0; i < 8; i++) { /* each takes the place of the one before */
        int idle = connect_idle();
        close(connect_idle());
        expect_end(idle);
    }
    client_send(head, HOST "\r\n");
    expect_next(head, 200, "hello");
    client_send(body, "b");
    expect_next(body, 200, "ab");
    fixture_release(&fixture);
    expect_next(busy, 200, "x");
    close(head);
    close(body);
    close(busy);
    stop();
}

Test(net_server, silent_connections_make_way_for_those_that_speak)
{
    int silent[3];
    start_with(3, 0);
    for (size_t i = 0; i < 3; i++) {
        silent[i] = client_connect(&fixture);
    }
    fixture_wait_open(&fixture, 3);
    int idle = connect_idle();
    expect_end(silent[0]);
    int other = connect_idle();
    expect_end(idle); /* those that are silent have not been so for long */
    close(other);
    close(silent[1]);
    close(silent[2]);
    stop();
}

Test(net_server, what_has_been_silent_for_long_makes_way_before_idle_ones)
{
    fixture_init(&fixture);
    fixture.limits.connections_max = 2;
    fixture.limits.connections_per_address_max = 0;
    fixture.limits.silent_ms_max = 0;
    fixture_start(&fixture);
    int idle = connect_idle();
    for (int i = 0; i < 20; i++) { /* a flood of silent connections costs the idle one nothing */
        int silent = client_connect(&fixture);
        int next = client_connect(&fixture);
        expect_end(silent);
        close(next);
        fixture_wait_open(&fixture, 1);
    }
    client_send(idle, GET("/hello"));
    expect_next(idle, 200, "hello");
    close(idle);
    stop();
}

/* ---- one address ---- */

Test(net_server, bounds_the_connections_of_an_address)
{
    start_with(100, 2);
    int first = connect_idle();
    int second = connect_idle();
    int third = client_connect(&fixture);
    expect_next(third, 429, "too many connections from this address");
    close(third);
    fixture_wait_open(&fixture, 2);
    close(first);
    fixture_wait_open(&fixture, 1);
    first = connect_idle();
    close(first);
    close(second);
    fixture_wait_open(&fixture, 0);
    expect_answer(GET_CLOSE("/hello"), 200, "hello");
    stop();
}

Test(net_server, bounds_those_of_an_address_that_are_told_429)
{
    enum { COUNT = 20 };
    int fds[COUNT];
    start_with(100, 1);
    int first = connect_idle();
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_connect(&fixture);
    }
    int told = 0;
    for (int i = 0; i < COUNT; i++) {
        char *answer = client_read_all(fds[i]);
        told += client_status(answer) == 429;
        heap_free(answer);
        close(fds[i]);
    }
    cr_assert_geq(told, 4);
    cr_expect_eq(atomic_load(&net_server_stats(fixture.server)->surplus_of_address), COUNT);
    cr_expect_eq(atomic_load(&net_server_stats(fixture.server)->surplus), 0);
    client_send(first, GET("/hello"));
    expect_next(first, 200, "hello");
    close(first);
    fixture_wait_open(&fixture, 0);
    stop();
}

Test(net_server, does_not_count_a_peer_that_the_handler_does_not)
{
    int fds[8];
    fixture_init(&fixture);
    fixture.limits.connections_per_address_max = 1;
    fixture.trusts_peer = true;
    fixture_start(&fixture);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = connect_idle();
    }
    for (size_t i = 0; i < 8; i++) {
        close(fds[i]);
    }
    stop();
}

/* ---- readers ---- */

Test(net_server, drops_a_client_that_reads_too_slowly)
{
    char piece[64 * 1024];
    size_t size = 0;
    ssize_t got;
    fixture_init(&fixture);
    fixture.limits.write_timeout_ms = 80;
    fixture.limits.write_rate_bytes_min = UINT32_MAX; /* nobody can */
    fixture.response_bytes = 64 * 1024 * 1024;
    fixture_start(&fixture);
    int fd = client_connect(&fixture);
    client_send(fd, GET_CLOSE("/large"));
    while ((got = recv(fd, piece, sizeof(piece), 0)) > 0) { /* it never stops reading */
        size += (size_t)got;
        (void)usleep(1000);
    }
    cr_assert_lt(size, fixture.response_bytes);
    close(fd);
    fixture_wait_open(&fixture, 0);
    stop();
}
