/* load_flow.c: streams of executions, and what became of them.
 *
 * A stream with a rate starts executions at moments that were drawn beforehand, whatever the node
 * does; a closed one keeps so many in flight; a volley seals its executions first and sends them
 * together.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/load.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

static_assert((int)ERR_CODE_COUNT <= 64, "codes are bits of load_flow.allowed");

static const uint64_t grace_ns = UINT64_C(30000000000); /* for answers, after the end */
static const uint64_t pause_ns = 50000000;              /* of a closed loop that was turned away */
static const uint64_t in_time_ns = 100000000;           /* after a window, for what came in it */
static const uint64_t ramp_step_ns = 1000000;
static const uint64_t line_ns = 200000000; /* between redrawings of the live line */
static const uint64_t ns_per_ms = 1000000;
static const double rounding_ms = 0.01; /* of the node's two figures */
static const double ns_per_s = 1e9;

static uint64_t now_ns(void)
{
    return clock_monotonic_ns(&clock_system);
}

void load_flow_init(struct load_flow *flow, struct load *load, const char *name,
                    void (*job)(struct load_flow *flow, struct load_job *job),
                    struct load_tally *tally)
{
    *flow = (struct load_flow){.load = load, .name = name, .job = job, .tally = tally};
    flow->random.state = load_random_next(&load->random);
    flow->end_ns = UINT64_MAX;
    flow->allowed = UINT64_C(1) << ERR_OVERLOADED | UINT64_C(1) << ERR_RATE_LIMITED;
    list_init(&flow->ready);
}

/* ---- ends ---- */

static void complain(struct load_tally *tally, const struct load_session *session,
                     const char *complaint)
{
    if (tally->complaint[0] == '\0' && complaint != NULL) {
        snprintf(tally->complaint, sizeof tally->complaint, "%.36s: %.400s",
                 session->request_id_text[0] != '\0' ? session->request_id_text
                                                     : "a request without id",
                 complaint);
    }
}

/* Of a stream with a rate, what came in the last moment may be answered in the next: nothing was on
 * its way when the window began. A closed loop is as full at its end as it was all the time. */
static bool is_in_window(const struct load_flow *flow, uint64_t moment_ns)
{
    uint64_t late_ns = flow->rate > 0 ? in_time_ns : 0;
    return moment_ns >= flow->measure_ns && moment_ns < flow->end_ns + late_ns;
}

/* The overrun of what was stopped at its deadline. Nobody may be stopped before. */
static void overrun_note(struct load_tally *tally, const struct load_session *session,
                         const struct load_answer *answer)
{
    uint64_t timeout_ns = (uint64_t)session->job.timeout_seconds * 1000 * ns_per_ms;
    uint64_t outside_ns = session->call.answered_ns - session->call.sent_ns;
    double inside_ms =
        answer->queue_ms + answer->execution_ms - (double)session->job.timeout_seconds * 1000;
    if (outside_ns < timeout_ns || inside_ms < -rounding_ms) {
        tally->early++;
    }
    load_histogram_add(&tally->overrun_outside,
                       outside_ns > timeout_ns ? outside_ns - timeout_ns : 0);
    load_histogram_add(&tally->overrun_inside,
                       inside_ms > 0 ? (uint64_t)(inside_ms * (double)ns_per_ms) : 0);
}

static void answer_note(struct load_tally *tally, const struct load_session *session,
                        const struct load_answer *answer)
{
    const struct load_flow *flow = session->flow;
    const struct load_call *call = &session->call;
    if (is_in_window(flow, call->answered_ns)) {
        tally->answered_in_window++;
    }
    if (tally->first_answer_ns == 0 || call->answered_ns < tally->first_answer_ns) {
        tally->first_answer_ns = call->answered_ns;
    }
    if (call->answered_ns > tally->last_answer_ns) {
        tally->last_answer_ns = call->answered_ns;
    }
    if (!answer->has_times) {
        return;
    }
    load_histogram_add(&tally->execution, (uint64_t)(answer->execution_ms * (double)ns_per_ms));
    tally->result_bytes = answer->result_bytes;
    tally->request_bytes = load_program_wasm(session->job.program).size;
    if (answer->code == ERR_EXECUTION_TIMEOUT) {
        overrun_note(tally, session, answer);
    }
    if (session->intended_ns >= flow->measure_ns) {
        load_histogram_add(&tally->latency, call->answered_ns - session->intended_ns);
        load_histogram_add(&tally->round_trip, call->answered_ns - call->sent_ns);
        load_histogram_add(&tally->service, (uint64_t)((answer->queue_ms + answer->execution_ms) *
                                                       (double)ns_per_ms));
    }
}

/* Whoever was turned away must not come back at once for ever; a rate is a rate. */
static void pause_closed(struct load_flow *flow)
{
    if (flow->rate <= 0) {
        flow->next_ns = now_ns() + pause_ns;
    }
}

static bool should_say_when(enum err_code code)
{
    return code == ERR_OVERLOADED || code == ERR_RATE_LIMITED || code == ERR_DRAINING;
}

void load_flow_ended(struct load_session *session, enum load_outcome outcome,
                     const struct load_answer *answer, const char *complaint)
{
    struct load_flow *flow = session->flow;
    struct load_tally *tally = flow->tally;
    flow->in_flight--;
    tally->ended++;
    tally->checked += session->is_checked ? 1 : 0;
    switch (outcome) {
    case LOAD_RIGHT:
        tally->right++;
        answer_note(tally, session, answer);
        break;
    case LOAD_REFUSED:
        if ((flow->allowed >> answer->code & 1) == 0) {
            char text[ERR_MESSAGE_BYTES_MAX];
            snprintf(text, sizeof text, "%s: %.400s", err_code_name(answer->code),
                     complaint != NULL ? complaint : "nothing that this program may end with");
            complain(tally, session, text);
            tally->refusal = tally->refusal == ERR_NONE ? answer->code : tally->refusal;
            tally->wrong++;
            break;
        }
        tally->codes[answer->code]++;
        if (should_say_when(answer->code)) {
            pause_closed(flow);
            tally->without_retry_after += session->call.has_retry_after ? 0 : 1;
        }
        answer_note(tally, session, answer);
        break;
    case LOAD_LOST:
        tally->lost++;
        pause_closed(flow);
        complain(tally, session, complaint);
        break;
    case LOAD_CUT:
        tally->cut++;
        break;
    case LOAD_WRONG:
        tally->wrong++;
        complain(tally, session, complaint);
        break;
    }
}

/* ---- beginnings ---- */

static bool may_start(const struct load_flow *flow)
{
    return flow->count_max == 0 || flow->tally->started < flow->count_max;
}

static void start_one(struct load_flow *flow, uint64_t intended_ns)
{
    struct load_job job = {.timeout_seconds = 10};
    flow->job(flow, &job);
    flow->tally->started++;
    flow->in_flight++;
    if (!load_session_start(flow, &job, intended_ns)) {
        flow->in_flight--;
        flow->tally->ended++;
        flow->tally->lost++;
    }
}

static uint64_t gap_ns(struct load_flow *flow)
{
    double mean_ns = ns_per_s / flow->rate;
    double part = flow->is_uniform ? 1 : -log(load_random_unit(&flow->random));
    return (uint64_t)(mean_ns * part);
}

/* Starts what is due; the moment of the next start, UINT64_MAX: none in sight. */
static uint64_t flow_start_due(struct load_flow *flow, uint64_t now)
{
    if (flow->rate > 0) {
        while (flow->next_ns <= now && flow->next_ns < flow->end_ns && may_start(flow)) {
            start_one(flow, flow->next_ns);
            flow->next_ns += gap_ns(flow);
        }
        return flow->next_ns < flow->end_ns && may_start(flow) ? flow->next_ns : UINT64_MAX;
    }
    unsigned wanted = flow->concurrency;
    if (flow->ramp_ns > 0 && now < flow->begin_ns + flow->ramp_ns) {
        wanted = (unsigned)(wanted * (now - flow->begin_ns) / flow->ramp_ns) + 1;
    }
    while (flow->in_flight < wanted && now >= flow->next_ns && now < flow->end_ns &&
           may_start(flow)) {
        start_one(flow, now);
    }
    return wanted < flow->concurrency ? now + ramp_step_ns : UINT64_MAX;
}

static bool flow_is_over(const struct load_flow *flow, uint64_t now)
{
    bool is_closed = flow->rate > 0 ? flow->next_ns >= flow->end_ns : now >= flow->end_ns;
    return flow->in_flight == 0 && (is_closed || !may_start(flow));
}

/* ---- running ---- */

static void live_line(struct load *load, struct load_flow *const *flows, size_t count,
                      uint64_t begin_ns, uint64_t now)
{
    uint64_t answered = 0, lost = 0, wrong = 0, in_flight = 0;
    for (size_t i = 0; i < count; i++) {
        answered += flows[i]->tally->ended;
        lost += flows[i]->tally->lost;
        wrong += flows[i]->tally->wrong;
        in_flight += flows[i]->in_flight;
    }
    const struct load_histogram *latency = &flows[count - 1]->tally->latency;
    double seconds = (double)(now - begin_ns) / ns_per_s;
    progress_line(&load->progress,
                  "%s  %5.1f s  %8.0f/s  in flight %4llu  answered %8llu  p50 %6.1f ms  p99 %6.1f "
                  "ms  lost %llu  wrong %llu",
                  load->scenario, seconds, (double)answered / fmax(seconds, 0.001),
                  (unsigned long long)in_flight, (unsigned long long)answered,
                  (double)load_histogram_at(latency, 0.5) / 1e6,
                  (double)load_histogram_at(latency, 0.99) / 1e6, (unsigned long long)lost,
                  (unsigned long long)wrong);
}

void load_flows_run(struct load *load, struct load_flow *const *flows, size_t count)
{
    uint64_t begin_ns = now_ns(), line_at_ns = begin_ns + line_ns, quiet_since_ns = begin_ns;
    uint64_t ended_before = 0;
    for (;;) {
        uint64_t now = now_ns(), wake_ns = now + line_ns, ended = 0;
        bool is_over = true;
        for (size_t i = 0; i < count; i++) {
            uint64_t due_ns = flow_start_due(flows[i], now);
            wake_ns = due_ns < wake_ns ? due_ns : wake_ns;
            is_over = is_over && flow_is_over(flows[i], now);
            ended += flows[i]->tally->ended;
        }
        uint64_t tick_ns = load->tick != NULL ? load->tick(load, now) : UINT64_MAX;
        wake_ns = tick_ns < wake_ns ? tick_ns : wake_ns;
        if (is_over) {
            break;
        }
        if (ended != ended_before) {
            ended_before = ended;
            quiet_since_ns = now;
        }
        if (now > quiet_since_ns + grace_ns) {
            load_http_abandon(&load->http);
        }
        if (now >= line_at_ns) {
            live_line(load, flows, count, begin_ns, now);
            line_at_ns = now + line_ns;
        }
        load_http_step(&load->http, wake_ns);
    }
    progress_bar_end(&load->progress);
}

void load_flow_volley(struct load_flow *flow)
{
    uint64_t quiet_since_ns = now_ns();
    flow->is_held = true;
    while (may_start(flow)) {
        start_one(flow, now_ns());
    }
    while (flow->ready_count < flow->in_flight) {
        if (now_ns() > quiet_since_ns + grace_ns) {
            load_http_abandon(&flow->load->http);
        }
        load_http_step(&flow->load->http, now_ns() + line_ns);
    }
    flow->measure_ns = now_ns();
    while (!list_is_empty(&flow->ready)) {
        struct load_session *session = LIST_ENTRY(flow->ready.next, struct load_session, held);
        session->intended_ns = flow->measure_ns;
        load_session_fire(session);
    }
    flow->ready_count = 0;
    load_flows_run(flow->load, &flow, 1);
}
