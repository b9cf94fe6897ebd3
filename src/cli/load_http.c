/* load_http.c: keep-alive connections to one node, for one thread: epoll and llhttp.
 *
 * A call waits for a connection, owns it until its answer is whole, and is then finished by
 * load_http_step, one piece of work at a time: those that have something to send first, those that
 * only want checking when nothing else is to do. An answer is stamped with the moment at which
 * epoll said that it was there, so the work on others does not make it late.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    RECEIVE_BYTES = 65536,
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,
    CUT_ANSWER_BYTES = 64,
    LATER_MAX = 2000, /* answers that wait for their check, before checks get a turn of their own */
};

struct load_conn {
    struct load_handle handle;
    struct list link;
    struct load_http *http;
    int fd;
    bool is_connected, has_served, wants_out, is_retry_after, is_kept;
    struct load_call *call; /* NULL: idle */
    llhttp_t parser;
};

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

/* ---- ends ---- */

static void conn_close(struct load_conn *conn)
{
    struct load_http *http = conn->http;
    list_remove(&conn->link);
    close(conn->fd);
    http->connections--;
    heap_free(conn);
}

static void call_finish(struct load_call *call)
{
    struct load_http *http = call->http;
    call->conn = NULL;
    list_remove(&call->cutting);
    if (call->can_wait) {
        list_push_back(&http->later, &call->link);
        http->later_count++;
    } else {
        list_push_back(&http->urgent, &call->link);
    }
}

/* The connection is gone. A kept one may have been closed by the node while we wrote to it. */
static void conn_lost(struct load_conn *conn)
{
    struct load_call *call = conn->call;
    struct load_http *http = conn->http;
    bool can_repeat = call != NULL && call->can_repeat && conn->has_served &&
                      call->answer.size == 0 && call->status == 0;
    conn_close(conn);
    if (can_repeat) {
        call->conn = NULL;
        call->sent = 0;
        list_push_front(&http->waiting, &call->link);
    } else if (call != NULL) {
        call->status = 0;
        call->answered_ns = now_ns();
        call_finish(call);
    }
}

/* We end it ourselves, in the middle. */
static void conn_cut(struct load_conn *conn)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (conn->call->is_reset) {
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    conn->call->was_cut = true;
    conn->call->can_repeat = false;
    conn_lost(conn);
}

/* ---- answers ---- */

static int on_field(llhttp_t *parser, const char *at, size_t size)
{
    struct load_conn *conn = parser->data;
    conn->is_retry_after = size == 11 && strncasecmp(at, "Retry-After", size) == 0;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t size)
{
    struct load_conn *conn = parser->data;
    (void)at;
    if (conn->is_retry_after && size > 0) {
        conn->call->has_retry_after = true;
    }
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
    struct load_conn *conn = parser->data;
    buffer_append(&conn->call->answer, at, size);
    return conn->call->answer.failed ? -1 : 0;
}

static int on_complete(llhttp_t *parser)
{
    struct load_conn *conn = parser->data;
    conn->call->status = parser->status_code;
    conn->is_kept = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
    static llhttp_settings_t table;
    if (table.on_body == NULL) {
        llhttp_settings_init(&table);
        table.on_header_field = on_field;
        table.on_header_value = on_value;
        table.on_body = on_body;
        table.on_message_complete = on_complete;
    }
    return &table;
}

/* The answer is whole: the connection is free for the next call. */
static void conn_answered(struct load_conn *conn, uint64_t arrived_ns)
{
    struct load_call *call = conn->call;
    bool is_kept = conn->is_kept && call->sent == call->request.size;
    call->answered_ns = arrived_ns;
    conn->call = NULL;
    conn->has_served = true;
    list_remove(&conn->link);
    list_push_back(&conn->http->idle, &conn->link);
    if (!is_kept) {
        conn_close(conn);
    }
    call_finish(call);
}

static void conn_receive(struct load_conn *conn, uint64_t arrived_ns)
{
    static uint8_t received[RECEIVE_BYTES];
    if (conn->call != NULL && conn->call->cut == LOAD_CUT_ANSWER) {
        (void)recv(conn->fd, received, CUT_ANSWER_BYTES, 0);
        conn_cut(conn);
        return;
    }
    for (;;) {
        ssize_t size = recv(conn->fd, received, sizeof received, 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (size <= 0 || conn->call == NULL) { /* closed, or an answer to nothing */
            conn_lost(conn);
            return;
        }
        llhttp_errno_t result = llhttp_execute(&conn->parser, (const char *)received, (size_t)size);
        if (result == HPE_PAUSED) {
            conn_answered(conn, arrived_ns);
            return;
        }
        if (result != HPE_OK) {
            conn_lost(conn);
            return;
        }
        if ((size_t)size < sizeof received) {
            return;
        }
    }
}

/* ---- requests ---- */

static void conn_watch(struct load_conn *conn, bool wants_out)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (wants_out ? EPOLLOUT : 0),
                                .data.ptr = &conn->handle};
    if (conn->wants_out != wants_out) {
        conn->wants_out = wants_out;
        (void)epoll_ctl(conn->http->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
    }
}

/* False if the connection has come to its end, as it does when it is to be cut here. */
static bool conn_send(struct load_conn *conn)
{
    struct load_call *call = conn->call;
    size_t end = call->cut == LOAD_CUT_SENDING ? call->cut_bytes : call->request.size;
    while (call->sent < end) {
        call->sent_ns = now_ns(); /* before: the node cannot have had it earlier */
        ssize_t size =
            send(conn->fd, call->request.ptr + call->sent, end - call->sent, MSG_NOSIGNAL);
        if (size < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                conn_watch(conn, true);
                return true;
            }
            conn_lost(conn);
            return false;
        }
        call->sent += (size_t)size;
    }
    if (call->cut == LOAD_CUT_SENDING) {
        conn_cut(conn);
        return false;
    }
    conn_watch(conn, false);
    if (call->cut == LOAD_CUT_WAITING) {
        list_push_back(&conn->http->cutting, &call->cutting);
    }
    return true;
}

/* Cuts what is due; the moment of the next. */
static uint64_t cut_due(struct load_http *http, uint64_t now)
{
    while (!list_is_empty(&http->cutting)) {
        struct load_call *call = LIST_ENTRY(http->cutting.next, struct load_call, cutting);
        if (call->sent_ns + call->cut_delay_ns > now) {
            return call->sent_ns + call->cut_delay_ns;
        }
        conn_cut(call->conn);
    }
    return UINT64_MAX;
}

static void conn_ready(struct load_handle *handle, uint32_t events)
{
    struct load_conn *conn = (struct load_conn *)(void *)handle;
    uint64_t arrived_ns = now_ns();
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) {
        conn_lost(conn);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        conn->is_connected = true;
        if (conn->call == NULL) {
            conn_watch(conn, false);
        } else if (!conn_send(conn)) {
            return;
        }
    }
    if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) {
        conn_receive(conn, arrived_ns);
    }
}

static struct load_conn *conn_open(struct load_http *http)
{
    struct load_conn *conn = HEAP_NEW(struct load_conn);
    int fd = socket(http->address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (conn == NULL || fd < 0) {
        goto fail;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *conn = (struct load_conn){.handle = {conn_ready}, .http = http, .fd = fd, .wants_out = true};
    llhttp_init(&conn->parser, HTTP_RESPONSE, settings());
    conn->parser.data = conn;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLOUT,
                                .data.ptr = &conn->handle};
    if ((connect(fd, (const struct sockaddr *)http->address, http->address_size) != 0 &&
         errno != EINPROGRESS) ||
        epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        goto fail;
    }
    list_push_back(&http->idle, &conn->link);
    http->connections++;
    http->connections_made++;
    return conn;
fail:
    if (fd >= 0) {
        close(fd);
    }
    heap_free(conn);
    return NULL;
}

static void call_assign(struct load_call *call, struct load_conn *conn)
{
    list_remove(&conn->link);
    list_push_back(&conn->http->busy, &conn->link);
    conn->call = call;
    call->conn = conn;
    call->sent = 0;
    llhttp_reset(&conn->parser);
    if (conn->is_connected) {
        (void)conn_send(conn);
    }
}

/* Gives waiting calls their connections. */
static void pump(struct load_http *http)
{
    while (!list_is_empty(&http->waiting)) {
        struct load_conn *conn = NULL;
        if (!list_is_empty(&http->idle)) {
            conn = LIST_ENTRY(http->idle.next, struct load_conn, link);
        } else if (http->connections < http->connections_max) {
            conn = conn_open(http);
        }
        if (conn == NULL && http->connections > 0) {
            return;
        }
        struct load_call *call = LIST_ENTRY(list_pop_front(&http->waiting), struct load_call, link);
        if (conn != NULL) {
            call_assign(call, conn);
        } else { /* not one connection can be made */
            call_finish(call);
        }
    }
}

/* ---- for the others ---- */

void load_call_init(struct load_call *call, struct load_http *http,
                    void (*done)(struct load_call *call))
{
    *call = (struct load_call){.http = http, .done = done};
    list_init(&call->link);
    list_init(&call->cutting);
    buffer_init(&call->request, ANSWER_BYTES_MAX);
    buffer_init(&call->answer, ANSWER_BYTES_MAX);
}

void load_call_release(struct load_call *call)
{
    buffer_release(&call->request);
    buffer_release(&call->answer);
}

void load_call_submit(struct load_call *call)
{
    call->status = 0;
    call->sent_ns = 0;
    call->has_retry_after = false;
    call->was_cut = false;
    call->answer.size = 0;
    list_push_back(&call->http->waiting, &call->link);
    pump(call->http);
}

static bool work(struct load_http *http)
{
    bool is_urgent = !list_is_empty(&http->urgent) && http->later_count < LATER_MAX;
    struct list *link = list_pop_front(is_urgent ? &http->urgent : &http->later);
    if (link == NULL) {
        return false;
    }
    http->later_count -= is_urgent ? 0 : 1;
    struct load_call *call = LIST_ENTRY(link, struct load_call, link);
    call->done(call);
    return true;
}

void load_http_step(struct load_http *http, uint64_t until_ns)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = now_ns();
    uint64_t cut_ns = cut_due(http, now);
    bool is_busy = !list_is_empty(&http->urgent) || !list_is_empty(&http->later);
    until_ns = cut_ns < until_ns ? cut_ns : until_ns;
    uint64_t wait_ns = is_busy || until_ns <= now ? 0 : until_ns - now;
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    int count = epoll_pwait2(http->epoll_fd, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct load_handle *handle = events[i].data.ptr;
        handle->ready(handle, events[i].events);
    }
    pump(http);
    (void)work(http);
}

bool load_http_open(struct load_http *http, unsigned connections_max, struct err *err)
{
    list_init(&http->idle);
    list_init(&http->busy);
    list_init(&http->waiting);
    list_init(&http->urgent);
    list_init(&http->later);
    list_init(&http->cutting);
    http->connections_max = connections_max;
    http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return http->epoll_fd >= 0 || err_set(err, ERR_IO, "epoll_create1: %s", strerror(errno));
}

void load_http_warm(struct load_http *http, unsigned connections)
{
    while (http->connections < connections && conn_open(http) != NULL) {
    }
}

void load_http_abandon(struct load_http *http)
{
    struct list *link;
    while (!list_is_empty(&http->busy)) {
        struct load_conn *conn = LIST_ENTRY(http->busy.next, struct load_conn, link);
        conn->call->can_repeat = false;
        conn_lost(conn);
    }
    while ((link = list_pop_front(&http->waiting)) != NULL) {
        call_finish(LIST_ENTRY(link, struct load_call, link));
    }
    while (work(http)) {
    }
}

void load_http_cool(struct load_http *http)
{
    while (!list_is_empty(&http->idle)) {
        conn_close(LIST_ENTRY(http->idle.next, struct load_conn, link));
    }
}

void load_http_close(struct load_http *http)
{
    load_http_cool(http);
    assert(list_is_empty(&http->busy) && list_is_empty(&http->waiting));
    close(http->epoll_fd);
}
