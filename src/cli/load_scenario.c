/* load_scenario.c: what is shown: each scenario is a few streams of executions and what is to be
 * said of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

enum { MIX_STEPS = 100, CONNECTIONS = 64 };

static const double ns_per_s = 1e9;

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

static double process_seconds(void)
{
    struct timespec used = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / ns_per_s;
}

static struct load_tally *tally_new(struct err *err)
{
    struct load_tally *tally = HEAP_NEW(struct load_tally);
    if (tally == NULL) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for histograms");
    }
    return tally;
}

static double or_else(double wanted, double otherwise)
{
    return wanted > 0 ? wanted : otherwise;
}

static void small_job(struct load_flow *flow, struct load_job *job)
{
    job->program = LOAD_MIX;
    job->seed = load_random_next(&flow->random);
    job->size = MIX_STEPS;
}

/* ---- steady ---- */

static void steady_flow(struct load *load, struct load_flow *flow, struct load_tally *tally,
                        double seconds)
{
    const struct load_options *options = load->options;
    load_flow_init(flow, load, "small", small_job, tally);
    if (options->concurrency > 0) {
        flow->concurrency = (unsigned)options->concurrency;
    } else {
        flow->rate = or_else(options->rate, options->is_quick ? 50 : 1500);
        flow->is_uniform = options->is_uniform;
    }
    flow->next_ns = now_ns();
    flow->measure_ns = flow->next_ns;
    flow->end_ns = flow->next_ns + (uint64_t)(seconds * ns_per_s);
}

/* Batches of the log that were signed: the node's own count, else what its checkpoints show. */
static double checkpoints_count(struct load *load)
{
    struct buffer text;
    double count = 0;
    buffer_init(&text, 4 * 1024 * 1024);
    bool is_told = load_metrics_fetch(load, &text) &&
                   load_metric_find(buffer_bytes(&text),
                                    "wasm_hypervisor_log_commit_duration_seconds_count", &count);
    buffer_release(&text);
    return is_told ? count : (double)load->trust.notes;
}

static bool steady_cost(struct load *load, const struct load_tally *tally, double node_seconds,
                        double own_seconds, double checkpoints, struct err *err)
{
    double ended = (double)(tally->ended > 0 ? tally->ended : 1);
    if (!load_crypto_measure(tally->request_bytes, tally->result_bytes, checkpoints / ended,
                             &load->crypto, err)) {
        return false;
    }
    load_figure_add(load, "client's processor time per execution", own_seconds * 1e6 / ended, "us");
    load_figure_add(load, "bare cryptography of an execution", load->crypto.total_us, "us");
    if (node_seconds > 0) {
        load_figure_add(load, "node's processor time per execution", node_seconds * 1e6 / ended,
                        "us");
        load_figure_goal(load, "node's time over bare cryptography",
                         node_seconds * 1e6 / ended / load->crypto.total_us, "x", 2.5, false);
    }
    return true;
}

static bool steady(struct load *load, struct err *err)
{
    const struct load_options *options = load->options;
    double seconds = or_else(options->seconds, options->is_quick ? 2 : 10);
    struct load_tally *warmup = tally_new(err), *tally = tally_new(err);
    struct load_flow flow;
    struct load_flow *const flows[] = {&flow};
    struct load_usage before, after;
    bool ok = warmup != NULL && tally != NULL;
    if (ok) {
        steady_flow(load, &flow, warmup,
                    or_else(options->warmup_seconds, options->is_quick ? 0.5 : 2));
        load_flows_run(load, flows, 1);
        load_tally_count(load, warmup);
        double checkpoints = checkpoints_count(load);
        load_node_usage(&load->node, &before);
        double own_seconds = process_seconds();
        steady_flow(load, &flow, tally, seconds);
        load_flows_run(load, flows, 1);
        own_seconds = process_seconds() - own_seconds;
        load_node_usage(&load->node, &after);
        checkpoints = checkpoints_count(load) - checkpoints;
        load_tally_count(load, tally);
        load_figure_goal(load, "throughput", (double)tally->answered_in_window / seconds, "/s",
                         1500, true);
        load_tally_report(load, "small programs", tally);
        ok = steady_cost(load, tally, after.cpu_seconds - before.cpu_seconds, own_seconds,
                         checkpoints, err);
    }
    heap_free(warmup);
    heap_free(tally);
    return ok;
}

/* ---- the list ---- */

const struct load_scenario load_scenarios[] = {
    {"steady", "small programs at a rate: throughput, latency, cost beside bare cryptography",
     steady},
};
const size_t load_scenario_count = sizeof load_scenarios / sizeof load_scenarios[0];

const struct load_scenario *load_scenario_find(const char *name, size_t size)
{
    for (size_t i = 0; i < load_scenario_count; i++) {
        if (strlen(load_scenarios[i].name) == size &&
            memcmp(load_scenarios[i].name, name, size) == 0) {
            return &load_scenarios[i];
        }
    }
    return NULL;
}
