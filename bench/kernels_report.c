/* kernels_report.c: see kernels_report.h.
 *
 * A geometric mean is of ratios, and over those kernels that a peer runs; their number stands
 * beside it. The worst kernel is the one that a mean would hide.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernels_report.h"

#include "base/json.h"
#include "vm/vm.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct summary {
    uint32_t count;
    double geomean, min;
    const char *min_name;
};

static bool has_ratio(const struct row *row, size_t peer)
{
    return row->cells[0].ran && row->cells[peer].ran;
}

static struct summary summarize(const struct report *report, size_t peer)
{
    struct summary summary = {.min = INFINITY, .min_name = ""};
    double logarithms = 0;
    for (size_t i = 0; i < report->row_count; i++) {
        const struct row *row = &report->rows[i];
        if (!has_ratio(row, peer)) {
            continue;
        }
        double ratio = row->cells[peer].ratio;
        logarithms += log(ratio);
        summary.count++;
        if (ratio < summary.min) {
            summary.min = ratio;
            summary.min_name = row->kernel.name;
        }
    }
    summary.geomean = summary.count > 0 ? exp(logarithms / summary.count) : NAN;
    return summary;
}

/* ---- The table ---- */

void report_print_head(const struct report *report)
{
    printf("engine.dispatch\t%s\tname\n\n", vm_dispatch_name());
    printf("Our time, gas metered, and the others' as a multiple of it (above 1: ours is faster).\n"
           "Medians of %u runs that take turns; processor time without start-up.\n",
           report->repeats);
    printf("gas/d, ns/d: for each internal instruction dispatched; a cycle takes %.2f ns.\n\n",
           report->cycle_ns);
    printf("%-12s %6s %6s %7s %6s %7s", "kernel", "Mgas", "ms", "Mgas/s", "gas/d", "ns/d");
    for (size_t i = 1; i < report->peer_count; i++) {
        printf(" %11s", report->peers[i].name);
    }
    putchar('\n');
    (void)fflush(stdout);
}

static void print_ratio(bool exists, double ratio)
{
    if (exists) {
        printf(" %11.2f", ratio);
    } else {
        printf(" %11s", "-");
    }
}

void report_print_row(const struct report *report, const struct row *row)
{
    const struct cell *ours = &row->cells[0];
    printf("%-12s", row->kernel.name);
    if (ours->ran) {
        printf(" %6.0f %6.0f %7.0f %6.2f %7.2f", (double)row->gas / 1e6, ours->ns / 1e6,
               (double)row->gas / ours->ns * 1e3, row->gas_per_dispatch,
               ours->ns / (double)row->gas * row->gas_per_dispatch);
    } else {
        printf(" %6s %6s %7s %6s %7s", "-", "-", "-", "-", "-");
    }
    for (size_t i = 1; i < report->peer_count; i++) {
        print_ratio(has_ratio(row, i), row->cells[i].ratio);
    }
    putchar('\n');
    (void)fflush(stdout);
}

static double gas_per_second(const struct report *report)
{
    double logarithms = 0;
    uint32_t count = 0;
    for (size_t i = 0; i < report->row_count; i++) {
        const struct row *row = &report->rows[i];
        if (row->cells[0].ran) {
            logarithms += log((double)row->gas / row->cells[0].ns * 1e9);
            count++;
        }
    }
    return count > 0 ? exp(logarithms / count) : 0;
}

/* One line for each peer, with its first reason: mostly it is the same for all. */
static void print_why_not(const struct report *report)
{
    for (size_t i = 1; i < report->peer_count; i++) {
        const char *reason = NULL;
        for (size_t k = 0; k < report->row_count; k++) {
            const struct row *row = &report->rows[k];
            if (!row->cells[i].ran) {
                printf(reason == NULL ? "%s does not run %s" : "%.0s, %s", report->peers[i].name,
                       row->kernel.name);
                reason = reason == NULL ? row->cells[i].why_not.message : reason;
            }
        }
        if (reason != NULL) {
            printf(": %s\n", reason);
        }
    }
}

void report_print_foot(const struct report *report)
{
    struct summary summaries[PEERS_MAX];
    for (size_t i = 1; i < report->peer_count; i++) {
        summaries[i] = summarize(report, i);
    }
    printf("%-12s %6s %6s %7.0f %6s %7s", "geomean", "", "", gas_per_second(report) / 1e6, "", "");
    for (size_t i = 1; i < report->peer_count; i++) {
        print_ratio(summaries[i].count > 0, summaries[i].geomean);
    }
    printf("\n%-49s", "worst");
    for (size_t i = 1; i < report->peer_count; i++) {
        print_ratio(summaries[i].count > 0, summaries[i].min);
    }
    printf("\n%-49s", "");
    for (size_t i = 1; i < report->peer_count; i++) {
        printf(" %11s", summaries[i].min_name);
    }
    printf("\n\n");
    print_why_not(report);
    (void)fflush(stdout);
}

/* ---- Files ---- */

static json_t *row_json(const struct report *report, const struct row *row)
{
    json_t *ns = json_object();
    json_t *ratios = json_object();
    for (size_t i = 0; i < report->peer_count; i++) {
        const struct cell *cell = &row->cells[i];
        json_object_set_new(ns, report->peers[i].name,
                            cell->ran ? json_real(cell->ns) : json_null());
        json_object_set_new(ratios, report->peers[i].name,
                            has_ratio(row, i) ? json_real(cell->ratio) : json_null());
    }
    return json_pack("{s:s, s:I, s:I, s:f, s:I, s:o, s:o}", "name", row->kernel.name, "rounds",
                     (json_int_t)row->kernel.rounds, "gas", (json_int_t)row->gas,
                     "gas_per_dispatch", row->gas_per_dispatch, "checksum",
                     (json_int_t)row->checksum, "ns", ns, "times_ours", ratios);
}

static json_t *report_json(const struct report *report)
{
    json_t *rows = json_array();
    json_t *peers = json_object();
    for (size_t i = 0; i < report->row_count; i++) {
        json_array_append_new(rows, row_json(report, &report->rows[i]));
    }
    for (size_t i = 1; i < report->peer_count; i++) {
        const struct peer *peer = &report->peers[i];
        struct summary summary = summarize(report, i);
        json_t *program = peer->program != NULL ? json_string(peer->program) : json_null();
        json_t *about = summary.count == 0
                            ? json_pack("{s:i, s:o}", "kernels", 0, "program", program)
                            : json_pack("{s:i, s:f, s:f, s:s, s:o}", "kernels", (int)summary.count,
                                        "geomean", summary.geomean, "worst", summary.min,
                                        "worst_kernel", summary.min_name, "program", program);
        json_object_set_new(peers, peer->name, about);
    }
    return json_pack("{s:s, s:s, s:i, s:f, s:f, s:o, s:o}", "version", WH_VERSION, "dispatch",
                     vm_dispatch_name(), "repeats", (int)report->repeats, "cycle_ns",
                     report->cycle_ns, "gas_per_second", gas_per_second(report), "peers", peers,
                     "kernels", rows);
}

static bool write_file(const char *path, const struct buffer *content, struct err *err)
{
    FILE *file = fopen(path, "wb");
    bool ok = file != NULL && !content->failed &&
              fwrite(content->ptr, 1, content->size, file) == content->size;
    if (file != NULL) {
        ok = fclose(file) == 0 && ok;
    }
    return ok || err_set(err, ERR_IO, "cannot write %s", path);
}

bool report_write_json(const struct report *report, const char *path, struct err *err)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    json_t *json = report_json(report);
    bool ok = json != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the JSON text");
    ok = ok && json_write(json, &text, err);
    if (ok) {
        buffer_append_u8(&text, '\n');
        ok = write_file(path, &text, err);
    }
    json_decref(json);
    buffer_release(&text);
    return ok;
}

bool report_write_columns(const struct report *report, const char *path, struct err *err)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_append_string(&text, "kernel");
    for (size_t i = 1; i < report->peer_count; i++) {
        buffer_printf(&text, "\t%s", report->peers[i].name);
    }
    for (size_t k = 0; k < report->row_count; k++) {
        buffer_printf(&text, "\n%s", report->rows[k].kernel.name);
        for (size_t i = 1; i < report->peer_count; i++) {
            const struct cell *cell = &report->rows[k].cells[i];
            buffer_printf(&text, has_ratio(&report->rows[k], i) ? "\t%.4g" : "\t?", cell->ratio);
        }
    }
    buffer_append_string(&text, "\ngeomean");
    for (size_t i = 1; i < report->peer_count; i++) {
        struct summary summary = summarize(report, i);
        buffer_printf(&text, summary.count > 0 ? "\t%.4g" : "\t?", summary.geomean);
    }
    buffer_append_u8(&text, '\n');
    bool ok = write_file(path, &text, err);
    buffer_release(&text);
    return ok;
}
