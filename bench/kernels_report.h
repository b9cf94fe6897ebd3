/* kernels_report.h: what bench_kernels found out, as a table, as JSON, as columns for a chart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_KERNELS_REPORT_H
#define BENCH_KERNELS_REPORT_H

#include "kernels.h"

struct cell { /* one peer at one kernel */
    bool ran;
    double ns;    /* median, for the kernel's rounds */
    double ratio; /* median of its time over ours: above 1, ours is faster */
    struct err why_not;
};

struct row {
    struct kernel kernel;
    uint64_t gas;
    double gas_per_dispatch; /* 0: not known */
    uint32_t checksum;
    struct cell cells[PEERS_MAX]; /* the first is ours */
};

struct report {
    const struct peer *peers;
    size_t peer_count;
    uint32_t repeats;
    double cycle_ns; /* of the processor, while one core is busy */
    struct row *rows;
    size_t row_count;
};

/* The table, as it grows. */
void report_print_head(const struct report *report);
void report_print_row(const struct report *report, const struct row *row);
void report_print_foot(const struct report *report);

/* Files for programs: one JSON object; a line of ratios for each kernel, with tabs, names first. */
bool report_write_json(const struct report *report, const char *path, struct err *err) MUST_CHECK;
bool report_write_columns(const struct report *report, const char *path,
                          struct err *err) MUST_CHECK;

#endif
