/* metrics.h: what the node counts, for GET /metrics. Private to service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_METRICS_H
#define SERVICE_METRICS_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

enum { METRICS_DURATION_BUCKETS = 9 };

struct metrics {
    _Atomic uint64_t executions[ERR_CODE_COUNT]; /* ended, by outcome; ERR_NONE: success */
    _Atomic uint64_t refusals[ERR_CODE_COUNT];   /* requests answered with an error before ADMIT */
    _Atomic uint64_t responses[6];               /* by hundreds of the status */
    _Atomic uint64_t duration_buckets[METRICS_DURATION_BUCKETS + 1]; /* not cumulative; +Inf last */
    _Atomic uint64_t duration_us; /* sum, from admission to the outcome */
    _Atomic uint64_t gas;
    _Atomic uint64_t keys_issued;
};

void metrics_execution(struct metrics *metrics, enum err_code outcome, uint64_t duration_ns,
                       uint64_t gas);

#endif
