/* load_report.c: figures against goals, as text on stdout and as JSON in a file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include <inttypes.h>
#include <string.h>

static struct load_figure *figure_new(struct load *load, const char *name, double value,
                                      const char *unit)
{
    static struct load_figure spare; /* a report has room for all scenarios; see LOAD_FIGURES_MAX */
    bool has_room = load->figure_count < LOAD_FIGURES_MAX;
    struct load_figure *figure = has_room ? &load->figures[load->figure_count++] : &spare;
    *figure = (struct load_figure){.scenario = load->scenario, .value = value, .unit = unit};
    snprintf(figure->name, sizeof figure->name, "%s", name);
    return figure;
}

void load_figure_add(struct load *load, const char *name, double value, const char *unit)
{
    (void)figure_new(load, name, value, unit);
}

void load_figure_goal(struct load *load, const char *name, double value, const char *unit,
                      double goal, bool is_minimum)
{
    struct load_figure *figure = figure_new(load, name, value, unit);
    figure->has_goal = true;
    figure->goal = goal;
    figure->is_minimum = is_minimum;
    figure->is_met = is_minimum ? value >= goal : value <= goal;
    load->goals_missed = load->goals_missed || !figure->is_met;
}

void load_tally_count(struct load *load, const struct load_tally *tally)
{
    load->started += tally->started;
    load->right += tally->right;
    load->cut += tally->cut;
    load->lost += tally->lost;
    load->wrong += tally->wrong;
    load->early += tally->early;
    load->checked += tally->checked;
    for (int code = 0; code < ERR_CODE_COUNT; code++) {
        load->refused += tally->codes[code];
    }
    if (load->complaint[0] == '\0' && tally->complaint[0] != '\0') {
        snprintf(load->complaint, sizeof load->complaint, "%s: %.480s", load->scenario,
                 tally->complaint);
    }
}

static void percentiles(struct load *load, const char *what, const char *name,
                        const struct load_histogram *histogram)
{
    static const struct {
        const char *name;
        double part;
    } rows[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    char text[64];
    for (size_t i = 0; histogram->count > 0 && i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "%s: %s %s", what, name, rows[i].name);
        load_figure_add(load, text, (double)load_histogram_at(histogram, rows[i].part) / 1e6, "ms");
    }
}

void load_tally_report(struct load *load, const char *name, const struct load_tally *tally)
{
    char text[64];
    snprintf(text, sizeof text, "%s: right answers", name);
    load_figure_add(load, text, (double)tally->right, "");
    for (int code = 0; code < ERR_CODE_COUNT; code++) {
        if (tally->codes[code] > 0) {
            snprintf(text, sizeof text, "%s: %s", name, err_code_name((enum err_code)code));
            load_figure_add(load, text, (double)tally->codes[code], "");
        }
    }
    if (tally->right > 0) {
        percentiles(load, name, "latency", &tally->latency);
        percentiles(load, name, "queue + run", &tally->service);
    }
}

static void crypto_print(const struct load_crypto *crypto)
{
    if (crypto->count == 0) {
        return;
    }
    printf("\nbare cryptography of one execution, measured in this run\n");
    for (size_t i = 0; i < crypto->count; i++) {
        const struct load_crypto_row *row = &crypto->rows[i];
        printf("  %-44s %10.2f us x %5.2f = %8.2f us\n", row->name, row->us, row->count,
               row->us * row->count);
    }
    printf("  %-44s %32.2f us\n", "together", crypto->total_us);
}

/* ---- JSON ---- */

static json_t *figure_json(const struct load_figure *figure)
{
    json_t *row = json_pack("{s:s, s:s, s:f, s:s}", "scenario", figure->scenario, "name",
                            figure->name, "value", figure->value, "unit", figure->unit);
    bool ok = row != NULL;
    if (ok && figure->has_goal) {
        ok = json_object_set_new(row, "goal", json_real(figure->goal)) == 0 &&
             json_object_set_new(row, "is_minimum", json_boolean(figure->is_minimum)) == 0 &&
             json_object_set_new(row, "met", json_boolean(figure->is_met)) == 0;
    }
    if (!ok) {
        json_decref(row);
        return NULL;
    }
    return row;
}

static json_t *crypto_json(const struct load_crypto *crypto)
{
    json_t *rows = json_array();
    for (size_t i = 0; rows != NULL && i < crypto->count; i++) {
        (void)json_array_append_new(rows,
                                    json_pack("{s:s, s:f, s:f}", "name", crypto->rows[i].name, "us",
                                              crypto->rows[i].us, "count", crypto->rows[i].count));
    }
    return rows;
}

static json_t *report_json(const struct load *load)
{
    json_t *figures = json_array();
    for (size_t i = 0; figures != NULL && i < load->figure_count; i++) {
        (void)json_array_append_new(figures, figure_json(&load->figures[i]));
    }
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o, s:o}", "version", WH_VERSION,
        "executions", (json_int_t)load->started, "right", (json_int_t)load->right, "refused",
        (json_int_t)load->refused, "broken_off", (json_int_t)load->cut, "lost",
        (json_int_t)load->lost, "wrong", (json_int_t)load->wrong, "early", (json_int_t)load->early,
        "checked", (json_int_t)load->checked, "goals_met", !load->goals_missed, "complaint",
        load->complaint, "figures", figures, "cryptography", crypto_json(&load->crypto));
}

static bool report_save(const struct load *load, struct err *err)
{
    struct buffer text;
    json_t *report = report_json(load);
    buffer_init(&text, 16 * 1024 * 1024);
    bool ok = report != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the report");
    ok = ok && json_write(report, &text, err);
    buffer_append_u8(&text, '\n');
    ok = ok && cli_file_write(load->options->json_path, buffer_bytes(&text), err);
    buffer_release(&text);
    json_decref(report);
    return ok;
}

/* ---- text ---- */

static void figure_print(const struct load_figure *figure)
{
    bool is_count = figure->unit[0] == '\0';
    printf("  %-44s %12.*f %-3s", figure->name, is_count ? 0 : 2, figure->value, figure->unit);
    if (figure->has_goal) {
        printf("  goal: %s %g %s: %s", figure->is_minimum ? "at least" : "at most", figure->goal,
               figure->unit, figure->is_met ? "met" : "MISSED");
    }
    putchar('\n');
}

static void totals_print(const struct load *load)
{
    printf("\n%" PRIu64 " executions: %" PRIu64 " right, %" PRIu64 " refused or stopped, %" PRIu64
           " broken off, %" PRIu64 " lost, %" PRIu64 " wrong, %" PRIu64 " ended early; %" PRIu64
           " with signatures and proofs verified\n",
           load->started, load->right, load->refused, load->cut, load->lost, load->wrong,
           load->early, load->checked);
    if (load->complaint[0] != '\0') {
        printf("first complaint: %s\n", load->complaint);
    }
}

bool load_report(struct load *load, struct err *err)
{
    const char *scenario = "";
    for (size_t i = 0; i < load->figure_count; i++) {
        if (strcmp(scenario, load->figures[i].scenario) != 0) {
            scenario = load->figures[i].scenario;
            printf("\n%s\n", scenario);
        }
        figure_print(&load->figures[i]);
    }
    crypto_print(&load->crypto);
    totals_print(load);
    return load->options->json_path == NULL || report_save(load, err);
}
