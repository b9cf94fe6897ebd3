/* api.c: from a message to its endpoint, and answers on their way out.
 *
 * Every path exists with and without the prefix /v1. The order of checks is that of the table in
 * docs/protocol.md section 2: rate, path, method, node, API key, scope, media type, size; then the
 * endpoint's own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    API_ALLOW_CHARS_MAX = 64,
    API_INLINE_BYTES_MAX = 16384,    /* JSON up to here is parsed on the loop's thread */
    API_NONCE_BODY_BYTES_MAX = 4096, /* /keys and /attestation */
    /* All of them: a key pair and a signature take 40 us, and waking a worker for them and being
     * woken by it costs nearly as much again. */
    API_KEYS_INLINE_BYTES_MAX = API_NONCE_BODY_BYTES_MAX + 1,
    /* What an execute body may hold beside its base64. */
    API_EXECUTE_EXTRA_BYTES = 1024 * 1024,
    NS_PER_US = 1000,
};

static const char *const execute_headers[] = {"Prefer", "Idempotency-Key", "Webhook-Url", NULL};
static const char *const show_headers[] = {"Prefer", NULL};

const struct route api_routes[] = {
    {"POST", "/keys", STORE_SCOPE_EXECUTE, true, API_KEYS_INLINE_BYTES_MAX, NULL, keys_create,
     "Make a key pair for one execution", NULL},
    {"POST", "/execute", STORE_SCOPE_EXECUTE, true, API_INLINE_BYTES_MAX, admit_watch_client,
     admit_execute, "Run an encrypted program", execute_headers},
    {"GET", "/executions/{id}", STORE_SCOPE_EXECUTE, false, 0, accept_watch_wait, executions_show,
     "State and stored answer of an execution", show_headers},
    {"DELETE", "/executions/{id}", STORE_SCOPE_EXECUTE, false, 0, NULL, executions_cancel,
     "Cancel an execution", NULL},
    {"GET", "/verify/{id}", 0, false, 0, NULL, verify_show,
     "Check a commitment against the audit log", NULL},
    {"GET", "/attestation", 0, false, 0, NULL, health_attestation, "The node's evidence", NULL},
    {"POST", "/attestation", 0, true, 0, batches_watch, batches_ask,
     "Evidence with a report that is made for a nonce", NULL},
    {"GET", "/log/checkpoint", 0, false, 0, NULL, log_read_checkpoint,
     "The audit log's signed checkpoint", NULL},
    {"GET", "/log/tile/{+tile}", 0, false, 0, NULL, log_read_tile,
     "A tile of the audit log: hashes of its tree, or entries", NULL},
    {"GET", "/log/witnessed/checkpoint", 0, false, 0, NULL, log_read_witnessed,
     "The last checkpoint that enough witnesses cosigned", NULL},
    {"GET", "/log/witnessed/tile/{+tile}", 0, false, 0, NULL, log_read_tile,
     "The same tile, so that this is a prefix of its own", NULL},
    {"POST", "/witness/add-checkpoint", 0, false, 0, NULL, witness_add,
     "Cosign another log's checkpoint (c2sp.org/tlog-witness)", NULL},
    {"GET", "/witness/{+log}", 0, false, 0, NULL, witness_show,
     "What was cosigned last for a log: <hash of its origin>/checkpoint", NULL},
    {"GET", "/health", 0, false, 1, NULL, health_show, "Status and capacity", NULL},
    {"GET", "/livez", 0, false, 1, NULL, health_live, "Is the process alive", NULL},
    {"GET", "/readyz", 0, false, 1, NULL, health_ready, "Would an execution be accepted", NULL},
    {"GET", "/metrics", STORE_SCOPE_METRICS, false, 0, NULL, metrics_show, "Prometheus metrics",
     NULL},
    {"GET", "/openapi.json", 0, false, 1, NULL, health_openapi, "This interface as OpenAPI", NULL},
    {"GET", "/", 0, false, 1, NULL, health_root, "Where to look", NULL},
};
const size_t api_route_count = sizeof(api_routes) / sizeof(api_routes[0]);
static_assert(sizeof(api_routes) / sizeof(api_routes[0]) <= METRIC_ROUTES_MAX, "metrics by route");

/* ---- answers ---- */

static void log_answer(const struct api_call *call, const struct message_response *response,
                       uint64_t duration_ns)
{
    const struct message_request *request = &call->exchange->request;
    const char *key_id = call->identity.key_id;
    log_event(LOG_DEBUG, "request",
              LOG_FIELDS(log_text("method", request->method), log_text("path", request->path),
                         log_number("status", (uint64_t)response->status),
                         log_number("duration_us", duration_ns / NS_PER_US),
                         log_number("body_bytes", request->body.size),
                         log_number("answer_bytes", response->body.size),
                         log_text("peer", request->peer),
                         log_text("api_key", key_id[0] != 0 ? key_id : NULL),
                         TRACE_LOG_FIELDS(&call->trace)),
              "a request was answered");
}

/* What every answer has: its trace, and its place in metrics and log. */
static void finish_answer(const struct api_call *call, struct message_response *response)
{
    struct metrics *metrics = &call->service->metrics;
    char traceresponse[TRACE_PARENT_CHARS + 1];
    uint64_t duration_ns = 0;
    assert(response->status >= 100 && response->status < 600);
    door_headers(&call->receipt, response);
    trace_format(&call->trace, traceresponse);
    message_response_header(response, "traceresponse", traceresponse);
    metrics_response(metrics, call->route, response->status);
    if (call->started_ns != 0) {
        duration_ns = clock_monotonic_ns(call->service->parts.clock) - call->started_ns;
        histogram_add(&metrics->response_time[metrics_route(call->route)], duration_ns);
    }
    if (log_enabled(LOG_DEBUG)) {
        log_answer(call, response, duration_ns);
    }
}

void api_answer(struct api_call *call, struct message_response *response)
{
    finish_answer(call, response);
    call->exchange->respond(call->exchange, response);
}

static void answer_body(struct api_call *call, int status, const char *content_type,
                        const char *cache_control, struct bytes body)
{
    struct message_response response;
    message_response_init(&response, status);
    if (body.size > ANSWER_FREE_BYTES) {
        arena_init(&response.arena, &call->service->parts.memory->answers);
    }
    message_response_header(&response, "Cache-Control", cache_control);
    if (!message_response_body(&response, content_type, body)) {
        arena_release(&response.arena);
        api_answer_no_memory(call);
        return;
    }
    api_answer(call, &response);
}

void api_answer_text(struct api_call *call, int status, const char *content_type, struct bytes body)
{
    answer_body(call, status, content_type, "no-store", body);
}

void api_answer_cached(struct api_call *call, const char *content_type, const char *cache_control,
                       struct bytes body)
{
    answer_body(call, 200, content_type, cache_control, body);
}

void api_answer_json(struct api_call *call, int status, json_t *body)
{
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    if (text == NULL) {
        struct err err;
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the answer");
        api_answer_err(call, &err, NULL);
        return;
    }
    api_answer_text(call, status, "application/json", bytes_of_string(text));
    heap_free(text);
}

/* Counts a refusal and says it. Who refuses for want of room rarely knows for how long: then it is
 * as long as the queue takes. */
static void respond_err(struct service *service, const struct err *err, int status,
                        const char *request_id, struct message_response *response)
{
    struct err told = *err;
    if (told.retry_after_s == 0 && told.code == ERR_OVERLOADED) {
        told.retry_after_s = atomic_load(&service->queue_wait_s);
    }
    metric_add(&service->metrics.refusals[metric_code(told.code)], 1);
    problem_response(response, &told, status, request_id, service->parts.clock);
}

void api_answer_err_as(struct api_call *call, const struct err *err, int status)
{
    struct message_response response;
    respond_err(call->service, err, status, NULL, &response);
    api_answer(call, &response);
}

void api_answer_err(struct api_call *call, const struct err *err, const char *request_id)
{
    struct message_response response;
    respond_err(call->service, err, 0, request_id, &response);
    api_answer(call, &response);
}

void api_answer_no_memory(struct api_call *call)
{
    struct err err;
    (void)err_set(&err, ERR_OVERLOADED, "this node has no memory left for the answer");
    api_answer_err(call, &err, NULL);
}

/* ---- routing ---- */

static const char *path_without_version(const char *path)
{
    static const char version[] = "/v1";
    size_t size = strlen(version);
    if (strncmp(path, version, size) != 0 || (path[size] != '/' && path[size] != 0)) {
        return path;
    }
    return path[size] == 0 ? "/" : path + size;
}

/* *parameter is what stands for {id} or {+tile}, NULL if the route has none. */
static bool route_matches(const struct route *route, const char *path, const char **parameter)
{
    const char *brace = strchr(route->path, '{');
    *parameter = NULL;
    if (brace == NULL) {
        return strcmp(route->path, path) == 0;
    }
    size_t prefix = (size_t)(brace - route->path);
    bool is_segment = brace[1] != '+';
    if (strncmp(route->path, path, prefix) != 0 || path[prefix] == 0 ||
        (is_segment && strchr(path + prefix, '/') != NULL)) {
        return false;
    }
    *parameter = path + prefix;
    return true;
}

static bool method_matches(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The methods of a path, "GET, HEAD, OPTIONS"; false if there is no such path. */
static bool allow_of(const char *path, char out[static API_ALLOW_CHARS_MAX])
{
    const char *parameter;
    size_t size = 0;
    for (size_t i = 0; i < api_route_count; i++) {
        if (route_matches(&api_routes[i], path, &parameter)) {
            bool is_get = strcmp(api_routes[i].method, "GET") == 0;
            size += (size_t)snprintf(out + size, API_ALLOW_CHARS_MAX - size, "%s%s, ",
                                     api_routes[i].method, is_get ? ", HEAD" : "");
        }
    }
    if (size > 0) {
        (void)snprintf(out + size, API_ALLOW_CHARS_MAX - size, "OPTIONS");
    }
    return size > 0;
}

static const struct route *find_route(const char *path, const char *method, const char **parameter)
{
    for (size_t i = 0; i < api_route_count; i++) {
        if (method_matches(&api_routes[i], method) &&
            route_matches(&api_routes[i], path, parameter)) {
            return &api_routes[i];
        }
    }
    return NULL;
}

static bool is_options(const struct message_request *request, char *allow)
{
    return strcmp(request->method, "OPTIONS") == 0 &&
           allow_of(path_without_version(request->path), allow);
}

/* ---- what is checked before the body ---- */

static size_t body_bytes_max(const struct service *service, const struct route *route)
{
    if (route->handle == witness_add) {
        return AUDIT_ADD_CHECKPOINT_BYTES_MAX;
    }
    if (!route->takes_json) {
        return 0;
    }
    if (route->handle == keys_create || route->handle == batches_ask) {
        return API_NONCE_BODY_BYTES_MAX;
    }
    size_t sealed = service->config.module_bytes_max + EXECUTE_ARGUMENTS_BYTES_MAX;
    return sealed / 3 * 4 + API_EXECUTE_EXTRA_BYTES;
}

static bool check_media_type(const struct message_request *request, const struct route *route,
                             bool has_body, struct err *err)
{
    static const char json[] = "application/json";
    const char *type = message_request_header(request, "content-type");
    if (!route->takes_json || (type == NULL && !has_body)) {
        return true;
    }
    size_t size = type == NULL ? 0 : strcspn(type, "; \t");
    return (size == strlen(json) && strncasecmp(type, json, size) == 0) ||
           err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE, "the Content-Type must be application/json");
}

static bool check_size(const struct service *service, const struct route *route, uint64_t size,
                       struct err *err)
{
    size_t bytes_max = body_bytes_max(service, route);
    return size <= bytes_max ||
           err_set(err, ERR_PAYLOAD_TOO_LARGE, "the body is longer than %zu bytes", bytes_max);
}

/* The declared size of the body; 0 if it is not declared. */
static uint64_t declared_size(const struct message_request *head)
{
    const char *length = message_request_header(head, "content-length");
    uint64_t size = 0;
    if (length != NULL && !text_u64_decode(length, strlen(length), &size)) {
        return UINT64_MAX; /* net lets through what is a number; one that overflows is too large */
    }
    return size;
}

/* A request key lives in one node's memory only. Who balances requests over several nodes routes by
 * this header; a request that came to the wrong one learns it before it has sent its body. */
static bool check_node(const struct service *service, const struct message_request *request,
                       struct err *err)
{
    const char *node_id = message_request_header(request, "x-node-id");
    return node_id == NULL || strcasecmp(node_id, service->parts.node_id) == 0 ||
           err_set(err, ERR_MISDIRECTED_REQUEST,
                   "X-Node-Id names another node; the key of an execution lives in the node that "
                   "made it, and this is %s",
                   service->parts.node_id);
}

/* Who asks, and have they asked too often? *is_known is false, with *key_err, for whoever has no
 * valid key; only some paths mind. */
static bool check_rate(struct api_call *call, bool *is_known, struct err *key_err, struct err *err)
{
    struct service *service = call->service;
    const struct message_request *request = &call->exchange->request;
    bool is_open = call->route == NULL || call->route->scope == 0;
    bool has_key = auth_is_presented(request);
    *is_known =
        (has_key || !is_open) && auth_check(service->auth, request, &call->identity, key_err);
    enum door_kind kind = DOOR_ADDRESS;
    if (has_key && !*is_known) {
        kind = DOOR_BAD_KEY;
    } else if (has_key) {
        bool is_execution = call->route != NULL && call->route->handle == admit_execute;
        kind = is_execution ? DOOR_EXECUTION : DOOR_REQUEST;
    }
    return door_pay(service->door, kind, call->identity.key_id, request,
                    clock_monotonic_ns(service->parts.clock), &call->receipt, err);
}

/* What the head tells: rate, path, method, node, key, scope, media type, declared size. */
static bool check_head(struct api_call *call, struct err *err)
{
    char allow[API_ALLOW_CHARS_MAX];
    struct service *service = call->service;
    const struct message_request *request = &call->exchange->request;
    const struct route *route = call->route;
    bool is_known = false;
    struct err key_err;
    if (!check_rate(call, &is_known, &key_err, err)) {
        return false;
    }
    if (is_options(request, allow)) {
        return true;
    }
    if (route == NULL) {
        return allow_of(path_without_version(request->path), allow)
                   ? err_set(err, ERR_METHOD_NOT_ALLOWED, "this path takes %s", allow)
                   : err_set(err, ERR_NOT_FOUND, "there is nothing at this path");
    }
    if (!check_node(service, request, err)) {
        return false;
    }
    if (route->scope != 0 && !is_known) {
        *err = key_err;
        return false;
    }
    if ((route->scope & call->identity.scopes) != route->scope &&
        (call->identity.scopes & STORE_SCOPE_ADMIN) == 0) {
        if (strcmp(call->identity.key_id, AUTH_ANONYMOUS) != 0) {
            auth_count_missing_scope(service->auth);
        }
        return err_set(err, ERR_FORBIDDEN, "the API key has not the scope that this path needs");
    }
    uint64_t size = declared_size(request);
    bool has_body = size > 0 || message_request_header(request, "transfer-encoding") != NULL;
    return check_media_type(request, route, has_body, err) && check_size(service, route, size, err);
}

/* A refusal as a response; nothing waits for `call` any more. */
static void refuse(const struct api_call *call, const struct err *err,
                   struct message_response *response)
{
    char allow[API_ALLOW_CHARS_MAX];
    struct service *service = call->service;
    respond_err(service, err, 0, NULL, response);
    if (err->code == ERR_METHOD_NOT_ALLOWED &&
        allow_of(path_without_version(call->exchange->request.path), allow)) {
        message_response_header(response, "Allow", allow);
    }
}

/* ---- the handler of net ---- */

static void answer_options(struct api_call *call, const char *allow)
{
    struct message_response response;
    message_response_init(&response, 204);
    message_response_header(&response, "Allow", allow);
    api_answer(call, &response);
}

bool service_accept(void *context, struct message_exchange *exchange,
                    struct message_response *response)
{
    struct service *service = context;
    struct err err;
    struct api_call none = {.service = service, .exchange = exchange};
    struct api_call *call = ARENA_NEW(&exchange->arena, struct api_call);
    bool ok = call != NULL ||
              err_set(&err, ERR_OVERLOADED, "this node has no memory left for the request");
    trace_begin(&exchange->request, &none.trace);
    call = ok ? call : &none;
    *call = none;
    const struct message_request *request = &exchange->request;
    call->route =
        find_route(path_without_version(request->path), request->method, &call->parameter);
    if (ok && check_head(call, &err)) {
        exchange->handler = call;
        return true;
    }
    refuse(call, &err, response);
    finish_answer(call, response);
    return false;
}

static void api_job(void *context)
{
    struct api_call *call = context;
    call->route->handle(call);
}

static void dispatch(struct api_call *call)
{
    const struct route *route = call->route;
    if (route->watch != NULL) {
        route->watch(call);
    }
    if (call->exchange->request.body.size < route->inline_bytes_max && !call->needs_disk) {
        route->handle(call);
        return;
    }
    call->job = (struct scheduler_job){.run = api_job, .context = call};
    scheduler_post(call->service->scheduler, &call->job);
}

/* The body is there: what its head left open is whether it has one, and how long it is. */
void service_handle(void *context, struct message_exchange *exchange)
{
    struct service *service = context;
    const struct message_request *request = &exchange->request;
    struct api_call *call = exchange->handler;
    struct err err;
    char allow[API_ALLOW_CHARS_MAX];
    assert(call != NULL);
    call->started_ns = clock_monotonic_ns(service->parts.clock);
    if (is_options(request, allow)) {
        answer_options(call, allow);
        return;
    }
    size_t size = request->body.size;
    if (!check_media_type(request, call->route, size > 0, &err) ||
        !check_size(service, call->route, size, &err)) {
        struct message_response response;
        refuse(call, &err, &response);
        api_answer(call, &response);
        return;
    }
    dispatch(call);
}

bool service_counts_peer(void *context, const char *peer)
{
    const struct service *service = context;
    return door_counts_peer(service->door, peer);
}

void service_refuse(void *context, int status, const char *reason,
                    struct message_response *response)
{
    struct service *service = context;
    enum err_code code = ERR_MALFORMED_REQUEST;
    if (status == 429) {
        code = ERR_RATE_LIMITED;
    } else if (status == 413) {
        code = ERR_PAYLOAD_TOO_LARGE;
    } else if (status == 503) {
        code = ERR_OVERLOADED;
    } else if (status >= 500 && status != 501 && status != 505) {
        code = ERR_INTERNAL;
    }
    struct err err;
    (void)err_set(&err, code, "%s", reason);
    respond_err(service, &err, status, NULL, response);
    metrics_response(&service->metrics, NULL, response->status);
    log_event(LOG_DEBUG, "refused", LOG_FIELDS(log_number("status", (uint64_t)status)), "%s",
              reason);
}
