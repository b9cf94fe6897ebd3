/* metrics.c: the table of metrics (metrics.def) as Prometheus text (format 0.0.4).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/metrics.h"

#include "base/log.h"
#include "base/process.h"
#include "service/internal.h"

#include "base/mapping.h"

#include <inttypes.h>
#include <string.h>

enum { METRICS_BYTES_MAX = 1024 * 1024 };
static const double ns_per_s = 1e9;

/* ---- what is read from others, once per answer ---- */

struct metrics_view {
    struct service *service;
    struct scheduler_counts scheduler;
    struct module_cache_facts modules;
    struct process_facts process;
    struct service_connections connections;
    struct store_facts store;
    struct log_facts log_lines;
    const struct audit_times *log;
    struct witnesses_facts witnesses;
    struct attester_facts attester;
    uint64_t epoch_age_ns;
};

static void view_fill(struct metrics_view *view, struct service *service)
{
    *view = (struct metrics_view){.service = service};
    scheduler_counts(service->scheduler, &view->scheduler);
    module_cache_facts(service->modules, &view->modules);
    process_facts_read(&view->process);
    if (service->parts.connections != NULL) {
        service->parts.connections(service->parts.connections_context, &view->connections);
    }
    store_facts(service->parts.store, &view->store);
    log_facts(&view->log_lines);
    view->log = audit_log_times(service->parts.log);
    witnesses_facts(service->parts.witnesses, &view->witnesses);
    attester_facts(service->attester, &view->attester);
    struct epoch *epoch = epochs_current(service->epochs);
    view->epoch_age_ns = clock_monotonic_ns(service->parts.clock) - epoch->made_ns;
    epoch_unref(epoch);
}

/* ---- labels: each writes name="value" for an index, or is false for one that is never shown ----
 */

static bool labels_plain(struct buffer *out, size_t at)
{
    (void)out;
    return at == 0;
}

static bool labels_build(struct buffer *out, size_t at)
{
    buffer_printf(out, "version=\"%s\",gas_schedule=\"%d\"", WH_VERSION, VM_GAS_SCHEDULE);
    return at == 0;
}

static bool labels_code(struct buffer *out, size_t at)
{
    bool is_shown = err_code_is_public((enum err_code)at);
    if (is_shown) {
        buffer_printf(out, "code=\"%s\"", err_code_name((enum err_code)at));
    }
    return is_shown;
}

static bool labels_outcome(struct buffer *out, size_t at)
{
    bool is_shown = at == ERR_NONE || err_code_is_public((enum err_code)at);
    if (is_shown) {
        buffer_printf(out, "outcome=\"%s\"",
                      at == ERR_NONE ? "SUCCESS" : err_code_name((enum err_code)at));
    }
    return is_shown;
}

static bool labels_route(struct buffer *out, size_t at)
{
    if (at < api_route_count) {
        buffer_printf(out, "method=\"%s\",route=\"%s\"", api_routes[at].method,
                      api_routes[at].path);
    } else {
        buffer_append_string(out, "method=\"\",route=\"\"");
    }
    return at < api_route_count || at == METRIC_ROUTES_MAX;
}

static bool labels_route_status(struct buffer *out, size_t at)
{
    size_t class = at % METRIC_STATUS_CLASSES;
    if (class < 2 || !labels_route(out, at / METRIC_STATUS_CLASSES)) {
        return false;
    }
    buffer_printf(out, ",status=\"%zuxx\"", class);
    return true;
}

static bool labels_level(struct buffer *out, size_t at)
{
    buffer_printf(out, "level=\"%s\"", log_level_name((enum log_level)at));
    return true;
}

static bool labels_purpose_outcome(struct buffer *out, size_t at)
{
    buffer_printf(out, "purpose=\"%s\",outcome=\"%s\"",
                  attester_purpose_name((enum attester_purpose)(at / ATTESTER_OUTCOMES)),
                  attester_outcome_name((enum attester_outcome)(at % ATTESTER_OUTCOMES)));
    return true;
}

struct metric_labels {
    bool (*write)(struct buffer *out, size_t at);
    size_t count;
};

static const struct metric_labels metric_labels_PLAIN = {labels_plain, METRIC_PLAIN_COUNT};
static const struct metric_labels metric_labels_BUILD = {labels_build, METRIC_BUILD_COUNT};
static const struct metric_labels metric_labels_LEVEL = {labels_level, METRIC_LEVEL_COUNT};
static const struct metric_labels metric_labels_CODE = {labels_code, METRIC_CODE_COUNT};
static const struct metric_labels metric_labels_OUTCOME = {labels_outcome, METRIC_OUTCOME_COUNT};
static const struct metric_labels metric_labels_ROUTE = {labels_route, METRIC_ROUTE_COUNT};
static const struct metric_labels metric_labels_ROUTE_STATUS = {labels_route_status,
                                                                METRIC_ROUTE_STATUS_COUNT};
static const struct metric_labels metric_labels_PURPOSE_OUTCOME = {labels_purpose_outcome,
                                                                   METRIC_PURPOSE_OUTCOME_COUNT};

/* ---- the table ---- */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
static const char *const metric_type_names[] = {"counter", "gauge", "histogram"};

enum metric_unit { METRIC_ONE, METRIC_BYTES, METRIC_SECONDS, METRIC_ENTRIES };

struct metric_row {
    const char *name, *help;
    enum metric_type type;
    enum metric_unit unit;
    const struct metric_labels *labels;
    /* Exactly one is set: of one value, or of one histogram. */
    uint64_t (*value)(const struct metrics_view *view, size_t at);
    const struct histogram *(*histogram)(const struct metrics_view *view, size_t at);
};

#define VALUE_OF(field, expression)                                                                \
    static uint64_t metric_of_##field(const struct metrics_view *view, size_t at)                  \
    {                                                                                              \
        (void)view;                                                                                \
        (void)at;                                                                                  \
        return (uint64_t)(expression);                                                             \
    }
#define HISTOGRAM_OF(field, expression)                                                            \
    static const struct histogram *metric_of_##field(const struct metrics_view *view, size_t at)   \
    {                                                                                              \
        (void)at;                                                                                  \
        return (expression);                                                                       \
    }
#define COUNTER(field, name, unit, labels, help)                                                   \
    VALUE_OF(field, atomic_load_explicit(&view->service->metrics.field[at], memory_order_relaxed))
#define HISTOGRAM(field, name, kind, labels, help)                                                 \
    HISTOGRAM_OF(field, &view->service->metrics.field[at])
#define READ(field, type, name, unit, labels, help, expression) VALUE_OF(field, expression)
#define READ_HISTOGRAM(field, name, kind, help, expression) HISTOGRAM_OF(field, expression)
#include "service/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef READ
#undef READ_HISTOGRAM

static const struct metric_row metric_rows[] = {
#define COUNTER(field, name, unit, labels, help)                                                   \
    {name, help, METRIC_COUNTER, METRIC_##unit, &metric_labels_##labels, metric_of_##field, NULL},
#define HISTOGRAM(field, name, kind, labels, help)                                                 \
    {name, help, METRIC_HISTOGRAM, METRIC_##kind, &metric_labels_##labels, NULL, metric_of_##field},
#define READ(field, type, name, unit, labels, help, expression)                                    \
    {name, help, METRIC_##type, METRIC_##unit, &metric_labels_##labels, metric_of_##field, NULL},
#define READ_HISTOGRAM(field, name, kind, help, expression)                                        \
    {name, help, METRIC_HISTOGRAM, METRIC_##kind, &metric_labels_PLAIN, NULL, metric_of_##field},
#include "service/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef READ
#undef READ_HISTOGRAM
};

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){0};
#define COUNTER(field, name, unit, labels, help)
#define HISTOGRAM(field, name, kind, labels, help)                                                 \
    for (size_t at = 0; at < METRIC_##labels##_COUNT; at++) {                                      \
        histogram_init(&metrics->field[at], HISTOGRAM_##kind);                                     \
    }
#define READ(field, type, name, unit, labels, help, expression)
#define READ_HISTOGRAM(field, name, kind, help, expression)
#include "service/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef READ
#undef READ_HISTOGRAM
}

/* ---- counting ---- */

size_t metrics_route(const struct route *route)
{
    return route == NULL ? METRIC_ROUTES_MAX : (size_t)(route - api_routes);
}

void metrics_response(struct metrics *metrics, const struct route *route, int status)
{
    size_t class = (size_t)status / 100;
    metric_add(&metrics->responses[metrics_route(route) * METRIC_STATUS_CLASSES + class], 1);
}

/* ---- the text ---- */

static void write_value(struct buffer *out, const struct metric_row *row, struct bytes labels,
                        uint64_t value)
{
    buffer_append_string(out, row->name);
    if (labels.size > 0) {
        buffer_printf(out, "{%.*s}", (int)labels.size, (const char *)labels.ptr);
    }
    if (row->unit == METRIC_SECONDS) {
        buffer_printf(out, " %.9f\n", (double)value / ns_per_s);
    } else {
        buffer_printf(out, " %" PRIu64 "\n", value);
    }
}

static void write_histogram(struct buffer *out, const struct metric_row *row, struct bytes labels,
                            const struct histogram *histogram)
{
    struct histogram_facts facts;
    histogram_read(histogram, &facts);
    int size = (int)labels.size;
    const char *text = (const char *)labels.ptr;
    const char *comma = size > 0 ? "," : "";
    for (size_t i = 0; i < facts.scale->count; i++) {
        buffer_printf(out, "%s_bucket{%.*s%sle=\"%g\"} %" PRIu64 "\n", row->name, size, text, comma,
                      (double)facts.scale->bounds[i] / facts.scale->per_unit, facts.cumulated[i]);
    }
    buffer_printf(out, "%s_bucket{%.*s%sle=\"+Inf\"} %" PRIu64 "\n", row->name, size, text, comma,
                  facts.count);
    const char *open = size > 0 ? "{" : "";
    const char *close = size > 0 ? "}" : "";
    buffer_printf(out, "%s_sum%s%.*s%s %.9f\n", row->name, open, size, text, close,
                  (double)facts.sum / facts.scale->per_unit);
    buffer_printf(out, "%s_count%s%.*s%s %" PRIu64 "\n", row->name, open, size, text, close,
                  facts.count);
}

static void write_row(struct buffer *out, const struct metric_row *row,
                      const struct metrics_view *view)
{
    struct buffer labels;
    buffer_init(&labels, 256);
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                  metric_type_names[row->type]);
    for (size_t at = 0; at < row->labels->count; at++) {
        labels.size = 0;
        if (!row->labels->write(&labels, at)) {
            continue;
        }
        if (row->histogram != NULL) {
            write_histogram(out, row, buffer_bytes(&labels), row->histogram(view, at));
        } else {
            write_value(out, row, buffer_bytes(&labels), row->value(view, at));
        }
    }
    buffer_release(&labels);
}

void metrics_show(struct api_call *call)
{
    struct metrics_view view;
    struct buffer out;
    view_fill(&view, call->service);
    buffer_init(&out, METRICS_BYTES_MAX);
    for (size_t i = 0; i < sizeof(metric_rows) / sizeof(metric_rows[0]); i++) {
        write_row(&out, &metric_rows[i], &view);
    }
    api_answer_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_bytes(&out));
    buffer_release(&out);
}
