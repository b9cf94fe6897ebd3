/* load_scenario.c: what is shown: each scenario is a few streams of executions and what is to be
 * said of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { MIX_STEPS = 100 };

static const double ns_per_s = 1e9;
static const double steady_goal = 1500;    /* answers a second */
static const double steady_in_time = 0.99; /* of what comes, where that is less */

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

/* --count, else what is usual. */
static uint64_t count_of(const struct load_options *options, uint64_t usual, uint64_t quick)
{
    return options->count > 0 ? options->count : options->is_quick ? quick : usual;
}

void load_small_job(struct load_flow *flow, struct load_job *job)
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
    load_flow_init(flow, load, "small", load_small_job, tally);
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
    bool is_told =
        load_metrics_fetch(load, &text) &&
        load_metric_find(buffer_bytes(&text), "wasm_hypervisor_log_batch_entries_count", &count);
    buffer_release(&text);
    return is_told ? count : (double)load->trust.checkpoints;
}

/* What was refused or lost has cost something as well, but was no execution. */
static bool steady_cost(struct load *load, const struct load_tally *tally, double node_seconds,
                        double own_seconds, double checkpoints, struct err *err)
{
    double executed = (double)(tally->right > 0 ? tally->right : 1);
    if (!load_crypto_measure(tally->request_bytes, tally->result_bytes, checkpoints / executed,
                             &load->crypto, err)) {
        return false;
    }
    load_figure_add(load, "client's processor time per execution", own_seconds * 1e6 / executed,
                    "us");
    load_figure_add(load, "bare cryptography of an execution", load->crypto.total_us, "us");
    if (node_seconds > 0) {
        load_figure_add(load, "node's processor time per execution", node_seconds * 1e6 / executed,
                        "us");
        load_figure_goal(load, "node's time over bare cryptography",
                         node_seconds * 1e6 / executed / load->crypto.total_us, "x", 2.5, false);
    }
    return true;
}

/* More than came cannot be answered: at random, fewer may come than the rate says. */
static void steady_throughput(struct load *load, const struct load_tally *tally, double rate,
                              double seconds)
{
    double answered = (double)tally->answered_in_window / seconds;
    double goal = steady_goal;
    if (rate > 0) {
        double came = (double)tally->started / seconds;
        load_figure_add(load, "executions that came", came, "/s");
        goal = fmin(goal, came * steady_in_time);
    }
    load_figure_goal(load, "throughput", answered, "/s", goal, true);
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
        load_usage_read(load, &before);
        double own_seconds = process_seconds();
        steady_flow(load, &flow, tally, seconds);
        load_flows_run(load, flows, 1);
        own_seconds = process_seconds() - own_seconds;
        load_usage_read(load, &after);
        checkpoints = checkpoints_count(load) - checkpoints;
        load_tally_count(load, tally);
        steady_throughput(load, tally, flow.rate, seconds);
        load_tally_report(load, "small programs", tally);
        ok = steady_cost(load, tally, after.cpu_seconds - before.cpu_seconds, own_seconds,
                         checkpoints, err);
    }
    heap_free(warmup);
    heap_free(tally);
    return ok;
}

/* ---- hogs ---- */

static void hog_job(struct load_flow *flow, struct load_job *job)
{
    job->program = LOAD_SPIN;
    job->timeout_seconds = 1 + (unsigned)(load_random_next(&flow->random) % 3);
}

static void hogs_report(struct load *load, const struct load_tally *hogs,
                        const struct load_tally *small)
{
    static const double ms = 1e6;
    const struct load_histogram *inside = &hogs->overrun_inside, *outside = &hogs->overrun_outside;
    load_figure_add(load, "endless loops stopped", (double)inside->count, "");
    load_figure_goal(load, "stopped before their deadline", (double)hogs->early, "", 0, false);
    load_figure_add(load, "overrun, by the node: p50", (double)load_histogram_at(inside, 0.5) / ms,
                    "ms");
    load_figure_goal(load, "overrun, by the node: p99",
                     (double)load_histogram_at(inside, 0.99) / ms, "ms", 5, false);
    load_figure_goal(load, "overrun, by the node: worst", (double)inside->max / ms, "ms", 20,
                     false);
    load_figure_add(load, "overrun, from outside: p50",
                    (double)load_histogram_at(outside, 0.5) / ms, "ms");
    load_figure_goal(load, "overrun, from outside: p99",
                     (double)load_histogram_at(outside, 0.99) / ms, "ms", 5, false);
    load_figure_goal(load, "overrun, from outside: worst", (double)outside->max / ms, "ms", 20,
                     false);
    load_figure_goal(load, "queue + run of short programs: p99",
                     (double)load_histogram_at(&small->service, 0.99) / ms, "ms", 10, false);
    load_tally_report(load, "short programs", small);
}

/* So many endless loops at any time, each followed by another, and short programs beside them. */
static bool hogs(struct load *load, struct err *err)
{
    const struct load_options *options = load->options;
    double seconds = or_else(options->seconds, options->is_quick ? 2 : 10);
    double warmup = or_else(options->warmup_seconds, options->is_quick ? 0.5 : 1.5);
    struct load_tally *tallies[] = {tally_new(err), tally_new(err)};
    struct load_flow loops, small;
    struct load_flow *const flows[] = {&loops, &small};
    bool ok = tallies[0] != NULL && tallies[1] != NULL;
    if (ok) {
        uint64_t begin_ns = now_ns();
        load_flow_init(&loops, load, "endless", hog_job, tallies[0]);
        loops.concurrency = (unsigned)count_of(options, 100, 12);
        loops.ramp_ns = (uint64_t)(warmup * ns_per_s);
        loops.allowed |= UINT64_C(1) << ERR_EXECUTION_TIMEOUT;
        load_flow_init(&small, load, "short", load_small_job, tallies[1]);
        small.rate = or_else(options->rate, options->is_quick ? 20 : 50);
        small.is_uniform = options->is_uniform;
        small.next_ns = begin_ns;
        for (size_t i = 0; i < 2; i++) {
            flows[i]->begin_ns = begin_ns;
            flows[i]->measure_ns = begin_ns + (uint64_t)(warmup * ns_per_s);
            flows[i]->end_ns = flows[i]->measure_ns + (uint64_t)(seconds * ns_per_s);
        }
        load_flows_run(load, flows, 2);
        load_tally_count(load, tallies[0]);
        load_tally_count(load, tallies[1]);
        hogs_report(load, tallies[0], tallies[1]);
    }
    heap_free(tallies[0]);
    heap_free(tallies[1]);
    return ok;
}

/* ---- fair ---- */

static void one_job(struct load_flow *flow, struct load_job *job)
{
    job->program = LOAD_MIX;
    job->seed = 7;
    job->size = flow->steps;
    job->timeout_seconds = 120;
}

static void endless_job(struct load_flow *flow, struct load_job *job)
{
    job->program = LOAD_SPIN;
    job->timeout_seconds = flow->load->options->is_quick ? 1 : 3;
}

/* How many steps take a processor of this node so long. */
static bool steps_find(struct load *load, double milliseconds, uint32_t *steps, struct err *err)
{
    enum { TRIAL_STEPS = 2000000 };
    struct load_tally *tally = tally_new(err);
    struct load_flow flow;
    if (tally == NULL) {
        return false;
    }
    load_flow_init(&flow, load, "trial", one_job, tally);
    flow.steps = TRIAL_STEPS;
    flow.count_max = 3;
    flow.concurrency = 1;
    struct load_flow *const flows[] = {&flow};
    load_flows_run(load, flows, 1);
    load_tally_count(load, tally);
    double trial_ms = (double)tally->execution.min / 1e6;
    double wanted = (double)TRIAL_STEPS * milliseconds / (trial_ms > 0.01 ? trial_ms : 0.01);
    *steps = (uint32_t)fmin(fmax(wanted, 1000), 4e9);
    heap_free(tally);
    return true;
}

static double spread_percent(double least, double most)
{
    return most > 0 ? (most - least) / most * 100 : 0;
}

/* Identical jobs, begun together, end together; endless ones, stopped together, have had the same.
 */
static bool fair(struct load *load, struct err *err)
{
    const struct load_options *options = load->options;
    struct load_tally *jobs = tally_new(err), *loops = tally_new(err);
    struct load_flow flow;
    uint32_t steps = 0;
    bool ok = jobs != NULL && loops != NULL &&
              steps_find(load, options->is_quick ? 10 : 100, &steps, err);
    if (ok) {
        load_flow_init(&flow, load, "jobs", one_job, jobs);
        flow.steps = steps;
        flow.count_max = count_of(options, 100, 10);
        load_flow_volley(&flow);
        double first = (double)(jobs->first_answer_ns - flow.measure_ns);
        double last = (double)(jobs->last_answer_ns - flow.measure_ns);
        load_flow_init(&flow, load, "loops", endless_job, loops);
        flow.allowed |= UINT64_C(1) << ERR_EXECUTION_TIMEOUT;
        flow.count_max = count_of(options, 100, 10);
        load_flow_volley(&flow);
        load_tally_count(load, jobs);
        load_tally_count(load, loops);
        load_figure_add(load, "identical jobs: right answers", (double)jobs->right, "");
        load_figure_add(load, "identical jobs: the last ended after", last / 1e6, "ms");
        load_figure_goal(load, "identical jobs: spread of their ends", spread_percent(first, last),
                         "%", 5, false);
        load_figure_add(load, "endless loops: mean service at their deadline",
                        load_histogram_mean(&loops->execution) / 1e6, "ms");
        load_figure_goal(load, "endless loops: spread of their service",
                         spread_percent((double)loops->execution.min, (double)loops->execution.max),
                         "%", 5, false);
    }
    heap_free(jobs);
    heap_free(loops);
    return ok;
}

/* ---- afterwards: a node that has seen trouble serves as before ---- */

bool load_afterwards(struct load *load, struct err *err)
{
    struct load_tally *tally = tally_new(err);
    struct load_flow flow;
    struct load_flow *const flows[] = {&flow};
    if (tally == NULL) {
        return false;
    }
    load_flow_init(&flow, load, "afterwards", load_small_job, tally);
    flow.concurrency = 4;
    flow.count_max = 50;
    flow.allowed = 0;
    load_flows_run(load, flows, 1);
    load_tally_count(load, tally);
    load_figure_add(load, "small programs afterwards: right answers", (double)tally->right, "");
    heap_free(tally);
    return true;
}

bool load_preflight(struct load *load, struct err *err)
{
    struct load_tally *tally = tally_new(err);
    struct load_flow flow;
    struct load_flow *const flows[] = {&flow};
    if (tally == NULL) {
        return false;
    }
    load_flow_init(&flow, load, "first", load_small_job, tally);
    flow.concurrency = 1;
    flow.count_max = 1;
    flow.allowed = 0;
    load_flows_run(load, flows, 1);
    bool ok = tally->lost == 0 && tally->refusal == ERR_NONE;
    if (ok) {
        load_tally_count(load, tally);
    } else {
        (void)err_set(err, ERR_IO, "the node does not serve: %.400s%s", tally->complaint,
                      tally->refusal == ERR_UNAUTHENTICATED
                          ? "; give an API key with --api-key or WASM_HYPERVISOR_API_KEY"
                          : "");
    }
    heap_free(tally);
    return ok;
}

/* ---- memory ---- */

static void touch_job(struct load_flow *flow, struct load_job *job)
{
    job->program = LOAD_TOUCH;
    job->size = 1024; /* 64 MiB */
    job->seed = load_random_next(&flow->random);
    job->timeout_seconds = 60;
}

/* Waits until the node has given memory back, for a while. */
static void memory_after(struct load *load)
{
    static const double goal_mib = 150, mib = 1024 * 1024;
    double patience_seconds = load->options->is_quick ? 3 : 15;
    uint64_t begin_ns = now_ns(), end_ns = begin_ns + (uint64_t)(patience_seconds * ns_per_s);
    struct load_usage usage;
    load_usage_read(load, &usage);
    while ((double)usage.rss_bytes > goal_mib * mib && now_ns() < end_ns) {
        load_http_step(&load->http, now_ns() + 50000000);
        load_usage_read(load, &usage);
    }
    if (usage.rss_bytes > 0) {
        if (usage.rss_peak_bytes > 0) {
            load_figure_goal(load, "node's memory at its peak", (double)usage.rss_peak_bytes / mib,
                             "MiB", 1024, false);
        }
        load_figure_goal(load, "node's memory afterwards", (double)usage.rss_bytes / mib, "MiB",
                         goal_mib, false);
        load_figure_add(load, "node's memory: waited for that", (double)(now_ns() - begin_ns) / 1e6,
                        "ms");
    }
}

static bool memory(struct load *load, struct err *err)
{
    struct load_tally *tally = tally_new(err);
    struct load_flow flow;
    if (tally == NULL) {
        return false;
    }
    load_flow_init(&flow, load, "touch", touch_job, tally);
    flow.count_max = count_of(load->options, 100, 20);
    flow.allowed |= UINT64_C(1) << ERR_MEMORY_EXCEEDED;
    load_flow_volley(&flow);
    load_tally_count(load, tally);
    load_tally_report(load, "64 MiB touched", tally);
    load_figure_add(load, "refusals that do not say when to come back",
                    (double)tally->without_retry_after, "");
    heap_free(tally);
    memory_after(load);
    return load_afterwards(load, err);
}

/* ---- burst ---- */

static void burst_job(struct load_flow *flow, struct load_job *job)
{
    one_job(flow, job);
    job->timeout_seconds = 30;
}

/* Ten times as many at once as may run at once. */
static bool burst(struct load *load, struct err *err)
{
    struct load_tally *tally = tally_new(err);
    struct load_flow flow;
    uint32_t steps = 0;
    bool ok = tally != NULL && steps_find(load, 2, &steps, err);
    if (ok) {
        load_flow_init(&flow, load, "burst", burst_job, tally);
        flow.steps = steps;
        flow.count_max = count_of(load->options, 1000, 150);
        load_flow_volley(&flow);
        load_tally_count(load, tally);
        load_tally_report(load, "burst", tally);
        load_figure_goal(load, "refusals that do not say when to come back",
                         (double)tally->without_retry_after, "", 0, false);
        ok = load_afterwards(load, err);
    }
    heap_free(tally);
    return ok;
}

/* ---- the list ---- */

const struct load_scenario load_scenarios[] = {
    {"steady", "small programs at a rate: throughput, latency, cost beside bare cryptography",
     steady},
    {"hogs", "100 endless loops at any time, short programs beside them", hogs},
    {"fair", "100 identical jobs, then 100 endless loops, begun together", fair},
    {"memory", "100 programs at once grow to 64 MiB and touch all of it", memory},
    {"burst", "1000 programs at one moment", burst},
    {"slow-clients", "a steady load with and without 500 slow and idle connections beside it",
     load_slow_clients},
    {"disconnects", "clients that break their connection at every stage", load_disconnects},
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
