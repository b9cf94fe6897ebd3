/* service.c: putting the parts together, the once-a-second work, and the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/log.h"
#include "base/mapping.h"

#include <assert.h>

enum {
    TOMBSTONES_PER_KEY = 4,
    TOMBSTONE_MS = 3600 * 1000,
    MARK_INTERVAL_S = 60,     /* how much of the log is read again after a crash */
    EXPIRE_INTERVAL_S = 60,   /* of stored answers */
    FAILURES_INTERVAL_S = 60, /* of entries about refused API keys */
    WAIT_S_MAX = 60,          /* Retry-After says no more */
    RECEIPT_LATE_S = 60,      /* behind the end of its execution, at most */
    ATTESTER_CLOSE_MS = 2000,
};

static const uint64_t ns_per_s = 1000000000;
static const uint64_t ns_per_ms = 1000000;

/* ---- opening ---- */

static bool open_keys(struct service *service, struct err *err)
{
    const struct service_config *config = &service->config;
    struct request_keys_config keys = {
        .live_max = config->request_keys_max,
        .live_per_owner_max = config->request_keys_per_api_key_max,
        .tombstones_max = config->request_keys_max * TOMBSTONES_PER_KEY,
        .tombstone_ms = TOMBSTONE_MS,
        .lifetime_ms = config->request_key_lifetime_ms,
        .clock = service->parts.clock,
    };
    service->keys = request_keys_new(&keys);
    service->sessions = session_table_new();
    service->idempotency = idempotency_new();
    service->modules = module_cache_new(config->module_cache_bytes, service->parts.clock);
    if (service->modules != NULL) {
        module_cache_share(service->modules, &service->parts.memory->programs);
    }
    return (service->keys != NULL && service->sessions != NULL && service->idempotency != NULL &&
            service->modules != NULL) ||
           err_set(err, ERR_NO_MEMORY, "no memory for the tables of keys and sessions");
}

static bool open_epochs(struct service *service, struct err *err)
{
    const struct service_parts *parts = &service->parts;
    const struct service_config *config = &service->config;
    struct attester_config attester = {
        .tee = parts->tee,
        .clock = parts->clock,
        .metrics = &service->metrics,
        .calls_per_minute = config->attester_calls_per_minute,
        .burst = config->attester_burst,
        .retry_ms = config->attester_retry_ms,
        .blocked_ms = config->fresh_wait_max_ms,
        .close_ms = ATTESTER_CLOSE_MS,
    };
    struct epochs_config epochs = {
        .clock = parts->clock,
        .log = parts->log,
        .facts = {.node_id = parts->node_id,
                  .log_origin = audit_log_origin(parts->log),
                  .log_vkey = audit_log_vkey(parts->log),
                  .build_id = parts->build_id,
                  .config_digest = parts->config_digest},
        .signing_ms = config->epoch_lifetime_ms,
        /* A key that was signed at the last moment is used at its last, for the longest time. */
        .trailing_ms = config->request_key_lifetime_ms + config->queue_wait_max_ms +
                       (config->execution_seconds_max + RECEIPT_LATE_S) * UINT64_C(1000),
    };
    service->attester = attester_new(&attester);
    if (service->attester == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the attester");
    }
    epochs.attester = service->attester;
    service->batches = batches_new(service);
    if (service->batches == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for fresh proofs");
    }
    return epochs_open(&epochs, &service->epochs, err) && attester_start(service->attester, err);
}

static void observe_scheduler(void *context, enum scheduler_fact fact, uint64_t ns)
{
    struct metrics *metrics = context;
    struct histogram *const histograms[] = {
        [SCHEDULER_FACT_WAIT] = metrics->first_slice_wait,
        [SCHEDULER_FACT_SLICE] = metrics->slice_time,
        [SCHEDULER_FACT_STOP_LATE] = metrics->overrun,
        [SCHEDULER_FACT_SETTLED_LATE] = metrics->overrun_settled,
        [SCHEDULER_FACT_MADE_WAY] = metrics->made_way,
    };
    histogram_add(histograms[fact], ns);
}

static uint64_t log_sync_began_ns(void *context)
{
    const struct service *service = context;
    return audit_log_sync_began_ns(service->parts.log);
}

static bool open_door(struct service *service, struct err *err)
{
    const struct service_config *config = &service->config;
    struct door_config door = {
        .per_second = {[DOOR_EXECUTION] = config->executions_per_second_per_key,
                       [DOOR_REQUEST] = config->requests_per_second_per_key,
                       [DOOR_ADDRESS] = config->requests_per_second_per_address,
                       [DOOR_BAD_KEY] = config->bad_keys_per_second_per_address},
        .window_s = config->limit_window_s,
        .trusted_proxies = config->trusted_proxies,
    };
    return door_open(&door, &service->door, err);
}

static bool open_parts(struct service *service, struct err *err)
{
    const struct service_config *config = &service->config;
    struct scheduler_config scheduler = {
        .workers = config->workers,
        .concurrent_max = config->concurrent_executions_max,
        .express_max = config->express_executions_max,
        .queued_max = config->queued_executions_max,
        .tenant_percent = config->require_api_key ? config->api_key_percent : 100,
        .queue_wait_max_ns = config->queue_wait_max_ms * ns_per_ms,
        .slice_us = config->slice_us,
        .clock = service->parts.clock,
        .sync_began_ns = log_sync_began_ns,
        .sync_context = service,
        .observe = observe_scheduler,
        .observe_context = &service->metrics,
    };
    return open_keys(service, err) && open_door(service, err) && rebuild_index(service, err) &&
           auth_open(service->parts.store, service->parts.clock, config->require_api_key,
                     &service->auth, err) &&
           open_epochs(service, err) && scheduler_open(&scheduler, &service->scheduler, err);
}

/* False: a call of the firmware has not come back. */
static bool service_free(struct service *service)
{
    scheduler_close(service->scheduler);
    bool ok = attester_close(service->attester);
    batches_close(service->batches);
    epochs_close(service->epochs);
    auth_close(service->auth);
    door_close(service->door);
    session_table_free(service->sessions);
    idempotency_free(service->idempotency);
    module_cache_free(service->modules);
    request_keys_free(service->keys);
    assert(budget_used(&service->parts.memory->programs) == 0);
    pthread_mutex_destroy(&service->gone_lock);
    heap_free(service->openapi);
    heap_free(service);
    return ok;
}

/* An answer has been sent or stored: another one may be made. */
static void answers_released(void *context)
{
    struct service *service = context;
    scheduler_memory_freed(service->scheduler);
}

bool service_open(const struct service_config *config, const struct service_parts *parts,
                  struct service **out, struct err *err)
{
    struct service *service = HEAP_NEW(struct service);
    if (service == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the service");
    }
    service->parts = *parts;
    service->config = *config;
    service_memory_fit(parts->memory, &service->config);
    metrics_init(&service->metrics);
    service->started_ns = clock_monotonic_ns(parts->clock);
    service->marked_ns = service->started_ns;
    service->expired_ns = service->started_ns;
    failures_begin(service);
    pthread_mutex_init(&service->gone_lock, NULL);
    service->openapi = openapi_text();
    bool ok = service->openapi != NULL ||
              err_set(err, ERR_NO_MEMORY, "no memory for the description of the interface");
    if (!ok || !open_parts(service, err)) {
        (void)service_free(service); /* the attester has not been asked for anything more */
        return false;
    }
    budget_on_release(&parts->memory->answers, answers_released, service);
    *out = service;
    return true;
}

/* ---- once a second ---- */

/* Everything below that index is in the store: after a crash the index is rebuilt from there on.
 * The log's size is read first: what is admitted later lies behind it. */
static void mark_index(struct service *service)
{
    struct err err;
    uint64_t size = audit_log_size(service->parts.log);
    uint64_t mark = session_table_oldest_admit(service->sessions, size);
    mark = mark < size ? mark : size;
    if (!atomic_load(&service->store_is_behind) &&
        !store_set_indexed_size(service->parts.store, mark, &err)) {
        log_write(LOG_WARN, "index_not_marked", NULL, "%s", err.message);
    }
}

static void expire_answers(struct service *service)
{
    struct err err;
    uint64_t dropped = 0;
    if (!store_expire(service->parts.store, &dropped, &err)) {
        log_write(LOG_WARN, "answers_not_expired", NULL, "%s", err.message);
    }
}

static bool is_due(uint64_t *last_ns, uint64_t now_ns, uint64_t interval_s)
{
    if (now_ns - *last_ns < interval_s * ns_per_s) {
        return false;
    }
    *last_ns = now_ns;
    return true;
}

/* After a second in which no execution was there or ended, what a burst has left goes back to the
 * system, once. */
static void trim_when_idle(struct service *service)
{
    struct scheduler_counts counts;
    uint64_t ended = atomic_load_explicit(&service->ended, memory_order_relaxed);
    scheduler_counts(service->scheduler, &counts);
    bool is_idle = counts.reserved == 0 && ended == service->ended_at_tick;
    if (is_idle && !service->is_trimmed) {
        mapping_pool_trim();
        heap_trim();
    }
    service->is_trimmed = is_idle;
    service->ended_at_tick = ended;
}

static void tick_job(void *context)
{
    struct service *service = context;
    struct err err;
    uint64_t now_ns = clock_monotonic_ns(service->parts.clock);
    request_keys_expire(service->keys);
    module_cache_expire(service->modules);
    batches_tick(service->batches);
    if (!auth_reload(service->auth, &err)) {
        log_write(LOG_ERROR, "api_keys_not_reloaded", NULL, "%s", err.message);
    }
    if (is_due(&service->marked_ns, now_ns, MARK_INTERVAL_S)) {
        mark_index(service);
    }
    if (is_due(&service->expired_ns, now_ns, EXPIRE_INTERVAL_S)) {
        expire_answers(service);
    }
    if (is_due(&service->failures.logged_ns, now_ns, FAILURES_INTERVAL_S)) {
        failures_log(service);
    }
    witnesses_tick(service->parts.witnesses);
    trim_when_idle(service);
    atomic_store(&service->tick_is_running, false);
}

/* The queue's length by what ended in the last second, smoothed, rounded up. */
static void measure_queue(struct service *service)
{
    struct histogram_facts facts;
    struct scheduler_counts counts;
    histogram_read(service->metrics.execution_duration, &facts);
    scheduler_counts(service->scheduler, &counts);
    uint64_t ended = facts.count - service->ended_count;
    service->ended_count = facts.count;
    service->ended_per_4s += ended - service->ended_per_4s / 4;
    uint64_t wait_s = (uint64_t)counts.backlog * 4 / (service->ended_per_4s + 1) + 1;
    atomic_store(&service->queue_wait_s, (uint32_t)(wait_s < WAIT_S_MAX ? wait_s : WAIT_S_MAX));
}

void service_tick(struct service *service)
{
    epochs_tick(service->epochs);
    attester_tick(service->attester);
    scheduler_tick(service->scheduler);
    session_table_tick(service->sessions, clock_monotonic_ns(service->parts.clock));
    measure_queue(service);
    if (!atomic_exchange(&service->tick_is_running, true)) {
        service->tick_job = (struct scheduler_job){.run = tick_job, .context = service};
        scheduler_post(service->scheduler, &service->tick_job);
    }
}

/* ---- the end ---- */

bool service_refuse_draining(struct err *err)
{
    return err_set(err, ERR_DRAINING, "this node is shutting down; another one will serve");
}

void service_drain(struct service *service, void (*drained)(void *context), void *context)
{
    atomic_store(&service->is_draining, true);
    scheduler_drain(service->scheduler, drained, context);
}

bool service_close(struct service *service)
{
    if (service == NULL) {
        return true;
    }
    atomic_store(&service->is_draining, true);
    scheduler_close(service->scheduler);
    service->scheduler = NULL;
    if (service->parts.webhooks.stop != NULL) {
        service->parts.webhooks.stop(service->parts.webhooks.context);
    }
    /* Only the loop's thread, which is this one, gives answers back from now on. */
    budget_on_release(&service->parts.memory->answers, NULL, NULL);
    failures_log(service);
    /* Nothing is live: whatever the log holds by now is in the store. */
    mark_index(service);
    return service_free(service);
}
