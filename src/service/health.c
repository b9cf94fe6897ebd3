/* health.c: what the node says of itself without being asked for a secret: health, attestation,
 * and the description of this interface.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

#include <assert.h>
#include <string.h>

enum {
    BINDING_BYTES_MAX = 1024,
    ATTESTATION_BYTES_MAX = 256 * 1024,
    NS_PER_S = 1000000000,
};

/* ---- checks ---- */

static bool check_log(struct service *service)
{
    return !atomic_load(&service->log_is_dead);
}

static bool check_serving(struct service *service)
{
    return !atomic_load(&service->is_draining);
}

static bool check_executions(struct service *service)
{
    struct scheduler_counts counts;
    scheduler_counts(service->scheduler, &counts);
    return counts.reserved <
           service->config.concurrent_executions_max + service->config.queued_executions_max;
}

static bool check_request_keys(struct service *service)
{
    return request_keys_live(service->keys) < service->config.request_keys_max;
}

static bool check_epoch(struct service *service)
{
    return !epochs_is_over(service->epochs);
}

static bool check_index(struct service *service)
{
    return !atomic_load(&service->store_is_behind);
}

static bool check_witnesses(struct service *service)
{
    struct witnesses_facts facts;
    witnesses_facts(service->parts.witnesses, &facts);
    return facts.is_good;
}

static const struct {
    const char *name;
    bool (*is_good)(struct service *service);
    bool is_needed; /* to accept an execution now */
} health_checks[] = {
    {"audit_log", check_log, true},                  /* takes entries */
    {"serving", check_serving, true},                /* not draining */
    {"room_for_executions", check_executions, true}, /* a place to run or to wait */
    {"room_for_request_keys", check_request_keys, true},
    {"attestation_epoch", check_epoch, true}, /* its signing key has been renewed in time */
    {"index", check_index, false},            /* every answer could be stored */
    {"witnesses", check_witnesses, false},    /* enough cosign the log; none contradicts it */
};
enum { HEALTH_CHECK_COUNT = sizeof(health_checks) / sizeof(health_checks[0]) };

/* ---- /health, /livez, /readyz, / ---- */

static json_t *health_checks_json(struct service *service, bool *all_good)
{
    json_t *checks = json_object();
    *all_good = true;
    for (size_t i = 0; i < HEALTH_CHECK_COUNT; i++) {
        bool is_good = health_checks[i].is_good(service);
        *all_good = *all_good && is_good;
        (void)json_object_set_new(checks, health_checks[i].name, json_boolean(is_good));
    }
    return checks;
}

static json_t *health_capacity_json(struct service *service)
{
    struct scheduler_counts counts;
    struct service_connections connections = {0};
    const struct service_config *config = &service->config;
    scheduler_counts(service->scheduler, &counts);
    if (service->parts.connections != NULL) {
        service->parts.connections(service->parts.connections_context, &connections);
    }
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "running", (json_int_t)counts.active,
        "running_max", (json_int_t)config->concurrent_executions_max, "queued",
        (json_int_t)counts.backlog, "queued_max", (json_int_t)config->queued_executions_max,
        "memory_bytes", (json_int_t)service_memory_used(service), "memory_bytes_max",
        (json_int_t)config->memory_budget_bytes, "request_keys",
        (json_int_t)request_keys_live(service->keys), "request_keys_max",
        (json_int_t)config->request_keys_max, "connections", (json_int_t)connections.open,
        "connections_max", (json_int_t)connections.open_max);
}

/* What is known of the firmware; since when it fails, and how, if it does. */
static json_t *health_attestation_json(struct service *service)
{
    struct attester_facts facts;
    char since[CLOCK_RFC3339_CHARS + 1], until[CLOCK_RFC3339_CHARS + 1];
    attester_facts(service->attester, &facts);
    clock_rfc3339_encode(facts.failing_since_ms, since);
    clock_rfc3339_encode(epochs_until_ms(service->epochs), until);
    json_t *out = json_pack("{s:s, s:s, s:I}", "provider", service->parts.tee->name, "epoch_until",
                            until, "failures", (json_int_t)facts.failures);
    if (out != NULL && facts.is_failing) {
        (void)json_object_set_new(out, "failing_since", json_string(since));
        (void)json_object_set_new(out, "last_error",
                                  json_string(attester_outcome_name(facts.error)));
    }
    return out;
}

void health_show(struct api_call *call)
{
    struct service *service = call->service;
    bool all_good = true;
    json_t *checks = health_checks_json(service, &all_good);
    const char *status = !check_log(service)       ? "failing"
                         : !check_serving(service) ? "draining"
                         : all_good                ? "ok"
                                                   : "degraded";
    uint64_t up_ns = clock_monotonic_ns(service->parts.clock) - service->started_ns;
    api_answer_json(call, check_log(service) ? 200 : 503,
                    json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:I, s:o, s:{s:s, s:I}}", "status",
                              status, "checks", checks, "attestation",
                              health_attestation_json(service), "version", WH_VERSION, "build_id",
                              service->parts.build_id, "node_id", service->parts.node_id,
                              "uptime_seconds", (json_int_t)(up_ns / NS_PER_S), "capacity",
                              health_capacity_json(service), "log", "origin",
                              audit_log_origin(service->parts.log), "size",
                              (json_int_t)audit_log_size(service->parts.log)));
}

void health_live(struct api_call *call)
{
    api_answer_text(call, 200, "text/plain; charset=utf-8", bytes_of_string("ok\n"));
}

void health_ready(struct api_call *call)
{
    bool duplicate;
    bool is_ready = true;
    bool verbose = message_request_query(&call->exchange->request, "verbose",
                                         &call->exchange->arena, &duplicate) != NULL;
    struct buffer text;
    buffer_init(&text, 1024);
    for (size_t i = 0; i < HEALTH_CHECK_COUNT; i++) {
        if (health_checks[i].is_needed) {
            bool is_good = health_checks[i].is_good(call->service);
            is_ready = is_ready && is_good;
            if (verbose) {
                buffer_printf(&text, "[%c] %s\n", is_good ? '+' : '-', health_checks[i].name);
            }
        }
    }
    buffer_append_string(&text, is_ready ? "ready\n" : "not ready\n");
    api_answer_text(call, is_ready ? 200 : 503, "text/plain; charset=utf-8", buffer_bytes(&text));
    buffer_release(&text);
}

void health_root(struct api_call *call)
{
    api_answer_json(call, 200,
                    json_pack("{s:s, s:s, s:s, s:s}", "name", "WASM Hypervisor", "version",
                              WH_VERSION, "openapi", "/openapi.json", "health", "/health"));
}

/* ---- /attestation ---- */

/* The epoch's signature over the nonce and the time: the key is in this node's hands now.
 * Canonical: the names are in order. */
static bool nonce_binding(const struct service *service, const struct epoch *epoch,
                          const char *nonce, struct buffer *out)
{
    char now[CLOCK_RFC3339_CHARS + 1];
    struct buffer payload;
    clock_rfc3339_encode(clock_wall_ms(service->parts.clock), now);
    buffer_init(&payload, BINDING_BYTES_MAX);
    json_put_open(&payload);
    json_put_string(&payload, "domain", "wasm-hypervisor/1 nonce");
    json_put_string(&payload, "nonce", nonce);
    json_put_string(&payload, "time", now);
    json_put_close(&payload);
    bool ok = !payload.failed && attest_epoch_sign_text(epoch->attest, buffer_bytes(&payload), out);
    buffer_release(&payload);
    return ok;
}

static void answer_bound(struct api_call *call, const struct epoch *epoch, const char *nonce)
{
    struct err err;
    struct buffer text;
    buffer_init(&text, ATTESTATION_BYTES_MAX);
    epoch_evidence_open(epoch->evidence, &text);
    json_put_name(&text, "nonce_binding");
    bool ok = nonce_binding(call->service, epoch, nonce, &text);
    json_put_close(&text);
    if (ok && !text.failed) {
        api_answer_text(call, 200, "application/json", buffer_bytes(&text));
    } else {
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the answer");
        api_answer_err(call, &err, NULL);
    }
    buffer_release(&text);
}

void health_attestation(struct api_call *call)
{
    const char *nonce = NULL;
    struct epoch *epoch = NULL;
    struct err err;
    if (!nonce_of_query(call, &nonce, &err) ||
        (nonce != NULL && !epochs_signing(call->service->epochs, &epoch, &err))) {
        api_answer_err(call, &err, NULL);
        return;
    }
    if (nonce != NULL) {
        answer_bound(call, epoch, nonce);
    } else {
        epoch = epochs_current(call->service->epochs);
        api_answer_text(call, 200, "application/json", bytes_of_string(epoch->evidence));
    }
    epoch_unref(epoch);
}

/* ---- /openapi.json ---- */

void health_openapi(struct api_call *call)
{
    api_answer_text(call, 200, "application/json", bytes_of_string(call->service->openapi));
}
