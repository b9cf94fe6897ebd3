/* metrics.h: what the node counts, for GET /metrics. Private to service.
 *
 * The table metrics.def says what there is and how to add to it: a row there, and a call of
 * metric_add or histogram_add where the thing happens. Both are a relaxed addition or two: cheap
 * enough for any path, and no lock. What a lower folder or another part knows stays with it, and is
 * read when the operator asks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include "base/err.h"
#include "base/histogram.h"
#include "base/log.h"
#include "service/attester.h"

enum { METRIC_ROUTES_MAX = 31, METRIC_STATUS_CLASSES = 6 };

enum { /* how many cells a metric has, by its LABELS */
       METRIC_PLAIN_COUNT = 1,
       METRIC_BUILD_COUNT = 1,
       METRIC_OUTCOME_COUNT = ERR_CODE_COUNT,
       METRIC_CODE_COUNT = ERR_CODE_COUNT,
       METRIC_LEVEL_COUNT = LOG_LEVEL_COUNT,
       METRIC_PURPOSE_OUTCOME_COUNT = (int)ATTESTER_PURPOSES * (int)ATTESTER_OUTCOMES,
       METRIC_ROUTE_COUNT = METRIC_ROUTES_MAX + 1, /* the last: no route */
       METRIC_ROUTE_STATUS_COUNT = METRIC_ROUTE_COUNT * METRIC_STATUS_CLASSES,
};

struct metrics {
#define COUNTER(field, name, unit, labels, help) _Atomic uint64_t field[METRIC_##labels##_COUNT];
#define HISTOGRAM(field, name, kind, labels, help) struct histogram field[METRIC_##labels##_COUNT];
#define READ(field, type, name, unit, labels, help, expression)
#define READ_HISTOGRAM(field, name, kind, help, expression)
#include "service/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef READ
#undef READ_HISTOGRAM
};

struct route;

/* Zeroes all. */
void metrics_init(struct metrics *metrics);
/* The index of a route in metrics by ROUTE; NULL: a request that came to none. */
size_t metrics_route(const struct route *route);
/* Counts an answer. */
void metrics_response(struct metrics *metrics, const struct route *route, int status);

static inline void metric_add(_Atomic uint64_t *cell, uint64_t count)
{
    atomic_fetch_add_explicit(cell, count, memory_order_relaxed);
}

/* The index of an error in metrics by OUTCOME or CODE: what may not be named counts as INTERNAL. */
static inline enum err_code metric_code(enum err_code code)
{
    return code == ERR_NONE || err_code_is_public(code) ? code : ERR_INTERNAL;
}

#endif
