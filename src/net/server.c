/* server.c: listening, the clock tick, answers coming home, and the end of it all.
 *
 * Deadlines are fields of the connections; one timer looks at them a few times per shortest
 * timeout, which costs less than moving a timer at every request. Connections are in lists by
 * state, and where all in a state have the same time, those that came first are late first: so what
 * waits costs the timer nothing.
 *
 * The server is freed when its three handles are closed: the listener first, then, when no
 * connection is left and the handler owes nothing any more, the tick and the wakeup.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server.h"

#include "base/clock.h"
#include "conn.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

const struct net_limits net_limits_default = {
    .connections_max = 1024,
    .silent_ms_max = 1000,
    .connections_per_address_max = 256,
    .request_line_bytes_max = 8 * 1024,
    .header_bytes_max = 16 * 1024,
    .header_count_max = 100,
    .body_bytes_max = 16 * 1024 * 1024,
    .bodies_bytes_max = 256 * 1024 * 1024,
    .header_timeout_ms = 10 * 1000,
    .body_rate_bytes_min = 4 * 1024,
    .body_grace_ms = 5 * 1000,
    .keep_alive_timeout_ms = 60 * 1000,
    .keep_alive_requests_max = 100 * 1000,
    .write_timeout_ms = 30 * 1000,
    .write_rate_bytes_min = 4 * 1024,
};

enum { SERVER_BACKLOG = 1024, SERVER_TICK_MS_MIN = 5, SERVER_TICK_MS_MAX = 250 };

/* ---- the end ---- */

static void server_handle_closed_cb(uv_handle_t *handle)
{
    struct net_server *server = handle->data;
    assert(server->handles > 0);
    if (--server->handles > 0) {
        return;
    }
    void (*closed)(void *context) = server->closed;
    void *context = server->closed_context;
    answers_release(&server->answers);
    peers_release(&server->peers);
    heap_free(server);
    if (closed != NULL) {
        closed(context);
    }
}

static void server_close_handle(void *handle)
{
    uv_close(handle, server_handle_closed_cb);
}

/* Looks whether drain or close have reached their ends. */
static void server_settle(struct net_server *server)
{
    if (server->listening || server->conn_count > 0) {
        return;
    }
    if (server->drained != NULL) {
        void (*drained)(void *context) = server->drained;
        server->drained = NULL;
        drained(server->drained_context); /* may call net_server_close, which ends up here again */
    }
    if (server->closing && !server->finishing && server->handled_count == 0) {
        server->finishing = true;
        server_close_handle(&server->tick);
        server_close_handle(&server->wakeup);
    }
}

static void server_listener_closed_cb(uv_handle_t *handle)
{
    struct net_server *server = handle->data;
    server->listening = false;
    server->handles--; /* never the last: tick and wakeup are closed after it */
    server_settle(server);
}

static void server_stop_listening(struct net_server *server)
{
    server->accept_waits = false;
    if (!uv_is_closing((uv_handle_t *)&server->listener)) {
        uv_close((uv_handle_t *)&server->listener, server_listener_closed_cb);
    }
}

/* `next` is read first because a visit may end a connection, though none is freed before libuv's
 * close callback. */
static void server_each_conn(struct net_server *server, void (*visit)(struct conn *conn))
{
    for (enum conn_state state = 0; state < CONN_CLOSING; state++) {
        for (struct list *link = server->conns[state].next; link != &server->conns[state];) {
            struct list *next = link->next;
            visit(conn_of_link(link));
            link = next;
        }
    }
}

void net_server_drain(struct net_server *server, void (*drained)(void *context), void *context)
{
    assert(!server->draining && !server->closing);
    server->draining = true;
    server->drained = drained;
    server->drained_context = context;
    server_stop_listening(server);
    server_each_conn(server, conn_drain);
}

void net_server_close(struct net_server *server, void (*closed)(void *context), void *context)
{
    assert(!server->closing);
    server->closing = true;
    server->drained = NULL;
    server->closed = closed;
    server->closed_context = context;
    server_stop_listening(server);
    server_each_conn(server, conn_close);
    server_settle(server);
}

/* ---- answers ---- */

static void server_answer(struct net_server *server, struct exchange *exchange)
{
    assert(server->handled_count > 0);
    server->handled_count--;
    if (exchange->conn != NULL) {
        conn_answer(exchange->conn);
    } else {
        exchange_free(exchange);
    }
}

void server_enter(struct net_server *server)
{
    answers_enter(&server->answers);
}

void server_leave(struct net_server *server)
{
    struct list answers;
    answers_take(&server->answers, &answers);
    while (!list_is_empty(&answers)) {
        struct list *link;
        while ((link = list_pop_front(&answers)) != NULL) {
            server_answer(server, LIST_ENTRY(link, struct exchange, link));
        }
        answers_take(&server->answers, &answers); /* an answer may have let in the next request */
    }
    answers_leave();
    server_settle(server);
}

static void server_wakeup_cb(uv_poll_t *handle, int status, int events)
{
    struct net_server *server = handle->data;
    (void)status; /* an eventfd does not fail */
    (void)events;
    answers_awake(&server->answers);
    server_enter(server);
    server_leave(server);
}

const char *server_date(struct net_server *server)
{
    http_date_update(&server->date, clock_wall_ms(&clock_system));
    return server->date.text;
}

/* ---- connections ---- */

/* Those whose time is over; each leaves the state by it. */
static void server_tick_late(struct net_server *server, enum conn_state state, uint64_t now_ms)
{
    const struct list *head = &server->conns[state];
    while (head->next != head && conn_is_late(conn_of_link(head->next), now_ms)) {
        const struct list *late = head->next;
        conn_tick(conn_of_link(head->next), now_ms);
        assert(head->next != late);
        (void)late;
    }
}

/* All that are in a state now. */
static void server_tick_all(struct net_server *server, enum conn_state state, uint64_t now_ms)
{
    for (struct list *link = server->conns[state].next; link != &server->conns[state];) {
        struct list *next = link->next;
        conn_tick(conn_of_link(link), now_ms);
        link = next;
    }
}

static void server_tick_cb(uv_timer_t *timer)
{
    struct net_server *server = timer->data;
    uint64_t now_ms = uv_now(server->loop);
    server_enter(server);
    server_tick_late(server, CONN_FRESH, now_ms);
    server_tick_late(server, CONN_HEAD, now_ms);
    server_tick_late(server, CONN_IDLE, now_ms);
    server_tick_late(server, CONN_LINGERING, now_ms);
    server_tick_all(server, CONN_BODY, now_ms);
    server_tick_all(server, CONN_HANDLING, now_ms);
    server_tick_all(server, CONN_WRITING, now_ms);
    if (server->accept_waits) {
        server->accept_waits = false;
        conn_accept(server);
    }
    if (server->conn_count == 0 && !server->accept_waits) {
        (void)uv_timer_stop(timer);
    }
    server_leave(server);
}

static uint64_t server_tick_ms(const struct net_limits *limits)
{
    const uint32_t timeouts[] = {limits->header_timeout_ms, limits->body_grace_ms,
                                 limits->keep_alive_timeout_ms, limits->write_timeout_ms};
    uint64_t tick_ms = SERVER_TICK_MS_MAX;
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        if (timeouts[i] / 4 < tick_ms) {
            tick_ms = timeouts[i] / 4;
        }
    }
    return tick_ms < SERVER_TICK_MS_MIN ? SERVER_TICK_MS_MIN : tick_ms;
}

static void server_start_tick(struct net_server *server)
{
    if (!uv_is_active((uv_handle_t *)&server->tick)) {
        uint64_t tick_ms = server_tick_ms(&server->limits);
        (void)uv_timer_start(&server->tick, server_tick_cb, tick_ms, tick_ms);
    }
}

void server_conn_opened(struct net_server *server)
{
    server->conn_count++;
    server->open_count++;
    atomic_fetch_add_explicit(&server->stats.connections_accepted, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->stats.connections_open, 1, memory_order_relaxed);
    server_start_tick(server);
}

void server_conn_closed(struct net_server *server, struct list *link)
{
    list_remove(link);
    server->conn_count--;
    atomic_fetch_sub_explicit(&server->stats.connections_open, 1, memory_order_relaxed);
    server_settle(server);
}

void server_conn_postponed(struct net_server *server)
{
    server->accept_waits = true;
    server_start_tick(server);
}

/* A failed accept (no file descriptor is left) has been reported and is over; the next one comes by
 * itself. */
static void server_connection_cb(uv_stream_t *listener, int status)
{
    struct net_server *server = listener->data;
    if (status != 0) {
        return;
    }
    server_enter(server);
    conn_accept(server);
    server_leave(server);
}

/* ---- opening ---- */

/* The first IPv4 address of the name, else its first address. */
static bool server_resolve(uv_loop_t *loop, const char *host, uint16_t port,
                           struct sockaddr_storage *out, struct err *err)
{
    uv_getaddrinfo_t request;
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    (void)snprintf(service, sizeof(service), "%u", (unsigned)port);
    int result = uv_getaddrinfo(loop, &request, NULL, host, service, &hints);
    if (result != 0) {
        return err_set(err, ERR_IO, "cannot resolve the address to listen on, \"%s\": %s", host,
                       uv_strerror(result));
    }
    const struct addrinfo *chosen = request.addrinfo;
    for (const struct addrinfo *at = chosen; at != NULL; at = at->ai_next) {
        if (at->ai_family == AF_INET) {
            chosen = at;
            break;
        }
    }
    (void)memcpy(out, chosen->ai_addr, chosen->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return true;
}

static bool server_listen_failed(int result, const char *host, uint16_t port, struct err *err)
{
    const char *hint = "";
    if (result == UV_EADDRINUSE) {
        hint = " (another server listens there; stop it or choose another port)";
    } else if (result == UV_EACCES) {
        hint = " (ports below 1024 need a privilege)";
    } else if (result == UV_EADDRNOTAVAIL) {
        hint = " (no interface of this machine has that address)";
    }
    bool ipv6 = strchr(host, ':') != NULL;
    return err_set(err, ERR_IO, "%s: %s%s%s:%u%s", uv_strerror(result), ipv6 ? "[" : "", host,
                   ipv6 ? "]" : "", (unsigned)port, hint);
}

static bool server_listen(struct net_server *server, const char *host, uint16_t port,
                          struct err *err)
{
    struct sockaddr_storage address = {0};
    if (!server_resolve(server->loop, host, port, &address, err)) {
        return false;
    }
    int result = uv_tcp_bind(&server->listener, (struct sockaddr *)&address, 0);
    if (result == 0) {
        result = uv_listen((uv_stream_t *)&server->listener, SERVER_BACKLOG, server_connection_cb);
    }
    int size = sizeof(address);
    if (result == 0) {
        result = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size);
    }
    if (result != 0) {
        return server_listen_failed(result, host, port, err);
    }
    const uint8_t *bytes = (const uint8_t *)&((struct sockaddr_in *)&address)->sin_port;
    server->port = (uint16_t)((unsigned)bytes[0] << 8 | bytes[1]); /* same place in sockaddr_in6 */
    return true;
}

/* The three handles. libuv fails here only when the process is out of file descriptors. */
static bool server_init_handles(struct net_server *server, struct err *err)
{
    uv_tcp_t *listener = &server->listener;
    int result = uv_poll_init(server->loop, &server->wakeup, server->answers.wake_fd);
    if (result != 0) {
        return err_set(err, ERR_IO, "cannot start the server: %s", uv_strerror(result));
    }
    result = uv_poll_start(&server->wakeup, UV_READABLE, server_wakeup_cb);
    assert(result == 0);
    result = uv_timer_init(server->loop, &server->tick);
    assert(result == 0);
    result = uv_tcp_init(server->loop, listener);
    assert(result == 0); /* AF_UNSPEC: no socket is made yet */
    server->wakeup.data = server->tick.data = listener->data = server;
    server->handles = 3;
    server->listening = true;
    return true;
}

bool net_server_open(uv_loop_t *loop, const char *host, uint16_t port,
                     const struct net_limits *limits, const struct net_handler *handler,
                     struct net_server **out, struct err *err)
{
    struct net_server *server = HEAP_NEW(struct net_server);
    if (server == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the server");
    }
    server->loop = loop;
    server->limits = *limits;
    server->handler = *handler;
    for (enum conn_state state = 0; state < CONN_STATES; state++) {
        list_init(&server->conns[state]);
    }
    budget_init(&server->bodies, limits->budget, limits->bodies_bytes_max);
    if (!peers_init(&server->peers, limits->connections_max)) {
        heap_free(server);
        return err_set(err, ERR_NO_MEMORY, "no memory for the server's table of addresses");
    }
    if (!answers_init(&server->answers)) {
        peers_release(&server->peers);
        heap_free(server);
        return err_set(err, ERR_NO_MEMORY, "no descriptor or lock for the server");
    }
    if (!server_init_handles(server, err)) {
        answers_release(&server->answers);
        peers_release(&server->peers);
        heap_free(server);
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* libuv's writes would raise it */
    if (!server_listen(server, host, port, err)) {
        net_server_close(server, NULL, NULL);
        return false;
    }
    *out = server;
    return true;
}

uint16_t net_server_port(const struct net_server *server)
{
    return server->port;
}

const struct net_stats *net_server_stats(const struct net_server *server)
{
    return &server->stats;
}
