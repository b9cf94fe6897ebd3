/* metrics.c: counters and gauges as Prometheus text (format 0.0.4).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/metrics.h"

#include "service/internal.h"

#include <inttypes.h>

enum { METRICS_BYTES_MAX = 65536, NS_PER_US = 1000 };
static const double us_per_s = 1e6;

static const uint64_t bucket_bounds_us[METRICS_DURATION_BUCKETS] = {
    1000, 5000, 10000, 50000, 100000, 500000, 1000000, 10000000, 60000000};

void metrics_execution(struct metrics *metrics, enum err_code outcome, uint64_t duration_ns,
                       uint64_t gas)
{
    uint64_t duration_us = duration_ns / NS_PER_US;
    size_t bucket = 0;
    while (bucket < METRICS_DURATION_BUCKETS && duration_us > bucket_bounds_us[bucket]) {
        bucket++;
    }
    atomic_fetch_add(&metrics->executions[outcome], 1);
    atomic_fetch_add(&metrics->duration_buckets[bucket], 1);
    atomic_fetch_add(&metrics->duration_us, duration_us);
    atomic_fetch_add(&metrics->gas, gas);
}

static void metric_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP wasm_hypervisor_%s %s\n# TYPE wasm_hypervisor_%s %s\n", name, help,
                  name, type);
}

static void metric(struct buffer *out, const char *name, const char *type, const char *help,
                   uint64_t value)
{
    metric_head(out, name, type, help);
    buffer_printf(out, "wasm_hypervisor_%s %" PRIu64 "\n", name, value);
}

/* One line for each error that may be named; SUCCESS too, where it can be. */
static void metric_by_code(struct buffer *out, const char *name, const char *help,
                           _Atomic uint64_t *counts, bool has_success)
{
    metric_head(out, name, "counter", help);
    if (has_success) {
        buffer_printf(out, "wasm_hypervisor_%s{outcome=\"SUCCESS\"} %" PRIu64 "\n", name,
                      atomic_load(&counts[ERR_NONE]));
    }
    uint64_t internal = 0;
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        uint64_t count = atomic_load(&counts[code]);
        if (!err_code_is_public((enum err_code)code) || code == ERR_INTERNAL) {
            internal += count;
        } else if (count > 0) {
            buffer_printf(out, "wasm_hypervisor_%s{outcome=\"%s\"} %" PRIu64 "\n", name,
                          err_code_name((enum err_code)code), count);
        }
    }
    buffer_printf(out, "wasm_hypervisor_%s{outcome=\"INTERNAL\"} %" PRIu64 "\n", name, internal);
}

static void metric_durations(struct buffer *out, struct metrics *metrics)
{
    static const char name[] = "execution_duration_seconds";
    uint64_t total = 0;
    metric_head(out, name, "histogram", "From admission to the outcome.");
    for (size_t i = 0; i <= METRICS_DURATION_BUCKETS; i++) {
        total += atomic_load(&metrics->duration_buckets[i]);
        if (i < METRICS_DURATION_BUCKETS) {
            buffer_printf(out, "wasm_hypervisor_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                          (double)bucket_bounds_us[i] / us_per_s, total);
        }
    }
    buffer_printf(out, "wasm_hypervisor_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, total);
    buffer_printf(out, "wasm_hypervisor_%s_sum %.6f\n", name,
                  (double)atomic_load(&metrics->duration_us) / us_per_s);
    buffer_printf(out, "wasm_hypervisor_%s_count %" PRIu64 "\n", name, total);
}

static void metric_responses(struct buffer *out, struct metrics *metrics)
{
    metric_head(out, "responses_total", "counter", "Answers by class of their HTTP status.");
    for (int class = 2; class < 6; class ++) {
        buffer_printf(out, "wasm_hypervisor_responses_total{status=\"%dxx\"} %" PRIu64 "\n", class,
                      atomic_load(&metrics->responses[class]));
    }
}

static void metric_gauges(struct buffer *out, struct service *service)
{
    struct scheduler_counts counts;
    scheduler_counts(service->scheduler, &counts);
    metric(out, "executions_running", "gauge", "Executions running or ready.", counts.active);
    metric(out, "executions_queued", "gauge", "Executions waiting for a slot.", counts.backlog);
    metric(out, "request_keys", "gauge", "Unused request keys.", request_keys_live(service->keys));
    metric(out, "memory_bytes", "gauge", "Memory charged to executions.",
           budget_used(&service->memory));
    metric(out, "memory_limit_bytes", "gauge", "Memory that executions may be charged.",
           service->config.memory_budget_bytes);
    metric(out, "log_entries", "gauge", "Committed entries of the audit log.",
           audit_log_size(service->parts.log));
    metric(out, "log_alive", "gauge", "1 while the audit log takes entries.",
           atomic_load(&service->log_is_dead) ? 0 : 1);
}

static void metric_modules(struct buffer *out, struct service *service)
{
    struct module_cache_facts facts;
    module_cache_facts(service->modules, &facts);
    metric(out, "module_cache_hits_total", "counter", "Programs found translated.", facts.hits);
    metric(out, "module_cache_misses_total", "counter", "Programs looked for and not found.",
           facts.misses);
    metric(out, "module_cache_evictions_total", "counter", "Programs that made way for others.",
           facts.evictions);
    metric(out, "module_cache_entries", "gauge", "Programs in the cache.", facts.count);
    metric(out, "module_cache_bytes", "gauge", "What they hold.", facts.bytes);
    metric(out, "module_cache_limit_bytes", "gauge", "What they may hold.",
           service->config.module_cache_bytes);
}

void metrics_show(struct api_call *call)
{
    struct service *service = call->service;
    struct metrics *metrics = &service->metrics;
    struct buffer out;
    buffer_init(&out, METRICS_BYTES_MAX);
    metric_by_code(&out, "executions_total", "Executions that ended, by outcome.",
                   metrics->executions, true);
    metric_by_code(&out, "refusals_total", "Requests refused before they were admitted.",
                   metrics->refusals, false);
    metric_responses(&out, metrics);
    metric_durations(&out, metrics);
    metric(&out, "gas_total", "counter", "Gas consumed by programs.", atomic_load(&metrics->gas));
    metric(&out, "request_keys_issued_total", "counter", "Request keys made.",
           atomic_load(&metrics->keys_issued));
    metric(&out, "authentication_failures_total", "counter", "Bad API keys presented.",
           auth_failures(service->auth));
    metric_gauges(&out, service);
    metric_modules(&out, service);
    api_answer_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_bytes(&out));
    buffer_release(&out);
}
