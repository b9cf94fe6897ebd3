/* stress_net: four workers answer, four clients come and go as they like, under ThreadSanitizer.
 *
 * A worker frees what `gone` looks at as soon as it has responded, so a `gone` that came after a
 * `respond`, or an exchange that was freed too early, is a use after free.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/list.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 4, CLIENTS = 4, CONNECTIONS_PER_CLIENT = 2000, REQUESTS_MAX = 5 };

struct job {
    struct list link;
    struct message_exchange *exchange;
    unsigned gone_count;
};

struct stress {
    uv_loop_t loop;
    uv_async_t finish;
    struct net_server *server;
    uv_mutex_t mutex;
    uv_cond_t changed;
    struct list jobs;
    bool done; /* no job will come any more */
    _Atomic uint64_t handled, gone, answers;
};

static struct stress stress;

/* ---- the server's side ---- */

static bool accept_cb(void *context, struct message_exchange *exchange,
                      struct message_response *response)
{
    (void)context;
    (void)exchange;
    (void)response;
    return true;
}

static void gone_cb(struct message_exchange *exchange, void *context)
{
    struct job *job = context;
    assert(job->exchange == exchange);
    job->gone_count++;
    assert(job->gone_count == 1);
    atomic_fetch_add(&stress.gone, 1);
}

static void handle_cb(void *context, struct message_exchange *exchange)
{
    (void)context;
    struct job *job = HEAP_NEW(struct job);
    assert(job != NULL);
    job->exchange = exchange;
    exchange->gone = gone_cb;
    exchange->gone_context = job;
    atomic_fetch_add(&stress.handled, 1);
    uv_mutex_lock(&stress.mutex);
    list_push_back(&stress.jobs, &job->link);
    uv_cond_signal(&stress.changed);
    uv_mutex_unlock(&stress.mutex);
}

static void refuse_cb(void *context, int status, const char *reason,
                      struct message_response *response)
{
    (void)context;
    (void)reason;
    message_response_init(response, status);
}

static struct job *take_job(void)
{
    uv_mutex_lock(&stress.mutex);
    while (list_is_empty(&stress.jobs) && !stress.done) {
        uv_cond_wait(&stress.changed, &stress.mutex);
    }
    struct list *link = list_pop_front(&stress.jobs);
    uv_mutex_unlock(&stress.mutex);
    return link != NULL ? LIST_ENTRY(link, struct job, link) : NULL;
}

static void worker(void *argument)
{
    struct job *job;
    (void)argument;
    while ((job = take_job()) != NULL) {
        struct message_response response;
        message_response_init(&response, 200);
        bool copied = message_response_body(&response, "text/plain", job->exchange->request.body);
        assert(copied);
        (void)copied;
        job->exchange->respond(job->exchange, &response);
        memory_wipe(job, sizeof(*job));
        heap_free(job);
    }
}

/* ---- the clients' side ---- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

static int connect_to_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons(net_server_port(stress.server));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert(fd >= 0);
    int result = connect(fd, (struct sockaddr *)&address, sizeof(address));
    assert(result == 0);
    (void)result;
    return fd;
}

/* Reads until `count` bodies "abc" have come. */
static void read_answers(int fd, uint32_t count)
{
    char text[8192];
    size_t size = 0;
    uint32_t seen = 0;
    while (seen < count) {
        ssize_t got = recv(fd, text + size, sizeof(text) - size, 0);
        assert(got > 0);
        size += (size_t)got;
        seen = 0;
        for (size_t i = 0; i + 7 <= size; i++) {
            seen += memcmp(text + i, "\r\n\r\nabc", 7) == 0;
        }
    }
    atomic_fetch_add(&stress.answers, seen);
}

static void client(void *argument)
{
    static const char request[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    uint32_t random = *(uint32_t *)argument;
    for (int i = 0; i < CONNECTIONS_PER_CLIENT; i++) {
        int fd = connect_to_server();
        uint32_t count = next_random(&random) % REQUESTS_MAX + 1;
        for (uint32_t j = 0; j < count; j++) {
            ssize_t sent = send(fd, request, strlen(request), MSG_NOSIGNAL);
            assert(sent == (ssize_t)strlen(request));
            (void)sent;
        }
        uint32_t ending = next_random(&random) % 3;
        if (ending == 0) {
            read_answers(fd, count);
        } else if (ending == 1) {
            struct linger linger = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        }
        close(fd);
    }
}

/* ---- beginning and end ---- */

static void drained_cb(void *context)
{
    (void)context;
    net_server_close(stress.server, NULL, NULL);
}

static void finish_cb(uv_async_t *handle)
{
    uv_close((uv_handle_t *)handle, NULL);
    net_server_drain(stress.server, drained_cb, NULL);
}

static void loop_thread(void *argument)
{
    (void)argument;
    (void)uv_run(&stress.loop, UV_RUN_DEFAULT);
}

static void start_server(void)
{
    static const struct net_handler handler = {
        .accept = accept_cb, .handle = handle_cb, .refuse = refuse_cb};
    struct err err;
    list_init(&stress.jobs);
    (void)uv_mutex_init(&stress.mutex);
    (void)uv_cond_init(&stress.changed);
    (void)uv_loop_init(&stress.loop);
    (void)uv_async_init(&stress.loop, &stress.finish, finish_cb);
    if (!net_server_open(&stress.loop, "127.0.0.1", 0, &net_limits_default, &handler,
                         &stress.server, &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        _exit(1);
    }
}

static void stop_workers(uv_thread_t *workers)
{
    uv_mutex_lock(&stress.mutex);
    stress.done = true;
    uv_cond_broadcast(&stress.changed);
    uv_mutex_unlock(&stress.mutex);
    for (int i = 0; i < WORKERS; i++) {
        (void)uv_thread_join(&workers[i]);
    }
}

int main(void)
{
    uv_thread_t loop, workers[WORKERS], clients[CLIENTS];
    uint32_t seeds[CLIENTS];
    start_server();
    (void)uv_thread_create(&loop, loop_thread, NULL);
    for (int i = 0; i < WORKERS; i++) {
        (void)uv_thread_create(&workers[i], worker, NULL);
    }
    for (int i = 0; i < CLIENTS; i++) {
        seeds[i] = (uint32_t)i;
        (void)uv_thread_create(&clients[i], client, &seeds[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)uv_thread_join(&clients[i]);
    }
    (void)uv_async_send(&stress.finish);
    (void)uv_thread_join(&loop);
    stop_workers(workers);
    int closed = uv_loop_close(&stress.loop);
    (void)printf("%llu requests, %llu clients gone, %llu answers read\n",
                 (unsigned long long)stress.handled, (unsigned long long)stress.gone,
                 (unsigned long long)stress.answers);
    return closed == 0 && stress.answers > 0 ? 0 : 1;
}
