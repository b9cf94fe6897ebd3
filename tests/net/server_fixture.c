/* server_fixture.c: see server_fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server_fixture.h"

#include <arpa/inet.h>
#include <assert.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the handler ---- */

static bool path_is(const struct message_request *request, const char *path)
{
    return strcmp(request->path, path) == 0;
}

static void respond_text(struct message_exchange *exchange, int status, const char *text)
{
    struct message_response response;
    message_response_init(&response, status);
    cr_assert(message_response_body(&response, "text/plain", bytes_of_string(text)));
    exchange->respond(exchange, &response);
}

static void respond_describe(struct message_exchange *exchange)
{
    const struct message_request *request = &exchange->request;
    struct buffer text;
    buffer_init(&text, 65536);
    buffer_printf(&text, "%s %s ? %s from %s\n", request->method, request->path, request->query,
                  request->peer);
    for (size_t i = 0; i < request->header_count; i++) {
        buffer_printf(&text, "%s=%s\n", request->headers[i].name, request->headers[i].value);
    }
    struct message_response response;
    message_response_init(&response, 200);
    cr_assert(message_response_body(&response, "text/plain", buffer_bytes(&text)));
    buffer_release(&text);
    exchange->respond(exchange, &response);
}

static void respond_large(struct fixture *fixture, struct message_exchange *exchange)
{
    struct message_response response;
    message_response_init(&response, 200);
    uint8_t *body = arena_alloc(&response.arena, fixture->response_bytes, 1);
    for (size_t i = 0; i < fixture->response_bytes; i++) {
        body[i] = (uint8_t)('a' + i % 23);
    }
    response.content_type = "text/plain";
    response.body = bytes_of(body, fixture->response_bytes);
    exchange->respond(exchange, &response);
}

static void respond_special(struct message_exchange *exchange)
{
    struct message_response response;
    const char *path = exchange->request.path;
    message_response_init(&response, path_is(&exchange->request, "/204")   ? 204
                                     : path_is(&exchange->request, "/304") ? 304
                                                                           : 200);
    response.close = strcmp(path, "/close") == 0;
    if (strcmp(path, "/inject") == 0) {
        message_response_header(&response, "X-Text", "a\r\nX-Evil: b\n");
    }
    exchange->respond(exchange, &response);
}

static void responder_thread(void *argument)
{
    respond_text(argument, 200, "async");
}

static void gone(struct message_exchange *exchange, void *context)
{
    struct fixture *fixture = context;
    (void)exchange;
    uv_mutex_lock(&fixture->mutex);
    fixture->gone_count++;
    uv_cond_broadcast(&fixture->changed);
    uv_mutex_unlock(&fixture->mutex);
}

static void keep_for_later(struct fixture *fixture, struct message_exchange *exchange)
{
    exchange->gone = gone;
    exchange->gone_context = fixture;
    uv_mutex_lock(&fixture->mutex);
    assert(fixture->later_count < FIXTURE_LATER_MAX);
    fixture->later[fixture->later_count++] = exchange;
    uv_cond_broadcast(&fixture->changed);
    uv_mutex_unlock(&fixture->mutex);
}

static bool handler_counts_peer(void *context, const char *peer)
{
    const struct fixture *fixture = context;
    cr_assert_not_null(peer);
    return !fixture->trusts_peer;
}

static bool handler_accept(void *context, struct message_exchange *exchange,
                           struct message_response *response)
{
    (void)context;
    if (!path_is(&exchange->request, "/deny")) {
        return true;
    }
    message_response_init(response, 401);
    cr_assert(message_response_body(response, "text/plain", bytes_of_string("denied")));
    return false;
}

static void handler_handle(void *context, struct message_exchange *exchange)
{
    struct fixture *fixture = context;
    const struct message_request *request = &exchange->request;
    atomic_fetch_add(&fixture->handled_count, 1);
    if (path_is(request, "/hello")) {
        respond_text(exchange, 200, "hello");
    } else if (path_is(request, "/echo")) {
        struct message_response response;
        message_response_init(&response, 200);
        cr_assert(message_response_body(&response, "text/plain", request->body));
        exchange->respond(exchange, &response);
    } else if (path_is(request, "/describe")) {
        respond_describe(exchange);
    } else if (path_is(request, "/large")) {
        respond_large(fixture, exchange);
    } else if (path_is(request, "/later")) {
        keep_for_later(fixture, exchange);
    } else if (path_is(request, "/async")) {
        assert(fixture->responder_count < FIXTURE_LATER_MAX);
        cr_assert_eq(uv_thread_create(&fixture->responders[fixture->responder_count++],
                                      responder_thread, exchange),
                     0);
    } else {
        respond_special(exchange);
    }
}

static void handler_refuse(void *context, int status, const char *reason,
                           struct message_response *response)
{
    (void)context;
    message_response_init(response, status);
    if (!message_response_body(response, "text/plain", bytes_of_string(reason))) {
        response->content_type = NULL; /* the status must do */
    }
}

/* ---- the loop's thread ---- */

static void count(struct fixture *fixture, size_t *counter)
{
    uv_mutex_lock(&fixture->mutex);
    (*counter)++;
    uv_cond_broadcast(&fixture->changed);
    uv_mutex_unlock(&fixture->mutex);
}

static void drained(void *context)
{
    struct fixture *fixture = context;
    count(fixture, &fixture->drained_count);
}

static void closed(void *context)
{
    struct fixture *fixture = context;
    count(fixture, &fixture->closed_count);
    uv_close((uv_handle_t *)&fixture->command, NULL);
}

static void command_cb(uv_async_t *handle)
{
    struct fixture *fixture = handle->data;
    uv_mutex_lock(&fixture->mutex);
    bool want_drain = fixture->want_drain;
    bool want_close = fixture->want_close;
    fixture->want_drain = fixture->want_close = false;
    uv_mutex_unlock(&fixture->mutex);
    if (want_drain) {
        net_server_drain(fixture->server, drained, fixture);
    }
    if (want_close) {
        net_server_close(fixture->server, closed, fixture);
    }
}

static void loop_thread(void *argument)
{
    struct fixture *fixture = argument;
    struct net_handler handler = {.accept = handler_accept,
                                  .handle = handler_handle,
                                  .refuse = handler_refuse,
                                  .counts_peer = handler_counts_peer,
                                  .context = fixture};
    cr_assert_eq(uv_loop_init(&fixture->loop), 0);
    fixture->open = net_server_open(&fixture->loop, fixture->host, 0, &fixture->limits, &handler,
                                    &fixture->server, &fixture->err);
    if (fixture->open) {
        fixture->port = net_server_port(fixture->server);
        cr_assert_eq(uv_async_init(&fixture->loop, &fixture->command, command_cb), 0);
        fixture->command.data = fixture;
    }
    uv_sem_post(&fixture->ready);
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&fixture->loop), 0, "the server has left handles open");
}

/* ---- the fixture ---- */

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){.limits = net_limits_default, .host = "127.0.0.1"};
    uv_sem_init(&fixture->ready, 0);
    uv_mutex_init(&fixture->mutex);
    uv_cond_init(&fixture->changed);
}

void fixture_start(struct fixture *fixture)
{
    cr_assert_eq(uv_thread_create(&fixture->thread, loop_thread, fixture), 0);
    uv_sem_wait(&fixture->ready);
    cr_assert(fixture->open, "%s", fixture->err.message);
}

static void fixture_command(struct fixture *fixture, bool *want)
{
    uv_mutex_lock(&fixture->mutex);
    *want = true;
    uv_mutex_unlock(&fixture->mutex);
    uv_async_send(&fixture->command);
}

void fixture_drain(struct fixture *fixture)
{
    fixture_command(fixture, &fixture->want_drain);
}

void fixture_close(struct fixture *fixture)
{
    fixture_command(fixture, &fixture->want_close);
}

void fixture_stop(struct fixture *fixture)
{
    fixture_close(fixture);
    uv_thread_join(&fixture->thread);
    for (size_t i = 0; i < fixture->responder_count; i++) {
        uv_thread_join(&fixture->responders[i]);
    }
    cr_assert_eq(fixture->closed_count, 1);
    uv_sem_destroy(&fixture->ready);
    uv_mutex_destroy(&fixture->mutex);
    uv_cond_destroy(&fixture->changed);
}

/* Long enough for any machine; only a broken server makes it run out. */
enum { WAIT_SECONDS = 30 };

static void wait_for(struct fixture *fixture, const size_t *counter, size_t wanted)
{
    uv_mutex_lock(&fixture->mutex);
    while (*counter < wanted) {
        int result = uv_cond_timedwait(&fixture->changed, &fixture->mutex,
                                       (uint64_t)WAIT_SECONDS * 1000 * 1000 * 1000);
        cr_assert_eq(result, 0, "waited for %zu, there were %zu", wanted, *counter);
    }
    uv_mutex_unlock(&fixture->mutex);
}

void fixture_wait_later(struct fixture *fixture, size_t count_wanted)
{
    wait_for(fixture, &fixture->later_count, count_wanted);
}

void fixture_wait_gone(struct fixture *fixture, size_t count_wanted)
{
    wait_for(fixture, &fixture->gone_count, count_wanted);
}

void fixture_wait_drained(struct fixture *fixture)
{
    wait_for(fixture, &fixture->drained_count, 1);
}

void fixture_wait_open(struct fixture *fixture, uint64_t connections)
{
    const struct net_stats *stats = net_server_stats(fixture->server);
    uint64_t deadline = uv_hrtime() + (uint64_t)WAIT_SECONDS * 1000 * 1000 * 1000;
    while (atomic_load(&stats->connections_open) != connections) {
        cr_assert_lt(uv_hrtime(), deadline);
        (void)usleep(1000);
    }
}

void fixture_release(struct fixture *fixture)
{
    struct message_exchange *waiting[FIXTURE_LATER_MAX];
    uv_mutex_lock(&fixture->mutex);
    size_t waiting_count = fixture->later_count;
    memcpy(waiting, fixture->later, sizeof(waiting));
    fixture->later_count = 0;
    uv_mutex_unlock(&fixture->mutex);
    for (size_t i = 0; i < waiting_count; i++) {
        respond_text(waiting[i], 200, waiting[i]->request.query);
    }
}

/* ---- the client ---- */

int client_connect(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(fixture->port)};
    struct timeval timeout = {.tv_sec = WAIT_SECONDS};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void client_send_bytes(int fd, const void *ptr, size_t size)
{
    const char *at = ptr;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* the server has hung up; the answer tells why */
        }
        at += sent;
        size -= (size_t)sent;
    }
}

void client_send(int fd, const char *text)
{
    client_send_bytes(fd, text, strlen(text));
}

char *client_read_all(int fd)
{
    struct buffer text;
    char piece[65536];
    ssize_t size;
    buffer_init(&text, SIZE_MAX / 2);
    while ((size = recv(fd, piece, sizeof(piece), 0)) > 0) {
        buffer_append(&text, piece, (size_t)size);
    }
    cr_assert(size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK), "the server says nothing");
    buffer_append(&text, "", 1);
    return (char *)buffer_detach(&text, &(size_t){0});
}

static bool client_read_exactly(int fd, struct buffer *text, size_t size)
{
    char piece[4096];
    while (size > 0) {
        ssize_t got = recv(fd, piece, size < sizeof(piece) ? size : sizeof(piece), 0);
        if (got <= 0) {
            cr_assert(got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK), "nothing comes");
            return false;
        }
        buffer_append(text, piece, (size_t)got);
        size -= (size_t)got;
    }
    return true;
}

char *client_read_answer(int fd)
{
    struct buffer text;
    buffer_init(&text, SIZE_MAX / 2);
    bool more = true;
    while (more && (text.size < 4 || memcmp(text.ptr + text.size - 4, "\r\n\r\n", 4) != 0)) {
        more = client_read_exactly(fd, &text, 1);
    }
    if (!more) {
        buffer_release(&text);
        return NULL;
    }
    buffer_append(&text, "", 1);
    const char *length = strstr((char *)text.ptr, "Content-Length: ");
    size_t size = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    text.size--;
    (void)client_read_exactly(fd, &text, size);
    buffer_append(&text, "", 1);
    return (char *)buffer_detach(&text, &(size_t){0});
}

int client_status(const char *answer)
{
    if (answer == NULL || strncmp(answer, "HTTP/1.1 ", 9) != 0) {
        return -1;
    }
    return atoi(answer + 9);
}

char *client_ask(struct fixture *fixture, const char *text)
{
    int fd = client_connect(fixture);
    client_send(fd, text);
    char *answer = client_read_all(fd);
    close(fd);
    return answer;
}

int client_ask_status(struct fixture *fixture, const char *text)
{
    char *answer = client_ask(fixture, text);
    int status = client_status(answer);
    heap_free(answer);
    return status;
}
