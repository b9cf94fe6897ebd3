/* conn.c: one connection as a state machine.
 *
 *     accept ─> FRESH ─> HEAD ──────> BODY ──────> HANDLING ─────> WRITING ──> IDLE ─> HEAD ...
 *                          └─ refused ───┴─ refused ─────────────────┘└─> LINGERING ─> CLOSING
 *
 * Bytes are parsed in FRESH, HEAD, IDLE and BODY only, so there is one request at a time and its
 * answer is written before the next is looked at. What a client sends ahead waits in `pending`, up
 * to CONN_PENDING_BYTES_MAX; then reading stops and only the kernel is asked whether the client is
 * still there. After a last answer our side is shut down and what still comes is thrown away for a
 * while (LINGERING), because closing at once would reset the connection and take the answer with
 * it (RFC 9112 section 9.6).
 *
 * conn_enter is the only function that changes the state. Memory is freed in conn_closed_cb only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conn.h"

#include "http_parser.h"
#include "transport.h"

#include <assert.h>
#include <string.h>

enum {
    CONN_PENDING_BYTES_MAX = 16 * 1024,       /* read ahead no further than this */
    CONN_LINGER_BYTES_MAX = 32 * 1024 * 1024, /* a whole body of a client that does not look up */
    CONN_LINGER_MS_MAX = 2000,
    CONN_EXCHANGE_BYTES_EXTRA = 64 * 1024, /* of the arena, beside the head: for the handler */
    CONN_SURPLUS_MAX = 64,        /* connections beyond the limit that are told 503 at a time */
    CONN_ADDRESS_SURPLUS_MAX = 4, /* the same of one address, told 429 */
};

struct conn {
    struct transport transport;
    struct net_server *server;
    struct list link;  /* in server->conns[state] */
    struct peer *peer; /* NULL: not counted */
    enum conn_state state;
    struct http_parser parser;
    struct exchange *exchange; /* the request under way; NULL between requests */

    struct bytes input;    /* received and not parsed: of the read buffer, or of pending */
    struct buffer pending; /* what came while a request was under way */
    bool running;          /* conn_run is on the stack */

    uint32_t request_count;
    bool end_seen;      /* the client will send no more */
    bool refused_early; /* handler->accept said no; the answer waits for the message's end */
    bool last;          /* no request after this one */

    uint64_t entered_ms;  /* the state */
    uint64_t deadline_ms; /* of FRESH, HEAD, IDLE, WRITING, LINGERING */
    size_t unsent_first;  /* of WRITING, at its start */
    size_t unsent;        /* and when last looked at */
    size_t lingered;      /* bytes thrown away */
};

static uint64_t conn_now(const struct conn *conn)
{
    return uv_now(conn->server->loop);
}

/* ---- the one place where states change ---- */

static bool conn_may_enter(enum conn_state from, enum conn_state to)
{
    switch (to) {
    case CONN_FRESH:
        return false;
    case CONN_HEAD:
        return from == CONN_IDLE || from == CONN_FRESH;
    case CONN_IDLE:
        return from == CONN_WRITING;
    case CONN_BODY:
        return from == CONN_HEAD;
    case CONN_HANDLING:
        return from == CONN_BODY;
    case CONN_WRITING:
        return from == CONN_HEAD || from == CONN_BODY || from == CONN_HANDLING;
    case CONN_LINGERING:
        return from == CONN_WRITING;
    case CONN_CLOSING:
        return from != CONN_CLOSING;
    case CONN_STATES:
        break;
    }
    return false;
}

static uint32_t conn_timeout_ms(const struct net_limits *limits, enum conn_state state)
{
    switch ((int)state) {
    case CONN_FRESH:
    case CONN_HEAD:
        return limits->header_timeout_ms;
    case CONN_IDLE:
        return limits->keep_alive_timeout_ms;
    case CONN_WRITING:
        return limits->write_timeout_ms;
    case CONN_LINGERING:
        return limits->write_timeout_ms < CONN_LINGER_MS_MAX ? limits->write_timeout_ms
                                                             : CONN_LINGER_MS_MAX;
    default:
        return 0;
    }
}

/* Behind all that are in the state already: so each list is in the order of the deadlines. */
static void conn_set_state(struct conn *conn, enum conn_state state)
{
    conn->state = state;
    conn->entered_ms = conn_now(conn);
    conn->deadline_ms = conn->entered_ms + conn_timeout_ms(&conn->server->limits, state);
    list_remove(&conn->link);
    list_push_back(&conn->server->conns[state], &conn->link);
}

static void conn_enter(struct conn *conn, enum conn_state state)
{
    bool may_enter = conn_may_enter(conn->state, state);
    assert(may_enter);
    (void)may_enter;
    conn_set_state(conn, state);
    if (state == CONN_CLOSING) {
        conn->server->open_count--;
        transport_close(&conn->transport);
    }
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    bool handling = conn->state == CONN_HANDLING;
    conn_enter(conn, CONN_CLOSING);
    if (handling) {
        struct exchange *exchange = conn->exchange;
        conn->exchange = NULL; /* it is the handler's now; server_leave frees it */
        exchange->conn = NULL;
        exchange_gone(exchange);
    }
}

/* ---- answering ---- */

static enum http_connection conn_header(const struct conn *conn)
{
    if (conn->last) {
        return HTTP_CONNECTION_CLOSE;
    }
    return conn->parser.http_1_0 ? HTTP_CONNECTION_KEEP_ALIVE : HTTP_CONNECTION_DEFAULT;
}

static void conn_linger(struct conn *conn)
{
    if (conn->end_seen || !transport_shutdown(&conn->transport)) {
        conn_close(conn);
        return;
    }
    conn_enter(conn, CONN_LINGERING);
    if (!transport_read_start(&conn->transport)) {
        conn_close(conn);
    }
}

static void conn_resume(struct conn *conn);

/* The answer is with the kernel. */
static void conn_written(struct conn *conn)
{
    exchange_free(conn->exchange);
    conn->exchange = NULL;
    if (conn->last) {
        conn_linger(conn);
        return;
    }
    conn_enter(conn, CONN_IDLE);
    conn_resume(conn);
}

/* Sends exchange->response. */
static void conn_write(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    const struct message_response *response = &exchange->response;
    const char *method = exchange->message.request.method;
    bool head_request = method != NULL && strcmp(method, "HEAD") == 0;
    conn->last = conn->last || response->close || conn->server->draining;
    conn_enter(conn, CONN_WRITING);
    struct bytes head = http_writer_head(response, server_date(conn->server), conn_header(conn),
                                         &exchange->message.arena);
    struct bytes body = http_writer_body(response, head_request);
    enum transport_write_result result =
        head.ptr != NULL ? transport_write(&conn->transport, head, body) : TRANSPORT_FAILED;
    if (result == TRANSPORT_WRITTEN) {
        conn_written(conn);
    } else if (result == TRANSPORT_FAILED) {
        conn_close(conn);
    } else {
        conn->unsent = conn->unsent_first = transport_unsent(&conn->transport);
    }
}

void conn_answer(struct conn *conn)
{
    assert(conn->state == CONN_HANDLING);
    conn_write(conn);
}

/* False: no memory, and the connection is closing. */
static bool conn_begin_exchange(struct conn *conn)
{
    struct net_server *server = conn->server;
    const struct net_limits *limits = &server->limits;
    if (conn->exchange != NULL) {
        return true;
    }
    size_t head_max = (size_t)limits->request_line_bytes_max + limits->header_bytes_max +
                      ((size_t)limits->header_count_max + 1) * sizeof(struct message_header);
    conn->exchange = exchange_new(&server->answers, conn, conn->transport.peer,
                                  head_max * 2 + CONN_EXCHANGE_BYTES_EXTRA, &server->bodies);
    if (conn->exchange == NULL) {
        conn_close(conn);
        return false;
    }
    struct exchange *exchange = conn->exchange;
    http_parser_start(&conn->parser, &exchange->message.request, &exchange->message.arena,
                      &exchange->body);
    return true;
}

/* net's own no. The stream may be out of step, so nothing comes after it. */
static void conn_refuse(struct conn *conn, int status, const char *reason)
{
    struct net_server *server = conn->server;
    if (!conn_begin_exchange(conn)) {
        return;
    }
    atomic_fetch_add_explicit(&server->stats.refused, 1, memory_order_relaxed);
    conn->last = true;
    server->handler.refuse(server->handler.context, status, reason, &conn->exchange->response);
    if (conn->state == CONN_IDLE || conn->state == CONN_FRESH) {
        conn_enter(conn, CONN_HEAD);
    }
    conn_write(conn);
}

/* ---- taking requests in ---- */

static bool conn_takes_input(const struct conn *conn)
{
    return conn->state == CONN_FRESH || conn->state == CONN_HEAD || conn->state == CONN_IDLE ||
           conn->state == CONN_BODY;
}

static void conn_continue(struct conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (conn->parser.expects_continue && conn->parser.has_body && conn->input.size == 0 &&
        !transport_write_interim(&conn->transport, bytes_of_string(text))) {
        conn_close(conn);
    }
}

static void conn_head_complete(struct conn *conn)
{
    struct net_server *server = conn->server;
    struct exchange *exchange = conn->exchange;
    conn->request_count++;
    conn->last =
        !conn->parser.keep_alive || conn->request_count >= server->limits.keep_alive_requests_max;
    conn->refused_early =
        !server->handler.accept(server->handler.context, &exchange->message, &exchange->response);
    if (conn->refused_early && conn->parser.has_body) {
        conn->last = true;
        conn_write(conn);
        return;
    }
    conn_enter(conn, CONN_BODY);
    conn_continue(conn);
}

static void conn_request_complete(struct conn *conn)
{
    struct net_server *server = conn->server;
    struct exchange *exchange = conn->exchange;
    if (conn->refused_early) {
        conn_write(conn);
        return;
    }
    conn_enter(conn, CONN_HANDLING);
    server->handled_count++;
    server->handler.handle(server->handler.context, &exchange->message);
    if (conn->end_seen) {
        exchange_gone(exchange);
    }
}

/* Parses one step of conn->input. False: there is nothing more to do with it now. */
static bool conn_step(struct conn *conn)
{
    size_t consumed = 0;
    if ((conn->input.size == 0 && conn->exchange == NULL) || !conn_begin_exchange(conn)) {
        return false;
    }
    enum http_event event = http_parser_feed(&conn->parser, conn->input, &consumed);
    conn->input = bytes_of(conn->input.ptr + consumed, conn->input.size - consumed);
    bool waits = conn->state == CONN_IDLE || conn->state == CONN_FRESH;
    if (waits && !http_parser_is_idle(&conn->parser)) {
        conn_enter(conn, CONN_HEAD);
    }
    switch (event) {
    case HTTP_EVENT_MORE:
        return false;
    case HTTP_EVENT_HEAD:
        conn_head_complete(conn);
        break;
    case HTTP_EVENT_COMPLETE:
        conn_request_complete(conn);
        break;
    case HTTP_EVENT_REFUSED:
        conn_refuse(conn, conn->parser.refusal.status, conn->parser.refusal.reason);
        break;
    }
    return conn_takes_input(conn);
}

/* ---- input ---- */

/* Puts what was received behind what is not parsed yet. */
static void conn_keep(struct conn *conn, struct bytes bytes)
{
    size_t unparsed = conn->input.size; /* the tail of pending */
    if (unparsed > 0) {
        (void)memmove(conn->pending.ptr, conn->input.ptr, unparsed);
    }
    conn->pending.size = unparsed;
    buffer_append_bytes(&conn->pending, bytes);
    conn->input = buffer_bytes(&conn->pending);
    if (conn->pending.failed) {
        conn_close(conn);
    }
}

/* After every change: reads on or not, and closes when the client has sent its last request. */
static void conn_settle(struct conn *conn)
{
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->state == CONN_LINGERING) {
        conn->input = bytes_of(NULL, 0);
    } else if (conn->end_seen && conn_takes_input(conn)) {
        conn_close(conn);
        return;
    }
    if (conn->input.size == 0) {
        buffer_release(&conn->pending);
    }
    if (conn->input.size >= CONN_PENDING_BYTES_MAX) {
        transport_read_stop(&conn->transport);
    } else if (!conn->end_seen && !transport_read_start(&conn->transport)) {
        conn_close(conn);
    }
}

static void conn_run(struct conn *conn)
{
    conn->running = true;
    while (conn_step(conn)) {
    }
    conn->running = false;
}

/* An answer is out: goes on with what has come meanwhile. An answer that is written while conn_run
 * is on the stack leads here too; then the loop there goes on, not a deeper call. */
static void conn_resume(struct conn *conn)
{
    if (!conn->running) {
        conn_run(conn);
        conn_settle(conn);
    }
}

/* ---- the transport's callbacks ---- */

static struct conn *conn_of(struct transport *transport)
{
    return LIST_ENTRY(transport, struct conn, transport);
}

static uv_buf_t conn_room(struct transport *transport)
{
    struct conn *conn = conn_of(transport);
    bool ahead = conn->state == CONN_HANDLING || conn->state == CONN_WRITING;
    return (uv_buf_t){.base = conn->server->read_buffer,
                      .len = ahead ? CONN_PENDING_BYTES_MAX : NET_READ_BYTES};
}

/* `bytes` are in the server's read buffer, which the next connection will use. */
static void conn_receive(struct conn *conn, struct bytes bytes)
{
    if (conn->state == CONN_LINGERING) {
        conn->lingered += bytes.size;
        if (conn->lingered > CONN_LINGER_BYTES_MAX) {
            conn_close(conn);
        }
        return;
    }
    struct bytes rest = bytes;
    if (conn_takes_input(conn)) {
        assert(conn->input.size == 0);
        conn->input = bytes;
        conn_run(conn);
        rest = conn->input;
        conn->input = bytes_of(NULL, 0);
    }
    if (rest.size > 0 && conn->state != CONN_CLOSING) {
        conn_keep(conn, rest);
    }
    conn_settle(conn);
}

static void conn_received_cb(struct transport *transport, struct bytes bytes)
{
    struct conn *conn = conn_of(transport);
    server_enter(conn->server);
    conn_receive(conn, bytes);
    server_leave(conn->server);
}

static void conn_ended_cb(struct transport *transport, bool lost)
{
    struct conn *conn = conn_of(transport);
    server_enter(conn->server);
    conn->end_seen = true;
    if (lost || conn->state == CONN_LINGERING || conn_takes_input(conn)) {
        conn_close(conn);
    } else if (conn->state == CONN_HANDLING) {
        exchange_gone(conn->exchange); /* the answer is sent all the same: it may be a half-close */
    }
    server_leave(conn->server);
}

static void conn_written_cb(struct transport *transport, bool ok)
{
    struct conn *conn = conn_of(transport);
    server_enter(conn->server);
    if (ok) {
        conn_written(conn);
    } else {
        conn_close(conn);
    }
    server_leave(conn->server);
}

static void conn_closed_cb(struct transport *transport)
{
    struct conn *conn = conn_of(transport);
    struct net_server *server = conn->server;
    exchange_free(conn->exchange);
    http_parser_release(&conn->parser);
    buffer_release(&conn->pending);
    peers_remove(conn->peer);
    server_conn_closed(server, &conn->link);
    heap_free(conn);
}

static const struct transport_callbacks conn_transport_callbacks = {
    .room = conn_room,
    .received = conn_received_cb,
    .ended = conn_ended_cb,
    .written = conn_written_cb,
    .closed = conn_closed_cb,
};

/* ---- the server's side ---- */

struct conn *conn_of_link(struct list *link)
{
    return LIST_ENTRY(link, struct conn, link);
}

/* The longest in a state. */
static struct conn *conn_first(const struct net_server *server, enum conn_state state)
{
    const struct list *head = &server->conns[state];
    return head->next == head ? NULL : conn_of_link(head->next);
}

/* Closes one on which nothing is under way: one that has been silent from its start for a while,
 * then the longest idle one, then any that is silent. A flood of silent connections so makes way
 * for itself, and does not cost those that work. */
static void conn_make_way(const struct conn *newest)
{
    const struct net_server *server = newest->server;
    struct conn *fresh = conn_first(server, CONN_FRESH);
    struct conn *idle = conn_first(server, CONN_IDLE);
    fresh = fresh == newest ? NULL : fresh;
    bool is_silent =
        fresh != NULL && conn_now(fresh) - fresh->entered_ms >= server->limits.silent_ms_max;
    struct conn *victim = is_silent || idle == NULL ? fresh : idle;
    if (victim != NULL) {
        conn_close(victim);
    }
}

/* Counts the connection among its address's; false: there are too many, and it has been dealt with.
 * One that came too many is told so, as long as there are not too many of those either. */
static bool conn_check_address(struct conn *conn)
{
    struct net_server *server = conn->server;
    const struct net_handler *handler = &server->handler;
    uint32_t max = server->limits.connections_per_address_max;
    struct address address;
    if (max == 0 || !address_parse(bytes_of_string(conn->transport.peer), &address) ||
        (handler->counts_peer != NULL &&
         !handler->counts_peer(handler->context, conn->transport.peer))) {
        return true;
    }
    conn->peer = peers_add(&server->peers, &address);
    if (conn->peer != NULL && conn->peer->count <= max) {
        return true;
    }
    atomic_fetch_add_explicit(&server->stats.surplus_of_address, 1, memory_order_relaxed);
    if (conn->peer == NULL || conn->peer->count > max + CONN_ADDRESS_SURPLUS_MAX) {
        conn_close(conn);
    } else {
        conn_refuse(conn, 429, "There are too many connections from this address");
    }
    return false;
}

/* The same for the whole server. */
static bool conn_check_room(struct conn *conn)
{
    struct net_server *server = conn->server;
    uint32_t max = server->limits.connections_max;
    if (server->open_count > max) {
        conn_make_way(conn);
    }
    if (server->open_count <= max) {
        return true;
    }
    atomic_fetch_add_explicit(&server->stats.surplus, 1, memory_order_relaxed);
    if (server->open_count - max > CONN_SURPLUS_MAX) {
        conn_close(conn);
    } else {
        conn_refuse(conn, 503, "There are too many connections");
    }
    return false;
}

static void conn_begin(struct conn *conn)
{
    if (conn_check_address(conn) && conn_check_room(conn) &&
        !transport_read_start(&conn->transport)) {
        conn_close(conn);
    }
}

void conn_accept(struct net_server *server)
{
    bool accepted = false;
    struct conn *conn = HEAP_NEW(struct conn);
    if (conn == NULL || !transport_accept(&conn->transport, (uv_stream_t *)&server->listener,
                                          &conn_transport_callbacks, &accepted)) {
        heap_free(conn);
        server_conn_postponed(server);
        return;
    }
    conn->server = server;
    list_init(&conn->link);
    conn_set_state(conn, CONN_FRESH);
    http_parser_init(&conn->parser, &server->limits);
    buffer_init(&conn->pending, CONN_PENDING_BYTES_MAX + NET_READ_BYTES);
    server_conn_opened(server);
    if (accepted) {
        conn_begin(conn);
    } else {
        conn_close(conn);
    }
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_IDLE || conn->state == CONN_FRESH) {
        conn_close(conn);
    }
}

static bool conn_body_is_slow(const struct conn *conn, uint64_t now_ms)
{
    const struct net_limits *limits = &conn->server->limits;
    uint64_t elapsed_ms = now_ms - conn->entered_ms;
    if (elapsed_ms <= limits->body_grace_ms) {
        return false;
    }
    uint64_t expected = (elapsed_ms - limits->body_grace_ms) * limits->body_rate_bytes_min / 1000;
    return conn->exchange->body.size < expected;
}

static bool conn_reads_slowly(const struct conn *conn, uint64_t now_ms)
{
    const struct net_limits *limits = &conn->server->limits;
    uint64_t elapsed_ms = now_ms - conn->entered_ms;
    if (elapsed_ms <= limits->write_timeout_ms) {
        return false;
    }
    uint64_t expected =
        (elapsed_ms - limits->write_timeout_ms) * limits->write_rate_bytes_min / 1000;
    return conn->unsent_first - conn->unsent < expected;
}

/* Reading has stopped: the client's leaving would not be read. */
static void conn_look_for_client(struct conn *conn)
{
    if (!conn->transport.reading && !conn->end_seen && transport_peer_left(&conn->transport)) {
        exchange_gone(conn->exchange);
    }
}

bool conn_is_late(const struct conn *conn, uint64_t now_ms)
{
    return now_ms >= conn->deadline_ms;
}

void conn_tick(struct conn *conn, uint64_t now_ms)
{
    bool late = conn_is_late(conn, now_ms);
    switch (conn->state) {
    case CONN_FRESH:
    case CONN_HEAD:
        if (late) {
            conn_refuse(conn, 408, "The request head did not come in time");
            conn_settle(conn);
        }
        break;
    case CONN_BODY:
        if (conn_body_is_slow(conn, now_ms)) {
            conn_refuse(conn, 408, "The request body comes too slowly");
            conn_settle(conn);
        }
        break;
    case CONN_HANDLING:
        conn_look_for_client(conn);
        break;
    case CONN_WRITING:
        if (transport_unsent(&conn->transport) != conn->unsent) {
            conn->unsent = transport_unsent(&conn->transport);
            conn->deadline_ms = now_ms + conn->server->limits.write_timeout_ms;
        } else if (late) {
            conn_close(conn);
            return;
        }
        if (conn_reads_slowly(conn, now_ms)) {
            conn_close(conn);
        }
        break;
    case CONN_IDLE:
    case CONN_LINGERING:
        if (late) {
            conn_close(conn);
        }
        break;
    case CONN_CLOSING:
    case CONN_STATES:
        break;
    }
}
