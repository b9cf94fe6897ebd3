/* node.c: the loop of a node: sockets connected to the service, signals, the clock's tick, and the
 * orderly end.
 *
 * Everything here runs on the loop's thread. Other threads (the log's writer, the service's
 * workers) only set a flag and send `wake`. What ends the node moves its phase forward in
 * node_advance, the only place where phases change.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/node.h"

#include "base/log.h"
#include "base/process.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

enum {
    DESCRIPTORS_BESIDE = 256, /* files of our own, and connections that are told 503 */
    TICK_MS = 1000,
    ANSWERS_MS = 2000, /* for the answers to what was cancelled */
};

static const int node_signals[NODE_SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

/* ---- the handler: net's side of the service, also after the service's end ---- */

static bool node_accept(void *context, struct message_exchange *exchange,
                        struct message_response *response)
{
    struct node *node = context;
    if (node->service != NULL) {
        return service_accept(node->service, exchange, response);
    }
    message_response_init(response, 503);
    return false;
}

static void node_handle(void *context, struct message_exchange *exchange)
{
    struct node *node = context;
    if (node->service != NULL) {
        service_handle(node->service, exchange);
        return;
    }
    struct message_response response;
    message_response_init(&response, 503);
    response.close = true;
    exchange->respond(exchange, &response);
}

static void node_refuse(void *context, int status, const char *reason,
                        struct message_response *response)
{
    struct node *node = context;
    if (node->service != NULL) {
        service_refuse(node->service, status, reason, response);
    } else {
        message_response_init(response, status);
    }
}

static bool node_counts_peer(void *context, const char *peer)
{
    const struct node *node = context;
    return node->service == NULL || service_counts_peer(node->service, peer);
}

/* ---- the end ---- */

static void handle_close(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void handles_close(struct node *node)
{
    handle_close((uv_handle_t *)&node->tick);
    handle_close((uv_handle_t *)&node->patience);
    handle_close((uv_handle_t *)&node->wake);
    for (size_t i = 0; i < NODE_SIGNAL_COUNT; i++) {
        handle_close((uv_handle_t *)&node->signals[i]);
    }
}

static void net_closed(void *context)
{
    struct node *node = context;
    node->net = NULL;
    handles_close(node);
}

static void net_drained(void *context);
static void service_drained(void *context);
static void patience_over(uv_timer_t *timer);

static void node_advance(struct node *node, enum node_phase phase)
{
    if (phase <= node->phase) {
        return;
    }
    if (node->phase == NODE_SERVING) {
        net_server_drain(node->net, net_drained, node);
        service_drain(node->service, service_drained, node);
    }
    node->phase = phase;
    if (phase == NODE_DRAINING) {
        uint64_t seconds = config_number(node->config, CONFIG_SERVER_DRAIN);
        uv_timer_start(&node->patience, patience_over, seconds * 1000, 0);
        return;
    }
    if (node->service != NULL) {
        node_service_close(node);
    }
    if (phase == NODE_CANCELLED) {
        uv_timer_start(&node->patience, patience_over, ANSWERS_MS, 0);
    } else {
        net_server_close(node->net, net_closed, node);
    }
}

static void patience_over(uv_timer_t *timer)
{
    struct node *node = timer->data;
    if (node->phase == NODE_DRAINING) {
        log_write(LOG_WARN, "drain_timeout", NULL, "cancelling the programs that still run");
        node_advance(node, NODE_CANCELLED);
    } else {
        node_advance(node, NODE_CLOSING);
    }
}

static void drained_check(struct node *node)
{
    bool is_answered = node->phase == NODE_CANCELLED || atomic_load(&node->service_drained);
    if (node->phase != NODE_SERVING && node->net_drained && is_answered) {
        node_advance(node, NODE_CLOSING);
    }
}

static void net_drained(void *context)
{
    struct node *node = context;
    node->net_drained = true;
    drained_check(node);
}

static void service_drained(void *context) /* any thread */
{
    struct node *node = context;
    atomic_store(&node->service_drained, true);
    uv_async_send(&node->wake);
}

static void wake_cb(uv_async_t *wake)
{
    struct node *node = wake->data;
    if (atomic_load(&node->log_died) && !node->failed) {
        node->failed = true;
        log_write(LOG_ERROR, "audit_dead", NULL,
                  "the audit log cannot be written, serving stops: %s", node->log_err.message);
        node_advance(node, NODE_CANCELLED);
    }
    drained_check(node);
}

/* Comes from the log's writer thread, or at once. */
static void rotate_cb(void *context, const struct audit_commit *commit)
{
    (void)context;
    if (commit->ok) {
        log_write(LOG_INFO, "audit_rotated", NULL,
                  "a segment of the audit log ends with entry %" PRIu64, commit->index);
    }
}

static void rotate(struct node *node)
{
    struct err err;
    if (node->log != NULL && !audit_log_rotate(node->log, rotate_cb, NULL, &err)) {
        log_write(LOG_ERROR, "audit_rotated", NULL, "no segment was ended: %s", err.message);
    }
}

static void signal_cb(uv_signal_t *handle, int number)
{
    struct node *node = handle->data;
    struct err err;
    if (number == SIGHUP) {
        if (!log_reopen(&err)) {
            log_write(LOG_ERROR, "log_reopen", NULL, "%s", err.message);
        }
        return;
    }
    if (number == SIGUSR1) {
        rotate(node);
        return;
    }
    if (node->phase == NODE_SERVING) {
        log_write(LOG_INFO, "draining", NULL, "%s: no new programs; those that run may end",
                  number == SIGTERM ? "SIGTERM" : "SIGINT");
        node_advance(node, NODE_DRAINING);
    } else {
        node_advance(node, node->phase == NODE_DRAINING ? NODE_CANCELLED : NODE_CLOSING);
    }
}

static void tick_cb(uv_timer_t *timer)
{
    struct node *node = timer->data;
    if (node->service != NULL) {
        service_tick(node->service);
    }
}

/* ---- open, run, close ---- */

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static bool plaintext_check(const struct config *config, struct err *err)
{
    const char *host = config_text(config, CONFIG_SERVER_HOST);
    if (is_loopback(host) || config_number(config, CONFIG_SERVER_PLAINTEXT) == 1) {
        return true;
    }
    return err_set(
        err, ERR_CONFIG,
        "server.host is '%s', which other machines can reach, and this port speaks plain "
        "HTTP: API keys would travel unencrypted. Listen on 127.0.0.1 behind a proxy that "
        "speaks TLS, or set server.allow_plaintext (--allow-plaintext true)",
        host);
}

static bool loop_open(struct node *node, struct err *err)
{
    int code = uv_loop_init(&node->loop);
    if (code != 0) {
        return err_set(err, ERR_IO, "cannot make an event loop: %s", uv_strerror(code));
    }
    /* With a loop these cannot fail but for a lack of descriptors or memory. */
    code = uv_async_init(&node->loop, &node->wake, wake_cb);
    if (code != 0) {
        uv_loop_close(&node->loop);
        return err_set(err, ERR_IO, "cannot wake the event loop: %s", uv_strerror(code));
    }
    node->wake.data = node;
    uv_timer_init(&node->loop, &node->tick);
    uv_timer_init(&node->loop, &node->patience);
    node->tick.data = node->patience.data = node;
    for (size_t i = 0; i < NODE_SIGNAL_COUNT; i++) {
        uv_signal_init(&node->loop, &node->signals[i]);
        node->signals[i].data = node;
    }
    return true;
}

static void loop_close(struct node *node)
{
    handles_close(node);
    uv_run(&node->loop, UV_RUN_DEFAULT);
    int code = uv_loop_close(&node->loop);
    assert(code == 0);
    (void)code;
}

/* Connections need descriptors, and a shell gives a process fewer than it may have. */
static void descriptors_raise(uint64_t connections)
{
    struct rlimit limit;
    rlim_t needed = connections + DESCRIPTORS_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < needed) {
        log_write(LOG_WARN, "few_descriptors", NULL,
                  "limits.max_connections is %" PRIu64 ", but the process may have %" PRIu64
                  " files open: raise its limit (ulimit -n, LimitNOFILE=)",
                  connections, (uint64_t)limit.rlim_cur);
    }
}

static bool listen_open(struct node *node, struct err *err)
{
    struct net_limits limits = net_limits_default;
    limits.body_bytes_max = (size_t)config_number(node->config, CONFIG_LIMITS_BODY) * 1024;
    size_t body_max = service_memory_body_max(&node->memory);
    if (limits.body_bytes_max > body_max) {
        limits.body_bytes_max = body_max;
    }
    limits.bodies_bytes_max = node->memory.requests.limit;
    limits.budget = &node->memory.requests;
    limits.connections_max = (uint32_t)config_number(node->config, CONFIG_LIMITS_CONNECTIONS);
    descriptors_raise(limits.connections_max);
    limits.connections_per_address_max =
        (uint32_t)config_number(node->config, CONFIG_LIMITS_CONNECTIONS_ADDRESS);
    struct net_handler handler = {.accept = node_accept,
                                  .handle = node_handle,
                                  .refuse = node_refuse,
                                  .counts_peer = node_counts_peer,
                                  .context = node};
    for (size_t i = 0; i < NODE_SIGNAL_COUNT; i++) {
        int code = uv_signal_start(&node->signals[i], signal_cb, node_signals[i]);
        if (code != 0) {
            return err_set(err, ERR_IO, "cannot watch signals: %s", uv_strerror(code));
        }
    }
    uv_timer_start(&node->tick, tick_cb, TICK_MS, TICK_MS);
    return net_server_open(&node->loop, config_text(node->config, CONFIG_SERVER_HOST),
                           (uint16_t)config_number(node->config, CONFIG_SERVER_PORT), &limits,
                           &handler, &node->net, err);
}

bool node_open(struct node *node, const struct config *config, struct err *err)
{
    memset(node, 0, sizeof *node);
    node->config = config;
    if (!plaintext_check(config, err) || !data_dir_of_config(config, &node->directory, err) ||
        !loop_open(node, err)) {
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error of the write, not the end */
    if (!node_parts_open(node, err) || !listen_open(node, err)) {
        node_parts_close(node);
        loop_close(node);
        return false;
    }
    return true;
}

bool node_run(struct node *node, struct err *err)
{
    process_thread_name("wasm-hypervisor");
    process_thread_be_prompt();
    uv_run(&node->loop, UV_RUN_DEFAULT);
    if (node->failed) {
        *err = node->log_err;
    }
    return !node->failed;
}

void node_close(struct node *node)
{
    assert(node->net == NULL);
    node_parts_close(node);
    loop_close(node);
}
